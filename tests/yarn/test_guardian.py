"""Nothing that a guardian started outlives the one who started the guardian."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.hadoop.cluster import wait_until

GUARDIAN = Path(__file__).resolve().parents[1] / "hadoop" / "guardian.py"
# Starts a guardian, has it start what the rest of the arguments say, and waits.
STARTER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
guardian = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE, start_new_session=True)
guardian.stdin.write(sys.argv[2].encode() + b"\\n")
guardian.stdin.flush()
time.sleep(1000)
"""


def _running(mark: str) -> list[int]:
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(f"sleep\0{mark}".encode()):
                found.append(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_daemons_and_orphans_end_with_the_starter(tmp_path: Path, number: signal.Signals) -> None:
    """Also a process that left its daemon's session and lost its parent."""
    mark = f"1000.{uuid.uuid4().int}"
    command = ["sh", "-c", f"(setsid sleep {mark} &); exec sleep {mark}"]
    log = str(tmp_path / "log")
    request = json.dumps({"do": "start", "name": "a", "command": command, "log": log})
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(GUARDIAN), request], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until("both processes run", lambda: len(_running(mark)) == 2, 60)
    finally:
        starter.send_signal(number)
        starter.wait()
    wait_until("both have ended", lambda: not _running(mark), 60)
