"""Aggregated logs in the folders where Hadoop puts them, on this machine's file system."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.filesystem.local import LocalFileSystem
from pyflow_yarn.yarn.aggregated_logs import AggregatedLogs
from pyflow_yarn.yarn.container_logs import LogFile, LogsError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from tests.unit.yarn.fake_yarn import APPLICATION, container
from tests.unit.yarn.test_tfile import VECTORS, vector


def configuration(folder: Path, **changes: str) -> HadoopConfiguration:
    properties = {
        "fs.defaultFS": "file:///",
        "yarn.nodemanager.remote-app-log-dir": f"{folder}/logs",
        **{name.replace("__", "-").replace("_", "."): value for name, value in changes.items()},
    }
    text = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()
    )
    (folder / "yarn-site.xml").write_text(f"<configuration>{text}</configuration>")
    return HadoopConfiguration(folder)


def aggregated(tmp_path: Path, folder: str, **vectors: str) -> AggregatedLogs:
    """Logs of user ann with these files of nodes."""
    place = tmp_path / "logs" / "ann" / folder / APPLICATION
    place.mkdir(parents=True)
    for name, source in vectors.items():
        shutil.copy(VECTORS / source, place / name)
    return AggregatedLogs(configuration(tmp_path), "ann", APPLICATION)


def text(number: int, name: str, count: int) -> bytes:
    return "".join(f"{number} {name} {line}ü\n" for line in range(count)).encode()


@pytest.mark.parametrize("folder", ["bucket-logs-tfile/0042", "logs-tfile", "logs"])
@pytest.mark.parametrize("source", ["tfile", "tfile-gz"])
def test_a_tfile_has_the_files_of_its_containers(tmp_path: Path, folder: str, source: str) -> None:
    logs = aggregated(tmp_path, folder, host_1=source)
    files = logs.files()
    assert [(file.container, file.node, file.name) for file in files] == [
        (container(number), "host:1", name)
        for number in (1, 2, 3)
        for name in ("empty", "taskmanager.log.1", "taskmanager.log")
    ]
    for file in files:
        number = int(file.container[-1])
        content = text(number, file.name, 2 * number) if file.name != "empty" else b""
        assert file.length == len(content)
        assert b"".join(logs.read(file, 0)) == content
        assert b"".join(logs.read(file, 5)) == content[5:]
    assert logs.problems == []


@pytest.mark.parametrize("folder", ["bucket-logs-ifile/0042", "logs-ifile"])
def test_an_ifile_has_the_parts_of_each_upload(tmp_path: Path, folder: str) -> None:
    logs = aggregated(tmp_path, folder, host_1="ifile")
    files = logs.files()
    names = [f"taskmanager.{end}" for end in ("log", "out")]
    assert [(file.container, file.name) for file in files] == [
        (container(number), name) for number in (1, 2) for name in names
    ]
    for file in files:
        number = int(file.container[-1])
        content = text(number, f"{file.name}0", 2) + text(number, f"{file.name}1", 2)
        for offset in range(len(content) + 1):
            assert b"".join(logs.read(file, offset)) == content[offset:]


def test_parts_that_were_left_while_the_application_ran_are_one_file(tmp_path: Path) -> None:
    logs = aggregated(
        tmp_path, "logs", my_host_8041_1700000000002="tfile-gz", my_host_8041_1700000000001="tfile", other_1="ifile"
    )
    files = [file for file in logs.files() if file.name == "taskmanager.log"]
    assert [(file.container, file.node) for file in files][2] == (container(3), "my_host:8041")
    assert b"".join(logs.read(files[2], 0)) == text(3, "taskmanager.log", 6) * 2


def test_what_is_still_written_is_left_out_and_what_is_no_log_file_told(tmp_path: Path) -> None:
    logs = aggregated(tmp_path, "logs", host_1="tfile", host_2="tfile", host_3="tfile")
    place = tmp_path / "logs" / "ann" / "logs" / APPLICATION
    (place / "host_1").rename(place / "host_1.tmp")
    (place / "host_2").write_bytes(b"")
    (place / "host_3").write_bytes(bytes(range(100)))
    (place / "application.har").mkdir()
    assert logs.files() == []
    archive, damaged = logs.problems
    other = f"try yarn logs -applicationId {APPLICATION} -appOwner ann."
    assert archive == f"{place}/application.har is an archive: {other}"
    assert damaged == f"{place}/host_3 cannot be read (it is neither a TFile nor an IFile): {other}"


def test_nothing_is_there(tmp_path: Path) -> None:
    assert AggregatedLogs(configuration(tmp_path), "ann", APPLICATION).files() == []


def test_what_may_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    logs = aggregated(tmp_path, "logs")
    with (
        patch.object(LocalFileSystem, "list", side_effect=PermissionError(13, "no")),
        pytest.raises(LogsError, match=rf"The logs of {APPLICATION} belong to ann, and \S+ may not be read: ask ann"),
    ):
        logs.files()
    with (
        patch.object(LocalFileSystem, "list", side_effect=OSError(5, "no NameNode answers")),
        pytest.raises(LogsError, match=r"^The logs in \S+ cannot be read: no NameNode answers\.$"),
    ):
        logs.files()


def test_folders_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = configuration(
        tmp_path,
        fs_defaultFS="hdfs://names:8020/",
        **{
            "yarn_log__aggregation_file__formats": "Own , TFile",
            "yarn_log__aggregation_Own_remote__app__log__dir": "s3a://b/l",
        },
    )
    folders = AggregatedLogs(settings, "ann", APPLICATION).folders()
    assert folders[0] == f"s3a://b/l/ann/bucket-logs-own/0042/{APPLICATION}"
    assert f"hdfs://names:8020{tmp_path}/logs/ann/bucket-logs-tfile/0042/{APPLICATION}" in folders
    with pytest.raises(LogsError, match=r"The file system 's3a' of 's3a.*try yarn logs -applicationId"):
        AggregatedLogs(settings, "ann", APPLICATION).files()


@given(name=st.sampled_from(["tfile", "tfile-gz", "ifile"]), damage=st.data())
def test_damage_is_told_or_harmless(tmp_path_factory: pytest.TempPathFactory, name: str, damage: st.DataObject) -> None:
    content = bytearray(vector(name))
    for _ in range(damage.draw(st.integers(1, 3))):
        content[damage.draw(st.integers(0, len(content) - 1))] = damage.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    logs = aggregated(folder, "logs", host_1=name)
    (folder / "logs" / "ann" / "logs" / APPLICATION / "host_1").write_bytes(content)
    for file in logs.files():
        read = sum(len(piece) for piece in logs.read(file, 0))
        assert read <= file.length
    assert all(isinstance(problem, str) for problem in logs.problems)


def test_a_file_that_was_rotated_belongs_to_the_one_that_is_written() -> None:
    assert LogFile(container(1), "host:1", "taskmanager.log.12", 1).family == (container(1), "taskmanager.log")
    assert LogFile(container(1), "host:1", "taskmanager.log.12", 1).generation == 12
    assert LogFile(container(1), "host:1", "taskmanager.log", 1).generation == 0


def test_what_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    logs = aggregated(tmp_path, "logs", host_1="tfile")
    (file, *_) = [file for file in logs.files() if file.length]
    with patch.object(LocalFileSystem, "open", side_effect=OSError(5, "no DataNode has the block")):
        assert b"".join(logs.read(file, 0)) == b""
        assert "host_1 cannot be read (no DataNode has the block): try yarn logs" in logs.problems[0]
        assert logs.files() == []
        assert len(logs.problems) == 1
