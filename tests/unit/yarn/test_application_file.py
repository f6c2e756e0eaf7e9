"""The file that tells an application what it is."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.application_file import (
    ApplicationFile,
    TaskManagerFile,
    read_application_file,
    read_task_manager_file,
    write_application_file,
)

CONTENT = ApplicationFile(
    configuration={"parallelism.default": "2"},
    folders="hdfs://host:8020/user/me/.flink",
    secret="s",
    token="t",
    pages="p",
    worker_memory_mb=1728,
    queue="etl",
    program=b"x",
    attached=True,
)
GOLDEN = (
    "8aa776657273696f6e01ad636f6e66696775726174696f6e81b3706172616c6c656c69736d2e64656661756c74a132a7666f6c64657273bf686466733a"
    "2f2f686f73743a383032302f757365722f6d652f2e666c696e6ba6736563726574a173a5746f6b656ea174a57061676573a170b0776f726b65725f6d"
    "656d6f72795f6d62cd06c0a57175657565a365746ca770726f6772616dc40178a86174746163686564c3"
)


OF_TASK_MANAGERS = TaskManagerFile(configuration={"parallelism.default": "2"}, secret="s")
GOLDEN_OF_TASK_MANAGERS = (
    "83a776657273696f6e01ad636f6e66696775726174696f6e81b3706172616c6c656c69736d2e64656661756c74a132a6736563726574a173"
)


def test_its_bytes_are_those_of_version_1() -> None:
    assert msgspec.msgpack.encode(CONTENT).hex() == GOLDEN
    assert msgspec.msgpack.encode(OF_TASK_MANAGERS).hex() == GOLDEN_OF_TASK_MANAGERS


def test_it_is_private_and_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "application.bin"
    write_application_file(file, CONTENT)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_application_file(file) == CONTENT
    write_application_file(tmp_path / "taskmanager.bin", OF_TASK_MANAGERS)
    assert stat.S_IMODE((tmp_path / "taskmanager.bin").stat().st_mode) == 0o600
    assert read_task_manager_file(tmp_path / "taskmanager.bin") == OF_TASK_MANAGERS


def test_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "application.bin"
    write_application_file(file, msgspec.structs.replace(CONTENT, version=2))
    with pytest.raises(
        ConfigurationError, match="has version 2, this program reads 1: client and containers must be of"
    ):
        read_application_file(file)


def test_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "application.bin"
    for content in (b"\xc1", msgspec.msgpack.encode(OF_TASK_MANAGERS)):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_application_file(file)
