"""Which files a file source reads, and the parts they are read in."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from pyflow_yarn.datastream.source import SplitEnumerator
from pyflow_yarn.errors import ExternalError, UserError
from pyflow_yarn.filesystem import FileStatus, FileSystem, file_system, is_local

DEFAULT_SPLIT_SIZE = 16 << 20
MIN_SPLIT_SIZE = 1 << 20
SPLITS_PER_READER = 4
COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
UNREADABLE_COMPRESSIONS = frozenset({".deflate", ".zip", ".snappy", ".lz4", ".7z", ".rar"})
_PATTERN_CHARACTERS = frozenset("*?[")
_PASSING = (errno.ECONNREFUSED, errno.EIO)


class FileSplit(NamedTuple):
    """A part of a file: the records that start in bytes ``start`` to ``end`` (excluded); -1: to the end of the file."""

    path: str
    start: int
    end: int
    compression: str = ""


class FileSplitEnumerator(SplitEnumerator):
    """Lists files when the job starts, and hands out their parts in order."""

    def __init__(self, paths: Sequence[str], split_size: int, splittable: bool, parallelism: int) -> None:
        self._paths = paths
        self._split_size = split_size
        self._splittable = splittable
        self._parallelism = parallelism
        self._splits: deque[FileSplit] = deque()

    def open(self) -> None:
        files = [(path, _size(path)) for path in list_files(self._paths)]
        size = self._chosen_size(sum(size for _, size in files))
        self._splits = deque(split for path, length in files for split in self._file_splits(path, length, size))

    def _chosen_size(self, total: int) -> int:
        """The configured size, or less when there would be too few splits to keep all readers busy."""
        wanted = total // (self._parallelism * SPLITS_PER_READER) + 1
        return min(self._split_size, max(wanted, MIN_SPLIT_SIZE))

    def _file_splits(self, path: str, length: int, size: int) -> Iterator[FileSplit]:
        suffix = os.path.splitext(path)[1].lower()
        if suffix in COMPRESSIONS:
            yield FileSplit(path, 0, -1, COMPRESSIONS[suffix])
        elif suffix in UNREADABLE_COMPRESSIONS:
            raise UserError(
                f"The input file '{path}' is compressed in a way that is not supported yet: unpack it first."
            )
        elif not self._splittable or length == 0:  # files of the kernel say 0 and have content all the same
            yield FileSplit(path, 0, -1)
        else:
            count = max(1, round(length / size))
            for number in range(count):
                yield FileSplit(path, length * number // count, length * (number + 1) // count)

    def next_split(self, subtask: int, host: str) -> FileSplit | None:
        return self._splits.popleft() if self._splits else None

    def add_splits_back(self, splits: Sequence[FileSplit], subtask: int) -> None:
        self._splits.extendleft(reversed(splits))


def list_files(paths: Sequence[str]) -> list[str]:
    """The files that ``paths`` mean, each once: files themselves, all below directories, all that match a pattern.

    Hidden files and directories (``.x``, ``_x``) count only where they are named. A path that means nothing and a file
    that cannot be read are ``UserError``.
    """
    files: dict[str, None] = {}
    for path in paths:
        if not is_local(path):
            files.update(dict.fromkeys(_remote_files(path)))
            continue
        for found in _expand(path):
            files.update(dict.fromkeys(_files_below(found)))
    for file in filter(is_local, files):
        if not os.access(file, os.R_OK):
            raise UserError(f"The input file '{file}' cannot be read: check its permissions.")
    return list(files)


def input_failure(path: str, error: OSError) -> UserError | ExternalError:
    """The sentence for an input that cannot be read; only what may pass by itself is worth another attempt."""
    kind = ExternalError if error.errno in _PASSING else UserError
    return kind(f"The input file '{path}' cannot be read: {error.strerror or error}.")


def _remote_files(path: str) -> Iterator[str]:
    """The same rules as for local paths, with the operations that every file system has."""
    files = file_system(path)
    try:
        found = files.status(path)
        matches = [found] if found else list(_matches(files, path))
        for match in matches:
            yield from _remote_files_below(files, match)
    except OSError as error:
        raise input_failure(path, error) from None
    if not matches:
        pattern = _PATTERN_CHARACTERS.intersection(path)
        raise UserError(f"No input file matches '{path}'." if pattern else f"The input path '{path}' does not exist.")


def _matches(files: FileSystem, path: str) -> Iterator[FileStatus]:
    components = path.split("/")
    fixed = next((n for n, each in enumerate(components) if _PATTERN_CHARACTERS.intersection(each)), 0)
    if not fixed:
        return
    level = [files.status("/".join(components[:fixed]))]
    for component in components[fixed:]:
        below = [found for each in level if each and each.is_directory for found in files.list(each.path)]
        level = [found for found in below if _name_matches(found.name, component)]
    yield from filter(None, level)


def _name_matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (not _hidden(name) or name[0] == pattern[0])


def _remote_files_below(files: FileSystem, found: FileStatus) -> Iterator[str]:
    if not found.is_directory:
        yield found.path
        return
    for each in files.list(found.path):
        if not _hidden(each.name):
            yield from _remote_files_below(files, each)


def _size(path: str) -> int:
    if not is_local(path):
        try:
            found = file_system(path).status(path)
        except OSError as error:
            raise input_failure(path, error) from None
        if found is None:
            raise UserError(f"The input path '{path}' does not exist.")
        return found.length
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(
            f"The input path '{path}' is neither a file nor a directory: it cannot be read again after a failure."
        )
    return status.st_size


def _expand(path: str) -> list[str]:
    if os.path.lexists(path):
        if not os.path.exists(path):
            raise UserError(f"The input path '{path}' is a link to a file that does not exist.")
        return [path]
    if not _PATTERN_CHARACTERS.intersection(path):
        raise UserError(f"The input path '{path}' does not exist.")
    from glob import glob

    components = path.split(os.sep)
    fixed = next(number for number, component in enumerate(components) if _PATTERN_CHARACTERS.intersection(component))
    named = {component[:1] for component in components[fixed:]}
    found = [
        each
        for each in sorted(glob(path, recursive=True))
        if not any(_hidden(part) and part[0] not in named for part in each.split(os.sep)[fixed:])
    ]
    if not found:
        raise UserError(f"No input file matches '{path}'.")
    return found


def _files_below(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"The input directory '{path}' cannot be read: {error.strerror}.") from None
    for entry in entries:
        if not _hidden(entry.name):
            yield from _files_below(entry.path)


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))
