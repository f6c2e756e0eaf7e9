"""The operations of a file system, on local files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyflow_yarn.errors import NotYetSupportedError
from pyflow_yarn.filesystem import file_system, is_local, join, parent
from tests.unit.filesystem import conformance
from tests.unit.filesystem.memory import MemoryFileSystem


@pytest.mark.parametrize("behaves", conformance.ALL)
def test_it_does_what_every_file_system_does(behaves: Callable[[str], None], tmp_path: Path) -> None:
    behaves(str(tmp_path))


@pytest.mark.parametrize("behaves", conformance.ALL)
def test_the_double_in_memory_does_the_same(behaves: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFileSystem({"folder": {}})
    monkeypatch.setattr(conformance, "file_system", lambda folder: files)
    behaves("/folder")


def test_a_path_says_what_it_belongs_to() -> None:
    assert is_local("/a:b") and not is_local("hdfs:///a")
    assert join("/a/", "b") == "/a/b" and join("/a", "") == "/a"
    assert parent("hdfs:///a/b") == "hdfs:///a"
    with pytest.raises(NotYetSupportedError, match="The file system 's3' of 's3://bucket/x'"):
        file_system("s3://bucket/x")
