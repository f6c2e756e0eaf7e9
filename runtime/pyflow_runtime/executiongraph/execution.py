"""One attempt at one subtask, as the JobMaster sees it."""

from __future__ import annotations

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import EXECUTION_TRANSITIONS, ExecutionState
from pyflow_runtime.executiongraph.story import Story
from pyflow_runtime.taskexecutor.messages import Accumulator, ExecutionReport, IoMetrics, WorkerAddress
from pyflow_yarn.errors import FailureInfo


class OperatorEventChannel:
    """Operator events of one attempt, numbered from 1 in each direction, each taken once and in order."""

    __slots__ = ("received", "sent", "unacknowledged")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.unacknowledged: list[tuple[int, str, bytes]] = []

    def take(self, sequence: int) -> bool:
        """Whether the event with that number is the next one; then it counts as received."""
        if sequence != self.received + 1:
            return False
        self.received = sequence
        return True

    def send(self, operator_id: str, payload: bytes) -> int:
        """Number an event for the operator; it is kept until acknowledged."""
        self.sent += 1
        self.unacknowledged.append((self.sent, operator_id, payload))
        return self.sent

    def acknowledged(self, received: int) -> None:
        """The TaskManager has taken everything up to that number."""
        self.unacknowledged = [event for event in self.unacknowledged if event[0] > received]


class Execution:
    """An attempt with its state, place and history.

    ``seen``: heartbeat reports of a later sequence contain it, if it is not lost.
    """

    __slots__ = (
        "accumulators",
        "address",
        "allocation_id",
        "attempt_id",
        "endpoint",
        "events",
        "failure",
        "held_report",
        "host",
        "incarnation",
        "metrics",
        "seen",
        "state",
        "task_manager_id",
        "timestamps",
    )

    def __init__(self, attempt_id: ExecutionAttemptId, now: int) -> None:
        self.attempt_id = attempt_id
        self.state = ExecutionState.CREATED
        self.timestamps: dict[str, int] = {ExecutionState.CREATED: now}
        self.task_manager_id = ""
        self.incarnation = ""
        self.host = ""
        self.endpoint = ""
        self.allocation_id = ""
        self.address: WorkerAddress | None = None
        self.seen = -1
        self.failure: FailureInfo | None = None
        self.metrics = IoMetrics()
        self.accumulators: list[Accumulator] = []
        self.events = OperatorEventChannel()
        self.held_report: ExecutionReport | None = None

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return not self.state.terminal

    @property
    def deployed(self) -> bool:
        """Whether a TaskManager has been told about it and it has not ended."""
        return bool(self.task_manager_id) and not self.state.terminal

    def can_move(self, state: ExecutionState) -> bool:
        """Whether the table has that move."""
        return state in EXECUTION_TRANSITIONS[self.state]

    def move(self, state: ExecutionState, now: int, story: Story) -> None:
        """Go to ``state``; ``IllegalTransitionError`` with the story if the table has no such move."""
        if state not in EXECUTION_TRANSITIONS[self.state]:
            raise story.illegal(self.attempt_id, self.state, state)
        self.state = state
        self.timestamps[state] = now

    def update(self, report: ExecutionReport) -> None:
        """Take over the counters of a report."""
        if report.metrics is not None:
            self.metrics = report.metrics
        if report.accumulators:
            self.accumulators = report.accumulators
