"""Slot workers and their tasks: what reads, passes on and writes elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pyflow_runtime.coordinator.messages import (
    AssignSplit,
    Committables,
    CommittablesReceived,
    FetchResults,
    NoMoreSplits,
    OperatorPayload,
    OperatorPayloadMessage,
    RequestSplit,
    Results,
)
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.taskexecutor.effects import StartWorker
from pyflow_runtime.taskexecutor.messages import (
    ChannelTarget,
    ExecutionReport,
    OperatorEvent,
    OutputEdge,
    TaskDeployment,
    WorkerAddress,
)
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    FromWorkerMessage,
    PrepareWorker,
    StartTasks,
    StopWorker,
    TaskReport,
    ToWorkerMessage,
    WorkerEvent,
    WorkerOperatorEvent,
    WorkerStarted,
)
from pyflow_yarn.errors import Domain, FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.simulation.task_manager import SimulatedTaskManager

CHANNEL_LATENCY = 3
CONTROL_LATENCY = 1
PAGE = 7

_PAYLOADS: msgspec.msgpack.Decoder[OperatorPayloadMessage] = msgspec.msgpack.Decoder(OperatorPayloadMessage)

# (edge, producer subtask, producer attempt)
Channel = tuple[int, int, int]


class SimulatedTask:
    """One attempt in a worker: a source, a map, a sink, or all of these in one vertex."""

    def __init__(self, worker: SimulatedWorker, deployment: TaskDeployment) -> None:
        self.worker = worker
        self.world = worker.world
        self.deployment = deployment
        self.attempt_id = deployment.attempt_id
        self.job = self.world.jobs[self.attempt_id.job_id]
        self.vertex = deployment.vertex
        self.state = ExecutionState.DEPLOYING
        self.open_inputs: set[Channel] = {
            (edge.edge.id, subtask, attempt) for edge in deployment.inputs for subtask, attempt in edge.producers
        }
        self.is_source = not deployment.inputs
        self.collected: list[int] = []
        self.input_ended = False
        self.stuck = False

    @property
    def live(self) -> bool:
        """Whether it runs in a living worker."""
        return self.worker.alive and not self.state.terminal

    def start(self) -> None:
        """Deployed: initialise, then run."""
        self.world.clock.after(self.world.random.randint(5, 60), self._running)

    def _running(self) -> None:
        if not self.live or self.state is not ExecutionState.DEPLOYING or self._postponed(self._running):
            return
        self._report(ExecutionState.RUNNING)
        early = self.worker.early.pop(self.attempt_id, [])
        for channel, elements in early:
            self.receive(channel, elements)
        if self.is_source:
            if self.job.coordinated(self.vertex):
                self._say(RequestSplit())
            else:
                splits = self.job.splits(self.vertex)
                self._read([splits[i] for i in range(self.attempt_id.subtask, len(splits), self.vertex.parallelism)])
        else:
            self._finish_if_done()

    def _read(self, splits: list[list[int]]) -> None:
        if splits:
            self.world.clock.after(self.job.chunk_time, self._have_read, splits)
        else:
            self._end_of_input()

    def _have_read(self, splits: list[list[int]]) -> None:
        if not self.live or self._postponed(self._have_read, splits):
            return
        self._emit(splits[0])
        if self.job.coordinated(self.vertex):
            self._say(RequestSplit())
        else:
            self._read(splits[1:])

    def operator_event(self, payload: bytes) -> None:
        """The coordinator's answer."""
        message = _PAYLOADS.decode(payload)
        if not self.live:
            return
        if isinstance(message, AssignSplit):
            self._read([msgspec.msgpack.decode(message.pickled, type=list[int])])
        elif isinstance(message, NoMoreSplits):
            self._end_of_input()
        elif isinstance(message, CommittablesReceived):
            self._finished()
        elif isinstance(message, FetchResults):
            self._answer(message)

    def _answer(self, request: FetchResults) -> None:
        records = self.collected[request.offset : request.offset + PAGE]
        last = self.input_ended and request.offset + len(records) >= len(self.collected)
        self._say(Results(request.request_id, request.offset, msgspec.msgpack.encode(records), last))
        if last:
            self._finished()

    def receive(self, channel: Channel, elements: list[int] | None) -> None:
        """Elements of a producer, or None at its end."""
        if not self.live or channel not in self.open_inputs:
            return
        if elements is None:
            self.open_inputs.discard(channel)
            self._finish_if_done()
        else:
            self._emit(elements)

    def _emit(self, elements: list[int]) -> None:
        if not self.deployment.outputs:
            self.collected.extend(elements)
        for output in self.deployment.outputs:
            targets = output.targets
            for index, target in enumerate(targets):
                portion = [element for element in elements if element % len(targets) == index]
                if portion:
                    self._send(output, target, portion)

    def _finish_if_done(self) -> None:
        if self.state is ExecutionState.RUNNING and not self.is_source and not self.open_inputs:
            self._end_of_input()

    def _end_of_input(self) -> None:
        for output in self.deployment.outputs:
            for target in output.targets:
                self._send(output, target, None)
        if not self.deployment.outputs and self.job.coordinated(self.vertex):
            self._say(Committables(msgspec.msgpack.encode(self.collected)))
        elif not self.deployment.outputs and self.job.collects:
            self.input_ended = True
        else:
            self._finished()

    def _finished(self) -> None:
        if self.live and self.state is ExecutionState.RUNNING:
            self.world.collected[self.attempt_id] = self.collected
            self._report(ExecutionState.FINISHED)

    def cancel(self) -> None:
        """End soon, unless the user's function is stuck."""
        random = self.world.random
        if random.random() < self.world.rates.stuck:
            self.stuck = True
            return
        self.world.clock.after(random.randint(2, 400), self._cancelled)

    def _cancelled(self) -> None:
        if self.live and not self._postponed(self._cancelled):
            self._report(ExecutionState.CANCELED)
            self.world.producer_gone(self)

    def fail(self, exception: str, message: str, domain: Domain = Domain.USER) -> None:
        """The function raises, or a channel breaks."""
        if self.live and not self.stuck:
            failure = FailureInfo(exception=exception, message=message, domain=domain, timestamp=self.world.clock.now)
            self._report(ExecutionState.FAILED, failure)
            self.world.producer_gone(self)

    def channel_broken(self, peer: str) -> None:
        """A producer is gone before its end."""
        self.fail("ChannelBroken", f"{peer} is gone", Domain.CLUSTER)

    def _report(self, state: ExecutionState, failure: FailureInfo | None = None) -> None:
        self.state = state
        self.worker.say(TaskReport(report=ExecutionReport(self.attempt_id, state, failure)))

    def _say(self, payload: OperatorPayload) -> None:
        event = OperatorEvent(
            attempt_id=self.attempt_id,
            operator_id=self.vertex.operators[0].id,
            payload=msgspec.msgpack.encode(payload),
        )
        self.worker.say(WorkerEvent(event=event))

    def _send(self, output: OutputEdge, target: ChannelTarget, elements: list[int] | None) -> None:
        channel = (output.edge.id, self.attempt_id.subtask, self.attempt_id.attempt)
        consumer = ExecutionAttemptId(self.attempt_id.job_id, output.edge.target, target.subtask, target.attempt)
        self.world.clock.after(CHANNEL_LATENCY, self._arrive, channel, consumer, target.address.worker_id, elements)

    def _arrive(
        self, channel: Channel, consumer: ExecutionAttemptId, worker_id: str, elements: list[int] | None
    ) -> None:
        worker = self.world.workers.get(worker_id)
        if worker is None or not worker.take(channel, consumer, elements):
            self.world.clock.after(CHANNEL_LATENCY, self.fail, "ChannelBroken", f"no more {consumer}", Domain.CLUSTER)

    def _postponed(self, action: Any, *arguments: Any) -> bool:
        return self.worker.task_manager.postpone_task(action, *arguments)


