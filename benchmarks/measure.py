"""Runs a command and accounts for its whole process tree.

CPU seconds come from ``wait4``: a process that reaps its children includes their usage in its own, as all of ours do;
what outlives the command instead (the JVM behind a PyFlink client) comes to a subreaper, which waits for it as well.
Memory is the proportional set size summed over the tree, sampled while it runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TAG = "PYFLOW_BENCHMARK_RUN"
PR_SET_CHILD_SUBREAPER = 36
ORPHANS_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """One run: seconds, and the largest summed PSS in bytes seen (0 if not sampled)."""

    wall: float
    cpu: float
    memory: int
    output: str


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of a figure over the runs."""

    minimum: float
    median: float
    maximum: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """The spread of some values."""
        return Spread(min(values), statistics.median(values), max(values))

    def as_list(self) -> list[float]:
        """Rounded for a JSON line."""
        return [round(self.minimum, 4), round(self.median, 4), round(self.maximum, 4)]


def _tagged_memory(tag: bytes) -> int:
    """Summed PSS in bytes of all processes whose environment holds the tag."""
    total = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if tag not in (process / "environ").read_bytes():
                continue
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (OSError, ValueError):
            continue
    return total


def become_subreaper() -> None:
    """From now on orphans among the processes that ``run`` starts are children of this one."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _orphans_cpu(deadline: float) -> float:
    """CPU seconds of the children left behind, once they have ended; what is too slow to end is killed."""
    cpu = 0.0
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
        elif time.monotonic() < deadline:
            time.sleep(0.01)
        else:
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)


def run(command: list[str], *, sample_memory: bool = False, timeout: float | None = None) -> Run:
    """Run a command to its end; ``SystemExit`` with its output if it fails or takes longer than ``timeout`` seconds."""
    value = f"{os.getpid()}-{time.monotonic_ns()}"
    # SPT_NOENV: a process that sets its title would overwrite the memory that its tag is read from.
    environment = {**os.environ, TAG: value, "SPT_NOENV": "1"}
    peak = 0
    stop = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, _tagged_memory(f"{TAG}={value}".encode()))

    sampler = threading.Thread(target=sample)
    with tempfile.TemporaryFile() as printed:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        guard = threading.Timer(timeout or 0, process.kill)
        if timeout is not None:
            guard.start()
        if sample_memory:
            sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + _orphans_cpu(time.monotonic() + ORPHANS_SECONDS)
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    stop.set()
    if sample_memory:
        sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}:\n{output}")
    return Run(wall, cpu, peak, output)


def read_checksum(directory: str | Path) -> tuple[int, int]:
    """Count and sum over the files that the subtasks of a ``ChecksumSink`` wrote."""
    parts = [json.loads(path.read_text()) for path in Path(directory).glob("*.json")]
    return sum(part["count"] for part in parts), sum(part["total"] for part in parts)
