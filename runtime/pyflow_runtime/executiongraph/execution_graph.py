"""The ExecutionGraph: a JobGraph expanded to subtasks, with the current attempt of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

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

    def unplace(self, execution: Execution) -> None:
        """The execution has ended."""
        self._deployed.get(execution.task_manager_id, {}).pop(execution.attempt_id, None)

    def deployed_to(self, task_manager_id: str) -> list[Execution]:
        """The attempts that TaskManager should know about."""
        return list(self._deployed.get(task_manager_id, {}).values())

    @property
    def all_finished(self) -> bool:
        """Whether every subtask's current attempt is FINISHED."""
        return all(execution.state is ExecutionState.FINISHED for execution in self.executions())

    @property
    def all_terminal(self) -> bool:
        """Whether every subtask's current attempt has ended."""
        return all(execution.state.terminal for execution in self.executions())

    def deployment(self, subtask: ExecutionVertex) -> TaskDeployment:
        """What its worker needs; the attempts it is connected with must have their slots."""
        vertex, index = subtask.vertex, subtask.key[1]
        return TaskDeployment(
            attempt_id=subtask.current.attempt_id,
            allocation_id=subtask.current.allocation_id,
            job_name=self.graph.name,
            vertex=vertex,
            inputs=[self._input(edge, vertex, index) for edge in self._inputs[vertex.id]],
            outputs=[self._output(edge, vertex, index) for edge in self._outputs[vertex.id]],
        )

    def _input(self, edge: JobEdge, vertex: JobVertex, index: int) -> InputEdge:
        source = self.vertices[edge.source]
        subtasks = producers(edge.partitioning, source.parallelism, vertex.parallelism, index)
        return InputEdge(
            edge, [(number, self.subtasks[(source.id, number)].current.attempt_id.attempt) for number in subtasks]
        )

    def _output(self, edge: JobEdge, vertex: JobVertex, index: int) -> OutputEdge:
        target = self.vertices[edge.target]
        targets = []
        for number in consumers(edge.partitioning, vertex.parallelism, target.parallelism, index):
            consumer = self.subtasks[(target.id, number)].current
            if consumer.address is None:
                raise ValueError(f"{consumer.attempt_id} has no slot yet, so that nothing can be connected with it")
            targets.append(ChannelTarget(number, consumer.attempt_id.attempt, consumer.address))
        return OutputEdge(edge, targets)

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
