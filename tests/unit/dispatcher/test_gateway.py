"""REST's questions become events, and effects become answers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pyflow_runtime.dispatcher.control_plane import ControlPlane
from pyflow_runtime.dispatcher.effects import Reply
from pyflow_runtime.dispatcher.events import CancelJob, CollectRequest, Event, ShutDown, SubmitJob
from pyflow_runtime.dispatcher.shell import gateway as gateways
from pyflow_runtime.dispatcher.shell.blobs import BlobServer
from pyflow_runtime.dispatcher.shell.gateway import Gateway
from pyflow_runtime.dispatcher.views import JobView
from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.highavailability.job_store import JobResult
from pyflow_yarn.errors import ClusterError, Domain, FailureInfo, JobNotFoundError, UserError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind, JobGraph, JobVertex, OperatorNode

JOB = "a" * 32
CONTENT = b"some blob"
KEY = hashlib.sha256(CONTENT).hexdigest()


def view(status: JobStatus) -> JobView:
    return JobView(
        job_id=JOB,
        name="job",
        status=status,
        start_time=1,
        end_time=-1,
        last_modification=1,
        timestamps={},
        restarts=0,
        vertices=[],
        exceptions=[],
        accumulators=[],
        graph=graph(),
    )


def graph(definition: bytes = b"") -> JobGraph:
    operator = OperatorNode(id="b" * 32, name="o", kind="map", definition=definition)
    vertex = JobVertex(id="b" * 32, name="v", parallelism=1, max_parallelism=128, operators=[operator])
    artifact = Artifact(kind=ArtifactKind.CACHED_FILE, name="data.csv", blob=KEY, size=len(CONTENT))
    return JobGraph(job_id=JOB, name="job", vertices=[vertex], edges=[], artifacts=[artifact])


class Machine:
    """A control plane of which the test decides what it says."""

    def __init__(self) -> None:
        self.status: JobStatus | None = None
        self.events: list[Event] = []
        self.answer: Callable[[Event], Reply | None] = lambda event: None
        self.gateway: Gateway | None = None

    def job(self, job_id: str) -> JobView:
        if self.status is None or job_id != JOB:
            raise JobNotFoundError(f"Job {job_id} not found.")
        return view(self.status)

    def feed(self, event: Event) -> None:
        self.events.append(event)
        reply = self.answer(event)
        if reply is not None:
            assert self.gateway is not None
            self.gateway.reply(reply)


def accept(event: Event) -> Reply:
    return Reply(request_id=cast("Any", event).request_id)


class Case:
    def __init__(self, directory: Path) -> None:
        self.machine = Machine()
        self.blobs = BlobServer(directory / "blobs")
        self.gateway = Gateway({}, cast("ControlPlane", self.machine), self.blobs, self.machine.feed)
        self.machine.gateway = self.gateway

    def run(self, body: Callable[[Case], Awaitable[None]]) -> None:
        async def main() -> None:
            async with asyncio.timeout(10):
                await body(self)

        asyncio.run(main())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_submission_brings_its_blobs(case: Case) -> None:
    async def body(case: Case) -> None:
        case.machine.answer = accept
        assert await case.gateway.missing_blobs([KEY]) == [KEY]
        case.machine.status = JobStatus.CREATED
        await case.gateway.submit_job(graph(), {KEY: CONTENT})
        (event,) = case.machine.events
        assert isinstance(event, SubmitJob)
        assert event.graph == graph()
        assert await case.gateway.missing_blobs([KEY]) == []

    case.run(body)


def test_a_job_without_its_blobs_is_refused(case: Case) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(ClusterError, match=r"missing on the JobManager: data\.csv"):
            await case.gateway.submit_job(graph(), {})
        assert case.machine.events == []

    case.run(body)


def test_too_much_in_a_graph_is_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "MAX_FUNCTIONS", 3 * 1024**2)

    async def body(case: Case) -> None:
        with pytest.raises(UserError, match="have 4 mb, and at most 3 mb can travel with a job: let it read"):
            await case.gateway.submit_job(graph(bytes(4 * 1024**2)), {KEY: CONTENT})

    case.run(body)


def test_blobs_of_refused_and_of_ended_jobs_go(case: Case) -> None:
    async def body(case: Case) -> None:
        def refuse(event: Event) -> Reply:
            return Reply(request_id=cast("Any", event).request_id, error=UserError("no such thing"))

        case.machine.answer = refuse
        with pytest.raises(UserError, match="no such thing"):
            await case.gateway.submit_job(graph(), {KEY: CONTENT})
        assert await case.gateway.missing_blobs([KEY]) == [KEY]
        case.machine.answer, case.machine.status = accept, JobStatus.FINISHED
        await case.gateway.submit_job(graph(), {KEY: CONTENT})
        assert await case.gateway.missing_blobs([KEY]) == [KEY], "its result is known: it does not run again"

    case.run(body)


def test_a_blob_that_a_client_was_told_of_stays_for_a_while(case: Case) -> None:
    async def body(case: Case) -> None:
        case.machine.answer, case.machine.status = accept, JobStatus.RUNNING
        await case.gateway.submit_job(graph(), {KEY: CONTENT})
        assert await case.gateway.missing_blobs([KEY]) == []
        case.blobs.release(JOB)
        assert await case.gateway.missing_blobs([KEY]) == []

    case.run(body)


def test_cancel_collect_and_shut_down_ask_the_control_plane(case: Case) -> None:
    async def body(case: Case) -> None:
        case.machine.answer = lambda event: (
            Reply(request_id=event.request_id, result=b"page") if isinstance(event, CollectRequest) else accept(event)
        )
        await case.gateway.cancel_job(JOB)
        assert await case.gateway.coordination_request(JOB, "b" * 32, b"?", 1) == b"page"
        await case.gateway.shut_down_cluster()
        assert [type(event) for event in case.machine.events] == [CancelJob, CollectRequest, ShutDown]
        assert len({cast("Any", event).request_id for event in case.machine.events}) == 3

    case.run(body)


def test_silence_is_an_error_and_a_late_reply_is_none(case: Case) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(ClusterError, match=r"did not answer within 0\.01 s"):
            await case.gateway.coordination_request(JOB, "b" * 32, b"?", 0.01)
        case.gateway.reply(accept(case.machine.events[0]))

    case.run(body)


def test_waiting_for_the_end_of_a_job(case: Case) -> None:
    async def body(case: Case) -> None:
        with pytest.raises(JobNotFoundError):
            await case.gateway.wait_for_job(JOB, 1)
        case.machine.status = JobStatus.RUNNING
        assert (await case.gateway.wait_for_job(JOB, 0.01)).status is JobStatus.RUNNING
        waiting = asyncio.create_task(case.gateway.wait_for_job(JOB, 5))
        await asyncio.sleep(0)
        case.gateway.job_terminated("c" * 32)
        await asyncio.sleep(0)
        assert not waiting.done()
        case.machine.status = JobStatus.FAILED
        case.gateway.job_terminated(JOB)
        assert (await waiting).status is JobStatus.FAILED
        assert (await case.gateway.wait_for_job(JOB, 5)).status is JobStatus.FAILED

    case.run(body)


def test_the_fate_of_jobs_of_earlier_leaders_is_known(case: Case) -> None:
    failure = FailureInfo(exception="ValueError", message="no", domain=Domain.USER)
    case.gateway.remember([JobResult(job_id=JOB, status=JobStatus.FAILED, failure=failure)])
    found = case.gateway.job(JOB)
    assert found.status is JobStatus.FAILED
    assert found.exceptions[0].failure == failure
    with pytest.raises(JobNotFoundError):
        case.gateway.job("c" * 32)


def test_whoever_waits_hears_that_the_job_manager_ends(case: Case) -> None:
    async def body(case: Case) -> None:
        asking = asyncio.create_task(case.gateway.cancel_job(JOB))
        await asyncio.sleep(0)
        case.gateway.close()
        with pytest.raises(ClusterError, match="The JobManager ends"):
            await asking

    case.run(body)


def test_a_new_job_manager_keeps_what_its_jobs_need(tmp_path: Path) -> None:
    async def body() -> None:
        server = BlobServer(tmp_path / "blobs")
        other = hashlib.sha256(b"other").hexdigest()
        await server.put({KEY: CONTENT, other: b"other"})
        restarted = BlobServer(tmp_path / "blobs")
        restarted.recover([graph()])
        assert restarted.missing([KEY, other]) == [other]
        assert (await restarted.path(KEY)).read_bytes() == CONTENT
        with pytest.raises(ClusterError, match="There is no blob"):
            await restarted.path(other)
        restarted.release(JOB)
        assert restarted.missing([KEY]) == []

    asyncio.run(body())
