"""What a job does about an event depends on its state: one class for each state that has behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyflow_runtime.executiongraph.execution import Execution
from pyflow_runtime.resourcemanager.slot_manager import Allocation
from pyflow_yarn.errors import FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.jobmaster.job_master import JobMaster


class JobState:
    """A state that ignores everything; each subclass says what it does not ignore."""

    def __init__(self, job: JobMaster) -> None:
        self.job = job

    def enter(self) -> None:
        """The job has just come into this state."""

    def cancel(self) -> str | None:
        """A user wants the job cancelled: None if that is (being) done, else why it cannot be."""
        return None

    def graph_persisted(self) -> None:
        """The JobStore holds the graph."""

    def commit_persisted(self) -> None:
        """The JobStore holds what is to be committed."""

    def result_persisted(self) -> None:
        """The JobStore holds the result."""

    def storage_failed(self, failure: FailureInfo) -> None:
        """The JobStore could not do what was asked last."""

    def slot_ready(self, allocation: Allocation) -> None:
        """A slot takes tasks."""

    def slot_failed(self, allocation: Allocation, failure: FailureInfo, was_ready: bool) -> None:
        """A slot is gone; the attempts in it are FAILED already and told by ``attempts_failed``."""

    def resources_denied(self, reason: str, slots: int) -> None:
        """There will never be more slots than that."""

    def attempts_failed(self, executions: Sequence[Execution], failure: FailureInfo) -> None:
        """These attempts have just become FAILED, all for this reason."""

    def attempt_ended(self, execution: Execution) -> None:
        """An attempt has just become FINISHED or CANCELED, or FAILED while it was being cancelled."""

    def commit_prepared(self, payload: bytes) -> None:
        """The coordinator tells what is to be committed."""

    def job_committed(self) -> None:
        """The coordinator has committed."""

    def coordinator_failed(self, failure: FailureInfo) -> None:
        """The user's enumerator or committer raised."""

    def coordinator_exited(self, failure: FailureInfo) -> None:
        """The coordinator process has ended."""

    def timer_fired(self, name: str) -> None:
        """A timer of this job."""
