"""Parent of a cluster's daemons: ends them and all their descendants when its starter ends, however that happens.

Reads one JSON request per line from its standard input and answers each with one line; the end of the input is the
end of the cluster. It adopts orphans, so that a container whose NodeManager was killed is still known.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KINDLY_SECONDS = 3.0

_prctl = ctypes.CDLL(None).prctl


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guardian:
    """The daemons by name, and what to do with them."""

    def __init__(self) -> None:
        self._daemons: dict[str, int] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says: start a daemon, send one a signal, or tell which are running."""
        name = request.get("name", "")
        if request["do"] == "start":
            if name not in self._daemons:
                self._start(name, request["command"], request["log"])
        elif request["do"] == "signal":
            if name not in self._daemons:
                return {"error": f"{name} is not running"}
            os.kill(self._daemons[name], request["signal"])
            while request["wait"] and name in self._daemons:
                self.reap()
                time.sleep(0.01)
        self.reap()
        return {"running": self._daemons}

    def _start(self, name: str, command: list[str], log: str) -> None:
        with Path(log).open("ab") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        process.returncode = 0  # reap() waits for every child, adopted ones too: Popen has nothing left to wait for
        self._daemons[name] = process.pid

    def reap(self) -> None:
        """Wait for every child that has ended."""
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._daemons = {name: running for name, running in self._daemons.items() if running != pid}

    def end(self) -> None:
        """Stop the daemons, kindly first; kill what is left, and whatever is handed over by its parent's end."""
        for pid in self._daemons.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + KINDLY_SECONDS
        while _children() and time.monotonic() < deadline and self._daemons:
            self.reap()
            time.sleep(0.02)
        while children := _children():
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.02)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def main() -> None:
    """Serve requests until the input ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    guardian = Guardian()
    pending = b""
    try:
        while True:
            guardian.reap()
            if not select.select([0], [], [], 0.2)[0]:
                continue
            if not (received := os.read(0, 1 << 16)):
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                sys.stdout.write(json.dumps(guardian.answer(json.loads(line))) + "\n")
                sys.stdout.flush()
    finally:
        guardian.end()


if __name__ == "__main__":
    main()
