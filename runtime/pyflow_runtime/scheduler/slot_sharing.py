"""Slot sharing: a slot holds one subtask of every vertex of a group."""

from __future__ import annotations

from pyflow_yarn.graph.job_graph import JobGraph

SlotKey = tuple[str, int]


def shared_slots(graph: JobGraph) -> dict[SlotKey, int]:
    """The slots that a job needs, as (group, index), with the number of subtasks in each."""
    slots: dict[SlotKey, int] = {}
    for vertex in graph.vertices:
        for index in range(vertex.parallelism):
            key = (vertex.slot_sharing_group, index)
            slots[key] = slots.get(key, 0) + 1
    return slots
