"""The handle on a submitted job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pyflow_yarn.common.completable_future import CompletableFuture
from pyflow_yarn.common.job_execution_result import JobExecutionResult
from pyflow_yarn.common.job_id import JobID
from pyflow_yarn.common.job_status import JobStatus
from pyflow_yarn.errors import NotYetSupportedError

__all__ = ["JobClient"]


class JobClient(ABC):
    """Asks one job for its state, cancels it, waits for its result."""

    @abstractmethod
    def get_job_id(self) -> JobID:
        """The id of the job."""

    @abstractmethod
    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """The job's present state."""

    @abstractmethod
    def cancel(self) -> CompletableFuture[None]:
        """Asks for the job's cancellation; done when that is accepted."""

    @abstractmethod
    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """The job's accumulators by name, also while it runs."""

    @abstractmethod
    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The job's result, once it has ended; the failure of the job is its exception."""

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """The path of a savepoint after which the job has stopped."""
        raise NotYetSupportedError("Savepoints are not supported yet: cancel the job instead.")

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """The path of a savepoint."""
        raise NotYetSupportedError("Savepoints are not supported yet.")