class SimulatedWorker:
    """A worker process."""

    def __init__(self, task_manager: SimulatedTaskManager, order: StartWorker) -> None:
        self.task_manager = task_manager
        self.world = task_manager.world
        self.worker_id = order.worker_id
        self.job_id = order.environment.job_id
        self.alive = True
        self.started = False
        self.tasks: dict[ExecutionAttemptId, SimulatedTask] = {}
        self.early: dict[ExecutionAttemptId, list[tuple[Channel, list[int] | None]]] = {}
        self.newest: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        """Forked: connect to the supervisor."""
        if self.alive:
            self.started = True
            address = WorkerAddress(worker_id=self.worker_id, host="host", host_id="host")
            self.say(WorkerStarted(worker_id=self.worker_id, pid=1, address=address))

    def say(self, message: FromWorkerMessage) -> None:
        """To the supervisor: in order, and lost only with one of both."""
        self.world.clock.after(CONTROL_LATENCY, self.task_manager.worker_says, self.worker_id, message)

    def hear(self, message: ToWorkerMessage) -> None:
        """From the supervisor."""
        if not self.alive:
            return
        if isinstance(message, StartTasks):
            for deployment in message.tasks:
                task = SimulatedTask(self, deployment)
                self.tasks[deployment.attempt_id] = task
                key = (deployment.attempt_id.vertex_id, deployment.attempt_id.subtask)
                self.newest[key] = max(deployment.attempt_id.attempt, self.newest.get(key, -1))
                task.start()
        elif isinstance(message, CancelWorkerTasks):
            for attempt_id in message.attempt_ids:
                if attempt_id in self.tasks:
                    self.tasks[attempt_id].cancel()
        elif isinstance(message, WorkerOperatorEvent):
            if message.attempt_id in self.tasks:
                self.tasks[message.attempt_id].operator_event(message.payload)
        elif isinstance(message, StopWorker):
            if not any(task.stuck and task.live for task in self.tasks.values()):
                self.world.clock.after(self.world.random.randint(1, 50), self.die, "stopped")
        elif isinstance(message, PrepareWorker):
            self.world.check(message.environment.job.job_id == self.job_id, "one job a worker", self.worker_id)

    def take(self, channel: Channel, consumer: ExecutionAttemptId, elements: list[int] | None) -> bool:
        """Data from a producer; False if its consumer is not, and will not be, here."""
        if not self.alive:
            return False
        task = self.tasks.get(consumer)
        if task is not None and task.state is not ExecutionState.DEPLOYING:
            task.receive(channel, elements)
            return task.state is not ExecutionState.FAILED
        if consumer.attempt < self.newest.get((consumer.vertex_id, consumer.subtask), -1):
            return False
        self.early.setdefault(consumer, []).append((channel, elements))
        return True

    def die(self, how: str, unnoticed: bool = False) -> None:
        """The process ends; its supervisor is told, unless that is dead, too."""
        if not self.alive:
            return
        self.alive = False
        self.world.workers.pop(self.worker_id, None)
        for task in self.tasks.values():
            if not task.state.terminal:
                self.world.producer_gone(task)
        if not unnoticed:
            failure = FailureInfo(
                exception="WorkerDiedException",
                message=f"The worker process ended: {how}.",
                domain=Domain.CLUSTER,
                timestamp=self.world.clock.now,
            )
            self.world.clock.after(CONTROL_LATENCY, self.task_manager.worker_exited, self.worker_id, failure)
