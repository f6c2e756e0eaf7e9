"""What goes into the control plane: the events.

``ControlPlane.handle(event, now) -> list[Effect]``; ``now`` is epoch milliseconds (int).
"""

from __future__ import annotations

import msgspec

from pyflow_runtime.coordinator.messages import FromCoordinatorMessage
from pyflow_runtime.taskexecutor.messages import FromTaskManagerMessage
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobGraph


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


class LeadershipGranted(Event, frozen=True, kw_only=True):
    """First event of a machine's life: the epoch (already durable) and what the JobStore holds.

    ``jobs``: graphs not yet terminal; they are started again from the beginning (from their latest checkpoint once
    there are any). ``committing``: payload of ``PersistCommit`` by job id: these jobs have run, and only their commit
    is repeated. ``ended``: ids of jobs with a recorded result: they never run again, whoever submits them.
    """

    epoch: int
    jobs: list[JobGraph]
    ended: list[str] = []
    committing: dict[str, bytes] = {}


class LeadershipRevoked(Event, frozen=True, kw_only=True):
    """Another leader may act: every job is SUSPENDED, nothing is written any more."""


class SubmitJob(Event, frozen=True, kw_only=True):
    """Answered by ``Reply`` once the graph is durable.

    Submitting a known id again is answered the same way, and changes nothing.
    """

    request_id: str
    graph: JobGraph


class CancelJob(Event, frozen=True, kw_only=True):
    """Answered by ``Reply``."""

    request_id: str
    job_id: str


class ClientHeartbeat(Event, frozen=True, kw_only=True):
    """The client that submitted the job lives; matters to a job that is cancelled when its client is silent."""

    job_id: str


class JobPersisted(Event, frozen=True, kw_only=True):
    """The JobStore holds the graph now."""

    job_id: str


class CommitPersisted(Event, frozen=True, kw_only=True):
    """The JobStore holds the job's commit payload now."""

    job_id: str


class ResultPersisted(Event, frozen=True, kw_only=True):
    """The JobStore holds the job's terminal state now; only then is it announced."""

    job_id: str


class StorageFailed(Event, frozen=True, kw_only=True):
    """The JobStore could not do what ``PersistJob``, ``PersistCommit`` or ``PersistResult`` asked.

    A store that refuses because a newer epoch has been granted is no failure but ``LeadershipRevoked``.
    """

    job_id: str
    failure: FailureInfo


class TaskManagerMessage(Event, frozen=True, kw_only=True):
    """A message on the session of that TaskManager incarnation."""

    task_manager_id: str
    incarnation: str
    message: FromTaskManagerMessage


class TaskManagerDisconnected(Event, frozen=True, kw_only=True):
    """Its session closed, or its process is known to be dead (``dead``): no need to wait for heartbeats."""

    task_manager_id: str
    incarnation: str
    dead: bool
    reason: str


class CoordinatorMessage(Event, frozen=True, kw_only=True):
    """A message of the coordinator process that ``StartCoordinator`` with this ``incarnation`` started."""

    job_id: str
    incarnation: int
    message: FromCoordinatorMessage


class CoordinatorExited(Event, frozen=True, kw_only=True):
    """The coordinator process ended, whether it was told to or not; ``failure`` matters if it was not."""

    job_id: str
    incarnation: int
    failure: FailureInfo


class CollectRequest(Event, frozen=True, kw_only=True):
    """A client wants results of a collect operator; answered by ``Reply`` with the answer's bytes."""

    request_id: str
    job_id: str
    operator_id: str
    payload: bytes


class TimerFired(Event, frozen=True, kw_only=True):
    """A timer that ``SetTimer`` asked for."""

    key: str


class ResourcesUnavailable(Event, frozen=True, kw_only=True):
    """The driver cannot provide what ``RequestTaskManagers`` wanted.

    ``reason`` is a sentence; ``final``: it never will; ``slots``: the most slots the cluster can ever have, -1 if
    that is not known; jobs that need more fail at once if ``final``.
    """

    reason: str
    final: bool
    slots: int = -1


class ShutDown(Event, frozen=True, kw_only=True):
    """End the cluster: cancel what runs, then ``TerminateCluster``."""

    request_id: str
