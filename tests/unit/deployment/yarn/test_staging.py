"""Staging, with a file system in memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import staging
from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn import Visibility, shared_files
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from tests.unit.filesystem.memory import MemoryFileSystem


class Bytes:
    """Content in two pieces, between which something may happen."""

    def __init__(self, content: bytes, interruption: BaseException | None = None) -> None:
        self.key = hashlib.sha256(content).hexdigest()
        self.size = len(content)
        self._content = content
        self._interruption = interruption

    def chunks(self) -> Iterator[bytes]:
        yield self._content[:2]
        if self._interruption is not None:
            raise self._interruption
        yield self._content[2:]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> MemoryFileSystem:
    """HDFS."""
    files = MemoryFileSystem()
    for module in (staging, shared_files):
        monkeypatch.setattr(module, "file_system", lambda path: files)
    return files


@pytest.fixture
def hadoop(tmp_path: Path) -> HadoopConfiguration:
    property_ = "<property><name>fs.defaultFS</name><value>hdfs://nn/</value></property>"
    (tmp_path / "core-site.xml").write_text(f"<configuration>{property_}</configuration>")
    return HadoopConfiguration(tmp_path)


def _files(files: MemoryFileSystem, folder: str) -> Iterator[str]:
    for entry in files.list(folder):
        if entry.is_directory:
            yield from _files(files, entry.path)
        else:
            yield entry.path


def test_what_is_there_is_not_sent_again(files: MemoryFileSystem, hadoop: HadoopConfiguration) -> None:
    mine, content = Staging({}, hadoop, "ann"), Bytes(b"words")
    first = mine.stage(content, "a.zip")
    mine.finish()
    assert first.source == f"hdfs://nn/user/ann/.flink/cache/{content.key}/a.zip"
    assert first.visibility is Visibility.APPLICATION
    assert files.open(first.source).read() == b"words"
    assert Staging({}, hadoop, "ann").stage(content, "a.zip") == first
    assert mine.stage(content, "a.zip") == first
    mine.finish()
    assert mine.uploaded == 5


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_file_is_there_whole_or_not_at_all(
    interruption: BaseException, files: MemoryFileSystem, hadoop: HadoopConfiguration
) -> None:
    mine = Staging({}, hadoop, "ann")
    with pytest.raises((KeyboardInterrupt, ExternalError), match=r"^$|a\.zip cannot be staged in .*: No space left"):
        mine.stage(Bytes(b"words", interruption), "a.zip")
        mine.finish()
    assert list(_files(files, "hdfs://nn")) == []
    assert mine.uploaded == 0


def test_what_is_abandoned_leaves_nothing(files: MemoryFileSystem, hadoop: HadoopConfiguration) -> None:
    begun, on = threading.Event(), threading.Event()

    class Slow(Bytes):
        def chunks(self) -> Iterator[bytes]:
            yield b"wo"
            begun.set()
            on.wait(10)
            yield b"rds"

    mine = Staging({}, hadoop, "ann")
    mine.stage(Slow(b"words"), "a.zip")
    assert begun.wait(10)
    mine._abandoned = True
    on.set()
    mine.abandon()
    assert list(_files(files, "hdfs://nn")) == []
    assert mine.uploaded == 0


def test_what_was_never_finished_is_swept_after_a_day(
    files: MemoryFileSystem, hadoop: HadoopConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = "hdfs://nn/user/ann/.flink/cache/key"
    files.make_directories(cache)
    for name in (".a.zip.123", "a.zip"):
        files.create(f"{cache}/{name}").close()
    mine = Staging({}, hadoop, "ann")
    mine.sweep(lambda key, _: True)
    assert len(list(_files(files, "hdfs://nn"))) == 2
    # What this file system has was always made just now.
    monkeypatch.setattr(shared_files, "ABANDONED_MS", -10_000)
    mine.sweep(lambda key, _: True)
    assert list(_files(files, "hdfs://nn")) == [f"{cache}/a.zip"]


def test_what_an_administrator_provides_is_taken_from_there(
    files: MemoryFileSystem, hadoop: HadoopConfiguration
) -> None:
    content = Bytes(b"words")
    files.make_directories(f"hdfs://nn/apps/flink/{content.key}")
    with files.create(f"hdfs://nn/apps/flink/{content.key}/a.zip") as file:
        file.write(b"words")
    mine = Staging({"yarn.provided.lib.dirs": "hdfs://other/nowhere;/apps/flink"}, hadoop, "ann")
    found = mine.stage(content, "a.zip")
    assert found.source == f"hdfs://nn/apps/flink/{content.key}/a.zip"
    assert found.visibility is Visibility.PUBLIC
    assert mine.stage(Bytes(b"other"), "a.zip").visibility is Visibility.APPLICATION
    mine.finish()
    assert mine.uploaded == 5


def test_a_hadoop_without_a_file_system(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no fs\.defaultFS: correct HADOOP_CONF_DIR"):
        Staging({}, HadoopConfiguration(tmp_path), "ann")


def test_folders_are_swept_by_their_applications_and_their_age(hadoop: HadoopConfiguration, tmp_path: Path) -> None:
    mine = Staging({}, hadoop, "ann")
    mine.folders = str(tmp_path)
    for name in ("cache", "application_1_0001", "application_1_0002", "application_1_0003"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "application_1_0002", (0, 0))

    def has_ended(application_id: str, quiet_seconds: float) -> bool:
        return application_id == "application_1_0001" or quiet_seconds > 600

    assert mine.sweep(has_ended) == ["application_1_0001", "application_1_0002"]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"cache", "application_1_0003"}
