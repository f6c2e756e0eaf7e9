"""The coordinator: operator events, commits, its death; and clients that fetch results."""

from __future__ import annotations

import msgspec
import pytest

from pyflow_runtime.coordinator.messages import (
    CommitJob,
    CommitPrepared,
    CoordinatorEvent,
    CoordinatorFailed,
    CoordinatorOperatorEvent,
    EndCoordination,
    FetchResults,
    FromCoordinatorMessage,
    JobCommitted,
    PrepareCommit,
    Results,
    StartCoordination,
    ToCoordinatorMessage,
)
from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeOperatorEvents,
    AcknowledgeTerminal,
    DeliverOperatorEvent,
    ExecutionReport,
    OperatorEvent,
    OperatorEventsReceived,
)
from pyflow_yarn.errors import ClusterError, Domain, FailureInfo, JobNotFoundError
from tests.unit.jobmaster.control_planes import (
    BOOM,
    FIXED_DELAY,
    JOB,
    Leader,
    deployed,
    find,
    job_graph,
    messages,
    only_reply,
)

KILLED = FailureInfo(exception="CoordinatorDied", message="signal 9", domain=Domain.CLUSTER)
SOURCE = ExecutionAttemptId(JOB, "v0", 0, 0)


def says(leader: Leader, message: FromCoordinatorMessage, incarnation: int = 1) -> list[effects.Effect]:
    return leader.handle(events.CoordinatorMessage(job_id=JOB, incarnation=incarnation, message=message))


def dies(leader: Leader, incarnation: int = 1) -> list[effects.Effect]:
    return leader.handle(events.CoordinatorExited(job_id=JOB, incarnation=incarnation, failure=KILLED))


def told(answer: list[effects.Effect]) -> list[ToCoordinatorMessage]:
    return [effect.message for effect in find(answer, effects.SendToCoordinator)]


def operator_event(sequence: int, attempt: int = 0, operator: str = "o0", payload: bytes = b"ask") -> OperatorEvent:
    attempt_id = ExecutionAttemptId(JOB, "v0", 0, attempt)
    return OperatorEvent(attempt_id=attempt_id, operator_id=operator, payload=payload, sequence=sequence)


def committing(leader: Leader) -> list[effects.Effect]:
    """A job whose tasks have all finished."""
    return leader.finish(leader.running(job_graph(1, 1, coordinated=(0, 1))))


def test_the_coordinator_gets_the_vertices_that_need_it() -> None:
    leader = Leader()
    answer = leader.submit(job_graph(1, 1, coordinated=(1,)))
    assert find(answer, effects.StartCoordinator)[0].incarnation == 1
    (start,) = told(answer)
    assert isinstance(start, StartCoordination)
    assert [vertex.id for vertex in start.vertices] == ["v1"]
    assert not find(Leader().submit(job_graph(1, 1)), effects.StartCoordinator)


def test_operator_events_are_passed_on_once_and_in_order() -> None:
    leader = Leader()
    leader.running(job_graph(1, coordinated=(0,)))
    answer = leader.hear("t1", operator_event(1))
    (passed,) = told(answer)
    assert passed == CoordinatorOperatorEvent(attempt_id=SOURCE, operator_id="o0", host="host-t1", payload=b"ask")
    assert messages(answer, AcknowledgeOperatorEvents)[0].received == 1
    for again_or_too_soon in (1, 3):
        answer = leader.hear("t1", operator_event(again_or_too_soon))
        assert told(answer) == []
        assert messages(answer, AcknowledgeOperatorEvents)[0].received == 1
    assert told(leader.hear("t1", operator_event(2)))


def test_answers_are_repeated_until_they_are_received() -> None:
    leader = Leader()
    leader.running(job_graph(1, coordinated=(0,)))
    slots = [slot for slot in leader.machine.task_managers()[0].slots if slot.allocation_id]
    reports = [ExecutionReport(SOURCE, ExecutionState.RUNNING)]
    answer = says(leader, CoordinatorEvent(attempt_id=SOURCE, operator_id="o0", payload=b"split"))
    (delivery,) = messages(answer, DeliverOperatorEvent)
    assert (delivery.sequence, delivery.payload) == (1, b"split")
    leader.fire("resources/heartbeat")
    assert messages(leader.heartbeat("t1", slots, reports), DeliverOperatorEvent) == [delivery]
    leader.hear("t1", OperatorEventsReceived(attempt_id=SOURCE, received=1))
    leader.fire("resources/heartbeat")
    assert messages(leader.heartbeat("t1", slots, reports), DeliverOperatorEvent) == []


