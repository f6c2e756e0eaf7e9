"""Archives with a Python that users bring."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn.brought import Brought, Place, inspect, interpreter_in_archives
from pyflow_yarn.errors import ConfigurationError

Contents = Mapping[str, bytes | str]
X86_64, AARCH64, OTHER = 62, 183, 1
NEEDED = ("msgspec", "cloudpickle", "mmh3", "setproctitle")


def program(machine: int = X86_64) -> bytes:
    return b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 3, machine) + bytes(44)


def packages(prefix: str, version: str = "3.11") -> Contents:
    return {f"{prefix}lib/python{version}/site-packages/{name}/__init__.py": b"" for name in NEEDED}


CONDA: Contents = {
    "./bin/python3.11": program(),
    "./bin/python": "python3.11",
    "./lib/python3.11/os.py": b"",
    **packages("./"),
}
VENV: Contents = {
    "venv/bin/python": "python3",
    "venv/bin/python3": "/usr/bin/python3",
    "venv/lib64": "lib",
    "venv/pyvenv.cfg": b"home = /usr/bin\nversion = 3.11.2\n",
    **packages("venv/"),
}
COPIED: Contents = {**VENV, "venv/bin/python": program(), "venv/bin/python3": program()}


def archive(path: Path, contents: Contents) -> Path:
    """A tar or zip archive, by the name; texts are targets of links."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as target:
            for name, content in contents.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (stat.S_IFLNK | 0o777 if isinstance(content, str) else stat.S_IFREG | 0o755) << 16
                target.writestr(info, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["env.tar.gz", "env.tgz", "env.tar", "env.zip"])
@pytest.mark.parametrize(
    ("contents", "interpreter", "found"),
    [
        (CONDA, "bin/python", Brought((3, 11), "x86_64", "", ())),
        (CONDA, "bin/python3.11", Brought((3, 11), "x86_64", "", ())),
        (VENV, "venv/bin/python", Brought((3, 11), "", "/usr/bin/python3", ())),
        (COPIED, "venv/bin/python", Brought((3, 11), "x86_64", "/usr/bin", ())),
    ],
)
def test_what_an_archive_holds(tmp_path: Path, name: str, contents: Contents, interpreter: str, found: Brought) -> None:
    assert inspect(archive(tmp_path / name, contents), interpreter, (3, 11)) == found


def test_another_architecture_is_for_the_nodes_to_judge(tmp_path: Path) -> None:
    found = inspect(archive(tmp_path / "env.tar", {**CONDA, "./bin/python3.11": program(AARCH64)}), "bin/python")
    assert found.machine == "aarch64"


def test_packages_that_are_missing_are_told(tmp_path: Path) -> None:
    contents = {name: content for name, content in CONDA.items() if "mmh3" not in name}
    assert inspect(archive(tmp_path / "env.tar", contents), "bin/python").missing == ("mmh3",)
    compiled = {**contents, "lib/python3.11/site-packages/mmh3.cpython-311-x86_64-linux-gnu.so": b""}
    assert inspect(archive(tmp_path / "env.tar", compiled), "bin/python").missing == ()


def test_a_link_that_a_folder_is(tmp_path: Path) -> None:
    contents = {**CONDA, "current": "versions/1", "versions/1": "../."}
    assert inspect(archive(tmp_path / "env.tar", contents), "current/bin/python").version == (3, 11)


@pytest.mark.parametrize(
    ("contents", "interpreter", "sentence"),
    [
        (CONDA, "bin/python4", "holds no bin/python4 (python.executable): it has bin/python, bin/python3.11."),
        ({"README": b""}, "bin/python", "holds no bin/python (python.executable), and no other Python."),
        ({"bin/python": "python"}, "bin/python", "holds no bin/python (python.executable): it has bin/python."),
        ({"bin/python": program()}, "bin/python", "belongs to no Python environment."),
        (
            {"bin/python": program(), "lib/python3.9/os.py": b""},
            "bin/python",
            "has Python 3.9: jobs need Python 3.11 or later.",
        ),
        (
            {"bin/python": program(), "lib/python3.12/os.py": b""},
            "bin/python",
            "has Python 3.12, which cannot run functions of a program that runs with Python 3.11: bring an archive with"
            " Python 3.11, or run the program with Python 3.12 (-pyclientexec).",
        ),
        (
            {"bin/python": b"\xcf\xfa\xed\xfe" * 30, "lib/python3.11/os.py": b""},
            "bin/python",
            "is no program for Linux of 64 bits: make the archive on a machine like the nodes.",
        ),
        (
            {"bin/python": program(OTHER), "lib/python3.11/os.py": b""},
            "bin/python",
            "is no program for Linux of 64 bits: make the archive on a machine like the nodes.",
        ),
    ],
)
def test_what_no_job_can_run_with(tmp_path: Path, contents: Contents, interpreter: str, sentence: str) -> None:
    path = archive(tmp_path / "env.tar.gz", contents)
    with pytest.raises(ConfigurationError) as raised:
        inspect(path, interpreter, (3, 11))
    assert str(raised.value).endswith(sentence)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08\0"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "env.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"The archive {path} is no tar or zip archive, or a damaged one."):
        inspect(path, "bin/python")


@pytest.mark.parametrize("name", ["env.tar.gz", "env.zip"])
def test_what_was_not_uploaded_completely(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / name, {**CONDA, "data": bytes(range(256)) * 1000})
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(ConfigurationError, match="is no tar or zip archive, or a damaged one"):
        inspect(path, "bin/python")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        inspect(tmp_path / "nowhere.tar", "bin/python")


@pytest.mark.parametrize(
    ("archives", "executable", "place"),
    [
        ("hdfs:///e/env.tar.gz#env", "env/bin/python", Place("hdfs:///e/env.tar.gz", "env", "bin/python")),
        ("data.zip,/x/env.zip", "env.zip/venv/bin/python", Place("/x/env.zip", "env.zip", "venv/bin/python")),
        ("a.zip#a/b", "./a/b/bin/python", Place("a.zip", "a/b", "bin/python")),
        ("env.zip#env", "environment/bin/python", None),
        ("env.zip#env", "/usr/bin/python3", None),
        ("env.zip#env", "python3", None),
        ("", "env/bin/python", None),
    ],
)
def test_which_archive_an_interpreter_is_in(archives: str, executable: str, place: Place | None) -> None:
    assert interpreter_in_archives(archives, executable) == place
