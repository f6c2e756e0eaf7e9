"""Pipelined regions: subtasks that are connected, directly or not, and so run and fail together."""

from __future__ import annotations

from enum import Enum

from pyflow_runtime.executiongraph.connections import consumers
from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph, ExecutionVertex, SubtaskKey
from pyflow_runtime.scheduler.slot_sharing import SlotKey


class RegionPhase(Enum):
    """What is being done about a region."""

    WAITING_FOR_SLOTS = "waiting for slots"
    DEPLOYED = "deployed"
    CANCELLING = "cancelling"
    WAITING_FOR_RESTART = "waiting for restart"


class PipelinedRegion:
    """A set of subtasks that is deployed, cancelled and restarted as a whole.

    ``ended`` counts those of its current attempts that have ended.
    """

    __slots__ = ("ended", "index", "phase", "restart_at", "slot_keys", "subtasks")

    def __init__(self, index: int, subtasks: list[ExecutionVertex]) -> None:
        self.index = index
        self.subtasks = subtasks
        # In an order of its own: that of a set differs from process to process, and with it what a seed replays.
        self.slot_keys: tuple[SlotKey, ...] = tuple(dict.fromkeys(subtask.slot_key for subtask in subtasks))
        self.phase = RegionPhase.WAITING_FOR_SLOTS
        self.restart_at = 0
        self.ended = 0

    @property
    def restarting(self) -> bool:
        """Whether its restart has been decided and has not begun."""
        return self.phase in (RegionPhase.CANCELLING, RegionPhase.WAITING_FOR_RESTART)

    @property
    def finished(self) -> bool:
        """Whether all its tasks have finished, so that it needs no slots any more."""
        return self.phase is RegionPhase.DEPLOYED and self.ended == len(self.subtasks)

    @property
    def all_terminal(self) -> bool:
        """Whether all its current attempts have ended."""
        return self.ended == len(self.subtasks)


def pipelined_regions(graph: ExecutionGraph) -> list[PipelinedRegion]:
    """The regions of a job, in the order of their first subtasks."""
    parents: dict[SubtaskKey, SubtaskKey] = {key: key for key in graph.subtasks}

    def root(key: SubtaskKey) -> SubtaskKey:
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    for edge in graph.graph.edges:
        source, target = graph.vertices[edge.source], graph.vertices[edge.target]
        if not edge.partitioning.pointwise:
            # All to all: every subtask is connected with the target's first one through some source.
            keys = [(source.id, index) for index in range(source.parallelism)]
            keys += [(target.id, index) for index in range(target.parallelism)]
            for key in keys[1:]:
                parents[root(key)] = root(keys[0])
            continue
        for index in range(source.parallelism):
            for consumer in consumers(edge.partitioning, source.parallelism, target.parallelism, index):
                parents[root((target.id, consumer))] = root((source.id, index))
    members: dict[SubtaskKey, list[ExecutionVertex]] = {}
    for key, subtask in graph.subtasks.items():
        members.setdefault(root(key), []).append(subtask)
    return [PipelinedRegion(index, subtasks) for index, subtasks in enumerate(members.values())]
