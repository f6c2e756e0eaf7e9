"""What a client adds to the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.client.configuration import with_absolute_paths


def test_files_are_named_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "python.files": "a.py, /b.zip,hdfs:///c.py,file:///d.py",
        "python.archives": "e.zip#data,f.zip",
        "python.requirements": "r.txt#packages",
        "other": "a.py",
    }
    assert with_absolute_paths(given) == {
        "python.files": f"{tmp_path}/a.py,/b.zip,hdfs:///c.py,/d.py",
        "python.archives": f"{tmp_path}/e.zip#data,{tmp_path}/f.zip",
        "python.requirements": f"{tmp_path}/r.txt#{tmp_path}/packages",
        "other": "a.py",
    }
    assert with_absolute_paths({"python.requirements": "r.txt"}) == {"python.requirements": f"{tmp_path}/r.txt"}
    assert with_absolute_paths({}) == {}
