"""What this machine is and has, read from /proc and the control group."""

from __future__ import annotations

import os
from pathlib import Path

from pyflow_runtime.taskexecutor.messages import Hardware

_CGROUP = Path("/sys/fs/cgroup")


def hardware(managed_memory: int) -> Hardware:
    """Cores and memory that this process may use."""
    physical, free = _memory()
    return Hardware(cpu_cores=_cores(), physical_memory=physical, free_memory=free, managed_memory=managed_memory)


def host_id() -> str:
    """Equal for processes that can reach each other's Unix sockets: the same boot and the same mounts."""
    boot = _read("/proc/sys/kernel/random/boot_id") or os.uname().nodename
    try:
        mounts = os.readlink("/proc/self/ns/mnt")
    except OSError:
        mounts = ""
    return f"{boot}/{mounts}"


def _cores() -> int:
    cores = len(os.sched_getaffinity(0))
    quota, _, period = _read(_CGROUP / "cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(period):
        cores = min(cores, max(1, -(-int(quota) // int(period))))
    return cores


def _memory() -> tuple[int, int]:
    values: dict[str, int] = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()
        if number and number[0].isdecimal():
            values[name] = int(number[0]) * 1024
    physical = values.get("MemTotal", 0)
    free = values.get("MemAvailable", 0)
    limit, used = _read(_CGROUP / "memory.max"), _read(_CGROUP / "memory.current")
    if limit.isdecimal() and 0 < int(limit) < physical:
        physical = int(limit)
        free = min(free, physical - (int(used) if used.isdecimal() else 0))
    return physical, free


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
