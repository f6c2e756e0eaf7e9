"""What applications share, with folders of this machine for those of HDFS."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pyflow_yarn.yarn.shared_files import NOTE_MS, put_shared, sweep

MONTH_MS = 30 * 24 * 3600 * 1000
LONG_AGO = time.time() - MONTH_MS / 1000 - 10


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def put(cache: Path, key: str, used: float = 0) -> Path:
    """A file of that key, used then if not now."""
    path = cache / key / "a.zip"
    put_shared(str(path), [b"words"])
    if used:
        os.utime(path.parent, (used, used))
    return path


def test_a_use_is_noted_and_the_file_stays_as_it_is(cache: Path) -> None:
    path = put(cache, "key", LONG_AGO)
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert not put_shared(str(path), [b"words"])
    assert time.time() - path.parent.stat().st_mtime < 60
    assert path.stat().st_mtime == LONG_AGO
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zip"]


def test_a_use_is_noted_no_more_often_than_needed(cache: Path) -> None:
    lately = time.time() - NOTE_MS / 2000
    path = put(cache, "key", lately)
    assert not put_shared(str(path), [b"words"])
    assert path.parent.stat().st_mtime == lately


def test_what_nobody_used_for_long_goes(cache: Path) -> None:
    for key, used in (("a", LONG_AGO), ("b", LONG_AGO), ("c", 0.0)):
        put(cache, key, used)
    sweep(str(cache), MONTH_MS, lambda: b"\x0ahdfs://nn/user/ann/.flink/cache/b/a.zip\x12")
    assert sorted(path.name for path in cache.iterdir()) == ["b", "c"]


def test_applications_are_asked_for_only_if_there_is_something_to_remove(cache: Path) -> None:
    put(cache, "a")
    answers = iter([b""])
    sweep(str(cache), MONTH_MS, lambda: next(answers))
    for key in ("b", "c"):
        put(cache, key, LONG_AGO)
    sweep(str(cache), MONTH_MS, lambda: next(answers))
    assert sorted(path.name for path in cache.iterdir()) == ["a"]
    assert not list(answers)


def test_what_somebody_begins_to_use_meanwhile_stays(cache: Path) -> None:
    put(cache, "a", LONG_AGO)

    def specifications() -> bytes:
        put(cache, "a")
        return b""

    sweep(str(cache), MONTH_MS, specifications)
    assert (cache / "a" / "a.zip").exists()
