"""Directories of clusters whose processes are all gone, swept by the next start.

A cluster's lock is taken before it gets its name, and every process that the supervisor forks holds it too: a lock that
can be had belongs to the dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from pathlib import Path

from pyflow_runtime.processes.files import remove_directory
from pyflow_runtime.processes.layout import Layout

logger = logging.getLogger(__name__)


def lock(layout: Layout) -> int:
    """Take the lock of a cluster's directory; the descriptor that holds it."""
    temporary = layout.directory / ".lock"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(descriptor, str(os.getpid()).encode())
    os.rename(temporary, layout.lock)
    return descriptor


def sweep(folder: Path) -> list[Path]:
    """Remove the directories in ``folder`` that dead clusters of this user left behind; which they were."""
    swept: list[Path] = []
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return swept
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                continue
            descriptor = os.open(Layout(Path(entry.path)).lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_directory(Path(entry.path))
                swept.append(Path(entry.path))
                logger.info("removed %s, which a dead cluster left behind", entry.path)
            finally:
                os.close(descriptor)
    return swept
