"""Runs a command and accounts for its whole process tree.

CPU seconds come from ``wait4``: a process that reaps its children includes their usage in its own, as all of ours do;
what outlives the command instead (the JVM behind a PyFlink client) comes to a subreaper, which waits for it as well.
Other children of the subreaper are left alone.
Memory is the proportional set size summed over the tree, sampled while it runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TAG = "PYFLOW_BENCHMARK_RUN"
PR_SET_CHILD_SUBREAPER = 36
ORPHANS_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """One run: seconds, the largest summed PSS in bytes seen (0 if not sampled), and each line with when it came.

    ``began`` and the lines' times are seconds since 1970.
    """

    began: float
    wall: float
    cpu: float
    memory: int
    lines: tuple[tuple[float, str], ...]

    @property
    def output(self) -> str:
        """All that was printed."""
        return "".join(line for _, line in self.lines)


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


def proportional_memory(pid: int) -> int:
    """The proportional set size of a process in bytes, 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _tagged_memory(tag: bytes) -> int:
    """Summed PSS in bytes of all processes whose environment holds the tag."""
    total = 0
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and tag in (process / "environ").read_bytes():
                total += proportional_memory(int(process.name))
    return total


def become_subreaper() -> None:
    """From now on orphans among the processes that ``run`` starts are children of this one."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _children() -> set[int]:
    children: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end meanwhile.
        with suppress(OSError):
            children.update(map(int, (task / "children").read_text().split()))
    return children


def _orphans_cpu(others: set[int], deadline: float) -> float:
    """CPU seconds of the children left behind, once they have ended; what is too slow to end is killed."""
    cpu = 0.0
    while orphans := _children() - others:
        for orphan in orphans:
            pid, _, usage = os.wait4(orphan, os.WNOHANG)
            if pid:
                cpu += usage.ru_utime + usage.ru_stime
            elif time.monotonic() > deadline:
                os.kill(orphan, signal.SIGKILL)
        time.sleep(0.01)
    return cpu


def run(
    command: list[str],
    *,
    sample_memory: bool = False,
    timeout: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Run:
    """Run a command to its end; ``SystemExit`` with its output if it fails or takes longer than ``timeout`` seconds."""
    value = f"{os.getpid()}-{time.monotonic_ns()}"
    # SPT_NOENV: a process that sets its title would overwrite the memory that its tag is read from.
    tagged = {**environment, TAG: value, "SPT_NOENV": "1"}
    others = _children()
    lines: list[tuple[float, str]] = []
    peak = 0
    stop = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, _tagged_memory(f"{TAG}={value}".encode()))

    def read(output: IO[bytes]) -> None:
        lines.extend((time.time(), line.decode(errors="replace")) for line in output)

    sampler = threading.Thread(target=sample)
    began, started = time.time(), time.monotonic()
    with subprocess.Popen(command, env=tagged, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=read, args=(process.stdout,))
        reader.start()
        guard = threading.Timer(timeout or 0, process.kill)
        if timeout is not None:
            guard.start()
        if sample_memory:
            sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + _orphans_cpu(others, time.monotonic() + ORPHANS_SECONDS)
        reader.join()
    stop.set()
    if sample_memory:
        sampler.join()
    done = Run(began, wall, cpu, peak, tuple(lines))
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}:\n{done.output}")
    return done


def read_checksum(directory: str | Path) -> tuple[int, int]:
    """Count and sum over the files that the subtasks of a ``ChecksumSink`` wrote."""
    parts = [json.loads(path.read_text()) for path in Path(directory).glob("*.json")]
    return sum(part["count"] for part in parts), sum(part["total"] for part in parts)
