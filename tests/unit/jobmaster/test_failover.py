"""Failures of attempts, slots and TaskManagers, and restarts."""

from __future__ import annotations

import msgspec
import pytest

from pyflow_runtime.coordinator.messages import SubtaskReset
from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeTerminal,
    AllocateSlot,
    CancelTasks,
    ExecutionReport,
    FreeSlot,
    SlotFailed,
    SlotReport,
)
from pyflow_yarn.errors import Domain, FailureInfo, IllegalTransitionError
from pyflow_yarn.graph.job_graph import Partitioning
from tests.unit.jobmaster.control_planes import (
    BOOM,
    FIXED_DELAY,
    JOB,
    Leader,
    deployed,
    find,
    job_graph,
    messages,
)

RESTART = f"job/{JOB}/restart/0"
DIED = FailureInfo(exception="WorkerDiedException", message="signal 9", domain=Domain.CLUSTER)


def attempt(vertex: int, subtask: int, number: int = 0) -> ExecutionAttemptId:
    return ExecutionAttemptId(JOB, f"v{vertex}", subtask, number)


def test_a_region_restarts_after_the_delay_with_new_attempts_in_the_same_slots() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(1, 2, coordinated=(0,)))
    answer = leader.report("t1", attempt(0, 0), ExecutionState.FAILED, BOOM)
    assert leader.status is JobStatus.RESTARTING
    failed_at = leader.now
    assert set(messages(answer, CancelTasks)[0].attempt_ids) == {attempt(1, 0), attempt(1, 1)}
    leader.report("t1", attempt(1, 0), ExecutionState.CANCELED)
    answer = leader.report("t1", attempt(1, 1), ExecutionState.CANCELED)
    assert [(timer.key, timer.at) for timer in find(answer, effects.SetTimer)] == [(RESTART, failed_at + 1_000)]
    answer = leader.fire(RESTART, 1_000)
    assert leader.status is JobStatus.RUNNING
    assert set(deployed(answer)) == {attempt(0, 0, 1), attempt(1, 0, 1), attempt(1, 1, 1)}
    assert not messages(answer, AllocateSlot)
    resets = [effect.message for effect in find(answer, effects.SendToCoordinator)]
    assert resets == [SubtaskReset(vertex_id="v0", subtask=0, attempt=1)]
    view = leader.machine.job(JOB)
    assert view.restarts == 1
    assert view.exceptions[0].failure == BOOM


def test_only_the_failed_region_restarts() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(2, 2, partitioning=Partitioning.FORWARD))
    leader.report("t1", attempt(1, 0), ExecutionState.FAILED, BOOM)
    leader.report("t1", attempt(0, 0), ExecutionState.CANCELED)
    answer = leader.fire(RESTART, 1_000)
    assert set(deployed(answer)) == {attempt(0, 0, 1), attempt(1, 0, 1)}
    assert leader.attempts()["v0/1"] == leader.attempts()["v1/1"] == "RUNNING#0"
    cancelled = [each for order in messages(leader.said, CancelTasks) for each in order.attempt_ids]
    assert cancelled == [attempt(0, 0)]


def test_regions_that_fail_within_one_backoff_are_one_attempt_and_come_back_together() -> None:
    leader = Leader(
        {
            "restart-strategy.type": "exponential-delay",
            "restart-strategy.exponential-delay.attempts-before-reset-backoff": "1",
            "restart-strategy.exponential-delay.jitter-factor": "0",
        }
    )
    leader.running(job_graph(3, partitioning=Partitioning.FORWARD))
    leader.report("t1", attempt(0, 0), ExecutionState.FAILED, BOOM)
    due = leader.now + 1_000
    leader.now += 400
    answer = leader.report("t1", attempt(0, 2), ExecutionState.FAILED, DIED)
    assert [(timer.key, timer.at) for timer in find(answer, effects.SetTimer)] == [(f"job/{JOB}/restart/2", due)]
    job = leader.machine.job(JOB)
    assert job.restarts == 1
    assert [(entry.failure, entry.concurrent) for entry in job.exceptions] == [(BOOM, [DIED])]
    leader.fire(RESTART, due - leader.now)
    assert leader.status is JobStatus.RESTARTING
    leader.fire(f"job/{JOB}/restart/2")
    assert leader.status is JobStatus.RUNNING
    assert leader.attempts() == {"v0/0": "DEPLOYING#1", "v0/1": "RUNNING#0", "v0/2": "DEPLOYING#1"}
    leader.report("t1", attempt(0, 1), ExecutionState.FAILED, BOOM)
    assert leader.status is not JobStatus.RESTARTING
    assert "attemptsBeforeResetBackoff=1" in leader.machine.job(JOB).exceptions[0].failure.notes[0]


