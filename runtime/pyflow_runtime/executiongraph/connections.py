"""Which subtasks an edge connects."""

from __future__ import annotations

from pyflow_yarn.graph.job_graph import Partitioning


def consumers(partitioning: Partitioning, sources: int, targets: int, source: int) -> range:
    """The subtasks of the target vertex that get records of subtask ``source``."""
    if not partitioning.pointwise:
        return range(targets)
    if sources <= targets:
        return range(_ceil(source * targets, sources), _ceil((source + 1) * targets, sources))
    return range(source * targets // sources, source * targets // sources + 1)


def producers(partitioning: Partitioning, sources: int, targets: int, target: int) -> range:
    """The subtasks of the source vertex whose records subtask ``target`` gets."""
    if not partitioning.pointwise:
        return range(sources)
    if sources <= targets:
        return range(target * sources // targets, target * sources // targets + 1)
    return range(_ceil(target * sources, targets), _ceil((target + 1) * sources, targets))


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
