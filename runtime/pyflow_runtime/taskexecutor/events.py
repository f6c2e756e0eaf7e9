"""What goes into the TaskExecutor: the events.

``TaskExecutor.handle(event, now) -> list[Effect]``; ``now`` is epoch milliseconds (int).
"""

from __future__ import annotations

import msgspec

from pyflow_runtime.taskexecutor.messages import ToTaskManagerMessage
from pyflow_runtime.worker.messages import FromWorkerMessage, WorkerEnvironment
from pyflow_yarn.errors import FailureInfo


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


class Started(Event, frozen=True, kw_only=True):
    """First event of a machine's life."""


class SessionOpened(Event, frozen=True, kw_only=True):
    """The session that ``OpenSession`` with this number asked for is connected."""

    session: int


class SessionClosed(Event, frozen=True, kw_only=True):
    """It could not be connected, or was and is closed now; also after ``CloseSession``."""

    session: int
    reason: str


class JobManagerMessage(Event, frozen=True, kw_only=True):
    """A message on that session."""

    session: int
    message: ToTaskManagerMessage


class EnvironmentPrepared(Event, frozen=True, kw_only=True):
    """The artifacts of the allocation's job are in place on this machine."""

    allocation_id: str
    environment: WorkerEnvironment


class EnvironmentFailed(Event, frozen=True, kw_only=True):
    """``PrepareEnvironment`` failed (a blob is missing, an archive is bad, the disk is full)."""

    allocation_id: str
    failure: FailureInfo


class WorkerMessage(Event, frozen=True, kw_only=True):
    """A message on the worker's control connection, ``WorkerStarted`` first."""

    worker_id: str
    message: FromWorkerMessage


class WorkerExited(Event, frozen=True, kw_only=True):
    """The worker's process has ended, or could never be started. Exactly one follows each ``StartWorker``.

    Everything the worker sent comes before it. ``failure`` says how it ended, as a user should read it (signal, exit
    status, memory).
    """

    worker_id: str
    failure: FailureInfo


class TimerFired(Event, frozen=True, kw_only=True):
    """A timer that ``SetTimer`` asked for."""

    key: str


class ShutDown(Event, frozen=True, kw_only=True):
    """Planned end: say goodbye, stop the workers, then ``Terminate``."""

    reason: str
