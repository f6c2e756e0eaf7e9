"""INITIALIZING: the graph is on its way to the JobStore."""

from __future__ import annotations

from pyflow_runtime.dispatcher.effects import PersistJob
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_yarn.errors import ExternalError, FailureInfo


class Initializing(JobState):
    """Submitters are answered once the graph is durable; a cancellation waits until then."""

    cancelled = False

    def enter(self) -> None:
        """Ask for the graph to be stored."""
        self.job.outbox.emit(PersistJob(graph=self.job.graph, epoch=self.job.outbox.epoch))

    def cancel(self) -> str | None:
        """Later: a result must not reach the JobStore before the graph does."""
        self.cancelled = True
        return None

    def graph_persisted(self) -> None:
        """From here on the job survives this JobManager."""
        self.job.answer_submitters(None)
        self.job.execute()
        if self.cancelled:
            self.job.stop(JobStatus.CANCELLING)

    def storage_failed(self, failure: FailureInfo) -> None:
        """It may be stored nevertheless: so the job has failed, and that is recorded."""
        self.job.answer_submitters(
            ExternalError(f"The job could not be stored, and was not started: {failure.headline()}")
        )
        self.job.history.record(failure)
        self.job.end(JobStatus.FAILED, failure)
