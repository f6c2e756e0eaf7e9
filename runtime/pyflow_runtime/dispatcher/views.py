"""What the REST server shows of the control plane: immutable snapshots made by the machines on request.

Times are epoch milliseconds, durations milliseconds, -1 where there is none yet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import Accumulator, IoMetrics, RegisterTaskManager, SlotReport
from pyflow_yarn.errors import FailureInfo
from pyflow_yarn.graph.job_graph import JobGraph


class SubtaskView(msgspec.Struct, frozen=True, kw_only=True):
    """The current attempt of a subtask; ``timestamps`` by state name, absent where never reached."""

    subtask: int
    attempt: int
    state: ExecutionState
    timestamps: dict[str, int]
    task_manager_id: str = ""
    host: str = ""
    endpoint: str = ""
    metrics: IoMetrics
    accumulators: list[Accumulator] = []
    failure: FailureInfo | None = None


class VertexView(msgspec.Struct, frozen=True, kw_only=True):
    """A vertex; ``status`` is the aggregate that the REST interface shows (``runtime.md``, section 1)."""

    id: str
    name: str
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    status: ExecutionState
    start_time: int
    end_time: int
    subtasks: list[SubtaskView]


class ExceptionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One failure of a job with those that happened in the same moment."""

    failure: FailureInfo
    concurrent: list[FailureInfo] = []


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job; ``timestamps`` by job state; ``waiting_for`` is a sentence while it waits for slots, else ""."""

    job_id: str
    name: str
    status: JobStatus
    start_time: int
    end_time: int
    last_modification: int
    timestamps: dict[str, int]
    restarts: int
    vertices: list[VertexView]
    exceptions: list[ExceptionEntry]
    accumulators: list[Accumulator]
    waiting_for: str = ""
    graph: JobGraph


class TaskManagerView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered TaskManager."""

    registration: RegisterTaskManager
    last_heartbeat: int
    slots: list[SlotReport]
    assigned_tasks: int


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """Counts for the overview page."""

    task_managers: int
    slots_total: int
    slots_available: int
    jobs_running: int
    jobs_finished: int
    jobs_cancelled: int
    jobs_failed: int


class JobManagerGateway(Protocol):
    """What the REST server may ask of the JobManager. Raises the errors of ``pyflow_yarn.errors``."""

    configuration: dict[str, str]

    async def submit_job(self, graph: JobGraph, blobs: dict[str, bytes]) -> None:
        """Store blobs and graph, start the job; idempotent by job id. ``blobs``: content by sha256."""

    async def missing_blobs(self, keys: list[str]) -> list[str]:
        """Which of these blobs the BlobServer lacks."""

    async def put_blob(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store one blob while it comes in; ``ExternalError`` if it is not what its key says."""

    async def cancel_job(self, job_id: str) -> None:
        """Ask for cancellation. ``JobNotFoundError``; ``ClusterError`` if it ended in another state already."""

    def client_heartbeat(self, job_id: str) -> None:
        """The client of that job lives. ``JobNotFoundError`` if the job is unknown."""

    def cluster(self) -> ClusterView: ...

    def jobs(self) -> list[JobView]:
        """Running and ended jobs, by start."""

    def job(self, job_id: str) -> JobView:
        """``JobNotFoundError`` if unknown."""

    async def wait_for_job(self, job_id: str, timeout: float) -> JobView:
        """Returns when the job is globally terminal or after ``timeout`` seconds."""

    def task_managers(self) -> list[TaskManagerView]: ...

    async def coordination_request(self, job_id: str, operator_id: str, payload: bytes, timeout: float) -> bytes:
        """Send an ``OperatorPayload`` that has a ``request_id`` to subtask 0 of an operator.

        Returns the answer's bytes.
        """

    async def shut_down_cluster(self) -> None: ...
