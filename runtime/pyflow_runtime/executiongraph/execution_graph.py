"""The ExecutionGraph: a JobGraph expanded to subtasks, with the current attempt of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from pyflow_runtime.dispatcher.views import SubtaskView, VertexView
from pyflow_runtime.executiongraph.accumulators import merge
from pyflow_runtime.executiongraph.connections import consumers, producers
from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.executiongraph.vertex_status import vertex_status
from pyflow_runtime.taskexecutor.messages import Accumulator, ChannelTarget, InputEdge, OutputEdge, TaskDeployment
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex

REMEMBERED_ATTEMPTS = 16

SubtaskKey = tuple[str, int]
_T = TypeVar("_T")


class ExecutionVertex:
    """A subtask: its current attempt, and some of those before."""

    __slots__ = ("current", "former", "key", "vertex")

    def __init__(self, vertex: JobVertex, subtask: int, current: Execution) -> None:
        self.vertex = vertex
        self.key: SubtaskKey = (vertex.id, subtask)
        self.current = current
        self.former: deque[Execution] = deque(maxlen=REMEMBERED_ATTEMPTS)

    @property
    def slot_key(self) -> SubtaskKey:
        """The shared slot it runs in: slot-sharing group and index."""
        return (self.vertex.slot_sharing_group, self.key[1])

    @property
    def coordinated(self) -> bool:
        """Whether it has a counterpart in the coordinator."""
        return any(operator.coordinated for operator in self.vertex.operators)

    def reset(self, now: int) -> Execution:
        """Begin a new attempt."""
        former = self.current.attempt_id
        self.former.append(self.current)
        self.current = Execution(
            ExecutionAttemptId(former.job_id, former.vertex_id, former.subtask, former.attempt + 1), now
        )
        return self.current


class ExecutionGraph:
    """All subtasks of a job and how they are connected."""

    def __init__(self, graph: JobGraph, first_attempt: int, now: int) -> None:
        self.graph = graph
        self.vertices: dict[str, JobVertex] = {vertex.id: vertex for vertex in graph.vertices}
        self.subtasks: dict[SubtaskKey, ExecutionVertex] = {
            (vertex.id, subtask): ExecutionVertex(
                vertex, subtask, Execution(ExecutionAttemptId(graph.job_id, vertex.id, subtask, first_attempt), now)
            )
            for vertex in graph.vertices
            for subtask in range(vertex.parallelism)
        }
        self._inputs: dict[str, list[JobEdge]] = {vertex.id: [] for vertex in graph.vertices}
        self._outputs: dict[str, list[JobEdge]] = {vertex.id: [] for vertex in graph.vertices}
        for edge in graph.edges:
            self._inputs[edge.target].append(edge)
            self._outputs[edge.source].append(edge)
        # Attempts that a TaskManager knows about, by TaskManager.
        self._deployed: dict[str, dict[ExecutionAttemptId, Execution]] = {}
        self._terminal = 0
        self._finished = 0

    def executions(self) -> Iterator[Execution]:
        """The current attempts."""
        return (subtask.current for subtask in self.subtasks.values())

    def current(self, attempt_id: ExecutionAttemptId) -> Execution | None:
        """The execution of that id if it is its subtask's current attempt."""
        subtask = self.subtasks.get((attempt_id.vertex_id, attempt_id.subtask))
        if subtask is None or subtask.current.attempt_id != attempt_id:
            return None
        return subtask.current

    def place(self, execution: Execution) -> None:
        """The execution is being deployed to the TaskManager that it names."""
        self._deployed.setdefault(execution.task_manager_id, {})[execution.attempt_id] = execution

    def reset(self, subtask: ExecutionVertex, now: int) -> Execution:
        """Begin a new attempt at a subtask; the former one has ended."""
        self._terminal -= 1
        self._finished -= subtask.current.state is ExecutionState.FINISHED
        return subtask.reset(now)

    def ended(self, execution: Execution) -> None:
        """The execution is terminal now."""
        self._terminal += 1
        self._finished += execution.state is ExecutionState.FINISHED
        self._deployed.get(execution.task_manager_id, {}).pop(execution.attempt_id, None)

    def deployed_to(self, task_manager_id: str) -> list[Execution]:
        """The attempts that TaskManager should know about."""
        return list(self._deployed.get(task_manager_id, {}).values())

    @property
    def all_finished(self) -> bool:
        """Whether every subtask's current attempt is FINISHED."""
        return self._finished == len(self.subtasks)

    @property
    def all_terminal(self) -> bool:
        """Whether every subtask's current attempt has ended."""
        return self._terminal == len(self.subtasks)

    def deployments(self, subtasks: Iterable[ExecutionVertex]) -> list[TaskDeployment]:
        """What their workers need; the attempts they are connected with must have their slots."""
        # All producers of an all-to-all edge have the same targets, and all consumers the same producers.
        shared: dict[tuple[str, int], list[Any]] = {}
        return [self._deployment(subtask, shared) for subtask in subtasks]

    def _deployment(self, subtask: ExecutionVertex, shared: dict[tuple[str, int], list[Any]]) -> TaskDeployment:
        vertex, index = subtask.vertex, subtask.key[1]
        return TaskDeployment(
            attempt_id=subtask.current.attempt_id,
            allocation_id=subtask.current.allocation_id,
            job_name=self.graph.name,
            vertex=vertex,
            inputs=[
                InputEdge(edge, _once(shared, "in", edge, partial(self._producers, edge, vertex, index)))
                for edge in self._inputs[vertex.id]
            ],
            outputs=[
                OutputEdge(edge, _once(shared, "out", edge, partial(self._targets, edge, vertex, index)))
                for edge in self._outputs[vertex.id]
            ],
        )

    def _producers(self, edge: JobEdge, vertex: JobVertex, index: int) -> list[tuple[int, int]]:
        source = self.vertices[edge.source]
        subtasks = producers(edge.partitioning, source.parallelism, vertex.parallelism, index)
        return [(number, self.subtasks[(source.id, number)].current.attempt_id.attempt) for number in subtasks]

    def _targets(self, edge: JobEdge, vertex: JobVertex, index: int) -> list[ChannelTarget]:
        target = self.vertices[edge.target]
        targets = []
        for number in consumers(edge.partitioning, vertex.parallelism, target.parallelism, index):
            consumer = self.subtasks[(target.id, number)].current
            if consumer.address is None:
                raise ValueError(f"{consumer.attempt_id} has no slot yet, so that nothing can be connected with it")
            targets.append(ChannelTarget(number, consumer.attempt_id.attempt, consumer.address))
        return targets

    def accumulators(self) -> list[Accumulator]:
        """Merged over all current attempts."""
        return merge(accumulator for execution in self.executions() for accumulator in execution.accumulators)

    def vertex_views(self) -> list[VertexView]:
        """What the REST interface shows."""
        return [self._vertex_view(vertex) for vertex in self.graph.vertices]

    def _vertex_view(self, vertex: JobVertex) -> VertexView:
        current = [self.subtasks[(vertex.id, index)].current for index in range(vertex.parallelism)]
        deploying = [execution.timestamps.get(ExecutionState.DEPLOYING, -1) for execution in current]
        ended = [execution.timestamps[execution.state] for execution in current if execution.state.terminal]
        return VertexView(
            id=vertex.id,
            name=vertex.name,
            parallelism=vertex.parallelism,
            max_parallelism=vertex.max_parallelism,
            slot_sharing_group=vertex.slot_sharing_group,
            status=vertex_status(execution.state for execution in current),
            start_time=min((time for time in deploying if time >= 0), default=-1),
            end_time=max(ended) if len(ended) == len(current) else -1,
            subtasks=[_subtask_view(execution) for execution in current],
        )


def _once(
    shared: dict[tuple[str, int], list[_T]], end: str, edge: JobEdge, compute: Callable[[], list[_T]]
) -> list[_T]:
    """For pointwise edges computed for each subtask, for others once for all of them."""
    if edge.partitioning.pointwise:
        return compute()
    if (end, edge.id) not in shared:
        shared[(end, edge.id)] = compute()
    return shared[(end, edge.id)]


def _subtask_view(execution: Execution) -> SubtaskView:
    return SubtaskView(
        subtask=execution.attempt_id.subtask,
        attempt=execution.attempt_id.attempt,
        state=execution.state,
        timestamps=dict(execution.timestamps),
        task_manager_id=execution.task_manager_id,
        host=execution.host,
        endpoint=execution.endpoint,
        metrics=execution.metrics,
        accumulators=execution.accumulators,
        failure=execution.failure,
    )
