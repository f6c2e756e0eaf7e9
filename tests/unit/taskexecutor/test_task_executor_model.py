"""The TaskExecutor under whatever may come, in any order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.taskexecutor import effects, events
from pyflow_runtime.taskexecutor.machine import TaskExecutor
from pyflow_runtime.taskexecutor.messages import (
    AcknowledgeTerminal,
    AllocateSlot,
    CancelTasks,
    DeployTasks,
    ExecutionReport,
    FreeSlot,
    HeartbeatRequest,
    JobEnvironment,
    RegistrationAccepted,
    TaskDeployment,
    ToTaskManagerMessage,
    WorkerAddress,
)
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    StartTasks,
    TaskReport,
    WorkerEnvironment,
    WorkerStarted,
)
from pyflow_yarn.errors import FailureInfo
from tests.unit.jobmaster.control_planes import job_graph, registration

ENVIRONMENT = JobEnvironment(
    job_id="j", job_name="", python_executable="", artifacts=[], configuration={}, job_parameters={}
)
VERTEX = job_graph(4).vertices[0]
KILLED = FailureInfo(exception="WorkerDied", message="signal 9")
SLOTS = 2

slots = st.integers(0, SLOTS - 1)
numbers = st.integers(1, 6)
attempts = st.builds(ExecutionAttemptId, st.just("j"), st.just("v0"), st.integers(0, 1), st.integers(0, 3))


class TaskExecutorMachine(RuleBasedStateMachine):
    """A JobManager that repeats and mixes up its orders, and workers that live and die."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = TaskExecutor(registration("t1", SLOTS), {})
        self.now = 0
        self.session = 0
        self.open = False
        self.epoch = 1
        self.started: dict[str, str] = {}
        self.connected: set[str] = set()
        self.running: dict[str, set[ExecutionAttemptId]] = {}
        self.runs: dict[tuple[str, ExecutionAttemptId], int] = {}

    def handle(self, event: events.Event) -> None:
        self.now += 10
        for effect in self.machine.handle(event, self.now):
            if isinstance(effect, effects.OpenSession):
                assert not self.open
                self.session = effect.session
            elif isinstance(effect, effects.SendToJobManager):
                assert self.open
                assert effect.session == self.session
            elif isinstance(effect, effects.CloseSession):
                self.open = False
            elif isinstance(effect, effects.StartWorker):
                assert effect.worker_id not in self.started
                self.started[effect.worker_id] = self.machine.slots()[effect.slot].allocation_id
            elif isinstance(effect, effects.SendToWorker):
                assert effect.worker_id in self.connected
                if isinstance(effect.message, StartTasks):
                    for task in effect.message.tasks:
                        run = (effect.worker_id, task.attempt_id)
                        self.runs[run] = self.runs.get(run, 0) + 1
                        self.running.setdefault(effect.worker_id, set()).add(task.attempt_id)
                elif isinstance(effect.message, CancelWorkerTasks):
                    assert set(effect.message.attempt_ids) <= self.running.get(effect.worker_id, set())
            elif isinstance(effect, effects.SignalWorker):
                assert effect.worker_id in self.started

    def hear(self, message: ToTaskManagerMessage) -> None:
        self.handle(events.JobManagerMessage(session=self.session, message=message))

    @initialize()
    def starts(self) -> None:
        self.handle(events.Started())

    @precondition(lambda self: not self.open)
    @rule()
    def connects(self) -> None:
        self.handle(events.TimerFired(key="registration"))
        self.open = True
        self.handle(events.SessionOpened(session=self.session))

    @precondition(lambda self: self.open)
    @rule(newer=st.integers(-1, 1))
    def is_accepted(self, newer: int) -> None:
        epoch = max(1, self.epoch + newer)
        self.epoch = max(epoch, self.epoch)
        self.hear(RegistrationAccepted(epoch=epoch, job_manager_id="", heartbeat_interval=1, heartbeat_timeout=1_000))

    @precondition(lambda self: self.open)
    @rule()
    def session_breaks(self) -> None:
        self.open = False
        self.handle(events.SessionClosed(session=self.session, reason="broken"))

    @rule(slot=slots, number=numbers, older=st.booleans())
    def allocation(self, slot: int, number: int, older: bool) -> None:
        epoch = max(1, self.epoch - older)
        self.hear(
            AllocateSlot(epoch=epoch, allocation_id=f"{epoch:012x}{number:020x}", slot=slot, environment=ENVIRONMENT)
        )

    @rule(number=numbers)
    def free(self, number: int) -> None:
        self.hear(FreeSlot(epoch=self.epoch, allocation_id=f"{self.epoch:012x}{number:020x}"))

    @rule(number=numbers, attempt_ids=st.lists(attempts, min_size=1, max_size=3))
    def deployment(self, number: int, attempt_ids: list[ExecutionAttemptId]) -> None:
        allocation_id = f"{self.epoch:012x}{number:020x}"
        tasks = [
            TaskDeployment(
                attempt_id=attempt_id,
                allocation_id=allocation_id,
                job_name="",
                vertex=VERTEX,
                inputs=[],
                outputs=[],
            )
            for attempt_id in attempt_ids
        ]
        self.hear(DeployTasks(epoch=self.epoch, allocation_id=allocation_id, tasks=tasks))

    @rule(attempt_ids=st.lists(attempts, max_size=3))
    def cancellation(self, attempt_ids: list[ExecutionAttemptId]) -> None:
        self.hear(CancelTasks(epoch=self.epoch, attempt_ids=attempt_ids))

    @rule(attempt_ids=st.lists(attempts, max_size=3))
    def acknowledgement(self, attempt_ids: list[ExecutionAttemptId]) -> None:
        self.hear(AcknowledgeTerminal(epoch=self.epoch, attempt_ids=attempt_ids))

    @rule()
    def heartbeat(self) -> None:
        self.hear(HeartbeatRequest(epoch=self.epoch, sequence=1))

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def worker_connects(self, data: st.DataObject) -> None:
        worker_id = data.draw(st.sampled_from(sorted(self.started)))
        if worker_id not in self.connected:
            self.connected.add(worker_id)
            address = WorkerAddress(worker_id=worker_id, host="", host_id="")
            self.handle(
                events.WorkerMessage(
                    worker_id=worker_id, message=WorkerStarted(worker_id=worker_id, pid=1, address=address)
                )
            )

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def environment_is_ready(self, data: st.DataObject) -> None:
        allocation_id = self.started[data.draw(st.sampled_from(sorted(self.started)))]
        self.handle(
            events.EnvironmentPrepared(allocation_id=allocation_id, environment=WorkerEnvironment(job=ENVIRONMENT))
        )

    @precondition(lambda self: self.started)
    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        worker_id = data.draw(st.sampled_from(sorted(self.started)))
        del self.started[worker_id]
        self.connected.discard(worker_id)
        self.running.pop(worker_id, None)
        self.handle(events.WorkerExited(worker_id=worker_id, failure=KILLED))

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data(), state=st.sampled_from(["RUNNING", "FINISHED", "FAILED", "CANCELED"]))
    def task_moves(self, data: st.DataObject, state: str) -> None:
        worker_id = data.draw(st.sampled_from(sorted(name for name, tasks in self.running.items() if tasks)))
        attempt_id = data.draw(st.sampled_from(sorted(self.running[worker_id])))
        report = TaskReport(report=ExecutionReport(attempt_id, ExecutionState(state)))
        if report.report.state.terminal:
            self.running[worker_id].discard(attempt_id)
        self.handle(events.WorkerMessage(worker_id=worker_id, message=report))

    @rule(key=st.sampled_from(["silence", "abandon"]))
    def timer(self, key: str) -> None:
        self.now += 2_000
        self.handle(events.TimerFired(key=key))

    @invariant()
    def no_attempt_ran_twice_in_a_worker(self) -> None:
        assert all(count == 1 for count in self.runs.values())

    @invariant()
    def the_tables_agree(self) -> None:
        allocated = {slot.allocation_id for slot in self.machine.slots()} - {""}
        for task in self.machine.tasks():
            assert not task.live or task.allocation_id in allocated
        for slot in self.machine.slots():
            if slot.allocation_id:
                assert int(slot.allocation_id[:12], 16) == self.machine.connection.epoch
        assert len(self.started) <= SLOTS


TestTaskExecutor = TaskExecutorMachine.TestCase
TestTaskExecutor.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
