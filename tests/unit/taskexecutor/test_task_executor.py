"""The TaskExecutor: registration, slots, workers, attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.taskexecutor import effects, events
from pyflow_runtime.taskexecutor.machine import TaskExecutor
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeOperatorEvents,
    AcknowledgeTerminal,
    AllocateSlot,
    CancelTasks,
    DeliverOperatorEvent,
    DeployTasks,
    ExecutionReport,
    FreeSlot,
    FromTaskManagerMessage,
    HeartbeatReport,
    HeartbeatRequest,
    JobEnvironment,
    OperatorEvent,
    OperatorEventsReceived,
    RegisterTaskManager,
    RegistrationAccepted,
    RegistrationRefused,
    SlotFailed,
    SlotReady,
    TaskDeployment,
    TaskManagerLeaving,
    TaskStateChanged,
    ToTaskManagerMessage,
    WorkerAddress,
)
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    PrepareWorker,
    StartTasks,
    StopWorker,
    TaskReport,
    ToWorkerMessage,
    WorkerEnvironment,
    WorkerEvent,
    WorkerOperatorEvent,
    WorkerStarted,
)
from pyflow_yarn.errors import FailureInfo
from tests.unit.jobmaster.control_planes import job_graph, registration

E = TypeVar("E", bound=effects.Effect)
M = TypeVar("M", bound=FromTaskManagerMessage)
W = TypeVar("W", bound=ToWorkerMessage)

ENVIRONMENT = JobEnvironment(
    job_id="j", job_name="a job", python_executable="", artifacts=[], configuration={}, job_parameters={}
)
KILLED = FailureInfo(exception="WorkerDied", message="signal 9")


def allocation(number: int, epoch: int = 1) -> str:
    return f"{epoch:012x}{number:020x}"


def attempt(subtask: int = 0, number: int = 0) -> ExecutionAttemptId:
    return ExecutionAttemptId("j", "v0", subtask, number)


class Process:
    """A TaskExecutor fed by hand."""

    def __init__(self, slots: int = 2, configuration: dict[str, str] | None = None) -> None:
        self.machine = TaskExecutor(registration("t1", slots), configuration or {})
        self.now = 1_000
        self.session = 0
        self.last: list[effects.Effect] = []

    def handle(self, event: events.Event, after: int = 1) -> list[effects.Effect]:
        self.now += after
        self.last = self.machine.handle(event, self.now)
        for opened in find(self.last, effects.OpenSession):
            self.session = opened.session
        return self.last

    def hear(self, message: ToTaskManagerMessage) -> list[effects.Effect]:
        return self.handle(events.JobManagerMessage(session=self.session, message=message))

    def fire(self, key: str, after: int = 1) -> list[effects.Effect]:
        return self.handle(events.TimerFired(key=key), after)

    def register(self, epoch: int = 1) -> list[effects.Effect]:
        if not self.session:
            self.handle(events.Started())
        self.handle(events.SessionOpened(session=self.session))
        return self.accept(epoch)

    def accept(self, epoch: int = 1) -> list[effects.Effect]:
        return self.hear(
            RegistrationAccepted(epoch=epoch, job_manager_id="", heartbeat_interval=1_000, heartbeat_timeout=5_000)
        )

    def allocate(self, number: int = 1, slot: int = 0, epoch: int = 1) -> str:
        """Allocate a slot and bring its worker up; returns the worker's id."""
        allocation_id = allocation(number, epoch)
        answer = self.hear(AllocateSlot(epoch=epoch, allocation_id=allocation_id, slot=slot, environment=ENVIRONMENT))
        (start,) = find(answer, effects.StartWorker)
        self.come_up(start.worker_id, allocation_id)
        return start.worker_id

    def come_up(self, worker_id: str, allocation_id: str) -> list[effects.Effect]:
        self.says(worker_id)
        return self.handle(
            events.EnvironmentPrepared(allocation_id=allocation_id, environment=WorkerEnvironment(job=ENVIRONMENT))
        )

    def says(self, worker_id: str) -> list[effects.Effect]:
        address = WorkerAddress(worker_id=worker_id, host="h", host_id="h")
        return self.handle(
            events.WorkerMessage(
                worker_id=worker_id, message=WorkerStarted(worker_id=worker_id, pid=1, address=address)
            )
        )

    def deploy(self, *attempts: ExecutionAttemptId, number: int = 1) -> list[effects.Effect]:
        tasks = [
            TaskDeployment(
                attempt_id=attempt_id,
                allocation_id=allocation(number),
                job_name="a job",
                vertex=job_graph(4).vertices[0],
                inputs=[],
                outputs=[],
            )
            for attempt_id in attempts
        ]
        return self.hear(DeployTasks(epoch=1, allocation_id=allocation(number), tasks=tasks))

    def report(self, worker_id: str, attempt_id: ExecutionAttemptId, state: ExecutionState) -> list[effects.Effect]:
        report = TaskReport(report=ExecutionReport(attempt_id, state))
        return self.handle(events.WorkerMessage(worker_id=worker_id, message=report))

    def heartbeat(self) -> HeartbeatReport:
        (report,) = told(self.hear(HeartbeatRequest(epoch=1, sequence=9)), HeartbeatReport)
        return report


