"""A file system in memory whose operations take effect in two steps, as a kernel's do: look up, then act."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable
from typing import IO

from pyflow_yarn.filesystem import FileStatus

Node = bytearray | dict[str, "Node"]


def fails(number: int) -> OSError:
    """The error of the operating system with that number."""
    return OSError(number, os.strerror(number))


def nothing() -> None:
    """Pause for nobody."""


class MemoryFileSystem:
    """See ``FileSystem``. ``tree`` may be shared by several; ``pause`` is called before each step and after the last.

    Between the steps others may act: what has been looked up is still the same directory when it has another name.
    """

    def __init__(self, tree: dict[str, Node] | None = None, pause: Callable[[], None] = nothing) -> None:
        self.tree: dict[str, Node] = {} if tree is None else tree
        self._modes: dict[int, int] = {}
        self._pause = pause

    def _directory(self, path: str) -> dict[str, Node]:
        found: Node = self.tree
        for name in filter(None, path.split("/")):
            if not isinstance(found, dict):
                raise fails(errno.ENOTDIR)
            if name not in found:
                raise fails(errno.ENOENT)
            found = found[name]
        if not isinstance(found, dict):
            raise fails(errno.ENOTDIR)
        return found

    def _look_up(self, path: str) -> tuple[dict[str, Node], str]:
        self._pause()
        directory, _, name = path.rpartition("/")
        return self._directory(directory), name

    def _status(self, path: str, node: Node) -> FileStatus:
        is_directory = isinstance(node, dict)
        mode = self._modes.get(id(node), 0o755 if is_directory else 0o644)
        return FileStatus(path, 0 if is_directory else len(node), int(time.time() * 1000), is_directory, mode)

    def status(self, path: str) -> FileStatus | None:
        try:
            directory, name = self._look_up(path)
            self._pause()
            return self._status(path, directory[name]) if name in directory else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, path: str) -> list[FileStatus]:
        self._pause()
        directory = self._directory(path)
        self._pause()
        return [self._status(f"{path}/{name}", directory[name]) for name in sorted(directory)]

    def open(self, path: str) -> IO[bytes]:
        directory, name = self._look_up(path)
        self._pause()
        if name not in directory:
            raise fails(errno.ENOENT)
        found = directory[name]
        if isinstance(found, dict):
            raise fails(errno.EISDIR)
        return io.BytesIO(bytes(found))

    def create(self, path: str, private: bool = False, copies: int = 0) -> IO[bytes]:
        directory, name = self._look_up(path)
        self._pause()
        if name in directory:
            raise fails(errno.EEXIST)
        content = directory[name] = bytearray()
        if private:
            self._modes[id(content)] = 0o600
        self._pause()
        return io.BufferedWriter(_Output(content))

    def sync(self, file: IO[bytes]) -> None:
        file.flush()
        self._pause()

    def discard(self, file: IO[bytes], path: str) -> None:
        file.close()
        self.delete(path)

    def rename(self, source: str, target: str) -> None:
        self._move(source, target, replace=False)

    def replace(self, source: str, target: str) -> None:
        self._move(source, target, replace=True)

    def _move(self, source: str, target: str, replace: bool) -> None:
        self._pause()
        (source_directory, source_name), (target_directory, target_name) = (
            (self._directory(path.rpartition("/")[0]), path.rpartition("/")[2]) for path in (source, target)
        )
        self._pause()
        if source_name not in source_directory:
            raise fails(errno.ENOENT)
        if target_name in target_directory and not replace:
            raise fails(errno.EEXIST)
        target_directory[target_name] = source_directory.pop(source_name)
        self._pause()

    def sync_directory(self, path: str) -> None:
        self._pause()

    def delete(self, path: str, recursive: bool = False) -> bool:
        try:
            directory, name = self._look_up(path)
        except FileNotFoundError:
            return False
        self._pause()
        if directory.get(name) and isinstance(directory[name], dict) and not recursive:
            raise fails(errno.ENOTEMPTY)
        found = directory.pop(name, None)
        self._pause()
        return found is not None

    def make_directories(self, path: str, private: bool = False) -> None:
        self._pause()
        directory = self.tree
        names = list(filter(None, path.split("/")))
        for place, name in enumerate(names, 1):
            if name not in directory:
                directory[name] = {}
                if private and place == len(names):
                    self._modes[id(directory[name])] = 0o700
            found = directory[name]
            if not isinstance(found, dict):
                raise fails(errno.EEXIST)
            directory = found
        self._pause()


class _Output(io.RawIOBase):
    def __init__(self, content: bytearray) -> None:
        self._content = content

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._content += piece
        return len(piece)
