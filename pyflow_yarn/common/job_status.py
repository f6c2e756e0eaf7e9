"""The state of a job."""

from __future__ import annotations

from enum import Enum

__all__ = ["JobStatus"]


class JobStatus(Enum):
    """States of a job."""

    CREATED = 0
    RUNNING = 1
    FAILING = 2
    FAILED = 3
    CANCELLING = 4
    CANCELED = 5
    FINISHED = 6
    RESTARTING = 7
    SUSPENDED = 8
    RECONCILING = 9

    @staticmethod
    def of(name: str) -> JobStatus:
        """The state of that name; a job that initializes counts as created."""
        return JobStatus.CREATED if name == "INITIALIZING" else JobStatus[name]

    def is_globally_terminal_state(self) -> bool:
        """Whether the job has ended for ever."""
        return self in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED)

    def is_terminal_state(self) -> bool:
        """Whether this JobManager is done with the job; another one may recover it if it is suspended."""
        return self.is_globally_terminal_state() or self is JobStatus.SUSPENDED