def test_too_many_failures_within_the_interval_are_the_jobs() -> None:
    leader = Leader({"restart-strategy.type": "failure-rate", "restart-strategy.failure-rate.delay": "10 ms"})
    leader.running(job_graph(1))
    for number, health in enumerate((60_001, 60_001, 5_000)):
        leader.report("t1", attempt(0, 0, number), ExecutionState.FAILED, BOOM)
        assert leader.status is JobStatus.RESTARTING
        leader.fire(RESTART, 10)
        leader.now += health
    leader.report("t1", attempt(0, 0, 3), ExecutionState.FAILED, BOOM)
    assert leader.status is JobStatus.FAILED
    assert leader.machine.job(JOB).restarts == 3


def test_full_failover_restarts_everything() -> None:
    leader = Leader({**FIXED_DELAY, "jobmanager.execution.failover-strategy": "full"})
    leader.running(job_graph(2, 2, partitioning=Partitioning.FORWARD))
    answer = leader.report("t1", attempt(1, 0), ExecutionState.FAILED, BOOM)
    assert set(messages(answer, CancelTasks)[0].attempt_ids) == {attempt(0, 0), attempt(0, 1), attempt(1, 1)}


def test_restarts_run_out() -> None:
    leader = Leader({**FIXED_DELAY, "restart-strategy.fixed-delay.attempts": "1"})
    leader.running(job_graph(1))
    leader.report("t1", attempt(0, 0), ExecutionState.FAILED, BOOM)
    leader.fire(RESTART, 1_000)
    leader.report("t1", attempt(0, 0, 1), ExecutionState.FAILED, BOOM)
    assert leader.status is JobStatus.FAILED
    latest = leader.machine.job(JOB).exceptions[0].failure
    assert latest.notes == [
        "Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=1, backoffTimeMS=1000)"
    ]
    assert len(leader.machine.job(JOB).exceptions) == 2


def test_cancel_during_the_restart_delay() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(1))
    leader.report("t1", attempt(0, 0), ExecutionState.FAILED, BOOM)
    leader.cancel()
    assert leader.status is JobStatus.CANCELED
    assert leader.fire(RESTART) == []


def test_late_words_of_former_attempts_change_nothing() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(1))
    leader.report("t1", attempt(0, 0), ExecutionState.FAILED, BOOM)
    leader.fire(RESTART, 1_000)
    answer = leader.report("t1", attempt(0, 0), ExecutionState.FINISHED)
    assert messages(answer, AcknowledgeTerminal)[0].attempt_ids == [attempt(0, 0)]
    answer = leader.report("t1", attempt(0, 0), ExecutionState.RUNNING)
    assert messages(answer, CancelTasks)[0].attempt_ids == [attempt(0, 0)]
    assert leader.attempts() == {"v0/0": "DEPLOYING#1"}


def test_a_lost_task_manager_takes_its_attempts_and_slots_along() -> None:
    leader = Leader(FIXED_DELAY)
    leader.register("t1", 1)
    leader.register("t2", 1)
    places = deployed(leader.ready(leader.submit(job_graph(2, 2))))
    answer = leader.lose("t1")
    assert find(answer, effects.CloseTaskManager)
    there = {attempt_id for attempt_id, name in places.items() if name == "t2"}
    assert set(messages(answer, CancelTasks)[0].attempt_ids) == there
    for attempt_id in there:
        leader.report("t2", attempt_id, ExecutionState.CANCELED)
    answer = leader.fire(RESTART, 1_000)
    assert find(answer, effects.RequestTaskManagers)[0].missing_slots == 1
    answer = leader.register("t3", 1)
    assert len(deployed(leader.ready(answer))) == 4
    failure = leader.machine.job(JOB).exceptions[0].failure
    assert failure.message == "TaskManager t1 is lost: it was killed."
    assert failure.domain is Domain.CLUSTER


def test_a_lost_task_manager_costs_only_the_regions_that_ran_there() -> None:
    leader = Leader(FIXED_DELAY)
    leader.register("t1", 1)
    leader.register("t2", 1)
    places = deployed(leader.ready(leader.submit(job_graph(2, 2, partitioning=Partitioning.FORWARD))))
    for attempt_id, name in places.items():
        leader.report(name, attempt_id, ExecutionState.RUNNING)
    (lost,) = {attempt_id.subtask for attempt_id, name in places.items() if name == "t1"}
    assert not messages(leader.lose("t1"), CancelTasks)
    leader.register("t3", 1)
    answer = leader.ready(leader.fire(f"job/{JOB}/restart/{lost}", 1_000))
    assert deployed(answer) == {attempt(0, lost, 1): "t3", attempt(1, lost, 1): "t3"}
    assert leader.attempts()[f"v1/{1 - lost}"] == "RUNNING#0"
    assert leader.machine.job(JOB).restarts == 1


