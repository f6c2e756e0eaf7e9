"""The id of a job."""

from __future__ import annotations

__all__ = ["JobID"]


class JobID:
    """32 hexadecimal digits."""

    __slots__ = ("_job_id",)

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id

    def __str__(self) -> str:
        return self._job_id

    def __repr__(self) -> str:
        return f"JobID({self._job_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobID) and self._job_id == other._job_id

    def __hash__(self) -> int:
        return hash(self._job_id)