def find(answer: Sequence[effects.Effect], kind: type[E]) -> list[E]:
    return [effect for effect in answer if isinstance(effect, kind)]


def told(answer: Sequence[effects.Effect], kind: type[M]) -> list[M]:
    sent = [effect.message for effect in find(answer, effects.SendToJobManager)]
    return [message for message in sent if isinstance(message, kind)]


def to_worker(answer: Sequence[effects.Effect], kind: type[W]) -> list[W]:
    sent = [effect.message for effect in find(answer, effects.SendToWorker)]
    return [message for message in sent if isinstance(message, kind)]


@pytest.fixture
def process() -> Process:
    process = Process()
    process.register()
    return process


# ---- registration ----


def test_registration_is_repeated_with_growing_pauses() -> None:
    process = Process()
    (opened,) = find(process.handle(events.Started()), effects.OpenSession)
    answer = process.handle(events.SessionOpened(session=opened.session))
    pauses = []
    for _ in range(4):
        assert told(answer, RegisterTaskManager)
        (timer,) = find(answer, effects.SetTimer)
        pauses.append(timer.at - process.now)
        answer = process.fire(timer.key)
    assert pauses == [100, 200, 400, 800]


def test_a_connection_that_nobody_answers_is_given_up() -> None:
    process = Process()
    process.handle(events.Started())
    process.handle(events.SessionOpened(session=1))
    answer = process.fire("registration", 10_001)
    assert find(answer, effects.CloseSession)
    assert find(process.fire("registration"), effects.OpenSession)[0].session == 2


def test_a_refused_connection_is_tried_again() -> None:
    process = Process()
    process.handle(events.Started())
    answer = process.handle(events.SessionClosed(session=1, reason="refused"))
    assert find(answer, effects.SetTimer)[0].at == process.now + 100
    assert find(process.fire("registration"), effects.OpenSession)[0].session == 2
    assert process.handle(events.SessionClosed(session=1, reason="late news")) == []


def test_who_is_refused_asks_much_later() -> None:
    process = Process()
    process.handle(events.Started())
    process.handle(events.SessionOpened(session=1))
    answer = process.hear(RegistrationRefused(epoch=1, reason="no"))
    assert find(answer, effects.CloseSession)
    assert find(answer, effects.SetTimer)[0].at == process.now + 30_000


def test_without_a_job_manager_for_long_it_gives_up() -> None:
    process = Process()
    (timer,) = find(process.handle(events.Started()), effects.SetTimer)
    assert timer.at == process.now + 300_000
    (end,) = find(process.fire(timer.key), effects.Terminate)
    assert not end.clean


def test_a_silent_job_manager_is_left(process: Process) -> None:
    process.hear(HeartbeatRequest(epoch=1, sequence=1))
    heard = process.now
    answer = process.fire("silence", 4_000)
    assert find(answer, effects.SetTimer)[0].at == heard + 5_000
    assert find(process.fire("silence", 1_000), effects.CloseSession)


