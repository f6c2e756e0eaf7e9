"""A thousand TaskManagers and ten thousand subtasks."""

from __future__ import annotations

import time

import pytest

from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_yarn.graph.job_graph import Partitioning
from tests.unit.jobmaster.control_planes import FIXED_DELAY, Leader, deployed, job_graph

SECONDS_FOR_A_STEP = 10.0


@pytest.mark.slow
@pytest.mark.parametrize("partitioning", [Partitioning.HASH, Partitioning.FORWARD])
def test_ten_thousand_subtasks_on_a_thousand_task_managers(partitioning: Partitioning) -> None:
    leader = Leader(FIXED_DELAY)
    took: list[float] = []

    def step(started: float) -> float:
        took.append(time.monotonic() - started)
        return time.monotonic()

    started = time.monotonic()
    for number in range(1_000):
        leader.register(f"t{number}", 2)
    started = step(started)
    answer = leader.submit(job_graph(*[2_000] * 5, partitioning=partitioning))
    started = step(started)
    places = deployed(leader.ready(answer))
    assert len(places) == 10_000
    started = step(started)
    for attempt_id, name in places.items():
        leader.report(name, attempt_id, ExecutionState.RUNNING)
    started = step(started)
    leader.finish(places)
    step(started)
    assert leader.status is JobStatus.FINISHED
    assert max(took) < SECONDS_FOR_A_STEP
