"""What operators say to their counterparts in the coordinator and to clients, and what they are told."""

from __future__ import annotations

from pyflow_runtime.coordinator.messages import CoordinatorOperatorEvent
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.executiongraph.execution_graph import ExecutionGraph
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.jobmaster.collect_requests import CollectRequests
from pyflow_runtime.jobmaster.coordinator import Coordinator
from pyflow_runtime.resourcemanager.slot_manager import SlotOwner
from pyflow_runtime.taskexecutor.messages import AcknowledgeOperatorEvents, DeliverOperatorEvent, OperatorEvent


class OperatorTraffic:
    """Passes payloads on without reading them, except for the envelopes of fetched results."""

    def __init__(self, execution_graph: ExecutionGraph, coordinator: Coordinator, outbox: Outbox) -> None:
        self._execution_graph = execution_graph
        self._coordinator = coordinator
        self._outbox = outbox
        self._collects = CollectRequests(outbox)
        operators = [(operator, vertex) for vertex in execution_graph.graph.vertices for operator in vertex.operators]
        self._closed = ""
        self._vertex_of = {operator.id: vertex.id for operator, vertex in operators}
        self._coordinated = {operator.id for operator, _ in operators if operator.coordinated}

    # ---- from operators ----

    def heard(self, owner: SlotOwner, execution: Execution, event: OperatorEvent) -> None:
        """An operator says something: passed on once and in order, unless its attempt is being cancelled."""
        if execution.events.take(event.sequence) and execution.state is not ExecutionState.CANCELING:
            self._pass_on(owner, event)
        message = AcknowledgeOperatorEvents(
            epoch=self._outbox.epoch, attempt_id=event.attempt_id, received=execution.events.received
        )
        self._outbox.send(owner.task_manager_id, owner.incarnation, message)

    def _pass_on(self, owner: SlotOwner, event: OperatorEvent) -> None:
        if event.operator_id not in self._coordinated:
            self._collects.answer(event.operator_id, event.attempt_id, event.payload)
            return
        self._coordinator.send(
            CoordinatorOperatorEvent(
                attempt_id=event.attempt_id,
                operator_id=event.operator_id,
                host=owner.registration.host,
                payload=event.payload,
            )
        )

    # ---- to operators ----

    def tell(self, execution: Execution, operator_id: str, payload: bytes) -> None:
        """To an attempt's operator, unless nobody would listen."""
        if execution.deployed and execution.state is not ExecutionState.CANCELING:
            self._send(execution, execution.events.send(operator_id, payload), operator_id, payload)

    def repeat(self, execution: Execution) -> None:
        """Everything that the TaskManager has not acknowledged."""
        for sequence, operator_id, payload in execution.events.unacknowledged:
            self._send(execution, sequence, operator_id, payload)

    def _send(self, execution: Execution, sequence: int, operator_id: str, payload: bytes) -> None:
        self._outbox.send(
            execution.task_manager_id,
            execution.incarnation,
            DeliverOperatorEvent(
                epoch=self._outbox.epoch,
                attempt_id=execution.attempt_id,
                operator_id=operator_id,
                payload=payload,
                sequence=sequence,
            ),
        )

    # ---- clients ----

    def fetch(self, request_id: str, operator_id: str, payload: bytes) -> str:
        """A client wants results of an operator, of its subtask 0. Why it cannot have them, or ""."""
        vertex_id = self._vertex_of.get(operator_id)
        if vertex_id is None:
            return f"has no operator {operator_id}"
        execution = self._execution_graph.subtasks[(vertex_id, 0)].current
        if self._collects.answer_from_last_page(request_id, operator_id, payload, execution.attempt_id):
            return ""
        if self._closed:
            return self._closed
        self._collects.add(request_id, operator_id, payload)
        self.runs(execution)
        return ""

    def runs(self, execution: Execution) -> None:
        """An attempt may run now: hand it the requests that wait for it."""
        if execution.attempt_id.subtask == 0 and execution.state is ExecutionState.RUNNING:
            waiting = self._collects.to_deliver(self._operators_of(execution), execution.attempt_id)
            for operator_id, payload in waiting:
                self.tell(execution, operator_id, payload)

    def ended(self, execution: Execution) -> None:
        """An attempt has ended; if it finished, there will be no more results."""
        if execution.attempt_id.subtask == 0 and execution.state is ExecutionState.FINISHED:
            for operator_id in self._operators_of(execution):
                self._collects.finish(operator_id, execution.attempt_id)

    def close(self, reason: str) -> None:
        """There will be no more results; ``reason`` ends a sentence that begins with the job."""
        self._closed = reason
        self._collects.refuse_all(f"the job {reason}")

    def _operators_of(self, execution: Execution) -> list[str]:
        vertex = self._execution_graph.vertices[execution.attempt_id.vertex_id]
        return [operator.id for operator in vertex.operators]
