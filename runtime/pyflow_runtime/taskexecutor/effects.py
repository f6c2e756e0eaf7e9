"""What comes out of the TaskExecutor: effects for its shell to perform, in order."""

from __future__ import annotations

import msgspec

from pyflow_runtime.taskexecutor.messages import FromTaskManagerMessage, JobEnvironment
from pyflow_runtime.worker.messages import ToWorkerMessage


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all effects."""


class OpenSession(Effect, frozen=True, kw_only=True):
    """Connect to the JobManager (its address may have changed: read it again).

    Then feed ``SessionOpened`` or ``SessionClosed``.
    """

    session: int


class CloseSession(Effect, frozen=True, kw_only=True):
    """Close that session; it may be closed already."""

    session: int


class SendToJobManager(Effect, frozen=True, kw_only=True):
    """On that session; dropped silently if it is closed."""

    session: int
    message: FromTaskManagerMessage


class PrepareEnvironment(Effect, frozen=True, kw_only=True):
    """Fetch and unpack what the job needs, then feed ``EnvironmentPrepared`` or ``EnvironmentFailed``.

    Cheap if it is there already.
    """

    allocation_id: str
    environment: JobEnvironment


class ReleaseEnvironment(Effect, frozen=True, kw_only=True):
    """No slot works for that job any more: what was unpacked for it alone may go (blobs may stay cached)."""

    job_id: str


class StartWorker(Effect, frozen=True, kw_only=True):
    """Fork a worker from the zygote of ``environment.python_executable``.

    Its end, or its failure to start, is ``WorkerExited``.
    ``number`` counts the workers of this TaskManager from 1; ``managed_memory`` and ``network_memory`` are the slot's
    share in bytes.
    """

    worker_id: str
    number: int
    slot: int
    environment: JobEnvironment
    managed_memory: int
    network_memory: int


class SendToWorker(Effect, frozen=True, kw_only=True):
    """On its control connection, in order; only after ``WorkerStarted``; dropped silently if it has gone."""

    worker_id: str
    message: ToWorkerMessage


class SignalWorker(Effect, frozen=True, kw_only=True):
    """SIGTERM, or SIGKILL if ``kill``; it may be gone already.

    A worker that is still being forked gets it as soon as its pid is known.
    """

    worker_id: str
    kill: bool


class SetTimer(Effect, frozen=True, kw_only=True):
    """``TimerFired(key)`` at ``at`` (epoch milliseconds); replaces a timer of the same key."""

    key: str
    at: int


class CancelTimer(Effect, frozen=True, kw_only=True):
    """The timer of that key is not to fire any more."""

    key: str


class Terminate(Effect, frozen=True, kw_only=True):
    """Nothing is left to do: the process may exit. ``clean`` is False if it gives up (no JobManager for too long)."""

    reason: str
    clean: bool
