"""Removing directories that user code has written into."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path


def remove_directory(directory: Path) -> None:
    """Remove a directory whatever is in it, also what user code made unwritable; it may be gone."""

    def force(function: object, path: str, error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
            else:
                os.chmod(path, 0o700)
                shutil.rmtree(path, ignore_errors=True)

    if sys.version_info >= (3, 12):
        shutil.rmtree(directory, onexc=force)
    else:
        shutil.rmtree(directory, onerror=force)
