"""The outcome is decided and on its way to the JobStore; nobody is told before it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_runtime.dispatcher.effects import PersistResult
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_runtime.jobmaster.storage_backoff import StorageBackoff
from pyflow_yarn.errors import FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster

RESULT_TIMER = "result"


class Ending(JobState):
    """Waits for ``ResultPersisted``, and asks again if the JobStore fails."""

    def __init__(self, job: JobMaster, outcome: JobStatus, failure: FailureInfo | None) -> None:
        super().__init__(job)
        self.outcome = outcome
        self.failure = failure
        self._backoff = StorageBackoff()

    def enter(self) -> None:
        """Give the slots back and record the result."""
        self.job.resources.free_all(self.job.job_id)
        self.job.slots.clear()
        self._persist()

    def _persist(self) -> None:
        job = self.job
        job.outbox.emit(
            PersistResult(job_id=job.job_id, status=self.outcome, failure=self.failure, epoch=job.outbox.epoch)
        )

    def storage_failed(self, failure: FailureInfo) -> None:
        """The job stays as it is until its result is stored."""
        self.job.storage_problem = f"the result of the job cannot be stored: {failure.headline()}"
        self.job.set_timer(RESULT_TIMER, self._backoff.next(self.job.outbox.now))

    def timer_fired(self, name: str) -> None:
        """Try again."""
        if name == RESULT_TIMER:
            self._persist()

    def result_persisted(self) -> None:
        """Announce it."""
        self.job.storage_problem = ""
        self.job.ended(self.outcome)

    def cancel(self) -> str | None:
        """Too late, unless it is what was asked for."""
        return None if self.outcome is JobStatus.CANCELED else f"it is about to be {self.outcome}"
