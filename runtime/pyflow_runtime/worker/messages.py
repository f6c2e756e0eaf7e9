"""Messages between a TaskManager's supervisor and its slot workers and zygotes: frames over Unix sockets."""

from __future__ import annotations

import msgspec

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.taskexecutor.messages import (
    ExecutionReport,
    JobEnvironment,
    OperatorEvent,
    TaskDeployment,
    WorkerAddress,
)


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot worker is told at its birth.

    ``directory``: private directory (0700, short path) of this worker; ``control_path``: the supervisor's Unix
    socket; ``transport``: auto, unix, tcp or tls; ``secret``: of the cluster, for data connections by TCP;
    ``managed_memory``, ``network_memory``: bytes of this slot; ``memory_limit``: bytes above which the process fails
    its task (0: no limit); ``credits``: batches that a channel may have under way.
    """

    worker_id: str
    task_manager_id: str
    slot: int
    directory: str
    control_path: str
    bind_host: str
    host: str
    host_id: str
    transport: str
    secret: str
    certificate_directory: str = ""
    managed_memory: int = 0
    network_memory: int = 0
    memory_limit: int = 0
    credits: int = 2


class WorkerEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """A job's environment as it stands on this machine: ``job`` plus where its artifacts were put.

    ``python_path``: directories and zip files for the front of ``sys.path``; ``working_directory``: where archives are
    unpacked; ``cached_files``: registered name to local path; ``sources``: path of the msgpack map of program sources,
    or "".
    """

    job: JobEnvironment
    python_path: list[str] = []
    working_directory: str = ""
    cached_files: dict[str, str] = {}
    sources: str = ""


# ---- supervisor -> worker ----


class ToWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages to a worker."""


class PrepareWorker(ToWorker, tag="prepare_worker", frozen=True, kw_only=True):
    """Sent once, before any task: the job this worker belongs to."""

    allocation_id: str
    environment: WorkerEnvironment


class StartTasks(ToWorker, tag="start_tasks", frozen=True, kw_only=True):
    """Start these attempts, all of one allocation."""

    tasks: list[TaskDeployment]


class CancelWorkerTasks(ToWorker, tag="cancel_tasks", frozen=True, kw_only=True):
    """Cancel these attempts; unknown ones are ignored."""

    attempt_ids: list[ExecutionAttemptId]


class WorkerOperatorEvent(ToWorker, tag="operator_event", frozen=True, kw_only=True):
    """From the coordinator (or the client) to one operator of an attempt."""

    attempt_id: ExecutionAttemptId
    operator_id: str
    payload: bytes


class StopWorker(ToWorker, tag="stop_worker", frozen=True, kw_only=True):
    """End now; running tasks are abandoned (their writers abort)."""


ToWorkerMessage = PrepareWorker | StartTasks | CancelWorkerTasks | WorkerOperatorEvent | StopWorker


# ---- worker -> supervisor ----


class FromWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages of a worker."""


class WorkerStarted(FromWorker, tag="worker_started", frozen=True, kw_only=True):
    """First frame on the control connection."""

    worker_id: str
    pid: int
    address: WorkerAddress


class TaskReport(FromWorker, tag="task_report", frozen=True, kw_only=True):
    """A state change, or a periodic report with metrics (about every second while anything runs)."""

    report: ExecutionReport


class WorkerEvent(FromWorker, tag="worker_event", frozen=True, kw_only=True):
    """From an operator to its counterpart in the coordinator."""

    event: OperatorEvent


FromWorkerMessage = WorkerStarted | TaskReport | WorkerEvent


# ---- supervisor -> zygote -> supervisor ----


class ForkWorker(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fork_worker"):
    """Fork a worker with these settings; answered by ``WorkerForked`` or ``ForkFailed``."""

    settings: WorkerSettings


class WorkerForked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="worker_forked"):
    """The worker is a child of the supervisor now, which sees its end by itself."""

    worker_id: str
    pid: int


class ForkFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fork_failed"):
    """``reason`` is a clause; there is no process."""

    worker_id: str
    reason: str


FromZygoteMessage = WorkerForked | ForkFailed
