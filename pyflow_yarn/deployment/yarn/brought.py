"""Archives with a Python that users bring (``-pyarch a.tar.gz#env -pyexec env/bin/python``), before they travel."""

from __future__ import annotations

import lzma
import os
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from pyflow_yarn.errors import ConfigurationError

OLDEST = (3, 11)
NEEDED = ("msgspec", "cloudpickle", "mmh3", "setproctitle")
"""The packages without which no process of ours runs."""

_MACHINES = {21: "ppc64le", 22: "s390x", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_MOST_LINKS = 16
_SETTINGS_SIZE = 1 << 16
_INTERPRETER = re.compile(r"python[\d.]*")
_LIBRARY = re.compile(r"lib(?:64)?/python(\d+)\.(\d+)/")
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True)
class Brought:
    """What an archive holds.

    ``machine`` is the architecture of its interpreter as ``uname -m`` tells it, "" if that is a link to the node's.
    ``needs`` is the Python, or its folder, that has to be on the nodes as well; "" if it stands on its own. ``missing``
    are packages that we need and it has not.
    """

    version: tuple[int, int]
    machine: str
    needs: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """An interpreter inside an archive: the archive, the folder that it becomes, and the path below that folder."""

    archive: str
    folder: str
    interpreter: str


def interpreter_in_archives(archives: str, executable: str) -> Place | None:
    """The archive of ``python.archives`` that ``python.executable`` points into, if it is one."""
    wanted = posixpath.normpath(executable)
    for entry in archives.split(","):
        path, _, target = entry.strip().partition("#")
        folder = posixpath.normpath(target or os.path.basename(path))
        if path and wanted.startswith(f"{folder}/"):
            return Place(path, folder, wanted[len(folder) + 1 :])
    return None


def inspect(archive: Path, interpreter: str, pickled_by: tuple[int, int] | None = None) -> Brought:
    """Look into an archive; ``ConfigurationError`` if no job can run with the interpreter that is to be in it.

    ``pickled_by`` is the version of Python that pickles the functions of jobs, where that is not this interpreter
    itself: they are compiled code, and another version crashes when it runs them.
    """
    listing = _Listing(archive)
    real = listing.resolved(interpreter)
    if real is None:
        known = ", ".join(sorted(name for name in listing.entries if _is_interpreter(name))[:3])
        raise ConfigurationError(
            f"The archive {archive} holds no {interpreter} (python.executable)"
            f"{f': it has {known}' if known else ', and no other Python'}."
        )
    version = listing.version(interpreter, real)
    if version is None:
        raise ConfigurationError(f"What is {interpreter} in the archive {archive} belongs to no Python environment.")
    text = ".".join(map(str, version))
    if version < OLDEST:
        raise ConfigurationError(f"The archive {archive} has Python {text}: jobs need Python 3.11 or later.")
    if pickled_by is not None and version != pickled_by:
        here = ".".join(map(str, pickled_by))
        raise ConfigurationError(
            f"The archive {archive} has Python {text}, which cannot run functions of a program that runs with Python"
            f" {here}: bring an archive with Python {here}, or run the program with Python {text} (-pyclientexec)."
        )
    inside = None if real.startswith("/") else listing.entries[real]
    if inside is not None and inside.machine is None:
        raise ConfigurationError(
            f"What is {interpreter} in the archive {archive} is no program for Linux of 64 bits: make the archive on a"
            " machine like the nodes."
        )
    needs = real if inside is None else listing.base(interpreter, real, text)
    return Brought(version, (inside and inside.machine) or "", needs, listing.missing(interpreter, text))


class _Entry(NamedTuple):
    """A member: what it links to, and the architecture if it is an interpreter."""

    link: str | None = None
    machine: str | None = None


