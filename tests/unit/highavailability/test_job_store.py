"""What every JobStore promises (the conformance suite), and what the directory adds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.highavailability.directory_store import DirectoryJobStore, decode_entry, encode_entry
from pyflow_runtime.highavailability.job_store import (
    DamagedEntryError,
    JobCommit,
    JobResult,
    JobStore,
    StaleEpochError,
    StoredJobs,
)
from pyflow_yarn.errors import Domain, ExternalError, FailureInfo
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph, JobVertex

STORES: dict[str, Callable[[Path], JobStore]] = {
    "directory": lambda path: DirectoryJobStore(path / "store"),
    "directory, unsynced": lambda path: DirectoryJobStore(path / "store", sync=False),
}


def graph(number: int, name: str = "job") -> JobGraph:
    vertex = JobVertex(id="a" * 32, name="v", parallelism=1, max_parallelism=128, operators=[])
    return JobGraph(job_id=f"{number:032x}", name=name, vertices=[vertex], edges=[], configuration={"a.b": "c"})


def result(number: int, failure: FailureInfo | None = None) -> JobResult:
    return JobResult(
        job_id=f"{number:032x}", status=JobStatus.FAILED if failure else JobStatus.FINISHED, failure=failure
    )


@pytest.fixture(params=sorted(STORES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], JobStore]:
    return lambda: STORES[request.param](tmp_path)


def test_an_empty_store(reopen: Callable[[], JobStore]) -> None:
    assert reopen().recover() == StoredJobs(graphs=[], commits=[], results=[])


def test_epochs_grow_and_survive(reopen: Callable[[], JobStore]) -> None:
    store = reopen()
    first = store.claim_epoch()
    second = store.claim_epoch()
    assert 0 < first < second < reopen().claim_epoch()


def test_jobs_survive_until_they_have_a_result(reopen: Callable[[], JobStore]) -> None:
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


def test_a_result_without_a_graph_is_kept(reopen: Callable[[], JobStore]) -> None:
    store = reopen()
    store.put_result(result(5), store.claim_epoch())
    assert store.recover() == StoredJobs(graphs=[], commits=[], results=[result(5)])


def test_an_older_epoch_cannot_write(reopen: Callable[[], JobStore]) -> None:
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


def test_ids_are_no_paths(reopen: Callable[[], JobStore]) -> None:
    store = reopen()
    with pytest.raises(ExternalError, match="is no job id"):
        store.put_result(JobResult(job_id="../../etc/passwd", status=JobStatus.FINISHED), store.claim_epoch())


def test_claims_of_many_are_all_different(reopen: Callable[[], JobStore]) -> None:
    claimed: list[int] = []

    def claim() -> None:
        store = reopen()
        claimed.extend(store.claim_epoch() for _ in range(10))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(claimed)) == 40


# ---- the directory ----


@given(st.binary(max_size=200), st.data())
def test_a_changed_entry_is_never_taken_for_one(noise: bytes, data: st.DataObject) -> None:
    entry = encode_entry(graph(1, noise.hex()))
    assert decode_entry(entry, JobGraph, Path("x")) == graph(1, noise.hex())
    position = data.draw(st.integers(0, len(entry) - 1))
    changed = bytearray(entry)
    changed[position] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(changed), entry[:position], noise):
        with pytest.raises(DamagedEntryError, match="job-17"):
            decode_entry(bad, JobGraph, Path("job-17"))


def test_golden_entry() -> None:
    value = JobResult(job_id="0" * 32, status=JobStatus.FINISHED)
    entry = encode_entry(value)
    assert entry[:8] == b"pyflJS01"
    assert entry[8:40].hex() == "e2dd4e438d3449c495c72935cee1f34327edc2c218917af530a6e68d78437075"
    assert entry[40:].startswith(b"\x83\xa6job_id\xd9 000")
    assert decode_entry(entry, JobResult, Path("x")) == value


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = DirectoryJobStore(tmp_path / "store")
    store.put_job(graph(1), store.claim_epoch())
    path = tmp_path / "store" / "jobs" / f"{1:032x}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedEntryError, match=str(path)):
        store.recover()
    path.unlink()
    (tmp_path / "store" / "epoch").write_text("zero")
    with pytest.raises(DamagedEntryError, match="epoch"):
        store.claim_epoch()


def test_versions_are_checked(tmp_path: Path) -> None:
    store = DirectoryJobStore(tmp_path / "store")
    store.put_job(JobGraph(job_id="1" * 32, name="n", vertices=[], edges=[], format_version=FORMAT_VERSION + 1), 0)
    with pytest.raises(ExternalError, match="newer version"):
        store.recover()
    (tmp_path / "store" / "format").write_text("2")
    with pytest.raises(ExternalError, match="layout version 2"):
        DirectoryJobStore(tmp_path / "store")


def test_a_half_written_file_is_invisible_and_private(tmp_path: Path) -> None:
    store = DirectoryJobStore(tmp_path / "store")
    (tmp_path / "store" / "jobs" / ".half.1").write_bytes(b"xx")
    store.put_job(graph(1), store.claim_epoch())
    assert store.recover().graphs == [graph(1)]
    assert (tmp_path / "store" / "jobs" / f"{1:032x}").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExternalError, match="cannot be used: Not a directory"):
        DirectoryJobStore(tmp_path / "file" / "store")
    assert os.listdir(tmp_path) == ["file"]
