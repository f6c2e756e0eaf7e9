"""Identifiers that travel with every message about a task."""

from __future__ import annotations

import msgspec


class ExecutionAttemptId(msgspec.Struct, frozen=True, order=True):
    """One attempt at one subtask. ``subtask`` and ``attempt`` count from 0; a restart makes a new attempt."""

    job_id: str
    vertex_id: str
    subtask: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.job_id[:8]}/{self.vertex_id[:8]}/{self.subtask}#{self.attempt}"