class _Listing:
    """The members of an archive by their names, and what the settings of virtual environments among them say."""

    def __init__(self, archive: Path) -> None:
        self.entries = dict[str, _Entry]()
        self._homes = dict[str, str]()
        try:
            for name, link, content in _members(archive):
                machine = None
                if link is None and _is_interpreter(name):
                    machine = _machine(_beginning(content, 20))
                elif link is None and posixpath.basename(name) == "pyvenv.cfg":
                    self._homes[posixpath.dirname(name)] = _home(_beginning(content, _SETTINGS_SIZE))
                self.entries[name] = _Entry(link, machine)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise ConfigurationError(f"The archive {archive} is no tar or zip archive, or a damaged one.") from error
        except OSError as error:
            why = error.strerror or "damaged"
            raise ConfigurationError(f"The archive {archive} cannot be read: {why}.") from error

    def resolved(self, name: str) -> str | None:
        """The member that a path leads to over links; a path that begins with / if it leads out; None if to nothing."""
        for _ in range(_MOST_LINKS):
            if name in self.entries and (link := self.entries[name].link) is not None:
                name = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
                if name.startswith("/"):
                    return name
            elif name in self.entries:
                return name
            else:
                # One of the folders on the way may be a link.
                changed = self._through_folders(name)
                if changed is None:
                    return None
                name = changed
        return None

    def version(self, *interpreters: str) -> tuple[int, int] | None:
        """The version of the environment around an interpreter: of its library, else of its name."""
        for prefix in {_prefix(interpreter): None for interpreter in interpreters}:
            for name in self.entries:
                if name.startswith(prefix) and (found := _LIBRARY.match(name, len(prefix))):
                    return int(found[1]), int(found[2])
        found = _VERSION.search(posixpath.basename(interpreters[-1]))
        return (int(found[1]), int(found[2])) if found else None

    def base(self, interpreter: str, real: str, version: str) -> str:
        """The folder outside of the archive where the standard library must be; "" if it is in the archive."""
        for prefix in (_prefix(interpreter), _prefix(real)):
            if any(f"{prefix}{lib}/python{version}/os.py" in self.entries for lib in ("lib", "lib64")):
                return ""
        return self._homes.get(_prefix(interpreter).rstrip("/"), "/")

    def missing(self, interpreter: str, version: str) -> tuple[str, ...]:
        """Which of the packages that we need are not installed beside an interpreter."""
        prefix = _prefix(interpreter)
        folders = [f"{prefix}{lib}/python{version}/site-packages/" for lib in ("lib", "lib64")]
        installed = {
            name[len(folder) :].split("/")[0].split(".")[0]
            for folder in folders
            for name in self.entries
            if name.startswith(folder)
        }
        return tuple(name for name in NEEDED if name not in installed)

    def _through_folders(self, name: str) -> str | None:
        folder = posixpath.dirname(name)
        while folder:
            entry = self.entries.get(folder)
            if entry is not None and entry.link is not None:
                return posixpath.normpath(
                    posixpath.join(posixpath.dirname(folder), entry.link, name[len(folder) + 1 :])
                )
            folder = posixpath.dirname(folder)
        return None


def _members(archive: Path) -> Iterator[tuple[str, str | None, Callable[[], IO[bytes] | None]]]:
    """Name, target of the link if it is one, and content of each member."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as source:
            for info in source.infolist():
                link = os.fsdecode(source.read(info)) if stat.S_ISLNK(info.external_attr >> 16) else None
                if not info.is_dir():
                    yield posixpath.normpath(info.filename), link, partial(source.open, info)
        return
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            name = posixpath.normpath(member.name)
            if member.isfile() or member.issym():
                yield name, member.linkname if member.issym() else None, partial(tar.extractfile, member)
            elif member.islnk():
                yield name, posixpath.relpath(member.linkname, posixpath.dirname(name) or "."), partial(BytesIO)


def _is_interpreter(name: str) -> bool:
    return _INTERPRETER.fullmatch(posixpath.basename(name)) is not None


def _prefix(interpreter: str) -> str:
    prefix = posixpath.dirname(posixpath.dirname(interpreter))
    return f"{prefix}/" if prefix else ""


def _beginning(content: Callable[[], IO[bytes] | None], size: int) -> bytes:
    file = content()
    return file.read(size) if file is not None else b""


def _machine(head: bytes) -> str | None:
    if len(head) < 20 or head[:5] != b"\x7fELF\x02":
        return None
    (number,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return _MACHINES.get(number)


def _home(settings: bytes) -> str:
    """The folder of the interpreter that a virtual environment stands on."""
    for line in settings.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip().lower() == "home":
            return value.strip()
    return ""
