"""The table of all paths. Each also exists below ``/v1``, and with a slash at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway
from pyflow_runtime.rest import applications, cluster, jobs, submission, task_managers, vertices

Handler = Callable[[Request, JobManagerGateway], Awaitable[Response]]


class Endpoint(NamedTuple):
    """A method and path with the handler that answers; ``parameters``: of the query or body, for the reference."""

    method: str
    path: str
    handler: Handler
    parameters: str = ""
    ours: bool = False


_JOB = "/jobs/{job}"
_VERTEX = "/jobs/{job}/vertices/{vertex}"

HEALTH = "/healthz"
CANCELLING = "/yarn-cancel"
"""The end of the only path that changes something when it is read."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", HEALTH, cluster.health, ours=True),
    Endpoint("GET", "/config", cluster.web_configuration),
    Endpoint("GET", "/overview", cluster.overview),
    Endpoint("DELETE", "/cluster", cluster.shut_down),
    Endpoint("GET", "/jobmanager/config", cluster.configuration),
    Endpoint("GET", "/jobmanager/environment", cluster.environment),
    Endpoint("GET", "/jobs", jobs.job_ids),
    Endpoint(
        "POST",
        "/jobs",
        submission.submit_job,
        "multipart: part `request` = {executionPlanFileName}; files: under that name the JobGraph in msgpack, each blob"
        " under its SHA-256",
    ),
    Endpoint("GET", "/jobs/overview", jobs.job_overview),
    Endpoint("GET", _JOB, jobs.job_detail),
    Endpoint("PATCH", _JOB, jobs.change_job, "mode=cancel"),
    Endpoint("GET", f"{_JOB}{CANCELLING}", jobs.cancel_job),
    Endpoint("PATCH", f"{_JOB}/clientHeartbeat", jobs.client_heartbeat, "{expiredTimestamp}"),
    Endpoint("GET", f"{_JOB}/status", jobs.job_status),
    Endpoint("GET", f"{_JOB}/plan", jobs.job_plan),
    Endpoint("GET", f"{_JOB}/config", jobs.job_configuration),
    Endpoint("GET", f"{_JOB}/exceptions", jobs.job_exceptions, "maxExceptions=20, failureLabelFilter=k:v"),
    Endpoint("GET", f"{_JOB}/accumulators", jobs.job_accumulators),
    Endpoint("GET", f"{_JOB}/execution-result", jobs.execution_result, "wait=milliseconds (ours; 60000 at most)"),
    Endpoint(
        "POST",
        f"{_JOB}/coordinators/{{operator}}",
        submission.coordination,
        "{serializedCoordinationRequest: base64}, or bytes as application/octet-stream (then so is the answer)",
    ),
    Endpoint("GET", _VERTEX, vertices.vertex_detail),
    Endpoint("GET", f"{_VERTEX}/subtasktimes", vertices.subtask_times),
    Endpoint("GET", f"{_VERTEX}/taskmanagers", vertices.vertex_task_managers),
    Endpoint("GET", f"{_VERTEX}/accumulators", vertices.vertex_accumulators),
    Endpoint("GET", f"{_VERTEX}/subtasks/accumulators", vertices.subtasks_accumulators),
    Endpoint("GET", f"{_VERTEX}/subtasks/{{subtask}}", vertices.subtask_detail),
    Endpoint("GET", f"{_VERTEX}/subtasks/{{subtask}}/attempts/{{attempt}}", vertices.subtask_detail),
    Endpoint("GET", f"{_VERTEX}/subtasks/{{subtask}}/attempts/{{attempt}}/accumulators", vertices.attempt_accumulators),
    Endpoint(
        "POST", "/blobs/missing", submission.missing_blobs, "{keys: [SHA-256, ...]} → {missing: [...]}", ours=True
    ),
    Endpoint("PUT", "/blobs/{key}", submission.put_blob, "the content, of any size; key: its SHA-256", ours=True),
    Endpoint("GET", "/taskmanagers", task_managers.task_managers),
    Endpoint("GET", "/taskmanagers/{task_manager}", task_managers.task_manager_detail),
    Endpoint("GET", "/applications/overview", applications.application_overview),
    Endpoint("GET", "/applications/{application}", applications.application_detail),
    Endpoint("GET", "/applications/{application}/exceptions", applications.application_exceptions),
    Endpoint("POST", "/applications/{application}/cancel", applications.cancel_application),
)


def first_names() -> list[str]:
    """The first parts of all paths that can be read."""
    return sorted({endpoint.path.split("/")[1] for endpoint in ENDPOINTS if endpoint.method == "GET"})
