"""The file that leads commands to a session: its place, its format, and whom it is believed."""

from __future__ import annotations

import os
import pwd
import re
import stat
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.deployment.yarn.properties_file import (
    YarnSession,
    check_properties_file,
    delete_properties_file,
    properties_file,
    read_properties_file,
    write_properties_file,
)
from pyflow_yarn.errors import ConfigurationError, ExternalError

ID = "application_1700000000000_0001"
OTHER = "application_1700000000000_0002"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".yarn-properties-somebody"


def test_it_is_in_the_configured_directory_else_in_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    name = f".yarn-properties-{pwd.getpwuid(os.geteuid()).pw_name}"
    assert properties_file({}) == tmp_path / "tmp" / name
    assert properties_file({"yarn.properties-file.location": "/there"}) == Path("/there") / name


def test_it_looks_like_flinks(path: Path) -> None:
    write_properties_file(path, YarnSession(ID, {"parallelism.default": "2", "env.log.level": "DEBUG"}))
    comment, date, *rest = path.read_text().splitlines()
    assert comment == "#Generated YARN properties file"
    assert re.fullmatch(r"#[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}", date)
    assert rest == [f"applicationID={ID}", r"dynamicPropertiesString=parallelism.default\=2@@env.log.level\=DEBUG"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert list(path.parent.iterdir()) == [path]


def test_without_a_file_there_is_no_session(path: Path) -> None:
    assert read_properties_file(path) is None
    assert not delete_properties_file(path, ID)


_SURROGATES: list[Literal["Cs"]] = ["Cs"]
_BLANKS: list[Literal["Z", "C"]] = ["Z", "C"]
_keys = st.text(st.characters(exclude_characters="@=", exclude_categories=_BLANKS), min_size=1)
_values = st.text(st.characters(exclude_characters="@", exclude_categories=_SURROGATES))


@given(properties=st.dictionaries(_keys, _values))
def test_what_is_written_is_read(properties: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    write_properties_file(path, YarnSession(ID, properties))
    assert read_properties_file(path) == YarnSession(ID, properties)


@pytest.mark.parametrize(
    "content",
    [
        f"applicationID={ID}\ndynamicPropertiesString=\n",
        f"dynamicPropertiesString=\r\n! a remark\r\n\r\n  applicationID : {ID}\r\n",
        f"# a remark that goes on \\\napplicationID={ID}",
        "applicationID application_17000000\\\n    00000_0001\n",
        "application\\u0049D=\\u0061pplication_1700000000000_0001",
    ],
)
def test_javas_format_has_many_forms(content: str, path: Path) -> None:
    path.write_text(content)
    assert read_properties_file(path) == YarnSession(ID)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "names no application"),
        (b"dynamicPropertiesString=a\\=b\n", "names no application"),
        (b"applicationID=\\u12", "cannot be understood"),
        (b"applicationID=rm -rf", "has an invalid applicationID"),
        (b"\x00\xff" * 1000, "names no application"),
    ],
)
def test_what_is_no_such_file_is_to_be_deleted(content: bytes, what: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{what}.* Please delete the file at {re.escape(str(path))}"):
        read_properties_file(path)


def test_only_its_own_session_is_forgotten(path: Path) -> None:
    write_properties_file(path, YarnSession(ID))
    assert not delete_properties_file(path, OTHER)
    write_properties_file(path, YarnSession(OTHER))
    assert delete_properties_file(path, OTHER)
    assert not path.exists()


def test_another_users_file_is_neither_believed_nor_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_properties_file(path, YarnSession(ID))
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        read_properties_file(path)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        write_properties_file(path, YarnSession(OTHER))
    assert not delete_properties_file(path, ID)
    assert ID in path.read_text()


def test_a_link_is_neither_followed_nor_written_through(path: Path) -> None:
    target = path.with_name("target")
    write_properties_file(target, YarnSession(ID))
    path.symlink_to(target)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_properties_file(path)
    write_properties_file(path, YarnSession(OTHER))
    assert ID in target.read_text()
    assert not path.is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(make: object, path: Path) -> None:
    assert callable(make)
    make(path)
    with pytest.raises(ConfigurationError, match="is no file"):
        read_properties_file(path)


def test_a_directory_that_cannot_be_written_to(tmp_path: Path, file_permissions: None) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    for place, why in ((tmp_path / "none", "No such file or directory"), (closed, "Permission denied")):
        with pytest.raises(ExternalError, match=rf"{why}\): name another directory with -Dyarn\.properties-file"):
            check_properties_file(place / "file")
        with pytest.raises(ExternalError, match=why):
            write_properties_file(place / "file", YarnSession(ID))