def test_work_survives_a_short_absence_of_the_job_manager_and_not_a_long_one(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    process.handle(events.SessionClosed(session=process.session, reason="broken"))
    process.fire("registration")
    process.register()
    assert process.machine.executions()[0].attempt_id == attempt()
    process.handle(events.SessionClosed(session=process.session, reason="broken"))
    answer = process.fire("abandon", 5_000)
    assert to_worker(answer, StopWorker)
    assert process.machine.executions() == []
    assert process.machine.slots()[0].allocation_id == ""
    assert worker


def test_a_new_leader_ends_the_work_of_the_old_one(process: Process) -> None:
    process.allocate()
    process.deploy(attempt())
    process.handle(events.SessionClosed(session=process.session, reason="it died"))
    process.fire("registration")
    answer = process.register(epoch=2)
    assert to_worker(answer, StopWorker)
    assert process.machine.executions() == []


def test_a_deposed_leader_is_not_obeyed(process: Process) -> None:
    process.accept(epoch=3)
    order = AllocateSlot(epoch=1, allocation_id=allocation(1), slot=0, environment=ENVIRONMENT)
    assert process.hear(order) == []
    process.handle(events.SessionClosed(session=process.session, reason="broken"))
    process.fire("registration")
    assert find(process.register(epoch=2), effects.CloseSession)
    assert process.machine.connection.epoch == 3


def test_messages_of_former_sessions_are_ignored(process: Process) -> None:
    old = process.session
    process.handle(events.SessionClosed(session=old, reason="broken"))
    process.fire("registration")
    process.register()
    request = HeartbeatRequest(epoch=1, sequence=1)
    assert process.handle(events.JobManagerMessage(session=old, message=request)) == []


# ---- slots ----


def test_a_slot_is_ready_when_worker_and_environment_are(process: Process) -> None:
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(1), slot=0, environment=ENVIRONMENT))
    (start,) = find(answer, effects.StartWorker)
    assert (start.slot, start.number, start.managed_memory, start.network_memory) == (0, 1, 50, 5)
    assert find(answer, effects.PrepareEnvironment)
    assert told(process.says(start.worker_id), SlotReady) == []
    answer = process.come_up(start.worker_id, allocation(1))
    assert to_worker(answer, PrepareWorker)
    (ready,) = told(answer, SlotReady)
    assert (ready.allocation_id, ready.slot, ready.address.worker_id) == (allocation(1), 0, start.worker_id)


def test_an_allocation_that_arrives_again_changes_nothing(process: Process) -> None:
    process.allocate()
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(1), slot=0, environment=ENVIRONMENT))
    assert told(answer, SlotReady)
    assert not find(answer, effects.StartWorker)


def test_a_newer_allocation_ends_the_older_and_an_older_one_is_refused(process: Process) -> None:
    worker = process.allocate(5)
    process.deploy(attempt(), number=5)
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(6), slot=0, environment=ENVIRONMENT))
    assert to_worker(answer, StopWorker)
    assert not find(answer, effects.StartWorker)
    assert process.machine.slots()[0].allocation_id == allocation(6)
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(5), slot=0, environment=ENVIRONMENT))
    assert told(answer, SlotFailed)[0].allocation_id == allocation(5)
    answer = process.handle(events.WorkerExited(worker_id=worker, failure=KILLED))
    assert find(answer, effects.StartWorker)
    assert process.machine.executions() == []


def test_there_is_no_such_slot(process: Process) -> None:
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(1), slot=7, environment=ENVIRONMENT))
    assert told(answer, SlotFailed)


