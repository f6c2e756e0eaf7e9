"""What processes in a container of YARN have in common: its folders, its host, and a short way to its folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyflow_yarn.errors import ConfigurationError

LINKS = Path("/tmp")
PREFIX = "pyflow-"


def host(environment: Mapping[str, str]) -> str:
    """The name by which other hosts reach this node."""
    return _variable(environment, "NM_HOST")


def log_directory(environment: Mapping[str, str]) -> Path:
    """Where YARN looks for a container's logs."""
    return Path(_variable(environment, "LOG_DIRS").split(",")[0])


def _variable(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name, ""):
        return value
    raise ConfigurationError(f"The variable {name} is not set: this program runs in containers of YARN.")


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of this container for this user alone, by a path that is short enough for Unix sockets.

    The path is a link to a folder inside the container's, which YARN removes; so only links can be left behind, and the
    next container of this user removes those.
    """
    folder = Path.cwd() / "pyflow"
    folder.mkdir(mode=0o700)
    _sweep()
    link = LINKS / f"{PREFIX}{secrets.token_hex(6)}"
    link.symlink_to(folder)
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)


def _sweep() -> None:
    for entry in os.scandir(LINKS):
        if entry.name.startswith(PREFIX) and entry.is_symlink():
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == os.geteuid() and not os.path.exists(entry.path):
                    os.unlink(entry.path)
