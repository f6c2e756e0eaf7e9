"""The operations of a file system, on local files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pyflow_yarn.errors import NotYetSupportedError
from pyflow_yarn.filesystem import file_system, is_local, join, parent


def test_a_file_is_made_once_and_renamed_without_replacing_another(tmp_path: Path) -> None:
    files = file_system(str(tmp_path))
    folder = join(str(tmp_path), "a b/c")
    assert files.status(folder) is None
    files.make_directories(folder)
    files.make_directories(folder)
    source, target, other = (join(folder, name) for name in ("source", "target", "other"))
    with files.create(source) as file:
        file.write(b"0123456789")
        files.sync(file)
    with pytest.raises(FileExistsError):
        files.create(source)
    files.create(other).close()
    with pytest.raises(FileExistsError):
        files.rename(source, other)
    files.rename(source, target)
    with pytest.raises(FileNotFoundError):
        files.rename(source, target)
    assert [(found.path, found.length, found.is_directory) for found in files.list(folder)] == [
        (other, 0, False),
        (target, 10, False),
    ]
    found = files.status(target)
    assert found is not None and found.modified == os.stat(target).st_mtime_ns // 1_000_000
    with files.open(target) as opened:
        opened.seek(4)
        assert opened.read(3) == b"456"
    assert files.status(join(target, "below")) is None
    with pytest.raises(OSError) as error:
        files.delete(parent(folder))
    assert error.value.errno == errno.ENOTEMPTY
    assert files.delete(parent(folder), recursive=True)
    assert not files.delete(folder)


def test_a_discarded_file_leaves_nothing(tmp_path: Path) -> None:
    files = file_system(str(tmp_path))
    file = files.create(join(str(tmp_path), "x"))
    file.write(b"buffered")
    files.discard(file, join(str(tmp_path), "x"))
    assert files.list(str(tmp_path)) == []


def test_a_path_says_what_it_belongs_to() -> None:
    assert is_local("/a:b") and not is_local("hdfs:///a")
    assert join("/a/", "b") == "/a/b" and join("/a", "") == "/a"
    assert parent("hdfs:///a/b") == "hdfs:///a"
    with pytest.raises(NotYetSupportedError, match="The file system 's3' of 's3://bucket/x'"):
        file_system("s3://bucket/x")
