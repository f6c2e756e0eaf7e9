"""Regions, shared slots, restart strategies."""

from __future__ import annotations

import pytest

from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph
from pyflow_runtime.scheduler.pipelined_region import pipelined_regions
from pyflow_runtime.scheduler.restart_strategy import restart_strategy
from pyflow_runtime.scheduler.slot_sharing import shared_slots
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError
from pyflow_yarn.graph.job_graph import JobGraph, Partitioning
from tests.unit.jobmaster.control_planes import job_graph


def regions(graph: JobGraph) -> list[set[tuple[str, int]]]:
    return [
        {subtask.key for subtask in region.subtasks} for region in pipelined_regions(ExecutionGraph(graph, 0, 0))
    ]


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


def test_no_strategy_means_no_restart() -> None:
    for configuration in ({}, {"restart-strategy.type": "none"}, {"restart-strategy": "off"}):
        strategy = restart_strategy(configuration)
        assert strategy.restart_delay() is None
        assert strategy.description == "NoRestartBackoffTimeStrategy"


def test_fixed_delay_has_the_defaults_of_the_reference_system() -> None:
    strategy = restart_strategy({"restart-strategy.type": "fixed-delay"})
    assert [strategy.restart_delay() for _ in range(3)] == [1_000, None, None]


def test_strategies_that_are_not_there_yet_and_those_that_never_will_be() -> None:
    with pytest.raises(NotYetSupportedError, match="failure-rate is not supported yet"):
        restart_strategy({"restart-strategy.type": "failure-rate"})
    with pytest.raises(ConfigurationError):
        restart_strategy({"restart-strategy.type": "perhaps"})
