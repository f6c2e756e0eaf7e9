"""Slot-sharing groups: which operators may run in one slot, and how many slots a job needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyflow_yarn.graph.job_graph import JobGraph

DEFAULT_GROUP = "default"


def slot_sharing_groups(operators: Iterable[tuple[int, str, list[int]]]) -> Mapping[int, str]:
    """The group of each operator, given (id, group named by the program or "", inputs) in topological order.

    An operator without a group of its own is in that of its inputs if they all share one, else in the default group.
    """
    groups: dict[int, str] = {}
    for operator, named, inputs in operators:
        inherited = {groups[each] for each in inputs}
        groups[operator] = named or (inherited.pop() if len(inherited) == 1 else DEFAULT_GROUP)
    return groups


def slots_per_group(graph: JobGraph) -> dict[str, int]:
    """How many slots each group needs: one slot holds one subtask of every vertex of its group."""
    slots: dict[str, int] = {}
    for vertex in graph.vertices:
        slots[vertex.slot_sharing_group] = max(slots.get(vertex.slot_sharing_group, 0), vertex.parallelism)
    return slots


def slots_needed(graph: JobGraph) -> int:
    """How many slots a job needs to run all its subtasks at once."""
    return sum(slots_per_group(graph).values())
