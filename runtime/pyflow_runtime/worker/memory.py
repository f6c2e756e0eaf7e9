"""Watching the memory of a slot worker, so that a task that outgrows its slot fails with a reason instead of a kill."""

from __future__ import annotations

import collections
import gc
import os

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1024 * 1024
_LOOKED_AT = 2_000_000


def resident_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def heap_summary() -> str:
    """The commonest types of container objects, as a clause: ``mostly 812,345 tuple, 10,002 dict, 77 Row``."""
    counts: collections.Counter[str] = collections.Counter()
    for number, value in enumerate(gc.get_objects()):
        if number == _LOOKED_AT:
            break
        counts[type(value).__name__] += 1
    return "mostly " + ", ".join(f"{count:,} {name}" for name, count in counts.most_common(3))


def over_limit(limit: int) -> str:
    """What is wrong if this process uses more than ``limit`` bytes (0: no limit), else ""."""
    if not limit:
        return ""
    used = resident_bytes()
    if used <= limit:
        return ""
    return (
        f"the slot uses {used // _MB} mb of memory, but its share is {limit // _MB} mb ({heap_summary()}): raise"
        " taskmanager.memory.process.size, give the TaskManager fewer slots, or keep less in memory"
    )
