"""TaskManagers that register, beat, fall silent and come back; the wish for more slots."""

from __future__ import annotations

from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.taskexecutor.messages import (
    AllocateSlot,
    HeartbeatRequest,
    RegistrationAccepted,
    RegistrationRefused,
    TaskManagerLeaving,
)
from tests.unit.jobmaster.control_planes import JOB, Leader, find, job_graph, messages

HEARTBEAT = "resources/heartbeat"


def test_a_registration_is_answered_each_time_and_tells_the_rules() -> None:
    leader = Leader({"heartbeat.interval": "3 s", "heartbeat.timeout": "9 s"})
    for _ in range(2):
        answer = leader.register("t1", 2)
        (accepted,) = messages(answer, RegistrationAccepted)
        assert (accepted.epoch, accepted.heartbeat_interval, accepted.heartbeat_timeout) == (1, 3_000, 9_000)
        assert messages(answer, HeartbeatRequest)
    assert len(leader.machine.task_managers()) == 1


def test_a_later_process_takes_the_place_of_an_earlier_one_and_never_the_other_way_round() -> None:
    leader = Leader()
    leader.register("t1", 1, "i1", started=10)
    answer = leader.register("t1", 1, "i2", started=20)
    assert find(answer, effects.CloseTaskManager)[0].incarnation == "i1"
    answer = leader.register("t1", 1, "i1", started=10)
    assert messages(answer, RegistrationRefused)
    answer = leader.register("t1", 1, "i0", started=5)
    assert messages(answer, RegistrationRefused)
    # Not even while the later one is just reconnecting.
    leader.lose("t1", dead=False, incarnation="i2")
    assert messages(leader.register("t1", 1, "i0", started=5), RegistrationRefused)
    assert [view.registration.incarnation for view in leader.machine.task_managers()] == ["i2"]


def test_what_a_former_process_says_is_ignored() -> None:
    leader = Leader()
    leader.register("t1", 1, "i1", started=10)
    leader.register("t1", 1, "i2", started=20)
    assert leader.hear("t1", TaskManagerLeaving(reason="bye"), "i1") == []
    assert leader.lose("t1", incarnation="i1") == []
    assert len(leader.machine.task_managers()) == 1


def test_silence_is_death() -> None:
    leader = Leader({"heartbeat.interval": "1 s", "heartbeat.timeout": "3 s"})
    leader.register("t1", 1)
    leader.register("t2", 1)
    for _ in range(2):
        assert len(messages(leader.fire(HEARTBEAT, 1_000), HeartbeatRequest)) == 2
    leader.heartbeat("t2")
    (closed,) = find(leader.fire(HEARTBEAT, 1_000), effects.CloseTaskManager)
    assert (closed.task_manager_id, closed.reason) == ("t1", "no heartbeat for 3000 ms")


def test_one_that_leaves_is_gone_at_once() -> None:
    leader = Leader()
    leader.running(job_graph(1))
    leader.hear("t1", TaskManagerLeaving(reason="the operator wants it"))
    assert leader.machine.task_managers() == []
    assert leader.status is JobStatus.FAILED


def test_an_idle_task_manager_is_released_once_and_a_busy_one_never() -> None:
    leader = Leader({"resourcemanager.taskmanager-timeout": "5 s"})
    answer = leader.register("t1", 1)
    (timer,) = [timer for timer in find(answer, effects.SetTimer) if "idle" in timer.key]
    assert timer.at == leader.now + 5_000
    assert find(leader.fire(timer.key), effects.ReleaseTaskManager)[0].task_manager_id == "t1"
    leader.submit(job_graph(1))
    assert not find(leader.fire(timer.key), effects.ReleaseTaskManager)


def test_the_fewest_slots_are_kept() -> None:
    leader = Leader({"slotmanager.number-of-slots.min": "2"})
    leader.register("t1", 1)
    leader.register("t2", 2)
    assert find(leader.fire("resources/idle/t1"), effects.ReleaseTaskManager)
    assert not find(leader.fire("resources/idle/t2"), effects.ReleaseTaskManager)


def test_the_wish_is_a_level() -> None:
    leader = Leader()
    assert find(leader.submit(job_graph(3)), effects.RequestTaskManagers)[0].missing_slots == 3
    assert find(leader.register("t1", 1), effects.RequestTaskManagers)[0].missing_slots == 2
    assert not find(leader.register("t1", 1), effects.RequestTaskManagers)
    answer = leader.register("t2", 2)
    assert find(answer, effects.RequestTaskManagers)[0].missing_slots == 0
    assert len(messages(answer, AllocateSlot)) == 3


def test_the_wish_knows_the_most_slots() -> None:
    leader = Leader({"slotmanager.number-of-slots.max": "2"})
    assert find(leader.submit(job_graph(3)), effects.RequestTaskManagers)[0].missing_slots == 2


def test_a_new_leader_waits_for_the_task_managers_of_the_old_one() -> None:
    leader = Leader(epoch=2, jobs=[job_graph(2)])
    assert not find(leader.said, effects.RequestTaskManagers)
    leader.register("t1", 1)
    assert find(leader.fire("resources/recovery"), effects.RequestTaskManagers)[0].missing_slots == 1


def test_a_reason_that_is_not_final_is_shown() -> None:
    leader = Leader()
    leader.submit(job_graph(2))
    leader.handle(events.ResourcesUnavailable(reason="the queue is full", final=False))
    assert leader.machine.job(JOB).waiting_for == "2 slots wanted, 0 free of 0: the queue is full"


def test_a_reason_without_a_number_fails_what_cannot_run() -> None:
    leader = Leader()
    leader.submit(job_graph(2))
    leader.handle(events.ResourcesUnavailable(reason="no TaskManager can be started: no memory.", final=True))
    assert leader.machine.job(JOB).exceptions[0].failure.message == "no TaskManager can be started: no memory"
