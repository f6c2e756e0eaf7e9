"""Content of artifacts, addressed by its sha256: what the cluster has already is not sent again."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Callable, Iterator
from typing import IO

from pyflow_yarn.errors import ExternalError

CHUNK = 256 * 1024


class Blob:
    """Some content with its key; ``open`` gives a stream positioned at its start."""

    def __init__(self, key: str, size: int, open_stream: Callable[[], IO[bytes]]) -> None:
        self.key = key
        self.size = size
        self._open = open_stream

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces; ``ExternalError`` if it is no longer what was hashed."""
        sent = 0
        with self._open() as stream:
            while sent < self.size:
                chunk = stream.read(min(CHUNK, self.size - sent))
                if not chunk:
                    raise ExternalError(f"A file changed while it was sent: {getattr(stream, 'name', 'content')}.")
                sent += len(chunk)
                yield chunk


def bytes_blob(content: bytes) -> Blob:
    """A blob that is held in memory."""
    import io

    return Blob(hashlib.sha256(content).hexdigest(), len(content), lambda: io.BytesIO(content))


def file_blob(path: str) -> Blob:
    """A blob that stays on disk."""
    with open(path, "rb") as stream:
        key = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    return Blob(key, size, lambda: open(path, "rb"))


def directory_blob(path: str) -> Blob:
    """A zip of a directory, the same bytes for the same content: sorted names, no dates, stored uncompressed.

    Compiled modules (``__pycache__``) are left out; links are followed.
    """
    return zip_blob(dict(_walk(path)))


def zip_blob(files: dict[str, str]) -> Blob:
    """A zip of files, by their name in it."""
    import tempfile
    import zipfile

    # Unlinked from the start: a killed client leaves nothing.
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
            for name in sorted(files):
                status = os.stat(files[name])
                info = zipfile.ZipInfo(name)
                info.external_attr = (0o100755 if status.st_mode & 0o100 else 0o100644) << 16
                info.file_size = status.st_size
                with open(files[name], "rb") as source, target.open(info, "w") as entry:
                    while chunk := source.read(CHUNK):
                        entry.write(chunk)
        archive.seek(0)
        key = hashlib.file_digest(archive, "sha256").hexdigest()
        size = archive.tell()
        kept = os.dup(archive.fileno())
    # Opened anew each time, for a position of its own.
    blob = Blob(key, size, lambda: open(f"/proc/self/fd/{kept}", "rb"))  # noqa: SIM115
    weakref.finalize(blob, os.close, kept)
    return blob


def _walk(root: str) -> Iterator[tuple[str, str]]:
    seen: set[tuple[int, int]] = set()
    for directory, names, files in os.walk(root, followlinks=True):
        status = os.stat(directory)
        if (status.st_dev, status.st_ino) in seen:
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                yield os.path.relpath(path, root).replace(os.sep, "/"), path
