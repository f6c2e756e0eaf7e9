"""Files of this machine."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from typing import IO

from pyflow_yarn.filesystem import BUFFER_SIZE, FileStatus

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EACCES})
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})


class LocalFileSystem:
    """See ``FileSystem``."""

    def status(self, path: str) -> FileStatus | None:
        """See ``FileSystem``."""
        try:
            return _status(path, os.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, path: str) -> list[FileStatus]:
        """See ``FileSystem``."""
        found = []
        with os.scandir(path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # gone meanwhile
                    found.append(_status(entry.path, entry.stat()))
        return sorted(found)

    def open(self, path: str) -> IO[bytes]:
        """See ``FileSystem``."""
        return open(path, "rb", buffering=0)

    def create(self, path: str, private: bool = False, copies: int = 0) -> IO[bytes]:
        """See ``FileSystem``."""
        return open(path, "xb", buffering=BUFFER_SIZE, opener=_private if private else None)

    def sync(self, file: IO[bytes]) -> None:
        """See ``FileSystem``."""
        file.flush()
        os.fsync(file.fileno())

    def discard(self, file: IO[bytes], path: str) -> None:
        """See ``FileSystem``."""
        raw = getattr(file, "raw", None)
        with suppress(OSError, ValueError):
            if raw is not None:
                raw.close()  # what is still buffered must not be written any more
        with suppress(OSError, ValueError):
            file.close()
        self.delete(path)

    def rename(self, source: str, target: str) -> None:
        """See ``FileSystem``; a rename that was interrupted between its two steps is completed."""
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            if not _same_file(source, target):
                raise
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            # Without hard links, a file that others make in this very moment would be lost. A directory is not: no
            # other directory takes its place unless it is empty.
            try:
                os.rename(source, target)
            except OSError as taken:
                if taken.errno not in _TAKEN:
                    raise
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            return
        self.delete(source)

    def replace(self, source: str, target: str) -> None:
        """See ``FileSystem``."""
        os.replace(source, target)

    def sync_directory(self, path: str) -> None:
        """See ``FileSystem``."""
        with suppress(OSError):  # some file systems cannot sync directories
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def delete(self, path: str, recursive: bool = False) -> bool:
        """See ``FileSystem``."""
        try:
            if recursive and os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def make_directories(self, path: str, private: bool = False) -> None:
        """See ``FileSystem``."""
        os.makedirs(path, 0o700 if private else 0o777, exist_ok=True)


def _status(path: str, found: os.stat_result) -> FileStatus:
    is_directory, mode = stat.S_ISDIR(found.st_mode), stat.S_IMODE(found.st_mode)
    return FileStatus(path, found.st_size, found.st_mtime_ns // 1_000_000, is_directory, mode)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _same_file(source: str, target: str) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.lstat(source), os.lstat(target))
    return False
