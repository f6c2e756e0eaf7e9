"""Runs a command and accounts for its whole process tree.

CPU seconds come from ``wait4``: every process of ours reaps its children, so that the client's usage
includes all of them. Memory is the proportional set size summed over the tree, sampled while it runs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TAG = "PYFLOW_BENCHMARK_RUN"


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


def run(command: list[str], *, sample_memory: bool = False) -> Run:
    """Run a command to its end; ``SystemExit`` with its output if it fails."""
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
    started = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        if sample_memory:
            sampler.start()
        assert process.stdout is not None
        output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    stop.set()
    if sample_memory:
        sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}:\n{output}")
    return Run(wall, usage.ru_utime + usage.ru_stime, peak, output)


def read_checksum(directory: str | Path) -> tuple[int, int]:
    """Count and sum over the files that the subtasks of a ``ChecksumSink`` wrote."""
    parts = [json.loads(path.read_text()) for path in Path(directory).glob("*.json")]
    return sum(part["count"] for part in parts), sum(part["total"] for part in parts)
