"""What runs in a job's coordinator process: the enumerators of its sources and the committers of its sinks.

``JobCoordinator.handle`` takes a message and gives the answers; the transport around it is not its business. It is the
user's code that runs here: every exception becomes a ``CoordinatorFailed``, after which only the end is awaited.

Stale attempts are fenced by number: once a subtask was reset to attempt *n*, whatever comes from an attempt below *n*
is ignored. Splits and committables are kept by (subtask, attempt), so that a reset takes back exactly what the earlier
attempts had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle
import msgspec

from pyflow_runtime.coordinator.messages import (
    AssignSplit,
    CommitJob,
    CommitPrepared,
    Committables,
    CommittablesReceived,
    CoordinatorEvent,
    CoordinatorFailed,
    CoordinatorOperatorEvent,
    EndCoordination,
    FromCoordinatorMessage,
    JobCommitted,
    NoMoreSplits,
    OperatorPayload,
    OperatorPayloadMessage,
    PrepareCommit,
    RequestSplit,
    StartCoordination,
    SubtaskReset,
    ToCoordinatorMessage,
)
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.operators.factory import load
from pyflow_runtime.operators.failures import NO_SOURCES, OperatorFailure, Place, ProgramSources, describe, failing_at
from pyflow_yarn.datastream.sink import Committer
from pyflow_yarn.datastream.source import SplitEnumerator
from pyflow_yarn.graph.job_graph import JobVertex, OperatorNode
from pyflow_yarn.graph.operators import SinkOperator, SourceOperator

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(OperatorPayloadMessage).decode
_Held = dict[tuple[int, int], list[Any]]  # (subtask, attempt) → splits or committables


class _Enumeration:
    """One source's enumerator and the splits that are out."""

    def __init__(self, node: OperatorNode, definition: SourceOperator, vertex: JobVertex) -> None:
        self.node = node
        self.vertex_id = vertex.id
        self._definition = definition
        self._parallelism = vertex.parallelism
        self._enumerator: SplitEnumerator | None = None
        self._assigned: _Held = defaultdict(list)

    def next_split(self, attempt_id: ExecutionAttemptId, host: str) -> OperatorPayload:
        """The answer to a reader that asks for a split."""
        if self._enumerator is None:
            enumerator = self._definition.source.create_enumerator(self._parallelism)
            if enumerator is None:
                return NoMoreSplits()
            enumerator.open()
            self._enumerator = enumerator
        split = self._enumerator.next_split(attempt_id.subtask, host)
        if split is None:
            return NoMoreSplits()
        self._assigned[attempt_id.subtask, attempt_id.attempt].append(split)
        return AssignSplit(cloudpickle.dumps(split))

    def reset(self, subtask: int, attempt: int) -> None:
        """Take back the splits of earlier attempts."""
        splits = _take_earlier(self._assigned, subtask, attempt)
        if splits and self._enumerator is not None:
            self._enumerator.add_splits_back(splits, subtask)

    def close(self) -> None:
        """Release what the enumerator opened."""
        enumerator, self._enumerator = self._enumerator, None
        if enumerator is not None:
            enumerator.close()


class _Commitment:
    """One sink's committer and what waits to be committed."""

    def __init__(self, node: OperatorNode, definition: SinkOperator, vertex: JobVertex) -> None:
        self.node = node
        self.vertex_id = vertex.id
        self._definition = definition
        self._committer: Committer | None = None
        self._prepared: _Held = {}

    @property
    def committer(self) -> Committer | None:
        """The committer, made when it is needed first."""
        if self._committer is None:
            self._committer = self._definition.sink.create_committer()
        return self._committer

    def prepared(self, attempt_id: ExecutionAttemptId, committables: list[Any]) -> None:
        """A writer has ended; saying it twice changes nothing."""
        self._prepared[attempt_id.subtask, attempt_id.attempt] = committables

    def all_prepared(self) -> list[Any]:
        """Everything that is to be committed, by subtask."""
        return [committable for key in sorted(self._prepared) for committable in self._prepared[key]]

    def commit(self, committables: list[Any]) -> None:
        """Make it visible."""
        committer = self.committer
        if committer is not None and committables:
            committer.commit(committables)

    def reset(self, subtask: int, attempt: int) -> None:
        """Abort what earlier attempts prepared."""
        self._abort(_take_earlier(self._prepared, subtask, attempt))

    def end(self, job_id: str, committed: bool) -> None:
        """The job has ended: abort what will never be committed, and clean up."""
        if not committed:
            self._abort(self.all_prepared())
        committer = self.committer
        if committer is not None:
            committer.cleanup(job_id)

    def _abort(self, committables: list[Any]) -> None:
        committer = self.committer
        if committer is not None and committables:
            committer.abort(committables)


def _take_earlier(held: _Held, subtask: int, attempt: int) -> list[Any]:
    keys = sorted(key for key in held if key[0] == subtask and key[1] < attempt)
    return [value for key in keys for value in held.pop(key)]


