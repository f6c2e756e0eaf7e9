"""Where our own files are: source roots that a child process needs on its path, and short private directories."""

from __future__ import annotations

import os
import sys

RUNTIME_PACKAGE = "pyflow_runtime"
MAX_BASE_LENGTH = 55
"""Of the parent of a private directory: socket paths below it must stay under the 108 bytes of the kernel."""

PREFIX = "pyflow-"


def package_root() -> str:
    """The directory that holds the package ``pyflow_yarn``."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def source_roots() -> list[str]:
    """The directories that hold our packages: one when installed from a wheel, two in a checkout."""
    root = package_root()
    if os.path.isdir(os.path.join(root, RUNTIME_PACKAGE)):
        return [root]
    beside = os.path.join(root, "runtime")
    if os.path.isdir(os.path.join(beside, RUNTIME_PACKAGE)):
        return [root, beside]
    for entry in sys.path:
        if entry and os.path.isdir(os.path.join(entry, RUNTIME_PACKAGE)):
            return [root, os.path.abspath(entry)]
    return [root]


def run_module_code(module: str) -> str:
    """Python code that runs ``main()`` of one of our modules in a process that may not find our packages by itself.

    By code and not by ``PYTHONPATH``, which would leak into everything that a user's functions start.
    """
    return (
        f"import sys; sys.path += [root for root in {source_roots()!r} if root not in sys.path];"
        f" from {module} import main; sys.exit(main())"
    )


def base_directory() -> str:
    """The directory for temporary files: ``TMPDIR`` if it is usable and short enough for sockets, else ``/tmp``."""
    chosen = os.environ.get("TMPDIR", "")
    if chosen and len(os.fsencode(os.path.abspath(chosen))) <= MAX_BASE_LENGTH and os.access(chosen, os.W_OK | os.X_OK):
        return os.path.abspath(chosen)
    return "/tmp"


def private_directory() -> str:
    """A new directory that only this user can enter."""
    while True:
        path = os.path.join(base_directory(), PREFIX + os.urandom(6).hex())
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        return path
