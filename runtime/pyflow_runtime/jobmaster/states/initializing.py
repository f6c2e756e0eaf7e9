"""INITIALIZING: the graph is on its way to the JobStore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_runtime.dispatcher.effects import PersistJob
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_runtime.jobmaster.storage_backoff import StorageBackoff
from pyflow_yarn.errors import ExternalError, FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster


STORE_TIMER = "store"
MAX_TRIES = 5


class Initializing(JobState):
    """Submitters are answered once the graph is durable; a cancellation waits until then."""

    def __init__(self, job: JobMaster) -> None:
        super().__init__(job)
        self._cancelled = False
        self._tries = 0
        self._backoff = StorageBackoff()

    def enter(self) -> None:
        """Ask for the graph to be stored."""
        self._tries += 1
        self.job.outbox.emit(PersistJob(graph=self.job.graph, epoch=self.job.outbox.epoch))

    def cancel(self) -> str | None:
        """Later: a result must not reach the JobStore before the graph does."""
        self._cancelled = True
        return None

    def graph_persisted(self) -> None:
        """From here on the job survives this JobManager."""
        self.job.answer_submitters(None)
        self.job.execute()
        if self._cancelled:
            self.job.stop(JobStatus.CANCELLING)

    def storage_failed(self, failure: FailureInfo) -> None:
        """Try again. At last the job has failed, and that is recorded: its graph may be stored nevertheless."""
        if self._tries < MAX_TRIES:
            self.job.set_timer(STORE_TIMER, self._backoff.next(self.job.outbox.now))
            return
        self.job.answer_submitters(
            ExternalError(f"The job could not be stored, and was not started: {failure.headline()}")
        )
        self.job.history.record(failure)
        self.job.end(JobStatus.FAILED, failure)

    def timer_fired(self, name: str) -> None:
        """Try again now."""
        if name == STORE_TIMER:
            self.enter()
