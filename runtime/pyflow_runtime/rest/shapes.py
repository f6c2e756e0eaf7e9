"""JSON objects that several answers share, with the union of the fields of all releases of the reference system."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pyflow_runtime.dispatcher.views import JobView, SubtaskView, VertexView
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.taskexecutor.messages import Accumulator, IoMetrics
from pyflow_yarn.errors import FailureInfo

Json = dict[str, Any]

UNASSIGNED = "(unassigned)"
_TASK_COUNTS = (
    "created",
    "scheduled",
    "deploying",
    "running",
    "finished",
    "canceling",
    "canceled",
    "failed",
    "reconciling",
    "initializing",
)
_COUNTED_DURATIONS = (
    ExecutionState.CREATED,
    ExecutionState.SCHEDULED,
    ExecutionState.DEPLOYING,
    ExecutionState.INITIALIZING,
    ExecutionState.RUNNING,
)


def now_milliseconds() -> int:
    """The present time."""
    return time.time_ns() // 1_000_000


def duration_between(start: int, end: int, now: int) -> int:
    """From start to end, or to now where there is no end yet; -1 before the start."""
    return -1 if start < 0 else max(0, (end if end >= 0 else now) - start)


def job_timestamps(job: JobView) -> dict[str, int]:
    """When the job reached each state, 0 where it never did."""
    return {status.value: job.timestamps.get(status, 0) for status in JobStatus}


def state_counts(states: Iterable[ExecutionState]) -> dict[str, int]:
    """How many there are of each state."""
    counts = Counter(states)
    return {state.value: counts[state] for state in ExecutionState}


def job_row(job: JobView, now: int) -> Json:
    """A job as lists of jobs show it."""
    counts = Counter(subtask.state.value.lower() for vertex in job.vertices for subtask in vertex.subtasks)
    return {
        "jid": job.job_id,
        "name": job.name,
        "jobType": job.graph.job_type,
        "schedulerType": "Default",
        "start-time": job.start_time,
        "end-time": job.end_time,
        "duration": duration_between(job.start_time, job.end_time, now),
        "state": job.status.value,
        "last-modification": job.last_modification,
        "tasks": {"total": sum(counts.values())} | {name: counts[name] for name in _TASK_COUNTS},
        "pending-operators": 0,
    }


def io_metrics(subtasks: Sequence[SubtaskView]) -> Json:
    """The sum of the counters of some subtasks."""
    total = IoMetrics()
    for metrics in (subtask.metrics for subtask in subtasks):
        for name in IoMetrics.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(metrics, name))
    complete = all(subtask.state is not ExecutionState.CREATED for subtask in subtasks)
    return {
        "read-bytes": total.read_bytes,
        "read-bytes-complete": complete,
        "write-bytes": total.write_bytes,
        "write-bytes-complete": complete,
        "read-records": total.read_records,
        "read-records-complete": complete,
        "write-records": total.write_records,
        "write-records-complete": complete,
        "accumulated-backpressured-time": total.backpressured_time,
        "accumulated-idle-time": total.idle_time,
        "accumulated-busy-time": float(total.busy_time),
    }


def start_of(subtask: SubtaskView) -> int:
    """When the attempt was deployed, -1 before that."""
    return subtask.timestamps.get(ExecutionState.DEPLOYING, -1)


def end_of(subtask: SubtaskView) -> int:
    """When the attempt ended, -1 before that."""
    return subtask.timestamps.get(subtask.state, -1) if subtask.state.terminal else -1


def status_duration(subtask: SubtaskView, now: int) -> dict[str, int]:
    """How long the attempt was in each state, -1 where it never was."""
    reached = sorted((at, state) for state, at in subtask.timestamps.items())
    durations = {state.value: -1 for state in _COUNTED_DURATIONS}
    for index, (at, state) in enumerate(reached):
        if state in durations:
            durations[state] = max(0, (reached[index + 1][0] if index + 1 < len(reached) else now) - at)
    return durations


def endpoint_of(subtask: SubtaskView) -> str:
    """``host:port`` of the TaskManager."""
    return subtask.endpoint or UNASSIGNED


def host_of(subtask: SubtaskView) -> str:
    """Host of the TaskManager."""
    return subtask.host or UNASSIGNED


def subtask_object(subtask: SubtaskView, now: int) -> Json:
    """One attempt of a subtask."""
    start, end = start_of(subtask), end_of(subtask)
    return {
        "subtask": subtask.subtask,
        "status": subtask.state.value,
        "attempt": subtask.attempt,
        "host": host_of(subtask),
        "endpoint": endpoint_of(subtask),
        "start-time": start,
        "start_time": start,
        "end-time": end,
        "duration": duration_between(start, end, now),
        "metrics": io_metrics([subtask]),
        "taskmanager-id": subtask.task_manager_id or UNASSIGNED,
        "status-duration": status_duration(subtask, now),
        "other-concurrent-attempts": None,
    }


def statistics(values: Sequence[int]) -> dict[str, int]:
    """Minimum, maximum, average, sum and percentiles of some numbers."""
    ordered = sorted(values) or [0]

    def percentile(share: float) -> int:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {
        "min": ordered[0],
        "max": ordered[-1],
        "avg": sum(ordered) // len(ordered),
        "sum": sum(ordered),
        "median": percentile(0.5),
        "p25": percentile(0.25),
        "p75": percentile(0.75),
        "p95": percentile(0.95),
    }


def aggregated(subtasks: Sequence[SubtaskView], now: int) -> Json:
    """Statistics over some subtasks."""
    durations = [status_duration(subtask, now) for subtask in subtasks]
    return {
        "metrics": {
            "read-bytes": statistics([subtask.metrics.read_bytes for subtask in subtasks]),
            "write-bytes": statistics([subtask.metrics.write_bytes for subtask in subtasks]),
            "read-records": statistics([subtask.metrics.read_records for subtask in subtasks]),
            "write-records": statistics([subtask.metrics.write_records for subtask in subtasks]),
            "accumulated-backpressured-time": statistics([subtask.metrics.backpressured_time for subtask in subtasks]),
            "accumulated-idle-time": statistics([subtask.metrics.idle_time for subtask in subtasks]),
            "accumulated-busy-time": statistics([subtask.metrics.busy_time for subtask in subtasks]),
            "duration": statistics([duration_between(start_of(each), end_of(each), now) for each in subtasks]),
        },
        "status-duration": {
            state.value: statistics([duration[state] for duration in durations]) for state in _COUNTED_DURATIONS
        },
    }


def vertex_row(vertex: VertexView, now: int) -> Json:
    """A vertex as the job's page shows it."""
    return {
        "id": vertex.id,
        "slotSharingGroupId": vertex.slot_sharing_group,
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": vertex.status.value,
        "start-time": vertex.start_time,
        "end-time": vertex.end_time,
        "duration": duration_between(vertex.start_time, vertex.end_time, now),
        "tasks": state_counts(subtask.state for subtask in vertex.subtasks),
        "metrics": io_metrics(vertex.subtasks),
    }


def accumulator_objects(accumulators: Iterable[Accumulator]) -> list[Json]:
    """Accumulators with name, type and value."""
    return [{"name": each.name, "type": each.type, "value": each.value} for each in accumulators]


def task_name(failure: FailureInfo) -> str | None:
    """The failed task with its subtask, as the reference system writes it."""
    if not failure.task:
        return None
    return f"{failure.task} ({failure.subtask + 1}/{failure.parallelism}) - execution #{failure.attempt}"


def exception_object(failure: FailureInfo) -> Json:
    """A failure in a job's history of failures."""
    return {
        "exceptionName": failure.exception,
        "stacktrace": failure.render(),
        "timestamp": failure.timestamp,
        "failureLabels": {},
        "taskName": task_name(failure),
        "location": failure.endpoint or None,
        "endpoint": failure.endpoint or None,
        "taskManagerId": failure.task_manager or None,
    }
