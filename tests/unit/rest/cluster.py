"""A JobManager made of plain views, and a client that calls the application without a network."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from pyflow_runtime.dispatcher.views import (
    ClusterView,
    ExceptionEntry,
    JobView,
    SubtaskView,
    TaskManagerView,
    VertexView,
)
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus
from pyflow_runtime.rest.application import create_application
from pyflow_runtime.taskexecutor.messages import Accumulator, Hardware, IoMetrics, RegisterTaskManager, SlotReport
from pyflow_yarn.errors import ClusterError, FailureInfo, Frame, JobNotFoundError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind, JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning

JOB, OTHER_JOB = "a" * 32, "b" * 32
SOURCE, SINK = "1" * 32, "2" * 32
TASK_MANAGER = "localhost:1234-5678"
TOKEN = "the-token"


def operator(operator_id: str, name: str) -> OperatorNode:
    return OperatorNode(id=operator_id, name=name, kind="map", definition=b"")


def vertex(vertex_id: str, name: str, parallelism: int = 2) -> JobVertex:
    return JobVertex(
        id=vertex_id, name=name, parallelism=parallelism, max_parallelism=128, operators=[operator(vertex_id, name)]
    )


def graph(job_id: str = JOB, **changes: Any) -> JobGraph:
    plan = {"jid": job_id, "name": "words", "type": "STREAMING", "nodes": [{"id": SOURCE}, {"id": SINK}]}
    whole = JobGraph(
        job_id=job_id,
        name="words",
        vertices=[vertex(SOURCE, "Source: a"), vertex(SINK, "Sink: b")],
        edges=[
            JobEdge(
                id=0, source=SOURCE, source_operator=0, target=SINK, partitioning=Partitioning.HASH, partitioner=b""
            )
        ],
        configuration={"restart-strategy.type": "fixed-delay"},
        job_parameters={"color": "red"},
        plan=json.dumps(plan),
    )
    return msgspec.structs.replace(whole, **changes)


def artifact(content: bytes, name: str = "data.txt") -> Artifact:
    key = hashlib.sha256(content).hexdigest()
    return Artifact(kind=ArtifactKind.CACHED_FILE, name=name, blob=key, size=len(content))


FAILURE = FailureInfo(
    exception="ValueError",
    message="no number",
    frames=[Frame("job.py", 3, "parse", "int(word)")],
    operator="parse",
    task="Source: a",
    subtask=1,
    parallelism=2,
    attempt=0,
    record="'x'",
    task_manager=TASK_MANAGER,
    endpoint="localhost:1234",
    timestamp=1_700_000_005_000,
)


def subtask(index: int, state: ExecutionState) -> SubtaskView:
    timestamps: dict[str, int] = {"CREATED": 1_700_000_000_000, "DEPLOYING": 1_700_000_000_100}
    timestamps[state.value] = 1_700_000_001_000
    return SubtaskView(
        subtask=index,
        attempt=1,
        state=state,
        timestamps=timestamps,
        task_manager_id=TASK_MANAGER,
        host="localhost",
        endpoint="localhost:1234",
        metrics=IoMetrics(read_bytes=10 * index, write_records=5, busy_time=7),
        accumulators=[Accumulator(name="lines", type="LongCounter", value="3")],
    )


def job(
    job_id: str = JOB, status: JobStatus = JobStatus.RUNNING, state: ExecutionState = ExecutionState.RUNNING
) -> JobView:
    ended = status.globally_terminal
    return JobView(
        job_id=job_id,
        name="words",
        status=status,
        start_time=1_700_000_000_000,
        end_time=1_700_000_009_000 if ended else -1,
        last_modification=1_700_000_001_000,
        timestamps={"INITIALIZING": 1_700_000_000_000, "RUNNING": 1_700_000_000_500},
        restarts=0,
        vertices=[
            VertexView(
                id=each.id,
                name=each.name,
                parallelism=each.parallelism,
                max_parallelism=each.max_parallelism,
                slot_sharing_group="default",
                status=state,
                start_time=1_700_000_000_100,
                end_time=-1,
                subtasks=[subtask(index, state) for index in range(each.parallelism)],
            )
            for each in graph().vertices
        ],
        exceptions=[ExceptionEntry(failure=FAILURE, concurrent=[FAILURE])] if status is JobStatus.FAILED else [],
        accumulators=[Accumulator(name="lines", type="LongCounter", value="6")],
        graph=graph(job_id),
    )


class FakeGateway:
    """Keeps what it is asked to do."""

    def __init__(self, *jobs: JobView) -> None:
        self.configuration = {"rest.server.max-content-length": "100000", "my.password": "hunter2"}
        self.views = {view.job_id: view for view in jobs}
        self.heartbeats: list[str] = []
        self.submitted: list[tuple[JobGraph, dict[str, bytes]]] = []
        self.known_blobs: set[str] = set()
        self.blobs: dict[str, bytes] = {}
        self.cancelled: list[str] = []
        self.asked: list[tuple[str, str, bytes]] = []
        self.answer: bytes | Exception = b"answer"
        self.waited: list[float] = []
        self.shut_down = False

    async def submit_job(self, graph: JobGraph, blobs: dict[str, bytes]) -> None:
        self.submitted.append((graph, blobs))

    async def missing_blobs(self, keys: list[str]) -> list[str]:
        return [key for key in keys if key not in self.known_blobs]

    async def put_blob(self, key: str, content: AsyncIterator[bytes]) -> None:
        self.blobs[key] = b"".join([piece async for piece in content])

    async def cancel_job(self, job_id: str) -> None:
        view = self.job(job_id)
        if view.status in (JobStatus.FINISHED, JobStatus.FAILED):
            raise ClusterError(f"Job {job_id} cannot be cancelled: it is {view.status}.")
        self.cancelled.append(job_id)

    def client_heartbeat(self, job_id: str) -> None:
        self.heartbeats.append(self.job(job_id).job_id)

    def cluster(self) -> ClusterView:
        return ClusterView(
            task_managers=1,
            slots_total=2,
            slots_available=1,
            jobs_running=1,
            jobs_finished=0,
            jobs_cancelled=0,
            jobs_failed=0,
        )

    def jobs(self) -> list[JobView]:
        return list(self.views.values())

    def job(self, job_id: str) -> JobView:
        if job_id not in self.views:
            raise JobNotFoundError(f"Job {job_id} was not found.")
        return self.views[job_id]

    async def wait_for_job(self, job_id: str, timeout: float) -> JobView:
        self.waited.append(timeout)
        return self.job(job_id)

    def task_managers(self) -> list[TaskManagerView]:
        registration = RegisterTaskManager(
            task_manager_id=TASK_MANAGER,
            incarnation="1",
            host="localhost",
            data_port=1234,
            slots=2,
            hardware=Hardware(cpu_cores=2, physical_memory=8 << 30, free_memory=4 << 30, managed_memory=512 << 20),
            process_memory=1728 << 20,
            managed_memory=512 << 20,
            network_memory=128 << 20,
            pid=1,
            started=1,
        )
        slots = [SlotReport(0, "allocation", JOB, None), SlotReport(1, "", "", None)]
        return [
            TaskManagerView(registration=registration, last_heartbeat=1_700_000_002_000, slots=slots, assigned_tasks=4)
        ]

    async def coordination_request(self, job_id: str, operator_id: str, payload: bytes, timeout: float) -> bytes:
        self.asked.append((job_id, operator_id, payload))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def shut_down_cluster(self) -> None:
        self.shut_down = True


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json; charset=UTF-8"
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """The first sentence of an error."""
        errors: list[str] = self.json["errors"]
        assert all(each for each in errors)
        assert "Traceback" not in self.body.decode()
        return errors[0]


class Client:
    """Calls the application as a server would."""

    def __init__(self, gateway: FakeGateway, token: str | None = TOKEN, pages: str = "") -> None:
        self.application = create_application(gateway, token, pages)
        self.token = token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: dict[str, str] | None = None,
        token: str | None = TOKEN,
    ) -> Answer:
        """One request; a list is a body that comes in pieces."""
        return asyncio.run(self._call(method, path, [body] if isinstance(body, bytes) else body, headers or {}, token))

    def get(self, path: str) -> Any:
        """The JSON of a GET that succeeds."""
        answer = self.call("GET", path)
        assert answer.status == 200, answer
        return answer.json

    async def _call(
        self, method: str, path: str, pieces: list[bytes], headers: dict[str, str], token: str | None
    ) -> Answer:
        if token is not None:
            headers = {"authorization": f"Bearer {token}", **headers}
        target, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8081),
        }
        waiting = [
            {"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)}
            for index, piece in enumerate(pieces)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        start = sent[0]
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )


def multipart(parts: list[tuple[str, str | None, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A multipart body of (name, file name, content) and its headers."""
    body = b""
    for name, file_name, content in parts:
        file = f'; filename="{file_name}"' if file_name is not None else ""
        body += f'--xyz\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--xyz--\r\n", {"content-type": "multipart/form-data; boundary=xyz"}


def submission(graph: JobGraph | bytes, *blobs: bytes) -> tuple[bytes, dict[str, str]]:
    """The body of a submission and its headers."""
    content = graph if isinstance(graph, bytes) else msgspec.msgpack.encode(graph)
    return multipart(
        [
            ("request", None, b'{"executionPlanFileName": "job.graph", "jobArtifactFileNames": []}'),
            ("file", "job.graph", content),
            *[("file", hashlib.sha256(blob).hexdigest(), blob) for blob in blobs],
        ]
    )
