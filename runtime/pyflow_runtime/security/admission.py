"""Whose keys a JobManager signs: of everybody who knows the cluster's secret, or of those who have a token, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    TaskManagerEnded,
    TaskManagerJoined,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.rpc.handshake import JOB_MANAGER
from pyflow_runtime.security.join_tokens import JoinRefusedError, JoinTokens


class Admission(Protocol):
    """Decides who may join."""

    def token(self, member: str) -> str:
        """What it has to know beside the secret, "" for nothing; ``JoinRefusedError`` if it may not join at all."""

    def join(self, member: str) -> None:
        """It gets its certificate now; ``JoinRefusedError`` if another process has got it meanwhile."""


class AdmissionBySecret:
    """The secret is enough, under any name and again and again: TaskManagers are started by hand."""

    def token(self, member: str) -> str:
        """See ``Admission``."""
        if member == JOB_MANAGER:
            raise JoinRefusedError(f"{member!r} may not join: that is the name of the JobManager")
        return ""

    def join(self, member: str) -> None:
        """See ``Admission``."""


class AdmissionByToken:
    """TaskManagers that the supervisor has started may join, each once.

    ``record`` sends a message to the supervisor and tells whether it arrives even if this process dies at once: the
    next JobManager must not find a token open for which this one has signed a key.
    """

    def __init__(self, record: Callable[[ToSupervisorMessage], bool]) -> None:
        self._record = record
        self._tokens = JoinTokens()

    def handle(self, message: AboutTaskManager) -> None:
        """What the supervisor says."""
        if isinstance(message, TaskManagerStarted):
            self._tokens.started(message.task_manager_id, message.join_token)
        elif isinstance(message, TaskManagerEnded):
            self._tokens.ended(message.task_manager_id)

    def token(self, member: str) -> str:
        """See ``Admission``."""
        return self._tokens.open(member)

    def join(self, member: str) -> None:
        """See ``Admission``."""
        self._tokens.use(member)
        if not self._record(TaskManagerJoined(task_manager_id=member)):
            raise JoinRefusedError(f"{member!r} may not join: its supervisor cannot be told that its token is used")
