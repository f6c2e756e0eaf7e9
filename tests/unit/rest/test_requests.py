"""Who may ask, what is refused, and with which sentence."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.rest.routes import ENDPOINTS
from pyflow_yarn.errors import ClusterError, ConfigurationError, UserError
from tests.unit.rest.cluster import (
    JOB,
    OTHER_JOB,
    SINK,
    SOURCE,
    TOKEN,
    Client,
    FakeGateway,
    artifact,
    graph,
    job,
    multipart,
    submission,
    vertex,
)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(job(), job(OTHER_JOB, JobStatus.FINISHED))


@pytest.fixture
def client(gateway: FakeGateway) -> Client:
    return Client(gateway)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_without_the_token_nothing_is_told(client: Client, gateway: FakeGateway, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(
            **{"job": JOB, "vertex": SOURCE, "subtask": 0, "attempt": 0, "operator": SOURCE, "application": JOB},
            **{"task_manager": "x", "key": "0" * 64},
        )
        answer = client.call(endpoint.method, path, headers=headers, token=None)
        if path == "/healthz":
            assert answer.status == 200 and answer.json == {"status": "ok"}
        else:
            assert answer.status == 401 and "Authorization: Bearer" in answer.error
            assert answer.headers["www-authenticate"] == "Bearer"
    assert not gateway.cancelled and not gateway.shut_down
    assert client.call("POST", "/healthz", token=None).status == 401


def test_below_the_secret_part_everybody_reads_and_nobody_changes(gateway: FakeGateway) -> None:
    client = Client(gateway, pages="s3cret")
    assert client.call("GET", "/s3cret/jobs", token=None).json == client.get("/jobs")
    assert client.call("GET", "/s3cret/v1/overview", token=None).status == 200
    assert client.call("GET", "/s3cre/overview", token=None).status == 401
    job = client.get("/jobs/overview")["jobs"][0]["jid"]
    changes = (("PATCH", f"/jobs/{job}?mode=cancel"), ("GET", f"/jobs/{job}/yarn-cancel"), ("DELETE", "/cluster"))
    for method, path in changes:
        refused = client.call(method, f"/s3cret{path}", token=None)
        assert (refused.status, refused.error) == (
            403,
            "Through YARN's proxy nothing can be changed: use the command line (flink).",
        )


def test_the_token_is_enough_in_any_spelling_of_bearer(client: Client) -> None:
    assert client.call("GET", "/overview", headers={"authorization": f"bearer  {TOKEN} "}, token=None).status == 200


def test_without_authentication_pages_of_other_origins_change_nothing(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(gateway, token=None)
    assert "security.rest.auth is none" in caplog.text
    assert client.call("GET", "/overview", token=None).status == 200
    foreign = {"host": "localhost:8081", "origin": "http://evil.example"}
    assert client.call("DELETE", "/cluster", headers=foreign, token=None).status == 403
    assert not gateway.shut_down
    own = {"host": "localhost:8081", "origin": "http://localhost:8081"}
    assert client.call("DELETE", "/cluster", headers=own, token=None).status == 200
    assert gateway.shut_down


@pytest.mark.parametrize("path", ["/v1/jobs", "/jobs/", "/v1/jobs//"])
def test_prefix_and_slash(client: Client, path: str) -> None:
    answer = client.call("GET", path)
    assert answer.status == 200 and len(answer.json["jobs"]) == 2
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/x"), ("GET", "/v2/jobs"), ("OPTIONS", "/jobs"), ("PUT", "/jobs"), ("GET", "/")]
)
def test_what_does_not_exist(client: Client, method: str, path: str) -> None:
    answer = client.call(method, path)
    assert answer.status == 404 and answer.error == f"Unable to load requested file {path.removeprefix('/v1')}."
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/jobs/xyz", 400, "'xyz' is not a job id: those have 32 hexadecimal digits."),
        (f"/jobs/{'c' * 32}", 404, f"Job {'c' * 32} was not found."),
        (f"/jobs/{JOB}/vertices/{'c' * 32}", 404, f"Job {JOB} has no vertex {'c' * 32}."),
        (f"/jobs/{JOB}/vertices/0", 400, "'0' is not a vertex id: those have 32 hexadecimal digits."),
        (f"/jobs/{JOB}/vertices/{SOURCE}/subtasks/2", 404, f"Vertex {SOURCE} has no subtask 2: there are 2."),
        (
            f"/jobs/{JOB}/vertices/{SOURCE}/subtasks/-1",
            400,
            "'-1' is not a valid subtask: a whole number from 0 is expected.",
        ),
        (
            f"/jobs/{JOB}/vertices/{SOURCE}/subtasks/1/attempts/7",
            404,
            "Attempt 7 of subtask 1 is not known: its present one is 1.",
        ),
        (
            f"/jobs/{JOB}/exceptions?maxExceptions=many",
            400,
            "'many' is not a valid value of maxExceptions: a whole number from 0 is expected.",
        ),
        ("/taskmanagers/nobody", 404, "No TaskManager has the id 'nobody'."),
    ],
)
def test_wrong_ids_and_numbers(client: Client, path: str, status: int, sentence: str) -> None:
    answer = client.call("GET", path)
    assert (answer.status, answer.error) == (status, sentence)


def test_client_heartbeats(client: Client, gateway: FakeGateway) -> None:
    body = b'{"expiredTimestamp": 1700000000000}'
    assert client.call("PATCH", f"/jobs/{JOB}/clientHeartbeat", body).status == 202
    assert client.call("PATCH", f"/jobs/{'c' * 32}/clientHeartbeat", body).status == 404
    assert client.call("PATCH", f"/jobs/{JOB}/clientHeartbeat", b"{}").status == 400
    assert gateway.heartbeats == [JOB]


def test_cancellation(client: Client, gateway: FakeGateway) -> None:
    assert client.call("PATCH", f"/jobs/{JOB}?mode=cancel").status == 202
    assert client.call("PATCH", f"/jobs/{JOB.upper()}", b"{}").json == {}
    assert client.call("GET", f"/jobs/{JOB}/yarn-cancel").status == 202
    assert client.call("POST", f"/applications/{JOB}/cancel").status == 202
    assert gateway.cancelled == [JOB] * 4
    refused = client.call("PATCH", f"/jobs/{OTHER_JOB}")
    assert (refused.status, refused.error) == (409, f"Job {OTHER_JOB} cannot be cancelled: it is FINISHED.")
    assert client.call("PATCH", f"/jobs/{'c' * 32}").status == 404
    assert client.call("PATCH", f"/jobs/{JOB}?mode=stop").status == 308
    assert client.call("PATCH", f"/jobs/{JOB}?mode=explode").status == 400


def test_submission(client: Client, gateway: FakeGateway) -> None:
    content = bytes(range(256)) * 20
    body, headers = submission(graph(artifacts=[artifact(content)]), content)
    answer = client.call("POST", "/v1/jobs", [body[i : i + 777] for i in range(0, len(body), 777)], headers)
    assert (answer.status, answer.json) == (202, {"jobUrl": f"/jobs/{JOB}"})
    submitted, blobs = gateway.submitted[0]
    assert submitted == graph(artifacts=[artifact(content)])
    assert blobs == {artifact(content).blob: content}


def test_a_blob_the_cluster_has_need_not_come_along(client: Client, gateway: FakeGateway) -> None:
    known = artifact(b"known")
    gateway.known_blobs.add(known.blob)
    other = "0" * 64
    answer = client.call("POST", "/blobs/missing", json.dumps({"keys": [known.blob, other]}).encode())
    assert answer.json == {"missing": [other]}
    body, headers = submission(graph(artifacts=[known]))
    assert client.call("POST", "/jobs", body, headers).status == 202
    body, headers = submission(graph(artifacts=[artifact(b"unknown", "u.txt")]))
    refused = client.call("POST", "/jobs", body, headers)
    assert (refused.status, refused.error) == (400, "The content of 'u.txt' is missing: upload it with the job.")


def _edge(**changes: Any) -> Any:
    return [replace(graph().edges[0], **changes)]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (graph(format_version=99), "its format is 99, this cluster's is 1; use the same release"),
        (graph("../../etc/passwd"), "'../../etc/passwd' is not a job id"),
        (graph(vertices=[], edges=[]), "it has no operators"),
        (graph(vertices=[vertex(SOURCE, "a")] * 2), "two vertices have the same id"),
        (graph(vertices=[vertex("x", "a")], edges=[]), "'x' is not a vertex id"),
        (graph(vertices=[vertex(SOURCE, "a", 0)], edges=[]), "vertex 'a' has parallelism 0 of at most 128"),
        (graph(vertices=[vertex(SOURCE, "a", 129)], edges=[]), "vertex 'a' has parallelism 129 of at most 128"),
        (
            graph(vertices=[replace(vertex(SOURCE, "a"), operators=[])], edges=[]),
            "vertex 'a' has no valid chain of operators",
        ),
        (graph(edges=_edge(id=1)), "edge 0 does not lead from a vertex to a later one"),
        (graph(edges=_edge(target="9" * 32)), "edge 0 does not lead from a vertex to a later one"),
        (graph(edges=_edge(source="9" * 32)), "edge 0 does not lead from a vertex to a later one"),
        (graph(edges=_edge(source=SINK, target=SOURCE)), "edge 0 does not lead from a vertex to a later one"),
        (graph(edges=_edge(source_operator=1)), "edge 0 begins at no operator"),
        (graph(artifacts=[replace(artifact(b"x"), blob="../x")]), "artifact 'data.txt' has no valid key"),
        (graph(plan="<svg>"), "its plan is not JSON"),
    ],
)
def test_graphs_that_cannot_be_run(client: Client, gateway: FakeGateway, broken: Any, sentence: str) -> None:
    body, headers = submission(broken)
    answer = client.call("POST", "/jobs", body, headers)
    assert (answer.status, answer.error) == (400, f"The job cannot be run: {sentence}.")
    assert not gateway.submitted


def test_a_java_program_is_told_so(client: Client) -> None:
    body, headers = submission(b"\xac\xed\x00\x05sr")
    answer = client.call("POST", "/jobs", body, headers)
    assert answer.status == 400 and answer.error.startswith(
        "Failed to deserialize ExecutionPlan: this cluster runs Python"
    )


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([], "A job is submitted with a part 'request' that names its executionPlanFileName."),
        ([("request", None, b"{}")], "A job is submitted with a part 'request' that names its executionPlanFileName."),
        ([("request", None, b"[")], "The part 'request' is not as expected"),
        (
            [("request", None, b'{"jobGraphFileName":"g"}')],
            "The file that executionPlanFileName names is not among the parts.",
        ),
        (
            [("request", None, b'{"executionPlanFileName":"g"}'), ("f", "g", b"\xc1")],
            "Failed to deserialize ExecutionPlan: ",
        ),
    ],
)
def test_submissions_with_parts_missing(
    client: Client, parts: list[tuple[str, str | None, bytes]], sentence: str
) -> None:
    body, headers = multipart(parts)
    answer = client.call("POST", "/jobs", body, headers)
    assert answer.status == 400 and answer.error.startswith(sentence)


def test_blobs_are_what_their_names_say(client: Client, gateway: FakeGateway) -> None:
    body, headers = submission(graph(), b"content")
    answer = client.call("POST", "/jobs", body.replace(b"content\r\n", b"CONTENT\r\n"), headers)
    assert answer.status == 400 and "was damaged on its way" in answer.error
    bad = body.replace(artifact(b"content").blob.encode(), b"../../escape")
    answer = client.call("POST", "/jobs", bad, headers)
    assert answer.status == 400 and "'../../escape' is not the key of a blob" in answer.error
    assert not gateway.submitted


@pytest.mark.parametrize("cut", [3, 30, 200])
def test_a_body_that_is_cut_off(client: Client, cut: int) -> None:
    body, headers = submission(graph())
    assert client.call("POST", "/jobs", body[:-cut], headers).status == 400


def test_blobs_of_any_size_come_by_themselves(client: Client, gateway: FakeGateway) -> None:
    content = b"x" * 200_000
    key = hashlib.sha256(content).hexdigest()
    assert client.call("PUT", f"/blobs/{key}", content).status == 201
    assert gateway.blobs == {key: content}
    answer = client.call("PUT", "/blobs/nonsense", content)
    assert answer.status == 400 and "is not the key of a blob" in answer.error
    assert client.call("PUT", f"/blobs/{key}", content, token=None).status == 401


@pytest.mark.parametrize("declared", [True, False])
def test_bodies_are_bounded(client: Client, gateway: FakeGateway, declared: bool) -> None:
    body, headers = submission(graph(), bytes(200_000))
    if declared:
        headers["content-length"] = str(len(body))
    pieces = [body[i : i + 10_000] for i in range(0, len(body), 10_000)]
    answer = client.call("POST", "/jobs", pieces, headers)
    assert (answer.status, answer.error) == (
        413,
        "The body of a request may have 100000 bytes (rest.server.max-content-length).",
    )
    assert not gateway.submitted


def test_requests_to_operators(client: Client, gateway: FakeGateway) -> None:
    path = f"/jobs/{JOB}/coordinators/{SOURCE}"
    plain = client.call("POST", path, b"\x00\x01", {"content-type": "application/octet-stream"})
    assert (plain.status, plain.body, plain.headers["content-type"]) == (200, b"answer", "application/octet-stream")
    encoded = {"serializedCoordinationRequest": base64.b64encode(b"\x02").decode()}
    answer = client.call("POST", path, json.dumps(encoded).encode())
    assert answer.json == {"serializedCoordinationResult": base64.b64encode(b"answer").decode()}
    assert gateway.asked == [(JOB, SOURCE, b"\x00\x01"), (JOB, SOURCE, b"\x02")]
    assert client.call("POST", f"/jobs/{JOB}/coordinators/{'9' * 32}", b"").status == 404
    assert client.call("POST", path, b'{"serializedCoordinationRequest": "~"}').status == 400
    assert client.call("POST", f"/jobs/{OTHER_JOB}/coordinators/{SOURCE}", json.dumps(encoded).encode()).status == 409


@pytest.mark.parametrize("error", [ClusterError("The operator does not run yet."), TimeoutError()])
def test_an_operator_that_does_not_answer(client: Client, gateway: FakeGateway, error: Exception) -> None:
    gateway.answer = error
    binary = {"content-type": "application/octet-stream"}
    answer = client.call("POST", f"/jobs/{JOB}/coordinators/{SOURCE}", b"", binary)
    assert answer.status == 503 and answer.error


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (UserError("Your program is wrong."), 400, "Your program is wrong."),
        (ConfigurationError("That key is wrong."), 400, "That key is wrong."),
        (ClusterError("No leader yet."), 503, "No leader yet."),
        (TimeoutError(), 503, "The JobManager did not answer in time; try again."),
        (RuntimeError("secret detail"), 500, "Internal server error."),
    ],
)
def test_failures_of_the_job_manager(
    client: Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, sentence: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(gateway, "jobs", fail)
    answer = client.call("GET", "/jobs")
    assert (answer.status, answer.error) == (status, sentence)
    assert "secret detail" not in answer.body.decode()


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    endpoint=st.sampled_from(ENDPOINTS),
    ids=st.tuples(
        *[st.one_of(st.sampled_from([JOB, OTHER_JOB, SOURCE, "0", "1", "accumulators", "overview"]), _texts)] * 4
    ),
    query=_texts,
    body=st.one_of(st.binary(max_size=60), _texts.map(str.encode), st.just(b"{}"), st.just(b"[[" * 5000)),
    content_type=st.sampled_from(
        [
            "",
            "application/json",
            "application/octet-stream",
            "multipart/form-data",
            "multipart/form-data; boundary=a",
            "ü",
        ]
    ),
)
@example(ENDPOINTS[0], ("", "", "", ""), "", b"", "")
def test_no_request_makes_the_server_fail(
    endpoint: Any, ids: tuple[str, str, str, str], query: str, body: bytes, content_type: str
) -> None:
    client = Client(FakeGateway(job(), job(OTHER_JOB, JobStatus.FINISHED)))
    names = dict(zip(("job", "vertex", "subtask", "attempt"), ids, strict=True))
    path = endpoint.path.format(**names, operator=ids[1], application=ids[0], task_manager=ids[1], key=ids[0])
    target = path.replace("?", "").replace("\n", "")
    answer = client.call(endpoint.method, f"{target}?mode={query}", body, {"content-type": content_type})
    assert answer.status < 500, answer
    if answer.status >= 300:
        assert answer.error


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_no_damaged_submission_makes_the_server_fail(noise: bytes, start: int, end: int) -> None:
    body, headers = submission(graph(), b"content")
    gateway = FakeGateway()
    damaged = body[:start] + noise + body[end:]
    assert Client(gateway).call("POST", "/jobs", damaged, headers).status in (202, 400)
    for submitted, blobs in gateway.submitted:
        assert submitted.job_id and all(len(key) == 64 for key in blobs)
