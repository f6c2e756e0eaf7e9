"""Submission of jobs, their blobs, and requests to their operators."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pyflow_runtime.dispatcher.views import JobManagerGateway
from pyflow_runtime.rest.answers import BYTES, RequestError, json_answer
from pyflow_runtime.rest.multipart import Part, read_parts
from pyflow_runtime.rest.parameters import MALFORMED, identifier, job_of, json_body, shown
from pyflow_yarn.configuration.options import PEKKO_ASK_TIMEOUT
from pyflow_yarn.errors import ClusterError
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph

JAVA_STREAM = b"\xac\xed"
MAX_KEYS = 100_000
_BLOB_KEY = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{32}")


class SubmitRequest(msgspec.Struct, rename={"plan_file": "executionPlanFileName", "graph_file": "jobGraphFileName"}):
    """The part ``request``: under which name the graph is among the files."""

    plan_file: str | None = None
    graph_file: str | None = None


class BlobKeys(msgspec.Struct):
    """Keys of blobs."""

    keys: list[str] = []


class CoordinationRequest(msgspec.Struct, rename="camel"):
    """A request to an operator, in base64."""

    serialized_coordination_request: str


async def submit_job(request: Request, gateway: JobManagerGateway) -> Response:
    """Starts a job; 202 with its address."""
    parts = await read_parts(request.headers.get("content-type", ""), request.stream())
    files = {part.file_name: part for part in parts if part.file_name is not None}
    graph = _job_graph(files.pop(_graph_file_name(parts), None))
    blobs = _blobs(files)
    del parts, files
    shipped = sorted({artifact.blob for artifact in graph.artifacts} - blobs.keys())
    if shipped and (missing := await gateway.missing_blobs(shipped)):
        names = sorted(artifact.name for artifact in graph.artifacts if artifact.blob in missing)
        raise RequestError(400, f"The content of '{shown(names[0])}' is missing: upload it with the job.")
    await gateway.submit_job(graph, blobs)
    return json_answer({"jobUrl": f"/jobs/{graph.job_id}"}, 202)


def _graph_file_name(parts: list[Part]) -> str:
    for part in parts:
        if part.name == "request":
            try:
                names = msgspec.json.decode(part.take(), type=SubmitRequest)
            except MALFORMED as error:
                raise RequestError(400, f"The part 'request' is not as expected: {shown(str(error))}.") from None
            name = names.plan_file or names.graph_file
            if name:
                return name
    raise RequestError(400, "A job is submitted with a part 'request' that names its executionPlanFileName.")


def _job_graph(part: Part | None) -> JobGraph:
    if part is None:
        raise RequestError(400, "The file that executionPlanFileName names is not among the parts.")
    content = part.take()
    if content.startswith(JAVA_STREAM):
        raise RequestError(
            400,
            "Failed to deserialize ExecutionPlan: this cluster runs Python programs; Java programs need Apache Flink.",
        )
    try:
        graph = msgspec.msgpack.decode(content, type=JobGraph)
    except MALFORMED as error:
        raise RequestError(400, f"Failed to deserialize ExecutionPlan: {shown(str(error))}.") from None
    if problem := problem_of(graph):
        raise RequestError(400, f"The job cannot be run: {problem}.")
    return graph


def problem_of(graph: JobGraph) -> str:
    """What makes a graph unusable, or an empty text."""
    if graph.format_version != FORMAT_VERSION:
        return f"its format is {graph.format_version}, this cluster's is {FORMAT_VERSION}; use the same release"
    if _ID.fullmatch(graph.job_id) is None:
        return f"'{shown(graph.job_id)}' is not a job id"
    if not graph.vertices:
        return "it has no operators"
    position = {vertex.id: index for index, vertex in enumerate(graph.vertices)}
    if len(position) != len(graph.vertices):
        return "two vertices have the same id"
    for vertex in graph.vertices:
        if _ID.fullmatch(vertex.id) is None:
            return f"'{shown(vertex.id)}' is not a vertex id"
        if not 0 < vertex.parallelism <= vertex.max_parallelism:
            numbers = f"{vertex.parallelism} of at most {vertex.max_parallelism}"
            return f"vertex '{shown(vertex.name)}' has parallelism {numbers}"
        if not vertex.operators or any(
            operator.input >= index or operator.input < -1 for index, operator in enumerate(vertex.operators)
        ):
            return f"vertex '{shown(vertex.name)}' has no valid chain of operators"
    for index, edge in enumerate(graph.edges):
        if edge.id != index or position.get(edge.source, len(position)) >= position.get(edge.target, -1):
            return f"edge {index} does not lead from a vertex to a later one"
        if not 0 <= edge.source_operator < len(graph.vertices[position[edge.source]].operators):
            return f"edge {index} begins at no operator"
    for artifact in graph.artifacts:
        if _BLOB_KEY.fullmatch(artifact.blob) is None:
            return f"artifact '{shown(artifact.name)}' has no valid key"
    try:
        msgspec.json.decode(graph.plan or "{}", type=dict[str, Any])
    except MALFORMED:
        return "its plan is not JSON"
    return ""


def _blobs(files: dict[str, Part]) -> dict[str, bytes]:
    blobs = {}
    for name, part in files.items():
        if _BLOB_KEY.fullmatch(name) is None:
            raise RequestError(400, f"'{shown(name)}' is not the key of a blob: those are the SHA-256 of the content.")
        if part.sha256 != name:
            raise RequestError(400, f"The content of blob {name} was damaged on its way; submit the job again.")
        blobs[name] = part.take()
    return blobs


async def missing_blobs(request: Request, gateway: JobManagerGateway) -> Response:
    """Which of some blobs the cluster lacks."""
    keys = (await json_body(request, BlobKeys)).keys
    if len(keys) > MAX_KEYS:
        raise RequestError(400, f"At most {MAX_KEYS} blobs can be asked for at once.")
    for key in keys:
        if _BLOB_KEY.fullmatch(key) is None:
            raise RequestError(400, f"'{shown(key)}' is not the key of a blob: those have 64 hexadecimal digits.")
    return json_answer({"missing": await gateway.missing_blobs(keys) if keys else []})


async def put_blob(request: Request, gateway: JobManagerGateway) -> Response:
    """Stores one blob, of any size: its bytes are the body, and go to disk as they come in."""
    key = request.path_params["key"]
    if _BLOB_KEY.fullmatch(key) is None:
        raise RequestError(400, f"'{shown(key)}' is not the key of a blob: those have 64 hexadecimal digits.")
    await gateway.put_blob(key, request.stream())
    return json_answer({}, 201)


async def coordination(request: Request, gateway: JobManagerGateway) -> Response:
    """Passes a request on to an operator and its answer back: as bytes, or in base64 inside JSON."""
    job = job_of(request, gateway)
    operator_id = identifier(request, "operator", "operator")
    if job.status.globally_terminal:
        raise RequestError(409, f"Job {job.job_id} has ended: it is {job.status}.")
    if not any(operator.id == operator_id for vertex in job.graph.vertices for operator in vertex.operators):
        raise RequestError(404, f"Job {job.job_id} has no operator {operator_id}.")
    plain = request.headers.get("content-type", "").partition(";")[0].strip().lower() == BYTES
    payload = await request.body() if plain else await _from_base64(request)
    timeout = PEKKO_ASK_TIMEOUT.read(gateway.configuration) / 1000
    try:
        result = await gateway.coordination_request(job.job_id, operator_id, payload, timeout)
    except (ClusterError, TimeoutError) as error:
        status = gateway.job(job.job_id).status
        if status.globally_terminal:
            raise RequestError(409, f"Job {job.job_id} has ended: it is {status}.") from None
        sentence = str(error) if isinstance(error, ClusterError) else "The operator did not answer in time; try again."
        raise RequestError(503, sentence) from None
    if plain:
        return Response(result, media_type=BYTES)
    return json_answer({"serializedCoordinationResult": base64.b64encode(result).decode("ascii")})


async def _from_base64(request: Request) -> bytes:
    body = await json_body(request, CoordinationRequest)
    try:
        return base64.b64decode(body.serialized_coordination_request, validate=True)
    except ValueError:
        raise RequestError(400, "serializedCoordinationRequest is not in base64.") from None
