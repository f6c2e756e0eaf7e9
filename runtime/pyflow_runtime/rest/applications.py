"""Applications: each job is one of its own, with the job's id."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway, JobView
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.rest.answers import json_answer
from pyflow_runtime.rest.jobs import cancel_job
from pyflow_runtime.rest.parameters import identifier
from pyflow_runtime.rest.shapes import Json, duration_between, exception_object, job_row, now_milliseconds

_STATUS = {
    JobStatus.INITIALIZING: "CREATED",
    JobStatus.CREATED: "CREATED",
    JobStatus.RUNNING: "RUNNING",
    JobStatus.RESTARTING: "RUNNING",
    JobStatus.RECONCILING: "RUNNING",
    JobStatus.SUSPENDED: "RUNNING",
    JobStatus.FAILING: "FAILING",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELLING: "CANCELING",
    JobStatus.CANCELED: "CANCELED",
    JobStatus.FINISHED: "FINISHED",
}
_STATES = ("CREATED", "RUNNING", "FAILING", "FAILED", "CANCELING", "CANCELED", "FINISHED")


def _head(job: JobView, now: int) -> Json:
    return {
        "id": job.job_id,
        "name": f"SingleJobApplication({job.name})",
        "start-time": job.start_time,
        "end-time": job.end_time,
        "duration": duration_between(job.start_time, job.end_time, now),
        "status": _STATUS[job.status],
    }


def _application(request: Request, gateway: JobManagerGateway) -> JobView:
    return gateway.job(identifier(request, "application", "application"))


async def application_overview(request: Request, gateway: JobManagerGateway) -> Response:
    """All applications."""
    now = now_milliseconds()
    return json_answer({"applications": [{**_head(job, now), "jobs": {job.status.value: 1}} for job in gateway.jobs()]})


async def application_detail(request: Request, gateway: JobManagerGateway) -> Response:
    """An application with its job."""
    job, now = _application(request, gateway), now_milliseconds()
    reached: dict[str, int] = dict.fromkeys(_STATES, 0)
    for status, at in job.timestamps.items():
        state = _STATUS[JobStatus(status)]
        reached[state] = min(at, reached[state]) if reached[state] else at
    return json_answer({**_head(job, now), "timestamps": reached, "jobs": [job_row(job, now)]})


async def application_exceptions(request: Request, gateway: JobManagerGateway) -> Response:
    """The failure that ended an application."""
    job = _application(request, gateway)
    failures = [entry.failure for entry in job.exceptions[:1]] if job.status is JobStatus.FAILED else []
    entries = [{**exception_object(failure), "jobId": job.job_id} for failure in failures]
    return json_answer({"exceptionHistory": {"entries": entries}})


async def cancel_application(request: Request, gateway: JobManagerGateway) -> Response:
    """Cancels an application's job."""
    request.path_params["job"] = request.path_params["application"]
    return await cancel_job(request, gateway)
