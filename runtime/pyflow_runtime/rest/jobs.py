"""Jobs: lists, details, results, cancellation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway, JobView
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.rest.answers import RequestError, json_answer
from pyflow_runtime.rest.parameters import identifier, job_of, json_body, query_number, shown, string_list
from pyflow_runtime.rest.shapes import (
    Json,
    accumulator_objects,
    duration_between,
    exception_object,
    job_row,
    job_timestamps,
    now_milliseconds,
    task_name,
    vertex_row,
)
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import ClusterError, ConfigurationError, JobNotFoundError

LONGEST_WAIT = 60_000
DEFAULT_MAX_EXCEPTIONS = 20
_APPLICATION_STATUS = {
    JobStatus.FINISHED: "SUCCEEDED",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELED: "CANCELED",
}


async def job_ids(request: Request, gateway: JobManagerGateway) -> Response:
    """Ids and states of all jobs."""
    return json_answer({"jobs": [{"id": job.job_id, "status": job.status.value} for job in gateway.jobs()]})


async def job_overview(request: Request, gateway: JobManagerGateway) -> Response:
    """All jobs, running and ended, one row each."""
    now = now_milliseconds()
    return json_answer({"jobs": [job_row(job, now) for job in gateway.jobs()]})


def plan_of(job: JobView) -> Json:
    """The job's plan as the web interface draws it."""
    empty: Json = {"jid": job.job_id, "name": job.name, "type": job.graph.job_type, "nodes": []}
    return empty | (msgspec.json.decode(job.graph.plan, type=dict[str, Any]) if job.graph.plan else {})


async def job_detail(request: Request, gateway: JobManagerGateway) -> Response:
    """A job with its vertices and its plan."""
    job, now = job_of(request, gateway), now_milliseconds()
    counts = Counter(vertex.status for vertex in job.vertices)
    return json_answer(
        {
            "jid": job.job_id,
            "application-id": job.job_id,
            "name": job.name,
            "isStoppable": False,
            "state": job.status.value,
            "job-type": job.graph.job_type,
            "schedulerType": "Default",
            "start-time": job.start_time,
            "end-time": job.end_time,
            "duration": duration_between(job.start_time, job.end_time, now),
            "maxParallelism": max((vertex.max_parallelism for vertex in job.vertices), default=-1),
            "now": now,
            "timestamps": job_timestamps(job),
            "vertices": [vertex_row(vertex, now) for vertex in job.vertices],
            "status-counts": {state.value: counts[state] for state in ExecutionState},
            "plan": plan_of(job),
            "stream-graph": None,
            "pending-operators": 0,
        }
    )


async def job_status(request: Request, gateway: JobManagerGateway) -> Response:
    """The job's state."""
    return json_answer({"status": job_of(request, gateway).status.value})


async def job_plan(request: Request, gateway: JobManagerGateway) -> Response:
    """The job's plan."""
    return json_answer({"plan": plan_of(job_of(request, gateway))})


async def job_configuration(request: Request, gateway: JobManagerGateway) -> Response:
    """How the job is executed, and its parameters."""
    job = job_of(request, gateway)
    settings = job.graph.configuration
    parallelism = max((vertex.parallelism for vertex in job.vertices), default=1)
    return json_answer(
        {
            "jid": job.job_id,
            "name": job.name,
            "execution-config": {
                "execution-mode": "PIPELINED",
                "restart-strategy": _readable(_restart_strategy, settings, "Cluster level default restart strategy"),
                "job-parallelism": _readable(options.PARALLELISM_DEFAULT.read, settings, parallelism),
                "object-reuse-mode": _readable(options.PIPELINE_OBJECT_REUSE.read, settings, False),
                "user-config": job.graph.job_parameters,
            },
        }
    )


def _readable(read: Any, settings: Mapping[str, str], otherwise: Any) -> Any:
    """What a job says in its own configuration, which nobody has checked yet."""
    try:
        return read(settings)
    except ConfigurationError:
        return otherwise


def _restart_strategy(settings: Mapping[str, str]) -> str:
    strategy = options.RESTART_STRATEGY_TYPE.read(settings)
    if strategy == "fixed-delay":
        attempts = options.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS.read(settings)
        delay = options.RESTART_STRATEGY_FIXED_DELAY_DELAY.read(settings)
        return f"Restart with fixed delay ({delay} ms). #{attempts} restart attempts."
    if strategy == "failure-rate":
        return (
            "Failure rate restart with maximum of"
            f" {options.RESTART_STRATEGY_FAILURE_RATE_MAX_FAILURES_PER_INTERVAL.read(settings)} failures within"
            f" interval {options.RESTART_STRATEGY_FAILURE_RATE_FAILURE_RATE_INTERVAL.read(settings)} ms and fixed delay"
            f" {options.RESTART_STRATEGY_FAILURE_RATE_DELAY.read(settings)} ms."
        )
    if strategy == "exponential-delay":
        return (
            "Restart with exponential delay: starting at"
            f" {options.RESTART_STRATEGY_EXPONENTIAL_DELAY_INITIAL_BACKOFF.read(settings)} ms, increasing by"
            f" {options.RESTART_STRATEGY_EXPONENTIAL_DELAY_BACKOFF_MULTIPLIER.read(settings):f}, with maximum"
            f" {options.RESTART_STRATEGY_EXPONENTIAL_DELAY_MAX_BACKOFF.read(settings)} ms. Delay resets after"
            f" {options.RESTART_STRATEGY_EXPONENTIAL_DELAY_RESET_BACKOFF_THRESHOLD.read(settings)} ms with jitter"
            f" {options.RESTART_STRATEGY_EXPONENTIAL_DELAY_JITTER_FACTOR.read(settings):f}"
        )
    return "Restart deactivated." if strategy == "none" else "Cluster level default restart strategy"


