"""FINISHED, FAILED and CANCELED: nothing moves the job any more; only its coordinator may still clean up."""

from __future__ import annotations

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_yarn.errors import FailureInfo

CLEAN_UP_TIMER = "clean-up"
CLEAN_UP_PATIENCE = 6_000


class Ended(JobState):
    """The job is reported as terminated once its coordinator has cleaned up, or was given the time to."""

    def enter(self) -> None:
        """Let the coordinator clean up; if it died, another one does that."""
        coordinator = self.job.coordinator
        if coordinator.incarnation and not coordinator.alive:
            coordinator.start()
        if coordinator.alive:
            coordinator.end(committed=self.job.status is JobStatus.FINISHED)
            self.job.set_timer(CLEAN_UP_TIMER, self.job.outbox.now + CLEAN_UP_PATIENCE)
        else:
            self.job.terminated()

    def coordinator_exited(self, failure: FailureInfo) -> None:
        """It is done."""
        self.job.cancel_timer(CLEAN_UP_TIMER)
        self.job.terminated()

    def timer_fired(self, name: str) -> None:
        """It is too slow."""
        if name == CLEAN_UP_TIMER:
            self.job.terminated()

    def cancel(self) -> str | None:
        """Only what is CANCELED counts as cancelled."""
        status = self.job.status
        return None if status is JobStatus.CANCELED else f"it has already ended as {status}"
