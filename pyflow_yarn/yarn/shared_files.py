"""Files that a user's applications share on the cluster's file system: ``<cache>/<key>/<name>``, by their content.

When a key was used last, the time of its folder tells. That of a file never changes: YARN gives containers no file
whose time is another one than at the submission.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pyflow_yarn.filesystem import file_system, join, parent, put_once
from pyflow_yarn.yarn.skein_overlay import CACHE

NOTE_MS = 3600 * 1000
"""A use is noted again after so long."""

ABANDONED_MS = 24 * 3600 * 1000
USED = ".used"


def put_shared(path: str, content: Iterable[bytes], copies: int = 0) -> bool:
    """Put a file there unless there is one, and note that it is used; whether there was none."""
    files, folder = file_system(path), parent(path)
    status = files.status(folder)
    if status is not None and status.modified < _ago(NOTE_MS):
        # A folder has the time at which a name in it came or went.
        files.make_directories(join(folder, USED), private=True)
        files.delete(join(folder, USED))
    return put_once(files, path, content, copies)


def sweep(cache: str, unused_ms: int, specifications: Callable[[], bytes]) -> None:
    """Remove what was not used for so long, and what clients never finished.

    What stands in ``specifications``, those of all applications that may still start containers, is used by them.
    """
    files = file_system(cache)
    used: bytes | None = None
    for folder in files.list(cache):
        if folder.modified < _ago(unused_ms):
            used = specifications() if used is None else used
            # Meanwhile somebody may have begun to use it.
            now = files.status(folder.path)
            if f"/{CACHE}/{folder.name}/".encode() not in used and now and now.modified == folder.modified:
                files.delete(folder.path, recursive=True)
                continue
        for entry in files.list(folder.path):
            if entry.name.startswith(".") and entry.modified < _ago(ABANDONED_MS):
                files.delete(entry.path)


def _ago(milliseconds: int) -> float:
    return time.time() * 1000 - milliseconds
