"""What every JobStore promises; ``reopen`` opens the same one anew, as another process does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.highavailability.job_store import JobCommit, JobResult, JobStore, StaleEpochError, StoredJobs
from pyflow_yarn.errors import Domain, ExternalError, FailureInfo
from pyflow_yarn.graph.job_graph import JobGraph, JobVertex

Reopen = Callable[[], JobStore]


def graph(number: int, name: str = "job") -> JobGraph:
    vertex = JobVertex(id="a" * 32, name="v", parallelism=1, max_parallelism=128, operators=[])
    return JobGraph(job_id=f"{number:032x}", name=name, vertices=[vertex], edges=[], configuration={"a.b": "c"})


def result(number: int, failure: FailureInfo | None = None) -> JobResult:
    return JobResult(
        job_id=f"{number:032x}", status=JobStatus.FAILED if failure else JobStatus.FINISHED, failure=failure
    )


def blob(*content: bytes) -> str:
    return hashlib.sha256(b"".join(content)).hexdigest()


def an_empty_store(reopen: Reopen) -> None:
    assert reopen().recover() == StoredJobs(graphs=[], commits=[], results=[])


def epochs_grow_and_survive(reopen: Reopen) -> None:
    store = reopen()
    first = store.claim_epoch()
    second = store.claim_epoch()
    assert 0 < first < second < reopen().claim_epoch()


def jobs_survive_until_they_have_a_result(reopen: Reopen) -> None:
    store = reopen()
    epoch = store.claim_epoch()
    store.put_job(graph(1), epoch)
    store.put_job(graph(1), epoch)
    store.put_job(graph(2), epoch)
    store.put_commit(JobCommit(job_id=graph(1).job_id, payload=b"1"), epoch)
    store.put_commit(JobCommit(job_id=graph(2).job_id, payload=b"2"), epoch)
    failure = FailureInfo(exception="ValueError", message="no", domain=Domain.USER, record="'x'")
    store.put_result(result(2, failure), epoch)
    store.put_result(result(2, failure), epoch)
    stored = StoredJobs(
        graphs=[graph(1)],
        commits=[JobCommit(job_id=graph(1).job_id, payload=b"1")],
        results=[result(2, failure)],
    )
    assert reopen().recover() == stored
    store.put_job(graph(2), epoch)
    store.put_commit(JobCommit(job_id=graph(2).job_id, payload=b"2"), epoch)
    assert reopen().recover() == stored, "a job with a result never comes back"


def a_result_without_a_graph_is_kept(reopen: Reopen) -> None:
    store = reopen()
    store.put_result(result(5), store.claim_epoch())
    assert store.recover() == StoredJobs(graphs=[], commits=[], results=[result(5)])


def an_older_epoch_cannot_write(reopen: Reopen) -> None:
    old_leader = reopen()
    old = old_leader.claim_epoch()
    old_leader.put_job(graph(1), old)
    new = reopen().claim_epoch()
    with pytest.raises(StaleEpochError, match=f"epoch {old} .* epoch {new}"):
        old_leader.put_job(graph(2), old)
    with pytest.raises(StaleEpochError):
        old_leader.put_result(result(1), old)
    with pytest.raises(StaleEpochError):
        old_leader.put_commit(JobCommit(job_id=graph(1).job_id, payload=b""), old)
    assert reopen().recover().graphs == [graph(1)]


def ids_are_no_paths(reopen: Reopen) -> None:
    store = reopen()
    with pytest.raises(ExternalError, match="is no job id"):
        store.put_result(JobResult(job_id="../../etc/passwd", status=JobStatus.FINISHED), store.claim_epoch())


def claims_of_many_are_all_different(reopen: Reopen) -> None:
    claimed: list[int] = []

    def claim() -> None:
        store = reopen()
        claimed.extend(store.claim_epoch() for _ in range(5))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(claimed)) == 20


def blobs_are_kept_until_they_are_deleted(reopen: Reopen) -> None:
    store = reopen()
    epoch = store.claim_epoch()
    pieces = [bytes([number]) * 100_000 for number in range(20)]
    store.put_blob(blob(*pieces), iter(pieces), epoch)
    store.put_blob(blob(*pieces), iter(pieces), epoch)
    store.put_blob(blob(b""), [], epoch)
    assert reopen().recover().blobs == {blob(*pieces), blob(b"")}
    assert b"".join(reopen().read_blob(blob(*pieces), epoch)) == b"".join(pieces)
    assert list(reopen().read_blob(blob(b""), epoch)) == []
    store.delete_blobs([blob(b""), blob(b"no")], epoch)
    assert reopen().recover() == StoredJobs(graphs=[], commits=[], results=[], blobs=frozenset([blob(*pieces)]))
    with pytest.raises(ExternalError, match=f"Blob {blob(b'no')} cannot be read"):
        list(store.read_blob(blob(b"no"), epoch))
    with pytest.raises(ExternalError, match="is no blob key"):
        store.put_blob("../x", [], epoch)


def an_older_epoch_has_no_blobs(reopen: Reopen) -> None:
    old_leader = reopen()
    old = old_leader.claim_epoch()
    old_leader.put_blob(blob(b"1"), [b"1"], old)
    new_leader = reopen()
    new = new_leader.claim_epoch()
    with pytest.raises(StaleEpochError):
        old_leader.put_blob(blob(b"2"), [b"2"], old)
    with pytest.raises(StaleEpochError):
        list(old_leader.read_blob(blob(b"1"), old))
    old_leader.delete_blobs([blob(b"1")], old)
    assert new_leader.recover().blobs == {blob(b"1")}
    assert list(new_leader.read_blob(blob(b"1"), new)) == [b"1"]


ALL = (
    an_empty_store,
    epochs_grow_and_survive,
    jobs_survive_until_they_have_a_result,
    a_result_without_a_graph_is_kept,
    an_older_epoch_cannot_write,
    ids_are_no_paths,
    claims_of_many_are_all_different,
    blobs_are_kept_until_they_are_deleted,
    an_older_epoch_has_no_blobs,
)
