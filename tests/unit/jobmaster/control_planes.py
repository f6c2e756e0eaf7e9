"""A control plane in a test: fed by hand, with a JobStore that answers at once unless told not to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.dispatcher.control_plane import ControlPlane
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import (
    AllocateSlot,
    DeployTasks,
    ExecutionReport,
    FromTaskManagerMessage,
    Hardware,
    HeartbeatReport,
    RegisterTaskManager,
    SlotReady,
    SlotReport,
    TaskDeployment,
    TaskStateChanged,
    ToTaskManagerMessage,
    WorkerAddress,
)
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning

JOB = "00000000000000000000000000000001"
FIXED_DELAY = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "3",
    "restart-strategy.fixed-delay.delay": "1 s",
}
BOOM = FailureInfo(exception="ValueError", message="boom")

E = TypeVar("E", bound=effects.Effect)
M = TypeVar("M", bound=ToTaskManagerMessage)


def job_graph(
    *parallelisms: int,
    partitioning: Partitioning = Partitioning.HASH,
    coordinated: Sequence[int] = (),
    groups: Sequence[str] = (),
    configuration: dict[str, str] | None = None,
    job_id: str = JOB,
    blocking: bool = False,
) -> JobGraph:
    """Vertices v0 → v1 → ... of those parallelisms; operator ids are o0, o1, ..."""
    vertices = [
        JobVertex(
            id=f"v{index}",
            name=f"vertex {index}",
            parallelism=parallelism,
            max_parallelism=128,
            operators=[
                OperatorNode(
                    id=f"o{index}", name=f"op{index}", kind="map", definition=b"", coordinated=index in coordinated
                )
            ],
            slot_sharing_group=groups[index] if groups else "default",
        )
        for index, parallelism in enumerate(parallelisms)
    ]
    edges = [
        JobEdge(
            id=index,
            source=f"v{index}",
            source_operator=0,
            target=f"v{index + 1}",
            partitioning=partitioning,
            partitioner=b"",
            blocking=blocking,
        )
        for index in range(len(parallelisms) - 1)
    ]
    return JobGraph(job_id=job_id, name="a job", vertices=vertices, edges=edges, configuration=configuration or {})


def registration(name: str, slots: int, incarnation: str = "i1", started: int = 0) -> RegisterTaskManager:
    """Of a TaskManager."""
    return RegisterTaskManager(
        task_manager_id=name,
        incarnation=incarnation,
        host=f"host-{name}",
        data_port=7,
        slots=slots,
        hardware=Hardware(cpu_cores=1, physical_memory=1, free_memory=1, managed_memory=1),
        process_memory=1,
        managed_memory=100,
        network_memory=10,
        pid=1,
        started=started,
    )


class Leader:
    """A ControlPlane, its time, and everything it has said."""

    def __init__(self, configuration: dict[str, str] | None = None, epoch: int = 1, **held: Any) -> None:
        self.machine = ControlPlane(configuration or {})
        self.now = 1_000
        self.said: list[effects.Effect] = []
        self.stores = True
        self.handle(events.LeadershipGranted(epoch=epoch, jobs=held.pop("jobs", []), **held))

    def handle(self, event: events.Event, after: int = 1) -> list[effects.Effect]:
        """Feed an event; the store answers its effects, and what follows is returned, too."""
        self.now += after
        answer = self.machine.handle(event, self.now)
        self.said += answer
        for effect in list(answer):
            if not self.stores:
                break
            if isinstance(effect, effects.PersistJob):
                answer += self.handle(events.JobPersisted(job_id=effect.graph.job_id))
            elif isinstance(effect, effects.PersistCommit):
                answer += self.handle(events.CommitPersisted(job_id=effect.job_id))
            elif isinstance(effect, effects.PersistResult):
                answer += self.handle(events.ResultPersisted(job_id=effect.job_id))
        return answer

    # ---- inputs ----

    def submit(self, graph: JobGraph, request_id: str = "r1") -> list[effects.Effect]:
        """A client submits."""
        return self.handle(events.SubmitJob(request_id=request_id, graph=graph))

    def cancel(self, request_id: str = "c1", job_id: str = JOB) -> list[effects.Effect]:
        """A client cancels."""
        return self.handle(events.CancelJob(request_id=request_id, job_id=job_id))

    def register(self, name: str, slots: int, incarnation: str = "i1", started: int = 0) -> list[effects.Effect]:
        """A TaskManager registers."""
        return self.hear(name, registration(name, slots, incarnation, started), incarnation)

    def hear(self, name: str, message: FromTaskManagerMessage, incarnation: str = "i1") -> list[effects.Effect]:
        """A TaskManager says something."""
        return self.handle(events.TaskManagerMessage(task_manager_id=name, incarnation=incarnation, message=message))

    def fire(self, key: str, after: int = 1) -> list[effects.Effect]:
        """A timer fires."""
        return self.handle(events.TimerFired(key=key), after)

    def lose(self, name: str, dead: bool = True, incarnation: str = "i1") -> list[effects.Effect]:
        """A TaskManager is gone."""
        return self.handle(
            events.TaskManagerDisconnected(
                task_manager_id=name, incarnation=incarnation, dead=dead, reason="it was killed"
            )
        )

    def report(
        self,
        name: str,
        attempt_id: ExecutionAttemptId,
        state: ExecutionState,
        failure: FailureInfo | None = None,
        events_sent: int = 0,
    ) -> list[effects.Effect]:
        """A TaskManager reports about an attempt."""
        report = ExecutionReport(attempt_id, state, failure, events_sent=events_sent)
        return self.hear(name, TaskStateChanged(report=report))

    def heartbeat(
        self, name: str, slots: Sequence[SlotReport] = (), executions: Sequence[ExecutionReport] = (), sequence: int = 0
    ) -> list[effects.Effect]:
        """A TaskManager answers the last heartbeat request (or the given one)."""
        last = sequence or self.machine._resources.slots.owners[name].sequence
        return self.hear(name, HeartbeatReport(sequence=last, slots=list(slots), executions=list(executions)))

    def ready(self, answer: Sequence[effects.Effect] | None = None) -> list[effects.Effect]:
        """Answer all slot allocations in ``answer`` (or in everything said)."""
        result: list[effects.Effect] = []
        for effect in list(self.said if answer is None else answer):
            if isinstance(effect, effects.SendToTaskManager) and isinstance(effect.message, AllocateSlot):
                order = effect.message
                address = WorkerAddress(worker_id=f"w-{order.allocation_id[-2:]}", host="h", host_id="h")
                result += self.hear(
                    effect.task_manager_id,
                    SlotReady(allocation_id=order.allocation_id, slot=order.slot, address=address),
                    effect.incarnation,
                )
        return result

    # ---- what it says ----

    def running(self, graph: JobGraph, slots: int = 4) -> dict[ExecutionAttemptId, str]:
        """Submit on one TaskManager and let every task run; attempts by TaskManager."""
        self.register("t1", slots)
        places = deployed(self.ready(self.submit(graph)))
        for attempt_id, name in places.items():
            self.report(name, attempt_id, ExecutionState.RUNNING)
        return places

    def finish(self, places: dict[ExecutionAttemptId, str]) -> list[effects.Effect]:
        """All these attempts finish."""
        result: list[effects.Effect] = []
        for attempt_id, name in places.items():
            result += self.report(name, attempt_id, ExecutionState.FINISHED)
        return result

    @property
    def status(self) -> JobStatus:
        """Of the job."""
        return self.machine.job_status(JOB)

    def attempts(self) -> dict[str, str]:
        """State and attempt of each subtask, as ``vertex/subtask``."""
        return {
            f"{vertex.id}/{subtask.subtask}": f"{subtask.state}#{subtask.attempt}"
            for vertex in self.machine.job(JOB).vertices
            for subtask in vertex.subtasks
        }


def find(answer: Sequence[effects.Effect], kind: type[E]) -> list[E]:
    """The effects of one kind."""
    return [effect for effect in answer if isinstance(effect, kind)]


def messages(answer: Sequence[effects.Effect], kind: type[M]) -> list[M]:
    """The messages of one kind to TaskManagers."""
    sent = [effect.message for effect in find(answer, effects.SendToTaskManager)]
    return [message for message in sent if isinstance(message, kind)]


def deployments(answer: Sequence[effects.Effect]) -> list[TaskDeployment]:
    """All tasks in DeployTasks messages."""
    return [task for message in messages(answer, DeployTasks) for task in message.tasks]


def deployed(answer: Sequence[effects.Effect]) -> dict[ExecutionAttemptId, str]:
    """TaskManager by attempt in DeployTasks messages."""
    return {
        task.attempt_id: effect.task_manager_id
        for effect in find(answer, effects.SendToTaskManager)
        if isinstance(effect.message, DeployTasks)
        for task in effect.message.tasks
    }


def only_reply(answer: Sequence[effects.Effect]) -> effects.Reply:
    """The one answer in there."""
    (reply,) = find(answer, effects.Reply)
    return reply
