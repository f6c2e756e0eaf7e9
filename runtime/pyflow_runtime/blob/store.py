"""A directory of files named by the sha256 of their content: the BlobServer's, and every TaskManager's cache.

A file is in place only when it is complete and its content has been checked; then it is read-only. Calls block.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyflow_yarn.errors import ExternalError

PIECE_SIZE = 1 << 20
_KEY = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """See the module."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the blob is, or would be."""
        if not _KEY.fullmatch(key):
            raise ExternalError(f"{key[:80]!r} is no blob key: 64 hexadecimal digits are wanted.")
        return self.directory / key

    def has(self, key: str) -> bool:
        """Whether the blob is here, complete."""
        return self.path(key).exists()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that are not here, each once."""
        return [key for key in dict.fromkeys(keys) if not self.has(key)]

    def put(self, key: str, content: bytes) -> Path:
        """Keep a blob; ``ExternalError`` if the content is not what the key says."""
        path = self.path(key)
        if not path.exists():
            with self.writer(key) as writer:
                writer.write(content)
                writer.commit()
        return path

    def writer(self, key: str) -> BlobWriter:
        """For content that comes in pieces."""
        return BlobWriter(self.path(key))

    def read(self, key: str, offset: int, size: int) -> tuple[bytes, int]:
        """Up to ``size`` bytes from ``offset``, and the blob's length."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(size), os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise ExternalError(f"There is no blob {key}.") from None

    def pieces(self, key: str) -> Iterator[bytes]:
        """All of a blob."""
        with self.path(key).open("rb") as file:
            while piece := file.read(PIECE_SIZE):
                yield piece

    def delete(self, keys: Iterable[str]) -> None:
        """Forget blobs; those that are not here are forgotten already."""
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def keep_only(self, keys: set[str]) -> None:
        """Forget all other blobs, and what was never finished."""
        for path in list(self.directory.iterdir()):
            if path.name not in keys:
                path.unlink(missing_ok=True)


class BlobWriter:
    """A blob in the making: a temporary file until ``commit``; leaving the context without that removes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self._digest = hashlib.sha256()
        self._file = open(self._temporary, "xb", opener=_read_only)  # noqa: SIM115 - closed by commit or exit

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append a piece."""
        self._digest.update(data)
        self._file.write(data)

    def commit(self) -> None:
        """Put the blob in place; ``ExternalError`` if the content is not what the key says."""
        self._file.close()
        found = self._digest.hexdigest()
        if found != self._path.name:
            raise ExternalError(f"Blob {self._path.name} was damaged on its way: its content has the hash {found}.")
        os.replace(self._temporary, self._path)


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o400)