def test_a_freed_slot_stops_its_worker_interrupts_it_and_kills_it(process: Process) -> None:
    worker = process.allocate()
    answer = process.hear(FreeSlot(epoch=1, allocation_id=allocation(1)))
    assert to_worker(answer, StopWorker)
    asked = process.now
    for patience, kill in ((200, False), (5_000, True)):
        (timer,) = find(answer, effects.SetTimer)
        assert timer.at == asked + patience
        answer = process.fire(timer.key, timer.at - process.now)
        assert find(answer, effects.SignalWorker) == [effects.SignalWorker(worker_id=worker, kill=kill)]
    answer = process.handle(events.WorkerExited(worker_id=worker, failure=KILLED))
    assert find(answer, effects.ReleaseEnvironment)[0].job_id == "j"
    assert told(answer, SlotFailed) == []


def test_a_worker_that_never_connected_is_killed_at_once(process: Process) -> None:
    answer = process.hear(AllocateSlot(epoch=1, allocation_id=allocation(1), slot=0, environment=ENVIRONMENT))
    (start,) = find(answer, effects.StartWorker)
    answer = process.hear(FreeSlot(epoch=1, allocation_id=allocation(1)))
    assert find(answer, effects.SignalWorker)[0].kill
    assert to_worker(process.says(start.worker_id), StopWorker)


def test_an_environment_that_cannot_be_prepared_fails_the_slot(process: Process) -> None:
    process.hear(AllocateSlot(epoch=1, allocation_id=allocation(1), slot=0, environment=ENVIRONMENT))
    failure = FailureInfo(exception="BadZipFile", message="not a zip file")
    answer = process.handle(events.EnvironmentFailed(allocation_id=allocation(1), failure=failure))
    assert told(answer, SlotFailed)[0].failure == failure
    assert find(answer, effects.SignalWorker)[0].kill
    assert process.machine.slots()[0].allocation_id == ""


# ---- attempts ----


def test_an_attempt_runs_once_however_often_it_is_deployed(process: Process) -> None:
    worker = process.allocate()
    assert len(to_worker(process.deploy(attempt(0), attempt(1)), StartTasks)[0].tasks) == 2
    assert process.deploy(attempt(0), attempt(1)) == []
    process.report(worker, attempt(0), ExecutionState.FINISHED)
    process.hear(AcknowledgeTerminal(epoch=1, attempt_ids=[attempt(0)]))
    assert process.deploy(attempt(0)) == []
    assert to_worker(process.deploy(attempt(0, 1)), StartTasks)
    assert process.deploy(attempt(0)) == []


def test_deployments_to_a_slot_that_is_gone_are_refused(process: Process) -> None:
    assert told(process.deploy(attempt(), number=9), SlotFailed)[0].allocation_id == allocation(9)