class JobCoordinator:
    """The counterpart of one job's coordinated operators. ``sources`` are the program's, for tracebacks."""

    def __init__(self, sources: ProgramSources = NO_SOURCES) -> None:
        self._sources = sources
        self._job_id = ""
        self._enumerations: dict[str, _Enumeration] = {}
        self._commitments: dict[str, _Commitment] = {}
        self._attempts: dict[tuple[str, int], int] = {}
        self._failed = False
        self._committed = False

    def handle(self, message: ToCoordinatorMessage) -> list[FromCoordinatorMessage]:
        """Act on one message; the answers in the order they are to be sent."""
        if isinstance(message, EndCoordination):
            return self._end(message.committed)
        if self._failed:
            return []
        try:
            if isinstance(message, StartCoordination):
                self._start(message)
                return []
            if isinstance(message, CoordinatorOperatorEvent):
                return self._operator_event(message)
            if isinstance(message, SubtaskReset):
                self._reset(message)
                return []
            if isinstance(message, PrepareCommit):
                return [CommitPrepared(payload=self._prepare_commit())]
            return self._commit(message)
        except Exception as error:
            self._failed = True
            return [CoordinatorFailed(failure=describe(error, sources=self._sources))]

    # ---- messages ----

    def _start(self, message: StartCoordination) -> None:
        self._job_id = message.job_id
        for vertex in message.vertices:
            for node in vertex.operators:
                if not node.coordinated:
                    continue
                definition = load(node)
                if isinstance(definition, SourceOperator):
                    self._enumerations[node.id] = _Enumeration(node, definition, vertex)
                elif isinstance(definition, SinkOperator):
                    self._commitments[node.id] = _Commitment(node, definition, vertex)

    def _operator_event(self, message: CoordinatorOperatorEvent) -> list[FromCoordinatorMessage]:
        attempt_id = message.attempt_id
        if attempt_id.attempt < self._attempts.get((attempt_id.vertex_id, attempt_id.subtask), 0):
            return []
        payload = _decode(message.payload)
        answer: OperatorPayload
        if isinstance(payload, RequestSplit) and message.operator_id in self._enumerations:
            enumeration = self._enumerations[message.operator_id]
            with failing_at(_place(enumeration.node)):
                answer = enumeration.next_split(attempt_id, message.host)
        elif isinstance(payload, Committables) and message.operator_id in self._commitments:
            commitment = self._commitments[message.operator_id]
            with failing_at(_place(commitment.node)):
                commitment.prepared(attempt_id, cloudpickle.loads(payload.pickled))
            answer = CommittablesReceived()
        else:
            return []
        return [
            CoordinatorEvent(attempt_id=attempt_id, operator_id=message.operator_id, payload=_encode(answer)),
        ]

    def _reset(self, message: SubtaskReset) -> None:
        key = (message.vertex_id, message.subtask)
        if message.attempt <= self._attempts.get(key, 0):
            return
        self._attempts[key] = message.attempt
        counterparts: Iterable[_Enumeration | _Commitment]
        counterparts = [*self._enumerations.values(), *self._commitments.values()]
        for counterpart in counterparts:
            if counterpart.vertex_id == message.vertex_id:
                with failing_at(_place(counterpart.node)):
                    counterpart.reset(message.subtask, message.attempt)

    def _prepare_commit(self) -> bytes:
        prepared = {
            operator_id: committables
            for operator_id, commitment in self._commitments.items()
            if (committables := commitment.all_prepared())
        }
        return cloudpickle.dumps(prepared) if prepared else b""

    def _commit(self, message: CommitJob) -> list[FromCoordinatorMessage]:
        prepared: dict[str, list[Any]] = cloudpickle.loads(message.payload) if message.payload else {}
        for operator_id, committables in prepared.items():
            commitment = self._commitments[operator_id]
            with failing_at(_place(commitment.node)):
                commitment.commit(committables)
        self._committed = True
        return [JobCommitted()]

    def _end(self, committed: bool) -> list[FromCoordinatorMessage]:
        """Everything is tried; nobody waits for an answer any more, but a failure is worth a word."""
        failures: list[FromCoordinatorMessage] = []

        def attempt(node: OperatorNode, call: Callable[[], None]) -> None:
            try:
                with failing_at(_place(node)):
                    call()
            except OperatorFailure as error:
                failures.append(CoordinatorFailed(failure=describe(error, sources=self._sources)))

        for commitment in self._commitments.values():
            attempt(commitment.node, lambda one=commitment: one.end(self._job_id, committed or self._committed))  # type: ignore[misc]
        for enumeration in self._enumerations.values():
            attempt(enumeration.node, enumeration.close)
        return failures


def _place(node: OperatorNode) -> Place:
    return Place(node.name, node.declared_at)
