"""A slot of a TaskManager, and the worker process that fills it."""

from __future__ import annotations

from enum import Enum

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.taskexecutor.messages import AllocateSlot, SlotReport, WorkerAddress
from pyflow_runtime.worker.messages import WorkerEnvironment


class WorkerState(Enum):
    """Where a worker process stands."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Worker:
    """A slot worker: one process for one allocation."""

    __slots__ = ("address", "environment", "job_id", "signalled", "slot", "state", "stop_interrupted", "worker_id")

    def __init__(self, worker_id: str, slot: int, job_id: str) -> None:
        self.worker_id = worker_id
        self.slot = slot
        self.job_id = job_id
        self.state = WorkerState.STARTING
        self.address: WorkerAddress | None = None
        self.environment: WorkerEnvironment | None = None
        self.signalled = False
        self.stop_interrupted = False


class TaskSlot:
    """A slot: at most one allocation at work, and at most one that waits for the former's worker to end."""

    __slots__ = ("allocation", "index", "managed_memory", "newest_allocation", "newest_attempts", "worker")

    def __init__(self, index: int, managed_memory: int) -> None:
        self.index = index
        self.managed_memory = managed_memory
        self.allocation: AllocateSlot | None = None
        self.worker: Worker | None = None
        # Late copies of AllocateSlot and DeployTasks must not bring back what has ended: both numbers only grow.
        self.newest_allocation = ""
        self.newest_attempts: dict[tuple[str, int], int] = {}

    @property
    def allocation_id(self) -> str:
        """The allocation it is promised to, or ""."""
        return "" if self.allocation is None else self.allocation.allocation_id

    @property
    def job_id(self) -> str:
        """The job it is promised to, or ""."""
        return "" if self.allocation is None else self.allocation.environment.job_id

    @property
    def ready(self) -> bool:
        """Whether tasks can be deployed."""
        return self.allocation is not None and self.worker is not None and self.worker.state is WorkerState.READY

    def is_newer(self, attempt_id: ExecutionAttemptId) -> bool:
        """Whether this attempt is later than all attempts at its subtask seen in this allocation."""
        return attempt_id.attempt > self.newest_attempts.get((attempt_id.vertex_id, attempt_id.subtask), -1)

    def note(self, attempt_id: ExecutionAttemptId) -> None:
        """Never run this attempt (again) in this allocation, nor an earlier one."""
        if self.is_newer(attempt_id):
            self.newest_attempts[(attempt_id.vertex_id, attempt_id.subtask)] = attempt_id.attempt

    def clear(self) -> None:
        """Forget the allocation; the worker may still be ending."""
        self.allocation = None
        self.newest_attempts.clear()

    def report(self) -> SlotReport:
        """What the JobManager is told about it."""
        address = self.worker.address if self.worker is not None and self.ready else None
        return SlotReport(self.index, self.allocation_id, self.job_id, address, self.managed_memory)
