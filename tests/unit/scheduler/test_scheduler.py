"""Regions and shared slots."""

from __future__ import annotations

from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph
from pyflow_runtime.scheduler.pipelined_region import pipelined_regions
from pyflow_runtime.scheduler.slot_sharing import shared_slots
from pyflow_yarn.graph.job_graph import JobGraph, Partitioning
from tests.unit.jobmaster.control_planes import job_graph


def regions(graph: JobGraph) -> list[set[tuple[str, int]]]:
    return [{subtask.key for subtask in region.subtasks} for region in pipelined_regions(ExecutionGraph(graph, 0, 0))]


def test_all_to_all_connects_everything() -> None:
    assert len(regions(job_graph(3, 2, 3))) == 1


def test_forward_connects_equal_subtasks() -> None:
    assert regions(job_graph(2, 2, partitioning=Partitioning.FORWARD)) == [
        {("v0", 0), ("v1", 0)},
        {("v0", 1), ("v1", 1)},
    ]


def test_rescale_connects_neighbours() -> None:
    assert regions(job_graph(2, 4, partitioning=Partitioning.RESCALE)) == [
        {("v0", 0), ("v1", 0), ("v1", 1)},
        {("v0", 1), ("v1", 2), ("v1", 3)},
    ]


def test_slots_needed_is_the_sum_over_groups_of_the_greatest_parallelism() -> None:
    assert shared_slots(job_graph(2, 3)) == {("default", 0): 2, ("default", 1): 2, ("default", 2): 1}
    assert len(shared_slots(job_graph(2, 3, 1, groups=("a", "b", "a")))) == 5
