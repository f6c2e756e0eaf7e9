"""What comes out of the control plane: effects for the shell to perform, in order."""

from __future__ import annotations

from typing import Any

import msgspec

from pyflow_runtime.coordinator.messages import ToCoordinatorMessage
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.taskexecutor.messages import JobEnvironment, ToTaskManagerMessage
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobGraph


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all effects."""


class SendToTaskManager(Effect, frozen=True, kw_only=True):
    """On the session of that incarnation; dropped silently if it has gone."""

    task_manager_id: str
    incarnation: str
    message: ToTaskManagerMessage


class CloseTaskManager(Effect, frozen=True, kw_only=True):
    """Close the session of that incarnation (declared lost, refused); the driver may end its process."""

    task_manager_id: str
    incarnation: str
    reason: str


class RequestTaskManagers(Effect, frozen=True, kw_only=True):
    """The wish for more resources, as a level.

    ``missing_slots`` wanted beyond what is registered (0 withdraws the wish).
    """

    missing_slots: int


class ReleaseTaskManager(Effect, frozen=True, kw_only=True):
    """That TaskManager has been idle for ``resourcemanager.taskmanager-timeout``; the driver decides."""

    task_manager_id: str


class SetTimer(Effect, frozen=True, kw_only=True):
    """``TimerFired(key)`` at ``at`` (epoch milliseconds); replaces a timer of the same key."""

    key: str
    at: int


class CancelTimer(Effect, frozen=True, kw_only=True):
    """No ``TimerFired(key)`` from now on, whether or not such a timer was set."""

    key: str


class PersistJob(Effect, frozen=True, kw_only=True):
    """Write the graph under this leader epoch, then feed ``JobPersisted`` or ``StorageFailed``."""

    graph: JobGraph
    epoch: int


class PersistCommit(Effect, frozen=True, kw_only=True):
    """Record that the job's output is being committed, then feed ``CommitPersisted`` or ``StorageFailed``.

    From then on the job never runs again: a new leader gets ``payload`` back in ``LeadershipGranted.committing``.
    """

    job_id: str
    payload: bytes
    epoch: int


class PersistResult(Effect, frozen=True, kw_only=True):
    """Record the terminal state (graph and commit payload go), then feed ``ResultPersisted`` or ``StorageFailed``."""

    job_id: str
    status: JobStatus
    failure: FailureInfo | None
    epoch: int


class StartCoordinator(Effect, frozen=True, kw_only=True):
    """Start a coordinator process for the job."""

    job_id: str
    incarnation: int
    environment: JobEnvironment


class SendToCoordinator(Effect, frozen=True, kw_only=True):
    """In order, kept until the process is connected; dropped if that incarnation is gone."""

    job_id: str
    incarnation: int
    message: ToCoordinatorMessage


class StopCoordinator(Effect, frozen=True, kw_only=True):
    """Let it end (``EndCoordination`` comes before, unless leadership was lost).

    Wait 5 s, then kill; then feed ``CoordinatorExited``.
    """

    job_id: str
    incarnation: int


class Reply(Effect, frozen=True, kw_only=True):
    """Answer to the event with that request id.

    ``error`` is an exception of ``pyflow_yarn.errors``, else ``result``.
    """

    request_id: str
    result: Any = None
    error: Any = None


class JobTerminated(Effect, frozen=True, kw_only=True):
    """The job is globally terminal, and that is durable. Its blobs and its coordinator may go; waiters wake."""

    job_id: str


class TerminateCluster(Effect, frozen=True, kw_only=True):
    """Everything has ended; the process may exit."""