def test_events_of_and_for_former_attempts_are_dropped() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(1, coordinated=(0,)))
    leader.report("t1", SOURCE, ExecutionState.FAILED, BOOM)
    assert leader.hear("t1", operator_event(1)) == []
    leader.fire(f"job/{JOB}/restart/0", 1_000)
    assert leader.hear("t1", operator_event(1)) == []
    assert says(leader, CoordinatorEvent(attempt_id=SOURCE, operator_id="o0", payload=b"split")) == []
    leader.hear("t1", operator_event(1, attempt=1))


def test_finished_counts_once_its_last_words_have_been_heard() -> None:
    leader = Leader()
    leader.running(job_graph(1, coordinated=(0,)))
    answer = leader.report("t1", SOURCE, ExecutionState.FINISHED, events_sent=1)
    assert not messages(answer, AcknowledgeTerminal)
    answer = leader.hear("t1", operator_event(1))
    assert messages(answer, AcknowledgeTerminal)
    assert isinstance(told(answer)[-1], PrepareCommit)


def test_a_commit_is_recorded_before_it_happens() -> None:
    leader = Leader()
    leader.stores = True
    answer = committing(leader)
    assert isinstance(told(answer)[-1], PrepareCommit)
    leader.stores = False
    answer = says(leader, CommitPrepared(payload=b"files"))
    (record,) = find(answer, effects.PersistCommit)
    assert (record.payload, record.epoch) == (b"files", 1)
    assert not told(answer)
    assert told(leader.handle(events.CommitPersisted(job_id=JOB))) == [CommitJob(payload=b"files")]
    answer = says(leader, JobCommitted())
    assert find(answer, effects.PersistResult)[0].status is JobStatus.FINISHED
    assert not told(answer)
    answer = leader.handle(events.ResultPersisted(job_id=JOB))
    assert told(answer) == [EndCoordination(committed=True)]
    assert find(answer, effects.StopCoordinator)
    assert not find(answer, effects.JobTerminated)
    assert find(dies(leader), effects.JobTerminated)


def test_a_slow_clean_up_does_not_hold_up_the_end_for_ever() -> None:
    leader = Leader()
    committing(leader)
    says(leader, CommitPrepared(payload=b"files"))
    says(leader, JobCommitted())
    assert find(leader.fire(f"job/{JOB}/clean-up", 6_000), effects.JobTerminated)
    assert not find(dies(leader), effects.JobTerminated)


def test_nothing_to_commit_is_nothing_to_record() -> None:
    leader = Leader()
    committing(leader)
    answer = says(leader, CommitPrepared(payload=b""))
    assert not find(answer, effects.PersistCommit)
    assert leader.status is JobStatus.FINISHED


def test_a_commit_that_cannot_be_recorded_is_recorded_later() -> None:
    leader = Leader()
    committing(leader)
    leader.stores = False
    says(leader, CommitPrepared(payload=b"files"))
    answer = leader.handle(events.StorageFailed(job_id=JOB, failure=BOOM))
    (timer,) = find(answer, effects.SetTimer)
    assert find(leader.fire(timer.key), effects.PersistCommit)


def test_another_coordinator_commits_the_same_again() -> None:
    leader = Leader()
    committing(leader)
    says(leader, CommitPrepared(payload=b"files"))
    answer = dies(leader)
    assert find(answer, effects.StartCoordinator)[0].incarnation == 2
    assert told(answer)[-1] == CommitJob(payload=b"files")
    assert says(leader, JobCommitted(), incarnation=1) == []
    says(leader, JobCommitted(), incarnation=2)
    assert leader.status is JobStatus.FINISHED


def test_coordinators_that_die_of_committing_fail_the_job() -> None:
    leader = Leader()
    committing(leader)
    says(leader, CommitPrepared(payload=b"files"))
    for incarnation in (1, 2, 3):
        dies(leader, incarnation)
    assert leader.status is JobStatus.FAILED


def test_a_new_leader_only_repeats_a_recorded_commit() -> None:
    leader = Leader(epoch=2, jobs=[job_graph(1, 1, coordinated=(1,))], committing={JOB: b"files"})
    leader.register("t1", 4)
    assert isinstance(told(leader.said)[0], StartCoordination)
    assert told(leader.said)[1] == CommitJob(payload=b"files")
    says(leader, JobCommitted())
    assert leader.status is JobStatus.FINISHED
    assert not deployed(leader.said)


def test_a_committer_that_raises_fails_the_job() -> None:
    leader = Leader(FIXED_DELAY)
    committing(leader)
    says(leader, CommitPrepared(payload=b"files"))
    answer = says(leader, CoordinatorFailed(failure=BOOM))
    assert leader.status is JobStatus.FAILED
    assert told(answer) == [EndCoordination(committed=False)]


