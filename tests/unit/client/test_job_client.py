"""What a program may ask of a running job."""

from __future__ import annotations

import pytest

from pyflow_yarn.client.job_client import JobCancelledError, JobFailedError, RestJobClient
from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.common import JobID, JobStatus
from pyflow_yarn.errors import ClusterError, FailureInfo, JobNotFoundError, UserFunctionError
from tests.unit.client.fake_rest import JOB, Answer, FakeRest, Request

RESULT = f"GET /v1/jobs/{JOB}/execution-result"
IN_PROGRESS = Answer(200, {"status": {"id": "IN_PROGRESS"}})


def client(fake: FakeRest, attached: bool = False) -> RestJobClient:
    return RestJobClient(RestClient(fake.endpoint(), {}), JOB, attached)


def test_status_cancel_and_accumulators(fake_rest: FakeRest) -> None:
    job = client(fake_rest)
    assert job.get_job_id() == JobID(JOB)
    fake_rest.routes[f"GET /v1/jobs/{JOB}/status"] = [
        Answer(200, {"status": "INITIALIZING"}),
        Answer(200, {"status": "RUNNING"}),
    ]
    assert job.get_job_status().result(5) is JobStatus.CREATED
    assert job.get_job_status().result(5) is JobStatus.RUNNING
    fake_rest.succeed(count="3", text="abc")
    assert job.get_accumulators().result(5) == {"count": 3, "text": "abc"}
    with pytest.raises(JobNotFoundError):
        job.cancel().result(5)
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(409, {"errors": ["ended"]})
    job.cancel().result(5)


def test_the_result_is_waited_for_with_long_polls(fake_rest: FakeRest, capsys: pytest.CaptureFixture[str]) -> None:
    fake_rest.succeed(count="3")
    ended = fake_rest.routes[RESULT]
    assert isinstance(ended, Answer)
    fake_rest.routes[RESULT] = [IN_PROGRESS, IN_PROGRESS, ended]
    job = client(fake_rest)
    result = job.get_job_execution_result().result()
    assert (result.get_net_runtime(), result.get_accumulator_result("count")) == (42, 3)
    assert job.get_job_execution_result().result() is result
    asked = fake_rest.sent("GET", f"/v1/jobs/{JOB}/execution-result")
    assert {request.path.partition("?")[2] for request in asked} == {"wait=10000"}
    assert capsys.readouterr().out == ""
    job._rest.close()


def test_an_attached_result_is_printed_once(fake_rest: FakeRest, capsys: pytest.CaptureFixture[str]) -> None:
    fake_rest.succeed()
    job = client(fake_rest, attached=True)
    job.get_job_execution_result().result()
    job.get_job_execution_result().result()
    assert capsys.readouterr().out == (
        f"Program execution finished\nJob with JobID {JOB} has finished.\nJob Runtime: 42 ms\n\n"
    )
    job._rest.close()


def test_done_and_timeouts(fake_rest: FakeRest) -> None:
    fake_rest.routes[RESULT] = IN_PROGRESS
    future = client(fake_rest).get_job_execution_result()
    assert not future.done()
    with pytest.raises(TimeoutError):
        future.result(0.05)
    fake_rest.succeed()
    assert future.done()
    assert future.exception() is None
    future._job._rest.close()  # type: ignore[attr-defined]


def test_how_jobs_end_badly(fake_rest: FakeRest) -> None:
    def outcome(status: str, cause: dict[str, object] | None = None) -> BaseException:
        fake_rest.ends(JOB, status, cause)
        job = client(fake_rest)
        error = job.get_job_execution_result().exception()
        job._rest.close()
        assert job.ended
        assert error is not None
        return error

    info = {"exception": "ValueError", "message": "bad"}
    failed = outcome("FAILED", {"class": "ValueError", "stack-trace": "...", "failure-info": info})
    assert isinstance(failed, UserFunctionError)
    assert failed.failure == FailureInfo(exception="ValueError", message="bad")
    lost = outcome("FAILED", {"class": "WorkerLost", "stack-trace": "", "failure-info": {**info, "domain": "cluster"}})
    assert isinstance(lost, JobFailedError)
    assert str(lost) == "ValueError: bad"
    plain = outcome("FAILED", {"class": "java.lang.Exception", "stack-trace": "java.lang.Exception: x\n  at y"})
    assert type(plain) is ClusterError
    assert str(plain).startswith("java.lang.Exception: x")
    assert "does not say why" in str(outcome("FAILED"))
    assert isinstance(outcome("CANCELED"), JobCancelledError)


def test_a_lost_cluster_ends_the_waiting(fake_rest: FakeRest) -> None:
    fake_rest.routes[RESULT] = lambda request: Answer(503)

    def check() -> None:
        raise ClusterError("The local cluster is gone.")

    job = RestJobClient(RestClient(fake_rest.endpoint(), {}, check), JOB)
    with pytest.raises(ClusterError, match="gone"):
        job.get_job_execution_result().result()
    job._rest.close()


def test_requests_carry_the_wait(fake_rest: FakeRest) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Answer:
        seen.append(request.path)
        return IN_PROGRESS

    fake_rest.routes[RESULT] = answer
    job = client(fake_rest)
    assert job.wait(0.2) is None
    assert seen[0].endswith("?wait=200")
    job._rest.close()