def test_a_terminal_state_is_repeated_until_it_is_acknowledged(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    assert told(process.report(worker, attempt(), ExecutionState.RUNNING), TaskStateChanged)
    assert not told(process.report(worker, attempt(), ExecutionState.RUNNING), TaskStateChanged)
    process.report(worker, attempt(), ExecutionState.FINISHED)
    assert not told(process.report(worker, attempt(), ExecutionState.RUNNING), TaskStateChanged)
    assert [report.state for report in process.heartbeat().executions] == [ExecutionState.FINISHED]
    process.hear(AcknowledgeTerminal(epoch=1, attempt_ids=[attempt()]))
    assert process.heartbeat().executions == []


def test_a_live_attempt_is_not_forgotten_by_a_wrong_acknowledgement(process: Process) -> None:
    process.allocate()
    process.deploy(attempt())
    process.hear(AcknowledgeTerminal(epoch=1, attempt_ids=[attempt()]))
    assert len(process.heartbeat().executions) == 1


def test_a_dead_worker_fails_its_attempts_and_its_slot(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt(0), attempt(1))
    process.hear(CancelTasks(epoch=1, attempt_ids=[attempt(1)]))
    answer = process.handle(events.WorkerExited(worker_id=worker, failure=KILLED))
    states = {change.report.attempt_id: change.report.state for change in told(answer, TaskStateChanged)}
    assert states == {attempt(0): ExecutionState.FAILED, attempt(1): ExecutionState.CANCELED}
    assert told(answer, SlotFailed)[0].failure == KILLED
    assert len(process.heartbeat().executions) == 2
    assert process.heartbeat().slots[0].allocation_id == ""


def test_unknown_attempts_are_reported_as_cancelled_and_never_started(process: Process) -> None:
    process.allocate()
    answer = process.hear(CancelTasks(epoch=1, attempt_ids=[attempt()]))
    assert told(answer, TaskStateChanged)[0].report.state is ExecutionState.CANCELED
    assert process.deploy(attempt()) == []


def test_cancelling_what_has_ended_tells_how_it_ended(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    process.report(worker, attempt(), ExecutionState.FINISHED)
    answer = process.hear(CancelTasks(epoch=1, attempt_ids=[attempt()]))
    assert told(answer, TaskStateChanged)[0].report.state is ExecutionState.FINISHED


def test_a_stuck_task_is_terminated_and_then_killed(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    answer = process.hear(CancelTasks(epoch=1, attempt_ids=[attempt()]))
    assert to_worker(answer, CancelWorkerTasks)
    (timer,) = find(answer, effects.SetTimer)
    asked = process.now
    assert timer.at == asked + 5_000
    assert process.hear(CancelTasks(epoch=1, attempt_ids=[attempt()])) == []
    answer = process.fire(timer.key, asked + 5_000 - process.now)
    assert find(answer, effects.SignalWorker) == [effects.SignalWorker(worker_id=worker, kill=False)]
    assert find(answer, effects.SetTimer)[0].at == asked + 10_000
    answer = process.fire(timer.key, asked + 10_000 - process.now)
    assert find(answer, effects.SignalWorker) == [effects.SignalWorker(worker_id=worker, kill=True)]


def test_a_task_that_ends_in_time_is_left_alone(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    (timer,) = find(process.hear(CancelTasks(epoch=1, attempt_ids=[attempt()])), effects.SetTimer)
    assert find(process.report(worker, attempt(), ExecutionState.CANCELED), effects.CancelTimer)
    assert process.fire(timer.key, 5_000) == []


# ---- operator events ----


def test_events_of_an_operator_are_numbered_and_repeated(process: Process) -> None:
    worker = process.allocate()
    process.deploy(attempt())
    event = WorkerEvent(event=OperatorEvent(attempt_id=attempt(), operator_id="o", payload=b"x"))
    for number in (1, 2):
        answer = process.handle(events.WorkerMessage(worker_id=worker, message=event))
        assert told(answer, OperatorEvent)[0].sequence == number
    process.hear(AcknowledgeOperatorEvents(epoch=1, attempt_id=attempt(), received=1))
    answer = process.hear(HeartbeatRequest(epoch=1, sequence=1))
    assert [event.sequence for event in told(answer, OperatorEvent)] == [2]
    answer = process.report(worker, attempt(), ExecutionState.FINISHED)
    assert told(answer, TaskStateChanged)[0].report.events_sent == 2


def test_events_for_an_operator_are_taken_once_and_in_order(process: Process) -> None:
    process.allocate()
    process.deploy(attempt())

    def deliver(sequence: int) -> tuple[int, int]:
        answer = process.hear(
            DeliverOperatorEvent(epoch=1, attempt_id=attempt(), operator_id="o", payload=b"x", sequence=sequence)
        )
        return len(to_worker(answer, WorkerOperatorEvent)), told(answer, OperatorEventsReceived)[0].received

    assert [deliver(sequence) for sequence in (1, 1, 3, 2, 3)] == [(1, 1), (0, 1), (0, 1), (1, 2), (1, 3)]


# ---- end ----


def test_a_planned_end_says_goodbye_and_waits_for_the_workers(process: Process) -> None:
    worker = process.allocate()
    answer = process.handle(events.ShutDown(reason="idle"))
    assert told(answer, TaskManagerLeaving)
    assert not find(answer, effects.Terminate)
    assert process.handle(events.ShutDown(reason="again")) == []
    (end,) = find(process.handle(events.WorkerExited(worker_id=worker, failure=KILLED)), effects.Terminate)
    assert end.clean


def test_a_planned_end_without_work_is_immediate(process: Process) -> None:
    assert find(process.handle(events.ShutDown(reason="idle")), effects.Terminate)
