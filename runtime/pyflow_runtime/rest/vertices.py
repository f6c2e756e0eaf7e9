"""Vertices of a job and their subtasks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway, SubtaskView, VertexView
from pyflow_runtime.executiongraph.accumulators import merge
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.executiongraph.vertex_status import vertex_status
from pyflow_runtime.rest.answers import RequestError, json_answer
from pyflow_runtime.rest.parameters import job_of, subtask_of, vertex_of, whole_number
from pyflow_runtime.rest.shapes import (
    UNASSIGNED,
    Json,
    accumulator_objects,
    aggregated,
    duration_between,
    end_of,
    endpoint_of,
    host_of,
    io_metrics,
    now_milliseconds,
    start_of,
    state_counts,
    subtask_object,
)


def _vertex(request: Request, gateway: JobManagerGateway) -> VertexView:
    return vertex_of(request, job_of(request, gateway))


def _attempt(request: Request, gateway: JobManagerGateway) -> tuple[VertexView, SubtaskView]:
    vertex = _vertex(request, gateway)
    subtask = subtask_of(request, vertex)
    attempt = request.path_params.get("attempt")
    if attempt is not None and whole_number(attempt, "attempt") != subtask.attempt:
        raise RequestError(
            404, f"Attempt {attempt} of subtask {subtask.subtask} is not known: its present one is {subtask.attempt}."
        )
    return vertex, subtask


async def vertex_detail(request: Request, gateway: JobManagerGateway) -> Response:
    """A vertex with its subtasks."""
    vertex, now = _vertex(request, gateway), now_milliseconds()
    return json_answer(
        {
            "id": vertex.id,
            "name": vertex.name,
            "parallelism": vertex.parallelism,
            "maxParallelism": vertex.max_parallelism,
            "now": now,
            "subtasks": [subtask_object(subtask, now) for subtask in vertex.subtasks],
            "aggregated": aggregated(vertex.subtasks, now),
        }
    )


async def subtask_times(request: Request, gateway: JobManagerGateway) -> Response:
    """When each subtask reached each state."""
    vertex, now = _vertex(request, gateway), now_milliseconds()
    return json_answer(
        {
            "id": vertex.id,
            "name": vertex.name,
            "now": now,
            "subtasks": [
                {
                    "subtask": subtask.subtask,
                    "host": host_of(subtask),
                    "endpoint": endpoint_of(subtask),
                    "duration": duration_between(start_of(subtask), end_of(subtask), now),
                    "timestamps": {state.value: subtask.timestamps.get(state, 0) for state in ExecutionState},
                }
                for subtask in vertex.subtasks
            ],
        }
    )


def _on_one_task_manager(subtasks: list[SubtaskView], now: int) -> Json:
    starts = [start for start in map(start_of, subtasks) if start >= 0]
    ends = [end_of(subtask) for subtask in subtasks]
    start, end = min(starts, default=-1), max(ends) if min(ends) >= 0 else -1
    return {
        "host": host_of(subtasks[0]),
        "endpoint": endpoint_of(subtasks[0]),
        "status": vertex_status(subtask.state for subtask in subtasks).value,
        "start-time": start,
        "end-time": end,
        "duration": duration_between(start, end, now),
        "metrics": io_metrics(subtasks),
        "status-counts": state_counts(subtask.state for subtask in subtasks),
        "taskmanager-id": subtasks[0].task_manager_id or UNASSIGNED,
        "aggregated": aggregated(subtasks, now),
    }


async def vertex_task_managers(request: Request, gateway: JobManagerGateway) -> Response:
    """The subtasks of a vertex by TaskManager."""
    vertex, now = _vertex(request, gateway), now_milliseconds()
    groups: dict[str, list[SubtaskView]] = {}
    for subtask in vertex.subtasks:
        groups.setdefault(subtask.task_manager_id, []).append(subtask)
    return json_answer(
        {
            "id": vertex.id,
            "name": vertex.name,
            "now": now,
            "taskmanagers": [_on_one_task_manager(group, now) for group in groups.values()],
        }
    )


async def vertex_accumulators(request: Request, gateway: JobManagerGateway) -> Response:
    """The accumulators of a vertex."""
    vertex = _vertex(request, gateway)
    merged = merge(each for subtask in vertex.subtasks for each in subtask.accumulators)
    return json_answer({"id": vertex.id, "user-accumulators": accumulator_objects(merged)})


async def subtasks_accumulators(request: Request, gateway: JobManagerGateway) -> Response:
    """The accumulators of a vertex by subtask."""
    vertex = _vertex(request, gateway)
    return json_answer(
        {
            "id": vertex.id,
            "parallelism": vertex.parallelism,
            "subtasks": [
                {
                    "subtask": subtask.subtask,
                    "attempt": subtask.attempt,
                    "host": host_of(subtask),
                    "endpoint": endpoint_of(subtask),
                    "user-accumulators": accumulator_objects(subtask.accumulators),
                }
                for subtask in vertex.subtasks
            ],
        }
    )


async def subtask_detail(request: Request, gateway: JobManagerGateway) -> Response:
    """The present attempt of a subtask."""
    _, subtask = _attempt(request, gateway)
    return json_answer(subtask_object(subtask, now_milliseconds()))


async def attempt_accumulators(request: Request, gateway: JobManagerGateway) -> Response:
    """The accumulators of an attempt."""
    vertex, subtask = _attempt(request, gateway)
    return json_answer(
        {
            "subtask": subtask.subtask,
            "attempt": subtask.attempt,
            "id": vertex.id,
            "user-accumulators": accumulator_objects(subtask.accumulators),
        }
    )
