"""Subtasks, their connections and their states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.executiongraph.accumulators import merge
from pyflow_runtime.executiongraph.connections import consumers, producers
from pyflow_runtime.executiongraph.exception_history import ExceptionHistory
from pyflow_runtime.executiongraph.execution import Execution, OperatorEventChannel
from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import EXECUTION_TRANSITIONS, JOB_TRANSITIONS, ExecutionState, JobStatus
from pyflow_runtime.executiongraph.story import Story
from pyflow_runtime.executiongraph.vertex_status import vertex_status
from pyflow_runtime.taskexecutor.messages import Accumulator
from pyflow_yarn.errors import FailureInfo, IllegalTransitionError
from pyflow_yarn.graph.job_graph import Partitioning
from tests.unit.jobmaster.control_planes import job_graph

parallelism = st.integers(1, 30)


@given(st.sampled_from(Partitioning), parallelism, parallelism)
def test_connections_agree_from_both_ends(partitioning: Partitioning, sources: int, targets: int) -> None:
    downwards = {(s, t) for s in range(sources) for t in consumers(partitioning, sources, targets, s)}
    upwards = {(s, t) for t in range(targets) for s in producers(partitioning, sources, targets, t)}
    assert downwards == upwards
    assert {s for s, _ in downwards} == set(range(sources))
    assert {t for _, t in downwards} == set(range(targets))
    if partitioning.pointwise:
        assert len(downwards) == max(sources, targets)


def test_rescale_spreads_like_the_reference_system() -> None:
    assert [list(consumers(Partitioning.RESCALE, 2, 5, source)) for source in range(2)] == [[0, 1, 2], [3, 4]]
    assert [list(producers(Partitioning.RESCALE, 5, 2, target)) for target in range(2)] == [[0, 1, 2], [3, 4]]


_S = ExecutionState


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([_S.RUNNING, _S.FAILED, _S.CANCELING], _S.FAILED),
        ([_S.RUNNING, _S.CANCELING, _S.CANCELED], _S.CANCELING),
        ([_S.FINISHED, _S.CANCELED], _S.CANCELED),
        ([_S.RUNNING, _S.INITIALIZING], _S.INITIALIZING),
        ([_S.RUNNING, _S.SCHEDULED], _S.RUNNING),
        ([_S.FINISHED, _S.SCHEDULED], _S.RUNNING),
        ([_S.FINISHED, _S.FINISHED], _S.FINISHED),
        ([_S.SCHEDULED, _S.DEPLOYING], _S.CREATED),
    ],
)
def test_the_status_of_a_vertex(states: list[ExecutionState], status: ExecutionState) -> None:
    assert vertex_status(states) is status


def test_terminal_states_are_left_by_no_move() -> None:
    assert all(not moves for state, moves in EXECUTION_TRANSITIONS.items() if state.terminal)
    assert all(not moves for status, moves in JOB_TRANSITIONS.items() if status.globally_terminal)
    assert set(EXECUTION_TRANSITIONS) == set(ExecutionState)
    assert set(JOB_TRANSITIONS) == set(JobStatus)


def test_an_execution_makes_legal_moves_only() -> None:
    story = Story("job 1")
    execution = Execution(ExecutionAttemptId("j", "v", 0, 0), 5)
    execution.move(_S.SCHEDULED, 6, story)
    with pytest.raises(IllegalTransitionError, match="job 1: j/v/0#0 cannot go from SCHEDULED to FINISHED"):
        execution.move(_S.FINISHED, 7, story)
    assert execution.timestamps == {"CREATED": 5, "SCHEDULED": 6}


def test_a_story_is_bounded() -> None:
    story = Story("x")
    for number in range(1_000):
        story.add(number, "event")
    assert len(story.tell().splitlines()) == 40
    assert story.tell().splitlines()[-1] == "  999 event"


@given(st.lists(st.integers(1, 5)))
def test_operator_events_are_taken_in_order(arrivals: list[int]) -> None:
    channel = OperatorEventChannel()
    taken = [sequence for sequence in arrivals if channel.take(sequence)]
    assert taken == list(range(1, len(taken) + 1))


def test_operator_events_are_kept_until_acknowledged() -> None:
    channel = OperatorEventChannel()
    assert [channel.send("o", bytes([number])) for number in range(3)] == [1, 2, 3]
    channel.acknowledged(2)
    assert channel.unacknowledged == [(3, "o", b"\x02")]


def test_accumulators_are_merged_by_type() -> None:
    def of(name: str, kind: str, *values: str) -> list[Accumulator]:
        return [Accumulator(name=name, type=kind, value=value) for value in values]

    merged = merge(
        [
            *of("n", "IntCounter", "1", "2"),
            *of("d", "DoubleCounter", "0.5", "0.25"),
            *of("low", "IntMinimum", "3", "2"),
            *of("high", "DoubleMaximum", "1.5", "9"),
            *of("h", "Histogram", "{1=2}", "{1=3}"),
            *of("odd", "IntCounter", "1", "many"),
        ]
    )
    assert {accumulator.name: accumulator.value for accumulator in merged} == {
        "n": "3",
        "d": "0.75",
        "low": "2",
        "high": "9",
        "h": "{1=3}",
        "odd": "many",
    }


def test_the_exception_history_is_bounded_and_newest_first() -> None:
    history = ExceptionHistory(2)
    assert history.root_cause() is None
    for number in range(3):
        history.record(FailureInfo(exception="E", message=str(number)))
        history.record_concurrent(FailureInfo(exception="E", message=f"{number} too"))
    assert [entry.failure.message for entry in history.entries()] == ["2", "1"]
    assert [failure.message for failure in history.entries()[0].concurrent] == ["2 too"]


def test_a_reset_subtask_has_another_attempt_and_remembers_the_former() -> None:
    graph = ExecutionGraph(job_graph(1), first_attempt=7, now=0)
    (subtask,) = graph.subtasks.values()
    former = subtask.current
    for _ in range(20):
        subtask.reset(1)
    assert subtask.current.attempt_id.attempt == 27
    assert len(subtask.former) == 16
    assert graph.current(former.attempt_id) is None
    assert graph.current(subtask.current.attempt_id) is subtask.current


def test_a_task_is_not_deployed_before_its_consumers_have_slots() -> None:
    graph = ExecutionGraph(job_graph(1, 1), first_attempt=0, now=0)
    with pytest.raises(ValueError, match="has no slot yet"):
        graph.deployments([graph.subtasks[("v0", 0)]])
