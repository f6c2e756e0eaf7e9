"""Archives for the nodes: tar and gzip, which every node has, with the same bytes for the same files."""

from __future__ import annotations

import gzip
import importlib.util
import io
import marshal
import mmap
import os
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

_MODIFIED = 315532800  # 1980: the earliest that zip archives can tell, should somebody make one of it
_HASH_BASED = b"\x01\0\0\0"  # and never compared with its source
_HEADER = 16


class Archive:
    """Adds files, in the order of their places."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    @classmethod
    @contextmanager
    def writing(cls, target: BinaryIO) -> Iterator[Archive]:
        """An archive that is written to this stream."""
        # Level 1: ADR 8 has the figures.
        with (
            gzip.GzipFile("", "wb", 1, target, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            yield cls(tar)

    def add(self, place: str, content: IO[bytes] | mmap.mmap, size: int, executable: bool = False) -> None:
        """Add a file."""
        member = self._member(place, 0o755 if executable else 0o644)
        member.size = size
        self._tar.addfile(member, content)

    def add_bytes(self, place: str, content: bytes) -> None:
        """Add a file with this content."""
        self.add(place, io.BytesIO(content), len(content))

    def add_link(self, place: str, target: str) -> None:
        """Add a symbolic link."""
        member = self._member(place, 0o777)
        member.type = tarfile.SYMTYPE
        member.linkname = target
        self._tar.addfile(member)

    def _member(self, place: str, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(place)
        member.mode = mode
        member.mtime = _MODIFIED
        return member


def compiled_place(place: str) -> str:
    """Where the compiled form of a module is, in the archive and for an interpreter."""
    folder, _, name = place.rpartition("/")
    return f"{folder}/__pycache__/{os.path.basename(importlib.util.cache_from_source(name))}"


def compiled(path: str) -> bytes | None:
    """The compiled form of a module: what an earlier start has left, else made now; None if it is not for this Python.

    The interpreter takes it without looking at the source, whose time of modification is another one on each node, and
    puts the source's path there into it.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        source = file.read()
    header = importlib.util.MAGIC_NUMBER + _HASH_BASED + importlib.util.source_hash(source)
    kept = _kept(path, int(status.st_mtime), len(source))
    if kept is not None:
        return header + kept
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return header + marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _kept(path: str, modified: int, size: int) -> bytes | None:
    try:
        with open(importlib.util.cache_from_source(path, optimization=""), "rb") as file:
            content = file.read()
    except OSError:
        return None
    stamp = (modified & 0xFFFFFFFF).to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return content[_HEADER:] if content[:_HEADER] == importlib.util.MAGIC_NUMBER + b"\0\0\0\0" + stamp else None
