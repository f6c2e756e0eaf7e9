"""Files wherever they are: one interface, and the file system of each path.

A path is local and absolute, or a URI such as ``hdfs://host:8020/path``. Every operation that fails raises ``OSError``
with its ``errno``, and a ``strerror`` that ends a sentence. Libraries of file systems are imported when a path of
theirs is used first, in the process that uses it: never before a fork.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, NamedTuple, Protocol

from pyflow_yarn.errors import NotYetSupportedError

BUFFER_SIZE = 1 << 18


class FileStatus(NamedTuple):
    """What a file system says about a file or directory; ``modified`` is in milliseconds of the epoch.

    ``mode``: who may do what, as Unix writes it.
    """

    path: str
    length: int
    modified: int
    is_directory: bool
    mode: int

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


class FileSystem(Protocol):
    """What can be done with the files of one file system."""

    def status(self, path: str) -> FileStatus | None:
        """What is there; None if nothing is."""

    def list(self, path: str) -> list[FileStatus]:
        """What is directly in a directory, by name."""

    def open(self, path: str) -> IO[bytes]:
        """A file for reading, from wherever it is sought to."""

    def create(self, path: str, private: bool = False, copies: int = 0) -> IO[bytes]:
        """A new file for writing, in a directory that is there; ``FileExistsError`` if there is one.

        What is ``private`` is for its owner alone. HDFS keeps so many ``copies``; 0 leaves that to its configuration.
        """

    def sync(self, file: IO[bytes]) -> None:
        """Return when what was written to a file of ``create`` outlives the machine."""

    def discard(self, file: IO[bytes], path: str) -> None:
        """Close and delete a file of ``create``, without writing what is still buffered."""

    def rename(self, source: str, target: str) -> None:
        """Give a file or directory another name in one step; ``FileExistsError`` if that is taken.

        Only an empty directory may have to give way to a directory.
        """

    def replace(self, source: str, target: str) -> None:
        """Give a file another name in one step, in place of the file that has it."""

    def sync_directory(self, path: str) -> None:
        """Return when the names in a directory outlive the machine."""

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Delete a file or directory; False if there is none."""

    def make_directories(self, path: str, private: bool = False) -> None:
        """Make a directory and those above it, unless they are there; only the first is ``private``."""


def is_local(path: str) -> bool:
    """Whether a path is one of this machine."""
    return "://" not in path


def file_system(path: str) -> FileSystem:
    """The file system that a path belongs to."""
    if is_local(path):
        from pyflow_yarn.filesystem.local import LocalFileSystem

        return LocalFileSystem()
    scheme = path.partition("://")[0]
    if scheme == "hdfs":
        from pyflow_yarn.filesystem.hdfs import HdfsFileSystem

        return HdfsFileSystem()
    raise NotYetSupportedError(f"The file system '{scheme}' of '{path}' is not supported yet: use hdfs:// or file://.")


def join(directory: str, name: str) -> str:
    """The path of a name in a directory; the directory itself for an empty name."""
    return f"{directory.rstrip('/')}/{name}" if name else directory


def parent(path: str) -> str:
    """The directory that a file is in."""
    return path.rpartition("/")[0]


def put_once(files: FileSystem, path: str, content: Iterable[bytes], copies: int = 0) -> bool:
    """Put a private file in place, whole, unless there is one; whether there was none.

    Its directory and the one above are made, private as well, unless they are there.
    """
    if files.status(path) is not None:
        return False
    directory, _, name = path.rpartition("/")
    for needed in (parent(directory), directory):
        files.make_directories(needed, private=True)
    temporary = join(directory, f".{name}.{secrets.token_hex(6)}")
    file = files.create(temporary, private=True, copies=copies)
    try:
        for piece in content:
            file.write(piece)
        file.close()
    except BaseException:
        with suppress(OSError):
            files.discard(file, temporary)
        raise
    try:
        files.rename(temporary, path)
    except FileExistsError:
        files.delete(temporary)  # somebody was faster
        return False
    return True


def replace_file(
    files: FileSystem, path: str, content: Iterable[bytes], *, private: bool = False, sync: bool = True
) -> None:
    """Put a file in place in one step, whole, whether there is one or not; its directory must be there.

    Without ``sync`` it outlives this process, but not the machine.
    """
    directory, _, name = path.rpartition("/")
    temporary = join(directory, f".{name}.{secrets.token_hex(4)}")
    file = files.create(temporary, private)
    try:
        for piece in content:
            file.write(piece)
        if sync:
            files.sync(file)
        file.close()
        files.replace(temporary, path)
    except BaseException:
        files.discard(file, temporary)
        raise
    if sync:
        files.sync_directory(directory)
