"""A zygote started with an interpreter of its own.

    <descriptor> <parent pid> <name> <log file> <log level>

The interpreter may be any: what it lacks is said in one sentence, in a frame, to the TaskManager. Hence nothing above
the checks needs more than an old Python 3 and its standard library.
"""

from __future__ import annotations

import os
import struct
import sys

_CLOSE = 10
_NEEDED = ("msgspec", "cloudpickle", "mmh3", "setproctitle")


def _refuse(descriptor: int, sentence: str) -> None:
    payload = sentence.encode()
    os.write(descriptor, struct.pack("!IB", len(payload), _CLOSE) + payload)
    sys.exit(1)


def main() -> None:
    """The program."""
    descriptor, parent, name, log_file, log_level = sys.argv[1:]
    control = int(descriptor)
    if sys.version_info < (3, 11):  # noqa: UP036 - it may be any
        version = ".".join(str(part) for part in sys.version_info[:2])
        _refuse(control, f"The Python interpreter {sys.executable} is version {version}, but jobs need 3.11 or later.")
    missing = []
    for module in _NEEDED:
        try:
            __import__(module)
        except ImportError:
            missing.append(module)
    if missing:
        _refuse(
            control,
            f"The Python interpreter {sys.executable} lacks {', '.join(missing)}: install pyflow-yarn into its"
            " environment, or name one that has it.",
        )
    _run(control, int(parent), name, log_file, log_level)


def _run(control: int, parent: int, name: str, log_file: str, log_level: str) -> None:
    import socket
    from pathlib import Path

    from pyflow_runtime.processes.control import die_with_parent, run_and_exit
    from pyflow_runtime.processes.zygote import run_zygote

    die_with_parent(parent)
    sock = socket.socket(fileno=control)
    run_and_exit(lambda: run_zygote(sock, parent, name, Path(log_file), log_level))


if __name__ == "__main__":
    main()
