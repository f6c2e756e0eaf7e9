"""From a prepared job to its result, over REST."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pyflow_yarn.client.executor import ClusterExecutor, FetchResults, Results
from pyflow_yarn.common import Configuration
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.execution import set_executor
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.errors import UserFunctionError
from tests.unit.client.fake_rest import JOB, Answer, FakeRest, Request


class FakeCluster:
    """A cluster whose REST server is scripted."""

    def __init__(self, rest: FakeRest, ends_with_client: bool) -> None:
        self.rest = rest
        self.ends_with_client = ends_with_client

    def endpoint(self) -> Endpoint:
        return self.rest.endpoint("token")

    def check(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def executor(fake_rest: FakeRest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ClusterExecutor]:
    script = tmp_path / "job.py"
    script.write_text("pass\n")
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    fake_rest.succeed()
    made = ClusterExecutor({"execution.attached": "true"}, FakeCluster(fake_rest, ends_with_client=True), "/my/python")
    set_executor(made)
    yield made
    set_executor(None)
    made.close()


def environment() -> StreamExecutionEnvironment:
    configuration = Configuration()
    configuration.set_string("$internal.pipeline.job-id", JOB)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


def submit(executor: ClusterExecutor) -> None:
    env = environment()
    env.from_collection([1, 2, 3]).print()
    env.execute("job")


def test_only_missing_blobs_are_sent(fake_rest: FakeRest, executor: ClusterExecutor) -> None:
    submit(executor)
    keys = json.loads(fake_rest.sent("POST", "/v1/blobs/missing")[0].body)["keys"]
    assert len(keys) == 1
    assert keys[0].encode() in fake_rest.sent("POST", "/v1/jobs")[0].body
    fake_rest.routes["POST /v1/blobs/missing"] = Answer(200, {"missing": []})
    submit(executor)
    # Of the blob only the name travels, inside the graph.
    assert b'filename="' + keys[0].encode() not in fake_rest.sent("POST", "/v1/jobs")[1].body
    assert fake_rest.requests[-1].headers["Authorization"] == "Bearer token"


def test_the_graph_names_the_interpreter_and_the_artifacts(fake_rest: FakeRest, executor: ClusterExecutor) -> None:
    submit(executor)
    body = fake_rest.sent("POST", "/v1/jobs")[0].body
    assert b"/my/python" in body
    assert b"program-sources" in body


def page(records: list[int], offset: int, last: bool) -> Answer:
    return Answer(200, msgspec.msgpack.encode(Results("r", offset, pickle.dumps(records), last)))


def test_results_are_collected_page_by_page(fake_rest: FakeRest, executor: ClusterExecutor) -> None:
    asked: list[FetchResults] = []
    pages = [Answer(503, {"errors": ["not yet"]}), page([1, 2], 0, False), page([], 2, False), page([3], 2, True)]

    def answer(request: Request) -> Answer:
        asked.append(msgspec.msgpack.decode(request.body, type=FetchResults))
        return pages.pop(0)

    env = environment()
    stream = env.from_collection([1, 2, 3])
    iterator = stream.execute_and_collect()
    fake_rest.routes[f"POST /v1/jobs/{JOB}/coordinators/{iterator._operator_id}"] = answer
    assert list(iterator) == [1, 2, 3]
    assert [request.offset for request in asked] == [0, 0, 2, 2]
    assert len({request.request_id for request in asked}) == 4
    executor.wait_for_unfinished()
    assert fake_rest.sent("PATCH", f"/v1/jobs/{JOB}") == []


def test_a_job_that_fails_while_its_results_are_fetched(fake_rest: FakeRest, executor: ClusterExecutor) -> None:
    info = {"exception": "ValueError", "message": "bad"}
    fake_rest.ends(JOB, "FAILED", {"class": "ValueError", "stack-trace": "...", "failure-info": info})
    iterator = environment().from_collection([1, 2, 3]).execute_and_collect()
    path = f"POST /v1/jobs/{JOB}/coordinators/{iterator._operator_id}"
    fake_rest.routes[path] = Answer(409, {"errors": ["It has ended."]})
    with pytest.raises(UserFunctionError, match="ValueError: bad"):
        next(iterator)


def test_results_that_nobody_reads_any_more_end_their_job(
    fake_rest: FakeRest, executor: ClusterExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(202)
    fake_rest.ends(JOB, "CANCELED")
    iterator = environment().from_collection([1, 2, 3]).execute_and_collect()
    fake_rest.routes[f"POST /v1/jobs/{JOB}/coordinators/{iterator._operator_id}"] = page([1, 2], 0, False)
    assert next(iterator) == 1
    executor.wait_for_unfinished()
    assert len(fake_rest.sent("PATCH", f"/v1/jobs/{JOB}")) == 1


def test_a_job_in_the_background_is_waited_for_on_a_cluster_that_ends_with_the_client(
    fake_rest: FakeRest, executor: ClusterExecutor
) -> None:
    env = environment()
    env.from_collection([1]).print()
    env.execute_async()
    assert fake_rest.sent("GET", f"/v1/jobs/{JOB}/execution-result") == []
    executor.wait_for_unfinished()
    assert len(fake_rest.sent("GET", f"/v1/jobs/{JOB}/execution-result")) == 1
    assert executor.unfinished() == []


def test_ctrl_c_cancels_on_a_cluster_that_ends_with_the_client(
    fake_rest: FakeRest, executor: ClusterExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    env = environment()
    env.from_collection([1]).print()
    env.execute_async()
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(202)
    fake_rest.ends(JOB, "CANCELED")
    executor.interrupted()
    assert capsys.readouterr().err == f"Job {JOB} was cancelled.\n"


def test_large_files_are_sent_by_themselves(fake_rest: FakeRest, executor: ClusterExecutor, tmp_path: Path) -> None:
    content = b"x" * (1 << 20) + b"y"
    (tmp_path / "large").write_bytes(content)
    key = hashlib.sha256(content).hexdigest()
    fake_rest.routes[f"PUT /v1/blobs/{key}"] = Answer(201)
    env = environment()
    env.register_cached_file(str(tmp_path / "large"), "large")
    env.from_collection([1]).print()
    env.execute()
    (sent,) = fake_rest.sent("PUT", f"/v1/blobs/{key}")
    assert sent.body == content
    body = fake_rest.sent("POST", "/v1/jobs")[0].body
    assert len(body) < 1 << 20
    assert body.count(b"filename=") == 2, "the graph and the sources"
