"""One execution attempt as its TaskManager knows it."""

from __future__ import annotations

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import EXECUTION_TRANSITIONS, ExecutionState
from pyflow_runtime.taskexecutor.messages import Accumulator, ExecutionReport, IoMetrics, OperatorEvent
from pyflow_yarn.errors import FailureInfo


class TaskAttempt:
    """State, metrics and operator events of an attempt in a slot; kept until its terminal state is acknowledged."""

    __slots__ = (
        "accumulators",
        "allocation_id",
        "attempt_id",
        "cancelled_at",
        "events_delivered",
        "events_sent",
        "failure",
        "metrics",
        "state",
        "unacknowledged_events",
    )

    def __init__(self, attempt_id: ExecutionAttemptId, allocation_id: str) -> None:
        self.attempt_id = attempt_id
        self.allocation_id = allocation_id
        self.state = ExecutionState.DEPLOYING
        self.failure: FailureInfo | None = None
        self.metrics: IoMetrics | None = None
        self.accumulators: list[Accumulator] = []
        self.cancelled_at = -1
        self.events_sent = 0
        self.events_delivered = 0
        self.unacknowledged_events: list[OperatorEvent] = []

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return not self.state.terminal

    def take(self, report: ExecutionReport) -> bool:
        """Take over a worker's report; True if the state changed."""
        if report.metrics is not None:
            self.metrics = report.metrics
        if report.accumulators:
            self.accumulators = report.accumulators
        return self.move(report.state, report.failure)

    def move(self, state: ExecutionState, failure: FailureInfo | None = None) -> bool:
        """Go to that state if that is a move at all; late reports of earlier states change nothing."""
        if state not in EXECUTION_TRANSITIONS[self.state]:
            return False
        self.state = state
        self.failure = failure
        return True

    def report(self) -> ExecutionReport:
        """What the JobManager is told about it."""
        return ExecutionReport(
            self.attempt_id, self.state, self.failure, self.metrics, self.accumulators, self.events_sent
        )