def test_cancel_while_committing() -> None:
    leader = Leader()
    committing(leader)
    assert only_reply(leader.cancel()).error is None
    assert leader.status is JobStatus.CANCELED
    assert says(leader, CommitPrepared(payload=b"files")) == []
    leader = Leader()
    committing(leader)
    says(leader, CommitPrepared(payload=b"files"))
    assert "is being committed" in str(only_reply(leader.cancel()).error)


@pytest.mark.parametrize("raised", [True, False])
def test_a_coordinator_that_is_gone_restarts_everything(raised: bool) -> None:
    leader = Leader(FIXED_DELAY)
    places = leader.running(job_graph(1, 1, coordinated=(0,)))
    answer = says(leader, CoordinatorFailed(failure=BOOM)) if raised else dies(leader)
    assert bool(find(answer, effects.StopCoordinator)) is raised
    for attempt_id in places:
        leader.report("t1", attempt_id, ExecutionState.CANCELED)
    answer = leader.fire(f"job/{JOB}/restart/0", 1_000)
    assert find(answer, effects.StartCoordinator)[0].incarnation == 2
    assert {attempt_id.attempt for attempt_id in deployed(answer)} == {1}


def test_a_coordinator_that_dies_before_it_told_what_to_commit_costs_everything() -> None:
    leader = Leader(FIXED_DELAY)
    committing(leader)
    dies(leader)
    assert leader.status is JobStatus.RESTARTING
    answer = leader.fire(f"job/{JOB}/restart/0", 1_000)
    assert find(answer, effects.StartCoordinator)
    assert {attempt_id.attempt for attempt_id in deployed(leader.ready(answer))} == {1}


def test_a_failed_job_without_a_coordinator_is_cleaned_up_by_another() -> None:
    leader = Leader()
    places = leader.running(job_graph(1, 1, coordinated=(1,)))
    dies(leader)
    for attempt_id in places:
        answer = leader.report("t1", attempt_id, ExecutionState.CANCELED)
    assert leader.status is JobStatus.FAILED
    assert find(answer, effects.StartCoordinator)[0].incarnation == 2
    assert told(answer)[-1] == EndCoordination(committed=False)
    assert find(dies(leader, 2), effects.JobTerminated)


# ---- collect ----


def fetch(leader: Leader, request_id: str, offset: int = 5) -> list[effects.Effect]:
    payload = msgspec.msgpack.encode(FetchResults("f1", offset))
    return leader.handle(events.CollectRequest(request_id=request_id, job_id=JOB, operator_id="o0", payload=payload))


def results(offset: int) -> bytes:
    return msgspec.msgpack.encode(Results("f0", offset, b"", True))


def test_a_client_fetches_results() -> None:
    leader = Leader()
    leader.register("t1", 1)
    leader.ready(leader.submit(job_graph(1)))
    assert not messages(fetch(leader, "q"), DeliverOperatorEvent)
    answer = leader.report("t1", SOURCE, ExecutionState.RUNNING)
    assert messages(answer, DeliverOperatorEvent)[0].operator_id == "o0"
    assert not find(leader.hear("t1", operator_event(1, payload=results(6))), effects.Reply)
    assert not find(leader.hear("t1", operator_event(2, payload=b"nonsense")), effects.Reply)
    reply = only_reply(leader.hear("t1", operator_event(3, payload=results(4))))
    assert (reply.request_id, reply.result) == ("q", results(4))


def test_the_last_page_can_be_fetched_again() -> None:
    leader = Leader()
    places = leader.running(job_graph(1))
    fetch(leader, "q1")
    leader.hear("t1", operator_event(1, payload=results(4)))
    leader.finish(places)
    assert leader.status is JobStatus.FINISHED
    assert only_reply(fetch(leader, "q2", 4)).result == results(4)
    assert isinstance(only_reply(fetch(leader, "q3", 3)).error, ClusterError)


def test_requests_that_will_not_be_answered_are_refused() -> None:
    leader = Leader(FIXED_DELAY)
    places = leader.running(job_graph(1))
    fetch(leader, "q1")
    assert isinstance(only_reply(fetch(leader, "q2")).error, ClusterError)
    leader.report("t1", SOURCE, ExecutionState.FAILED, BOOM)
    answer = leader.fire(f"job/{JOB}/restart/0", 1_000)
    (again,) = places = deployed(answer)
    assert messages(leader.report("t1", again, ExecutionState.RUNNING), DeliverOperatorEvent)
    answer = leader.finish(places)
    assert "has finished" in str(only_reply(answer).error)
    assert "has ended as FINISHED" in str(only_reply(fetch(leader, "q3")).error)
    unknown = events.CollectRequest(request_id="q4", job_id="f" * 32, operator_id="o0", payload=b"")
    assert isinstance(only_reply(leader.handle(unknown)).error, JobNotFoundError)