def test_a_broken_session_is_forgiven_if_the_task_manager_is_back_at_once() -> None:
    leader = Leader()
    places = leader.running(job_graph(1))
    answer = leader.lose("t1", dead=False)
    (timer,) = find(answer, effects.SetTimer)
    leader.register("t1", 4)
    leader.fire(timer.key)
    assert leader.status is JobStatus.RUNNING
    leader.finish(places)
    assert leader.status is JobStatus.FINISHED


def test_a_broken_session_is_not_forgiven_for_long() -> None:
    leader = Leader()
    leader.running(job_graph(1))
    (timer,) = find(leader.lose("t1", dead=False), effects.SetTimer)
    leader.fire(timer.key)
    assert leader.status is JobStatus.FAILED


def test_a_worker_that_dies_is_replaced() -> None:
    leader = Leader(FIXED_DELAY)
    leader.running(job_graph(1))
    allocation = messages(leader.said, AllocateSlot)[0].allocation_id
    leader.report("t1", attempt(0, 0), ExecutionState.FAILED, DIED)
    leader.hear("t1", SlotFailed(allocation_id=allocation, slot=0, failure=DIED))
    answer = leader.fire(RESTART, 1_000)
    (order,) = messages(answer, AllocateSlot)
    assert order.allocation_id > allocation
    assert set(deployed(leader.ready(answer))) == {attempt(0, 0, 1)}


def test_a_worker_that_never_starts_is_tried_some_times() -> None:
    leader = Leader()
    leader.register("t1", 1)
    answer = leader.submit(job_graph(1))
    for _ in range(4):
        (order,) = messages(answer, AllocateSlot)
        assert leader.status is JobStatus.RUNNING
        answer = leader.hear("t1", SlotFailed(allocation_id=order.allocation_id, slot=0, failure=DIED))
    assert leader.status is JobStatus.FAILED


def test_an_environment_that_cannot_be_prepared_is_the_users_failure_at_once() -> None:
    leader = Leader()
    leader.register("t1", 1)
    (order,) = messages(leader.submit(job_graph(1)), AllocateSlot)
    leader.hear("t1", SlotFailed(allocation_id=order.allocation_id, slot=0, failure=BOOM))
    assert leader.status is JobStatus.FAILED


def test_slots_that_do_not_come_in_time() -> None:
    leader = Leader({"slot.request.timeout": "5 s"})
    answer = leader.submit(job_graph(2))
    (timer,) = [timer for timer in find(answer, effects.SetTimer) if timer.key.startswith("job/")]
    assert timer.at == leader.now + 5_000
    leader.fire(timer.key, 5_000)
    assert leader.status is JobStatus.FAILED
    failure = leader.machine.job(JOB).exceptions[0].failure
    assert failure.exception == "NoResourceAvailableException"
    assert "2 slots wanted, 0 free of 0" in failure.message


def test_a_cluster_that_can_never_have_enough_slots() -> None:
    leader = Leader(FIXED_DELAY)
    leader.register("t1", 2)
    assert find(leader.submit(job_graph(4)), effects.RequestTaskManagers)[0].missing_slots == 2
    leader.handle(events.ResourcesUnavailable(reason="no more slots", final=True, slots=2))
    assert leader.status is JobStatus.FAILED
    assert leader.machine.job(JOB).exceptions[0].failure.message == (
        "the job needs 4 slots, the cluster has 2: lower the parallelism or raise taskmanager.numberOfTaskSlots"
    )


def test_a_job_that_could_run_later_waits_although_no_slots_will_come() -> None:
    leader = Leader()
    places = leader.running(job_graph(2), slots=2)
    other = "00000000000000000000000000000002"
    leader.submit(job_graph(2, job_id=other), "r2")
    leader.handle(events.ResourcesUnavailable(reason="no more slots", final=True, slots=2))
    assert leader.machine.job(other).waiting_for == f"2 slots wanted, 0 free of 2, 2 held by job {JOB}: no more slots"
    answer = leader.finish(places)
    assert len(messages(answer, AllocateSlot)) == 2


def test_deployments_and_cancellations_that_were_lost_are_repeated() -> None:
    leader = Leader()
    leader.register("t1", 1)
    leader.ready(leader.submit(job_graph(1)))
    slot = leader.machine.task_managers()[0].slots[0]
    leader.fire("resources/heartbeat")
    assert set(deployed(leader.heartbeat("t1", [slot]))) == {attempt(0, 0)}
    running = ExecutionReport(attempt(0, 0), ExecutionState.RUNNING)
    leader.fire("resources/heartbeat")
    leader.heartbeat("t1", [slot], [running])
    leader.cancel()
    leader.fire("resources/heartbeat")
    answer = leader.heartbeat("t1", [slot], [running])
    assert messages(answer, CancelTasks)[0].attempt_ids == [attempt(0, 0)]