async def job_exceptions(request: Request, gateway: JobManagerGateway) -> Response:
    """The job's failures, newest first; also in the fields of the 1.x releases."""
    job = job_of(request, gateway)
    limit = query_number(request, "maxExceptions", DEFAULT_MAX_EXCEPTIONS)
    # No failure carries labels, so that a filter by label lets none through.
    history = [] if string_list(request, "failureLabelFilter") else job.exceptions
    root = history[0].failure if history else None
    all_failures = [failure for entry in history[:limit] for failure in (entry.failure, *entry.concurrent)]
    return json_answer(
        {
            "root-exception": root.render() if root else None,
            "timestamp": root.timestamp if root else None,
            "all-exceptions": [
                {
                    "exception": failure.render(),
                    "task": task_name(failure),
                    "location": failure.endpoint or None,
                    "endpoint": failure.endpoint or None,
                    "timestamp": failure.timestamp,
                    "taskManagerId": failure.task_manager or None,
                }
                for failure in all_failures
                if failure.task
            ],
            "truncated": len(history) > limit,
            "exceptionHistory": {
                "entries": [
                    {
                        **exception_object(entry.failure),
                        "concurrentExceptions": [exception_object(failure) for failure in entry.concurrent],
                    }
                    for entry in history[:limit]
                ],
                "truncated": len(history) > limit,
            },
        }
    )


async def job_accumulators(request: Request, gateway: JobManagerGateway) -> Response:
    """The job's accumulators."""
    return json_answer(
        {
            "job-accumulators": [],
            "user-task-accumulators": accumulator_objects(job_of(request, gateway).accumulators),
            "serialized-user-task-accumulators": {},
        }
    )


async def execution_result(request: Request, gateway: JobManagerGateway) -> Response:
    """The job's result once it has ended; with ``wait`` the answer waits for that up to so many milliseconds."""
    job = job_of(request, gateway)
    wait = min(query_number(request, "wait", 0), LONGEST_WAIT)
    if wait and not job.status.globally_terminal:
        job = await gateway.wait_for_job(job.job_id, wait / 1000)
    if not job.status.globally_terminal:
        return json_answer({"status": {"id": "IN_PROGRESS"}})
    now = now_milliseconds()
    result: Json = {
        "id": job.job_id,
        "name": job.name,
        "application-id": job.job_id,
        "application-status": _APPLICATION_STATUS[job.status],
        "accumulator-results": {each.name: each.value for each in job.accumulators},
        "net-runtime": max(0, duration_between(job.start_time, job.end_time, now)),
        "start-time": job.start_time,
        "end-time": job.end_time,
    }
    if job.status is JobStatus.FAILED and job.exceptions:
        failure = job.exceptions[0].failure
        result["failure-cause"] = {
            "class": failure.exception,
            "stack-trace": failure.render(),
            "failure-info": failure,
        }
    return json_answer({"status": {"id": "COMPLETED"}, "job-execution-result": result})


async def change_job(request: Request, gateway: JobManagerGateway) -> Response:
    """Cancels the job; 202, or 409 if it has ended in another state."""
    mode = request.query_params.get("mode", "cancel").lower()
    if mode == "stop":
        raise RequestError(308, "The mode 'stop' is gone: stop a job with a savepoint.")
    if mode != "cancel":
        raise RequestError(400, f"'{shown(mode)}' is not a mode of ending a job: 'cancel' is.")
    return await cancel_job(request, gateway)


class ClientHeartbeatBody(msgspec.Struct, rename="camel"):
    """``expired_timestamp``, epoch milliseconds by the client's clock, is not used: clocks differ between hosts."""

    expired_timestamp: int


async def client_heartbeat(request: Request, gateway: JobManagerGateway) -> Response:
    """The client that submitted the job lives: it is not cancelled for another ``client.heartbeat.timeout``."""
    job_id = identifier(request, "job", "job")
    await json_body(request, ClientHeartbeatBody)
    gateway.client_heartbeat(job_id)
    return json_answer({}, 202)


async def cancel_job(request: Request, gateway: JobManagerGateway) -> Response:
    """The same by GET, which is all that YARN's proxy lets through."""
    job_id = identifier(request, "job", "job")
    try:
        await gateway.cancel_job(job_id)
    except JobNotFoundError:
        raise
    except ClusterError as error:
        if not gateway.job(job_id).status.globally_terminal:
            raise
        raise RequestError(409, str(error)) from None
    return json_answer({}, 202)
