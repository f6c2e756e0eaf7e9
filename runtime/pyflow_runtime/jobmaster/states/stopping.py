"""FAILING and CANCELLING: every attempt is being ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_yarn.errors import FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster


class Stopping(JobState):
    """Ends when the last attempt has."""

    def __init__(self, job: JobMaster, status: JobStatus) -> None:
        super().__init__(job)
        self.status = status

    def enter(self) -> None:
        """Cancel whatever lives."""
        self.job.move(self.status)
        self.job.resources.withdraw(self.job.job_id)
        self.job.cancel_executions(self.job.execution_graph.executions())
        self._end_if_done()

    def cancel(self) -> str | None:
        """A failing job that its user cancels ends as CANCELED."""
        if self.status is JobStatus.FAILING:
            self.status = JobStatus.CANCELLING
            self.job.move(self.status)
        return None

    def attempts_failed(self, executions: Sequence[Execution], failure: FailureInfo) -> None:
        """Not asked for, but all the same."""
        self.job.history.record_concurrent(failure)
        self._end_if_done()

    def attempt_ended(self, execution: Execution) -> None:
        """One less."""
        self._end_if_done()

    def _end_if_done(self) -> None:
        job = self.job
        if job.state is not self or not job.execution_graph.all_terminal:
            return
        if self.status is JobStatus.FAILING:
            job.end(JobStatus.FAILED, job.history.root_cause())
        else:
            job.end(JobStatus.CANCELED, None)
