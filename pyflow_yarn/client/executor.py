"""The executor that a program's ``execute()`` reaches: it submits jobs to one cluster and waits for them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping

import msgspec

from pyflow_yarn.client.blobs import Blob
from pyflow_yarn.client.heartbeats import ClientHeartbeats
from pyflow_yarn.client.job_client import JobCancelledError, RestJobClient
from pyflow_yarn.client.packaging import package, submission_body
from pyflow_yarn.client.progress import progress_line
from pyflow_yarn.client.rest import Body, Conflict, RestClient, Unavailable, binary_body, json_body
from pyflow_yarn.configuration.attachment import client_timeout
from pyflow_yarn.configuration.options import EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT
from pyflow_yarn.datastream.execution import Executor, PreparedJob, ResultPage
from pyflow_yarn.deployment.cluster import Cluster
from pyflow_yarn.errors import PyflowError
from pyflow_yarn.graph.job_graph import JobGraph
from pyflow_yarn.graph.operators import OperatorKind

CANCEL_PATIENCE = 15.0
LARGEST_TOGETHER = 1 << 20
PAGE_SIZE = 1000
NOT_RUNNING_PAUSE = 0.05


class FetchResults(msgspec.Struct, frozen=True, tag_field="type", tag="fetch_results"):
    """What a collect operator is asked for; on the wire as the operator reads it."""

    request_id: str
    offset: int
    limit: int = PAGE_SIZE


class Results(msgspec.Struct, frozen=True, tag_field="type", tag="results"):
    """What a collect operator answers: ``pickled`` list of records."""

    request_id: str
    offset: int
    pickled: bytes
    last: bool


class ClusterExecutor:
    """Submits the jobs of one program to one cluster.

    ``python_executable`` is the interpreter for workers where a job names none ("" means the cluster's own).
    ``job_ids``, where given, are those of the jobs in their order: a program that runs inside of the cluster, and
    perhaps again, finds its jobs by them. Whether the client lives is then no matter of this process.
    """

    def __init__(
        self,
        configuration: Mapping[str, str],
        cluster: Cluster,
        python_executable: str = "",
        job_ids: Iterator[str] | None = None,
    ) -> None:
        self._configuration = dict(configuration)
        self._cluster = cluster
        self._python_executable = python_executable
        self._job_ids = job_ids
        self._within_cluster = job_ids is not None
        self._client: RestClient | None = None
        self._collected: set[str] = set()
        self._heartbeats: list[ClientHeartbeats] = []
        self.jobs: list[RestJobClient] = []

    @property
    def configuration(self) -> Mapping[str, str]:
        """The effective configuration before the program."""
        return self._configuration

    def rest(self) -> RestClient:
        """The REST client of the cluster; waits until the cluster is ready."""
        if self._client is None:
            self._client = RestClient(self._cluster.endpoint(), self._configuration, self._cluster.check)
        return self._client

    def execute(self, job: PreparedJob, attached: bool) -> RestJobClient:
        """Ship what the cluster lacks, submit, and print the job's id alone on a line of stdout."""
        graph, blobs = packaged(job, self._python_executable)
        if self._job_ids is not None:
            graph = msgspec.structs.replace(graph, job_id=next(self._job_ids))
        client = self.submit(graph, blobs, attached)
        tell_submitted(graph.job_id)
        return client

    def submit(self, graph: JobGraph, blobs: Mapping[str, Blob], attached: bool) -> RestJobClient:
        """Submit a job that is packaged."""
        self._send(self.rest(), msgspec.msgpack.encode(graph), blobs)
        return self.follow(graph, attached)

    def follow(self, graph: JobGraph, attached: bool) -> RestJobClient:
        """The handle on a job of the cluster, which hears that its client lives if it wants to."""
        rest = self.rest()
        progress = progress_line(rest, graph.job_id, graph.name, prints=_prints(graph)) if attached else None
        client = RestJobClient(rest, graph.job_id, attached, progress)
        self.jobs.append(client)
        if not self._within_cluster and (timeout := client_timeout(graph.configuration)) is not None:
            self._heartbeats.append(ClientHeartbeats(rest, client, graph.configuration, timeout))
        return client

    def _send(self, rest: RestClient, graph: bytes, blobs: Mapping[str, Blob]) -> None:
        """Send what the cluster lacks: large blobs by themselves, small ones together with the graph."""
        riders: dict[str, Blob] = {}
        room = LARGEST_TOGETHER
        for key in self._missing_blobs(rest, list(blobs)):
            blob = blobs[key]
            if blob.size <= room:
                riders[key] = blob
                room -= blob.size
            else:
                rest.request("PUT", f"/blobs/{key}", Body(blob.chunks, blob.size, "application/octet-stream"))
        rest.request("POST", "/jobs", submission_body(graph, riders))

    @staticmethod
    def _missing_blobs(rest: RestClient, keys: list[str]) -> list[str]:
        if not keys:
            return []
        answer = rest.request("POST", "/blobs/missing", json_body({"keys": keys}))
        missing = set(msgspec.json.decode(answer, type=_Missing).missing)
        return [key for key in keys if key in missing]

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> ResultPage:
        """Records of a collect operator from ``offset`` on; raises what made the job fail."""
        import pickle

        self._collected.add(job_id)
        request = FetchResults(os.urandom(8).hex(), offset)
        path = f"/jobs/{job_id}/coordinators/{operator_id}"
        try:
            answer = self.rest().request("POST", path, binary_body(msgspec.msgpack.encode(request)), repeat=False)
        except Unavailable:
            # The operator does not run yet, or is being restarted.
            time.sleep(NOT_RUNNING_PAUSE)
            return ResultPage([], False)
        except Conflict:
            # The job has ended before everything was fetched: its result says why.
            job = next((each for each in self.jobs if each.job_id == job_id), None)
            if job is not None:
                job.get_job_execution_result().result()
            raise
        results = msgspec.msgpack.decode(answer, type=Results)
        # Older records than asked for come again after a repeated request.
        return ResultPage(pickle.loads(results.pickled)[max(0, offset - results.offset) :], results.last)

    # -- the end of the program --

    def close(self) -> None:
        """Close the connection to the cluster."""
        for heartbeats in self._heartbeats:
            heartbeats.stop()
        if self._client is not None:
            self._client.close()

    def unfinished(self) -> list[RestJobClient]:
        """Jobs that were submitted and are not known to have ended."""
        return [job for job in self.jobs if not job.ended]

    def wait_for_unfinished(self) -> None:
        """On a cluster that ends with the client: wait for jobs that ``execute_async`` started.

        Jobs whose results the program no longer fetches are cancelled: nobody would ever read them. A job that the
        program itself has cancelled is no failure.
        """
        if not self._cluster.ends_with_client:
            return
        for job in self.unfinished():
            if job.job_id in self._collected:
                job.request_cancellation()
            try:
                job.get_job_execution_result().result()
            except JobCancelledError:
                if not job.cancellation_wanted:
                    raise

    def interrupted(self) -> None:
        """Ctrl-C or SIGTERM: cancel what would die anyway, and say on stderr what becomes of each job."""
        cancels = self._cluster.ends_with_client or EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT.read(self._configuration)
        for job in self.unfinished():
            if not cancels:
                address = self.rest().endpoint.address
                _say(f"Job {job.job_id} is still running; cancel it with: flink cancel -m {address} {job.job_id}")
                continue
            try:
                job.request_cancellation()
                if job.wait(CANCEL_PATIENCE) is not None:
                    _say(f"Job {job.job_id} had finished already.")
                elif self._cluster.ends_with_client:
                    _say(f"Job {job.job_id} is being ended with its cluster.")
                else:
                    _say(f"Job {job.job_id} is being cancelled.")
            except JobCancelledError:
                _say(f"Job {job.job_id} was cancelled.")
            except PyflowError as error:
                _say(f"Job {job.job_id} ended: {error}")
            except KeyboardInterrupt:
                _say(f"Job {job.job_id} is ended with its cluster." if self._cluster.ends_with_client else "")
                return


def packaged(job: PreparedJob, python_executable: str = "") -> tuple[JobGraph, dict[str, Blob]]:
    """A job's graph with everything that travels with it, and the content of that by its key."""
    contents = package(job.files)
    graph = msgspec.structs.replace(
        job.graph,
        artifacts=[*job.graph.artifacts, *contents.artifacts],
        python_executable=job.graph.python_executable or python_executable,
    )
    return graph, contents.blobs


def tell_submitted(job_id: str) -> None:
    """Print a job's id the way tools look for it: alone on its line."""
    sys.stdout.write(f"Job has been submitted with JobID {job_id}\n")
    sys.stdout.flush()


class _Missing(msgspec.Struct):
    missing: list[str]


def _say(text: str) -> None:
    if text:
        sys.stdout.flush()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _prints(graph: JobGraph) -> bool:
    """Whether the job prints records on this terminal, which a progress line would spoil."""
    return any(operator.kind == OperatorKind.PRINT for vertex in graph.vertices for operator in vertex.operators)


def default_executor() -> Executor:
    """The executor of a program that was started as ``python job.py``."""
    from pyflow_yarn.client.standalone import start

    return start()
