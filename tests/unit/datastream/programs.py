"""An executor that keeps what programs hand over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cloudpickle

from pyflow_yarn.common.completable_future import CompletableFuture
from pyflow_yarn.common.job_client import JobClient
from pyflow_yarn.common.job_execution_result import JobExecutionResult
from pyflow_yarn.common.job_id import JobID
from pyflow_yarn.common.job_status import JobStatus
from pyflow_yarn.datastream.execution import PreparedJob, ResultPage
from pyflow_yarn.graph.job_graph import JobGraph


class RecordedJob(JobClient):
    """A job that ends as soon as somebody asks for its result."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.cancelled = False

    def get_job_id(self) -> JobID:
        return JobID(self.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        return CompletableFuture.completed(JobStatus.FINISHED)

    def cancel(self) -> CompletableFuture[None]:
        self.cancelled = True
        return CompletableFuture.completed(None)

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        return CompletableFuture.completed({})

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        return CompletableFuture.completed(JobExecutionResult(JobID(self.job_id), 5))


class RecordingExecutor:
    """Keeps submitted jobs; ``pages`` are what a collect operator gives, in order."""

    def __init__(self, configuration: Mapping[str, str] | None = None) -> None:
        self.configuration: dict[str, str] = dict(configuration or {})
        self.submitted: list[tuple[PreparedJob, bool]] = []
        self.clients: list[RecordedJob] = []
        self.pages: list[ResultPage] = []
        self.fetched: list[tuple[str, int]] = []

    def execute(self, job: PreparedJob, attached: bool) -> JobClient:
        """Keep the job."""
        self.submitted.append((job, attached))
        self.clients.append(RecordedJob(job.graph.job_id))
        return self.clients[-1]

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> ResultPage:
        """The next page."""
        self.fetched.append((operator_id, offset))
        return self.pages.pop(0)


def definitions(graph: JobGraph) -> dict[str, Any]:
    """The definitions of all operators by name."""
    return {
        operator.name: cloudpickle.loads(operator.definition)
        for vertex in graph.vertices
        for operator in vertex.operators
    }
