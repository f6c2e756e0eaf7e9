"""The TaskExecutor: what a TaskManager does about its JobManager, its slots, its workers and their tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.taskexecutor import events
from pyflow_runtime.taskexecutor.effects import (
    CancelTimer,
    Effect,
    PrepareEnvironment,
    ReleaseEnvironment,
    SendToWorker,
    SetTimer,
    SignalWorker,
    StartWorker,
    Terminate,
)
from pyflow_runtime.taskexecutor.job_manager_connection import (
    ABANDON_TIMER,
    GIVE_UP_TIMER,
    REGISTRATION_TIMER,
    SILENCE_TIMER,
    JobManagerConnection,
)
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
    OperatorEvent,
    OperatorEventsReceived,
    RegisterTaskManager,
    RegistrationAccepted,
    RegistrationRefused,
    SlotFailed,
    SlotReady,
    SlotReport,
    TaskManagerLeaving,
    TaskStateChanged,
)
from pyflow_runtime.taskexecutor.task_attempt import TaskAttempt
from pyflow_runtime.taskexecutor.task_slot import TaskSlot, Worker, WorkerState
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    PrepareWorker,
    StartTasks,
    StopWorker,
    TaskReport,
    ToWorkerMessage,
    WorkerEvent,
    WorkerOperatorEvent,
    WorkerStarted,
)
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import Domain, FailureInfo

STOP_PATIENCE = 5_000
STOP_INTERRUPT = 200


class TaskExecutor:
    """Pure machine of one TaskManager process. ``registration`` says what it is and has."""

    def __init__(self, registration: RegisterTaskManager, configuration: Mapping[str, str]) -> None:
        self.registration = registration
        self.connection = JobManagerConnection(registration, configuration)
        managed_memory = registration.managed_memory // max(1, registration.slots)
        self._slots = [TaskSlot(index, managed_memory) for index in range(registration.slots)]
        self._tasks: dict[ExecutionAttemptId, TaskAttempt] = {}
        self._workers: dict[str, Worker] = {}
        self._worker_number = 0
        self._terminate_after = options.TASK_CANCELLATION_INTERVAL.read(configuration)
        self._kill_after = options.TASK_CANCELLATION_TIMEOUT.read(configuration)
        self._leaving: str | None = None
        self._out: list[Effect] = []
        self._now = 0
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            events.Started: lambda _: self.connection.start(self._now, self._out),
            events.SessionOpened: lambda event: self.connection.opened(event.session, self._now, self._out),
            events.SessionClosed: lambda event: self.connection.closed(event.session, self._now, self._out),
            events.JobManagerMessage: self._job_manager_message,
            events.EnvironmentPrepared: self._environment_prepared,
            events.EnvironmentFailed: self._environment_failed,
            events.WorkerMessage: self._worker_message,
            events.WorkerExited: self._worker_exited,
            events.TimerFired: self._timer_fired,
            events.ShutDown: self._shut_down,
            RegistrationAccepted: self._registration_accepted,
            RegistrationRefused: lambda _: self.connection.refused(self._now, self._out),
            HeartbeatRequest: self._heartbeat_request,
            AllocateSlot: self._allocate_slot,
            FreeSlot: self._free_slot,
            DeployTasks: self._deploy_tasks,
            CancelTasks: self._cancel_tasks,
            AcknowledgeTerminal: self._acknowledge_terminal,
            DeliverOperatorEvent: self._deliver_operator_event,
            AcknowledgeOperatorEvents: self._acknowledge_operator_events,
        }

    def handle(self, event: events.Event, now: int) -> list[Effect]:
        """What to do about ``event``; ``now`` is epoch milliseconds."""
        self._out = []
        self._now = now
        self._handlers[type(event)](event)
        return self._out

    def slots(self) -> list[SlotReport]:
        """The slot table."""
        return [slot.report() for slot in self._slots]

    def tasks(self) -> Iterable[TaskAttempt]:
        """Every attempt it knows, with its slot."""
        return self._tasks.values()

    def executions(self) -> list[ExecutionReport]:
        """Every attempt it knows: live, or ended and not yet acknowledged."""
        return [task.report() for task in self._tasks.values()]

    # ---- JobManager ----

    def _job_manager_message(self, event: events.JobManagerMessage) -> None:
        message = event.message
        if self._leaving is None and self.connection.accepts(event.session, message):
            self.connection.heard(self._now)
            self._handlers[type(message)](message)

    def _registration_accepted(self, message: RegistrationAccepted) -> None:
        if self.connection.accepted(message, self._now, self._out):
            # A new leader starts from its JobStore: what an older one ordered is nobody's any more.
            self._release_everything()

    def _heartbeat_request(self, message: HeartbeatRequest) -> None:
        self._send(HeartbeatReport(sequence=message.sequence, slots=self.slots(), executions=self.executions()))
        for task in self._tasks.values():
            for operator_event in task.unacknowledged_events:
                self._send(operator_event)

    def _send(self, message: FromTaskManagerMessage) -> None:
        self.connection.send(message, self._out)

    # ---- slots ----

    def _allocate_slot(self, message: AllocateSlot) -> None:
        if not 0 <= message.slot < len(self._slots):
            self._slot_failed(message.allocation_id, message.slot, f"there is no slot {message.slot} here")
            return
        slot = self._slots[message.slot]
        if message.allocation_id == slot.allocation_id:
            self._announce_if_ready(slot)
        elif message.allocation_id <= slot.newest_allocation:
            self._slot_failed(message.allocation_id, message.slot, "that allocation of the slot is over")
        else:
            self._release(slot)
            slot.newest_allocation = message.allocation_id
            slot.allocation = message
            self._start_worker_if_empty(slot)

    def _free_slot(self, message: FreeSlot) -> None:
        slot = self._slot_of(message.allocation_id)
        if slot is not None:
            self._release(slot)

    def _slot_of(self, allocation_id: str) -> TaskSlot | None:
        return next((slot for slot in self._slots if slot.allocation_id == allocation_id), None)

    def _slot_failed(self, allocation_id: str, slot: int, reason: str) -> None:
        failure = self._failure("SlotFailedException", f"The slot of TaskManager {self._id} cannot be used: {reason}.")
        self._send(SlotFailed(allocation_id=allocation_id, slot=slot, failure=failure))

    def _start_worker_if_empty(self, slot: TaskSlot) -> None:
        if slot.allocation is None or slot.worker is not None:
            return
        environment = slot.allocation.environment
        self._worker_number += 1
        worker_id = f"{self._id}-{self.registration.incarnation[:8]}-w{self._worker_number}"
        slot.worker = self._workers[worker_id] = Worker(worker_id, slot.index, environment.job_id)
        self._out.append(PrepareEnvironment(allocation_id=slot.allocation_id, environment=environment))
        self._out.append(
            StartWorker(
                worker_id=worker_id,
                number=self._worker_number,
                slot=slot.index,
                environment=environment,
                managed_memory=slot.managed_memory,
                network_memory=self.registration.network_memory // len(self._slots),
            )
        )

    def _environment_prepared(self, event: events.EnvironmentPrepared) -> None:
        slot = self._slot_of(event.allocation_id)
        if slot is not None and slot.worker is not None and slot.worker.state is WorkerState.STARTING:
            slot.worker.environment = event.environment
            self._make_ready(slot, slot.worker)

    def _environment_failed(self, event: events.EnvironmentFailed) -> None:
        slot = self._slot_of(event.allocation_id)
        if slot is not None and not slot.ready:
            self._send(SlotFailed(allocation_id=event.allocation_id, slot=slot.index, failure=event.failure))
            self._release(slot)

    def _make_ready(self, slot: TaskSlot, worker: Worker) -> None:
        if worker.address is not None and worker.environment is not None:
            worker.state = WorkerState.READY
            self._to_worker(worker, PrepareWorker(allocation_id=slot.allocation_id, environment=worker.environment))
            self._announce_if_ready(slot)

    def _announce_if_ready(self, slot: TaskSlot) -> None:
        if slot.ready and slot.worker is not None and slot.worker.address is not None:
            self._send(SlotReady(allocation_id=slot.allocation_id, slot=slot.index, address=slot.worker.address))

    def _release(self, slot: TaskSlot) -> None:
        """End the allocation of a slot: its tasks are forgotten, its worker stops."""
        self._forget_tasks(slot.allocation_id)
        slot.clear()
        worker = slot.worker
        if worker is None or worker.state is WorkerState.STOPPING:
            return
        worker.state = WorkerState.STOPPING
        if worker.address is None:
            self._signal(worker, kill=True)
        else:
            self._to_worker(worker, StopWorker())
            self._out.append(SetTimer(key=f"stop/{worker.worker_id}", at=self._now + STOP_INTERRUPT))

    def _release_everything(self) -> None:
        for slot in self._slots:
            self._release(slot)
        self._tasks.clear()

    def _forget_tasks(self, allocation_id: str) -> None:
        if allocation_id:
            gone = [task.attempt_id for task in self._tasks.values() if task.allocation_id == allocation_id]
            for attempt_id in gone:
                del self._tasks[attempt_id]

    # ---- tasks ----

    def _deploy_tasks(self, message: DeployTasks) -> None:
        slot = self._slot_of(message.allocation_id)
        if slot is None:
            self._slot_failed(message.allocation_id, -1, "that allocation is over")
            return
        if slot.worker is None or not slot.ready:
            return
        fresh = [task for task in message.tasks if slot.is_newer(task.attempt_id)]
        for deployment in fresh:
            slot.note(deployment.attempt_id)
            self._tasks[deployment.attempt_id] = TaskAttempt(deployment.attempt_id, message.allocation_id)
        if fresh:
            self._to_worker(slot.worker, StartTasks(tasks=fresh))

    def _cancel_tasks(self, message: CancelTasks) -> None:
        cancelled: dict[str, list[ExecutionAttemptId]] = {}
        for attempt_id in message.attempt_ids:
            task = self._tasks.get(attempt_id)
            if task is None:
                self._refuse_for_ever(attempt_id)
            elif not task.live:
                self._send(TaskStateChanged(report=task.report()))
            elif task.state is not ExecutionState.CANCELING and task.move(ExecutionState.CANCELING):
                task.cancelled_at = self._now
                cancelled.setdefault(task.allocation_id, []).append(attempt_id)
        for allocation_id, attempt_ids in cancelled.items():
            worker = self._worker_of(allocation_id)
            if worker is not None:
                self._to_worker(worker, CancelWorkerTasks(attempt_ids=attempt_ids))
                self._watch_cancellation(worker, allocation_id)

    def _refuse_for_ever(self, attempt_id: ExecutionAttemptId) -> None:
        # Its deployment may still be on the way: it must not start after it was said to be cancelled.
        for slot in self._slots:
            if slot.job_id == attempt_id.job_id:
                slot.note(attempt_id)
        report = ExecutionReport(attempt_id, ExecutionState.CANCELED)
        self._send(TaskStateChanged(report=report))

    def _worker_of(self, allocation_id: str) -> Worker | None:
        slot = self._slot_of(allocation_id)
        return None if slot is None else slot.worker

    def _watch_cancellation(self, worker: Worker, allocation_id: str) -> None:
        """Ask again when the oldest unanswered cancellation reaches the next step of the escalation."""
        pending = self._pending_cancellations(allocation_id)
        if not pending:
            self._out.append(CancelTimer(key=f"cancel/{worker.worker_id}"))
            return
        step = self._kill_after if worker.signalled else self._terminate_after
        if worker.signalled and not self._kill_after:
            return
        self._out.append(SetTimer(key=f"cancel/{worker.worker_id}", at=min(pending) + step))

    def _pending_cancellations(self, allocation_id: str) -> list[int]:
        return [
            task.cancelled_at
            for task in self._tasks.values()
            if task.allocation_id == allocation_id and task.state is ExecutionState.CANCELING
        ]

    def _escalate_cancellation(self, worker_id: str) -> None:
        worker = self._workers.get(worker_id)
        if worker is None or worker.state is WorkerState.STOPPING:
            return
        allocation_id = self._slots[worker.slot].allocation_id
        pending = self._pending_cancellations(allocation_id)
        if not pending:
            return
        waited = self._now - min(pending)
        if self._kill_after and waited >= self._kill_after:
            self._signal(worker, kill=True)
            return
        if waited >= self._terminate_after and not worker.signalled:
            self._signal(worker, kill=False)
        self._watch_cancellation(worker, allocation_id)

    def _acknowledge_terminal(self, message: AcknowledgeTerminal) -> None:
        for attempt_id in message.attempt_ids:
            task = self._tasks.get(attempt_id)
            if task is not None and not task.live:
                del self._tasks[attempt_id]

    def _deliver_operator_event(self, message: DeliverOperatorEvent) -> None:
        task = self._tasks.get(message.attempt_id)
        if task is None:
            return
        if message.sequence == task.events_delivered + 1:
            task.events_delivered = message.sequence
            worker = self._worker_of(task.allocation_id)
            if worker is not None and task.live:
                self._to_worker(
                    worker,
                    WorkerOperatorEvent(
                        attempt_id=message.attempt_id, operator_id=message.operator_id, payload=message.payload
                    ),
                )
        self._send(OperatorEventsReceived(attempt_id=message.attempt_id, received=task.events_delivered))

    def _acknowledge_operator_events(self, message: AcknowledgeOperatorEvents) -> None:
        task = self._tasks.get(message.attempt_id)
        if task is not None:
            task.unacknowledged_events = [
                event for event in task.unacknowledged_events if event.sequence > message.received
            ]

    # ---- workers ----

    def _worker_message(self, event: events.WorkerMessage) -> None:
        worker = self._workers.get(event.worker_id)
        if worker is None:
            return
        message = event.message
        if isinstance(message, WorkerStarted):
            self._worker_started(worker, message)
        elif isinstance(message, TaskReport):
            self._task_report(message.report)
        elif isinstance(message, WorkerEvent):
            self._worker_operator_event(message.event)

    def _worker_started(self, worker: Worker, message: WorkerStarted) -> None:
        worker.address = message.address
        if worker.state is WorkerState.STOPPING:
            self._to_worker(worker, StopWorker())
        elif worker.state is WorkerState.STARTING:
            self._make_ready(self._slots[worker.slot], worker)

    def _task_report(self, report: ExecutionReport) -> None:
        task = self._tasks.get(report.attempt_id)
        if task is None or not task.live:
            return
        was_canceling = task.state is ExecutionState.CANCELING
        if task.take(report):
            self._send(TaskStateChanged(report=task.report()))
            worker = self._worker_of(task.allocation_id)
            if was_canceling and worker is not None:
                self._watch_cancellation(worker, task.allocation_id)

    def _worker_operator_event(self, event: OperatorEvent) -> None:
        task = self._tasks.get(event.attempt_id)
        if task is None or not task.live:
            return
        task.events_sent += 1
        numbered = OperatorEvent(
            attempt_id=event.attempt_id,
            operator_id=event.operator_id,
            payload=event.payload,
            sequence=task.events_sent,
        )
        task.unacknowledged_events.append(numbered)
        self._send(numbered)

    def _worker_exited(self, event: events.WorkerExited) -> None:
        worker = self._workers.pop(event.worker_id, None)
        if worker is None:
            return
        self._out.append(CancelTimer(key=f"stop/{event.worker_id}"))
        self._out.append(CancelTimer(key=f"cancel/{event.worker_id}"))
        slot = self._slots[worker.slot]
        slot.worker = None
        if worker.state is not WorkerState.STOPPING:
            self._end_tasks(slot.allocation_id, event.failure)
            self._send(SlotFailed(allocation_id=slot.allocation_id, slot=slot.index, failure=event.failure))
            slot.clear()
        self._start_worker_if_empty(slot)
        if all(slot.job_id != worker.job_id for slot in self._slots):
            self._out.append(ReleaseEnvironment(job_id=worker.job_id))
        self._terminate_if_done()

    def _end_tasks(self, allocation_id: str, failure: FailureInfo) -> None:
        """The process of these tasks is dead; what was being cancelled is cancelled now."""
        for task in self._tasks.values():
            if task.allocation_id == allocation_id and task.live:
                if task.state is ExecutionState.CANCELING:
                    task.move(ExecutionState.CANCELED)
                else:
                    task.move(ExecutionState.FAILED, failure)
                self._send(TaskStateChanged(report=task.report()))

    def _to_worker(self, worker: Worker, message: ToWorkerMessage) -> None:
        self._out.append(SendToWorker(worker_id=worker.worker_id, message=message))

    def _signal(self, worker: Worker, kill: bool) -> None:
        worker.signalled = True
        self._out.append(SignalWorker(worker_id=worker.worker_id, kill=kill))

    # ---- time and end ----

    def _timer_fired(self, event: events.TimerFired) -> None:
        key = event.key
        if key == REGISTRATION_TIMER:
            self.connection.registration_timer(self._now, self._out)
        elif key == SILENCE_TIMER:
            self.connection.silence_timer(self._now, self._out)
        elif key == ABANDON_TIMER:
            self._release_everything()
        elif key == GIVE_UP_TIMER:
            self._give_up()
        elif key.startswith("cancel/"):
            self._escalate_cancellation(key.removeprefix("cancel/"))
        elif key.startswith("stop/"):
            self._escalate_stop(key, key.removeprefix("stop/"))

    def _escalate_stop(self, key: str, worker_id: str) -> None:
        """Its user code does not let it read: interrupt that first, so that writers can still abort."""
        worker = self._workers.get(worker_id)
        if worker is None:
            return
        kill = worker.stop_interrupted
        worker.stop_interrupted = True
        self._signal(worker, kill=kill)
        if not kill:
            self._out.append(SetTimer(key=key, at=self._now + STOP_PATIENCE - STOP_INTERRUPT))

    def _give_up(self) -> None:
        self._leaving = "no JobManager accepted this TaskManager in time (taskmanager.registration.timeout)"
        self.connection.stop(self._out)
        self._kill_workers(self._workers.values())
        self._out.append(Terminate(reason=self._leaving, clean=False))

    def _shut_down(self, event: events.ShutDown) -> None:
        if self._leaving is not None:
            return
        self._send(TaskManagerLeaving(reason=event.reason))
        self._leaving = event.reason
        self.connection.stop(self._out)
        self._release_everything()
        self._terminate_if_done()

    def _kill_workers(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            self._signal(worker, kill=True)

    def _terminate_if_done(self) -> None:
        if self._leaving is not None and not self._workers:
            self._out.append(Terminate(reason=self._leaving, clean=True))

    # ---- failures ----

    @property
    def _id(self) -> str:
        return self.registration.task_manager_id

    def _failure(self, exception: str, message: str) -> FailureInfo:
        return FailureInfo(
            exception=exception,
            message=message,
            domain=Domain.CLUSTER,
            task_manager=self._id,
            endpoint=f"{self.registration.host}:{self.registration.data_port}",
            timestamp=self._now,
        )