def test_an_attempt_that_vanished_has_failed() -> None:
    leader = Leader()
    leader.running(job_graph(1))
    slots = [slot for slot in leader.machine.task_managers()[0].slots if slot.allocation_id]
    # A report that was asked for before the attempt was first heard of proves nothing.
    leader.heartbeat("t1", slots)
    assert leader.status is JobStatus.RUNNING
    leader.fire("resources/heartbeat")
    leader.heartbeat("t1", slots)
    assert leader.status is JobStatus.FAILED
    assert "vanished" in leader.machine.job(JOB).exceptions[0].failure.message


def test_a_slot_that_vanished_has_failed() -> None:
    leader = Leader()
    leader.running(job_graph(1))
    leader.fire("resources/heartbeat")
    leader.heartbeat("t1", [], [ExecutionReport(attempt(0, 0), ExecutionState.RUNNING)])
    assert leader.status is JobStatus.FAILED


def test_slots_and_attempts_that_nobody_ordered_are_ended() -> None:
    leader = Leader()
    leader.register("t1", 2)
    stranger = ExecutionAttemptId("f" * 32, "v", 0, 0)
    answer = leader.heartbeat(
        "t1", [SlotReport(0, "e" * 32, "f" * 32, None)], [ExecutionReport(stranger, ExecutionState.RUNNING)]
    )
    assert messages(answer, FreeSlot)[0].allocation_id == "e" * 32
    assert messages(answer, CancelTasks)[0].attempt_ids == [stranger]
    leader.fire("resources/heartbeat")
    answer = leader.heartbeat("t1", [], [ExecutionReport(stranger, ExecutionState.FINISHED)])
    assert messages(answer, AcknowledgeTerminal)[0].attempt_ids == [stranger]


def test_an_illegal_move_tells_the_story() -> None:
    leader = Leader()
    leader.running(job_graph(1))
    job = leader.machine._jobs[JOB]
    with pytest.raises(IllegalTransitionError, match=r"cannot go from RUNNING to CREATED\.\n(.*\n)+.*is now RUNNING"):
        job.move(JobStatus.CREATED)


def test_slots_of_finished_regions_are_given_back() -> None:
    leader = Leader()
    leader.running(job_graph(2, 2, partitioning=Partitioning.FORWARD))
    assert not messages(leader.report("t1", attempt(0, 0), ExecutionState.FINISHED), FreeSlot)
    assert len(messages(leader.report("t1", attempt(1, 0), ExecutionState.FINISHED), FreeSlot)) == 1
    assert leader.machine.cluster().slots_available == 3
    leader.report("t1", attempt(0, 1), ExecutionState.FINISHED)
    assert len(messages(leader.report("t1", attempt(1, 1), ExecutionState.FINISHED), FreeSlot)) == 1
    assert leader.status is JobStatus.FINISHED


def test_a_slot_that_another_region_waits_for_is_kept() -> None:
    leader = Leader(FIXED_DELAY)
    graph = job_graph(1, 2, partitioning=Partitioning.FORWARD)
    alone = job_graph(1, 2, partitioning=Partitioning.FORWARD).vertices
    leader.running(msgspec.structs.replace(graph, vertices=alone, edges=[]))
    leader.report("t1", attempt(1, 0), ExecutionState.FAILED, BOOM)
    assert not messages(leader.report("t1", attempt(0, 0), ExecutionState.FINISHED), FreeSlot)
    assert set(deployed(leader.fire(f"job/{JOB}/restart/1", 1_000))) == {attempt(1, 0, 1)}


def test_slots_that_are_of_no_use_alone_are_given_back_when_others_do_not_come() -> None:
    leader = Leader({**FIXED_DELAY, "slot.request.timeout": "5 s"})
    leader.register("t1", 1)
    leader.register("t2", 1)
    places = deployed(leader.ready(leader.submit(job_graph(2, 2))))
    leader.lose("t2")
    for attempt_id, name in places.items():
        if name == "t1":
            leader.report("t1", attempt_id, ExecutionState.CANCELED)
    leader.fire(RESTART, 1_000)
    assert leader.machine.cluster().slots_available == 0
    answer = leader.fire(f"job/{JOB}/slots", 5_000)
    assert len(messages(answer, FreeSlot)) == 1
    assert leader.machine.cluster().slots_available == 1
    assert leader.status is JobStatus.RESTARTING
    leader.fire(RESTART, 1_000)
    assert len(messages(leader.register("t3", 1), AllocateSlot)) == 2
