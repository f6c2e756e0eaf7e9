"""RUNNING, every task FINISHED: output becomes visible, in two durable steps.

What is to be committed is recorded before anything is. After a crash in between, the next coordinator (or the next
JobManager) commits the same again instead of running the job a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_runtime.coordinator.messages import CommitJob, PrepareCommit
from pyflow_runtime.dispatcher.effects import PersistCommit
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.jobmaster.states.job_state import JobState
from pyflow_runtime.jobmaster.storage_backoff import StorageBackoff
from pyflow_yarn.errors import FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster

COMMIT_TIMER = "commit"
COORDINATOR_TIMER = "coordinator"
MAX_COORDINATORS = 3


class Committing(JobState):
    """``payload`` is None until the coordinator has told it; ``durable``: the JobStore holds it."""

    def __init__(self, job: JobMaster, payload: bytes | None = None) -> None:
        super().__init__(job)
        self.payload = payload
        self.durable = payload is not None
        self._coordinators_lost = 0
        self._backoff = StorageBackoff()

    def enter(self) -> None:
        """Ask what is to be committed, or go on where another JobManager stopped."""
        if self.durable:
            self.job.coordinator.start()
            self._commit()
        else:
            self.job.coordinator.send(PrepareCommit())

    def commit_prepared(self, payload: bytes) -> None:
        """Record it; nothing to commit is nothing to record."""
        if self.payload is not None:
            return
        if not payload:
            self.job.end(JobStatus.FINISHED, None)
            return
        self.payload = payload
        self._persist()

    def _persist(self) -> None:
        job = self.job
        job.outbox.emit(PersistCommit(job_id=job.job_id, payload=self.payload or b"", epoch=job.outbox.epoch))

    def commit_persisted(self) -> None:
        """Now it may happen."""
        if self.payload is not None and not self.durable:
            self.durable = True
            self._commit()

    def storage_failed(self, failure: FailureInfo) -> None:
        """It may be recorded nevertheless: so there is no way but to try again."""
        if self.payload is not None and not self.durable:
            self.job.set_timer(COMMIT_TIMER, self._backoff.next(self.job.outbox.now))

    def timer_fired(self, name: str) -> None:
        """Try to record it again, or to commit again."""
        if name == COMMIT_TIMER and not self.durable:
            self._persist()
        elif name == COORDINATOR_TIMER and not self.job.coordinator.alive:
            self._begin_again()

    def _commit(self) -> None:
        self.job.coordinator.send(CommitJob(payload=self.payload or b""))

    def job_committed(self) -> None:
        """The output is visible."""
        if self.durable:
            self.job.end(JobStatus.FINISHED, None)

    def coordinator_failed(self, failure: FailureInfo) -> None:
        """The user's committer raised: that is the end of the job."""
        self.job.fail(failure)

    def coordinator_exited(self, failure: FailureInfo) -> None:
        """Before it told what to commit, all is lost; afterwards another one commits the same."""
        if self.payload is None:
            self.job.run_again(failure)
            return
        self._coordinators_lost += 1
        if self._coordinators_lost < MAX_COORDINATORS:
            self._begin_again()
            return
        # A crash is not the user's committer saying no; but who wants no restarts gets no endless ones either.
        restart = self.job.restart_strategy.failed(self.job.outbox.now)
        if restart is None:
            self.job.fail(failure, suppressed=True)
        else:
            self.job.history.record(failure)
            self.job.set_timer(COORDINATOR_TIMER, self.job.outbox.now + restart.delay)

    def _begin_again(self) -> None:
        self.job.coordinator.start()
        if self.durable:
            self._commit()

    def cancel(self) -> str | None:
        """Possible until it is decided that the output will be visible."""
        if self.payload is not None:
            return "its tasks have finished and its output is being committed"
        self.job.stop(JobStatus.CANCELLING)
        return None
