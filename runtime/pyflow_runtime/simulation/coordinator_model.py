"""A job's coordinator process: hands out splits, keeps committables, commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    CoordinatorStarted,
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
from pyflow_runtime.simulation.job_shapes import SimulatedJob
from pyflow_yarn.errors import FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager

_PAYLOADS: msgspec.msgpack.Decoder[OperatorPayloadMessage] = msgspec.msgpack.Decoder(OperatorPayloadMessage)

# (operator, subtask)
Writer = tuple[str, int]
# operator, subtask, attempt, elements
Portion = tuple[str, int, int, list[int]]


class SimulatedCoordinator:
    """Dies with its JobManager. It trusts the JobManager to pass on events of current attempts only."""

    def __init__(self, job_manager: SimulatedJobManager, job: SimulatedJob, incarnation: int) -> None:
        self.job_manager = job_manager
        self.world = job_manager.world
        self.job = job
        self.incarnation = incarnation
        self.alive = True
        self.stopping = False
        self.failed = False
        self._heard_at = self.world.clock.now + self.world.random.randint(30, 300)
        self._said_at = 0
        self._unassigned: dict[str, list[list[int]]] = {}
        self._assigned: dict[Writer, list[list[int]]] = {}
        self._committables: dict[Writer, Portion] = {}

    def send(self, message: ToCoordinatorMessage) -> None:
        """From the JobManager: in order, kept until the process is up."""
        self._heard_at = max(self._heard_at, self.world.clock.now + self.world.random.randint(1, 5))
        self.world.clock.after(self._heard_at - self.world.clock.now, self._hear, message)

    def stop(self) -> None:
        """Told to end: a while for cleaning up, then it is killed."""
        self.stopping = True
        self.send_exit(self.world.random.choice((20, 200, 5_000)))

    def send_exit(self, delay: int) -> None:
        """End after everything sent before has been heard."""
        self.world.clock.after(max(delay, self._heard_at - self.world.clock.now + 1), self.die, "stopped")

    def die(self, how: str) -> None:
        """The process ends."""
        if self.alive:
            self.alive = False
            self.world.clock.after(2, self.job_manager.coordinator_exited, self, how)

    def _say(self, message: FromCoordinatorMessage) -> None:
        self._said_at = max(self._said_at, self.world.clock.now + self.world.random.randint(1, 5))
        self.world.clock.after(self._said_at - self.world.clock.now, self.job_manager.coordinator_says, self, message)

    def _hear(self, message: ToCoordinatorMessage) -> None:
        if not self.alive or (self.failed and not isinstance(message, EndCoordination)):
            return
        if isinstance(message, StartCoordination):
            self._unassigned = {
                source.operators[0].id: self.job.splits(source)
                for source in self.job.sources
                if self.job.coordinated(source)
            }
            self._say(CoordinatorStarted(job_id=self.job.job_id, pid=1, token=""))
        elif isinstance(message, CoordinatorOperatorEvent):
            self._operator_event(message)
        elif isinstance(message, SubtaskReset):
            self._reset(message)
        elif isinstance(message, PrepareCommit):
            portions = sorted(self._committables.values())
            self._say(CommitPrepared(payload=msgspec.msgpack.encode(portions) if portions else b""))
        elif isinstance(message, CommitJob):
            self._commit(msgspec.msgpack.decode(message.payload, type=list[Portion]))
        elif isinstance(message, EndCoordination):
            self.world.clock.after(self.world.random.randint(1, 100), self.die, "the job has ended")

    def _operator_event(self, event: CoordinatorOperatorEvent) -> None:
        attempt_id, operator = event.attempt_id, event.operator_id
        writer = (operator, attempt_id.subtask)
        payload = _PAYLOADS.decode(event.payload)
        if isinstance(payload, RequestSplit) and self.job.enumerator_fails and self.world.random.random() < 0.05:
            self._fail("the enumerator raises")
        elif isinstance(payload, RequestSplit):
            splits = self._unassigned[operator]
            if splits:
                split = splits.pop(0)
                self._assigned.setdefault(writer, []).append(split)
                self._answer(event, AssignSplit(msgspec.msgpack.encode(split)))
            else:
                self._answer(event, NoMoreSplits())
        elif isinstance(payload, Committables):
            elements = msgspec.msgpack.decode(payload.pickled, type=list[int])
            self._committables[writer] = (operator, attempt_id.subtask, attempt_id.attempt, elements)
            self._answer(event, CommittablesReceived())

    def _answer(self, event: CoordinatorOperatorEvent, payload: OperatorPayload) -> None:
        self._say(
            CoordinatorEvent(
                attempt_id=event.attempt_id, operator_id=event.operator_id, payload=msgspec.msgpack.encode(payload)
            )
        )

    def _fail(self, message: str) -> None:
        """The user's code raises: nothing more comes from here."""
        self.failed = True
        self._say(CoordinatorFailed(failure=FailureInfo(exception="ValueError", message=message)))

    def _reset(self, message: SubtaskReset) -> None:
        for operator in self.job.graph.vertex(message.vertex_id).operators:
            writer = (operator.id, message.subtask)
            self._unassigned.get(operator.id, []).extend(self._assigned.pop(writer, []))
            self._committables.pop(writer, None)

    def _commit(self, portions: list[Portion]) -> None:
        """One portion after the other, so that a crash can come in between."""
        if not self.alive:
            return
        if not portions:
            self._say(JobCommitted())
            return
        if self.job.commit_fails and self.world.random.random() < 0.5:
            self._fail("the committer raises")
            return
        operator, subtask, attempt, elements = portions[0]
        self.world.ledger.commit(self.job.job_id, operator, subtask, attempt, elements)
        pause = self.world.random.randint(1, self.job.committing_takes)
        self.world.clock.after(pause, self._commit, portions[1:])
