"""The JobStore in a directory: what every JobStore promises, its format, and the fence step by step."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
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
)
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.filesystem.local import LocalFileSystem
from pyflow_yarn.graph.job_graph import FORMAT_VERSION, JobGraph
from tests.unit.filesystem.memory import MemoryFileSystem, Node
from tests.unit.highavailability import conformance
from tests.unit.highavailability.conformance import graph, result


def in_memory(path: Path) -> Callable[[], JobStore]:
    tree: dict[str, Node] = {}
    return lambda: DirectoryJobStore("/a/store", files=MemoryFileSystem(tree))


STORES: dict[str, Callable[[Path], Callable[[], JobStore]]] = {
    "local": lambda path: lambda: DirectoryJobStore(f"{path}/a/store"),
    "local, unsynced": lambda path: lambda: DirectoryJobStore(f"{path}/a/store", sync=False),
    "in memory": in_memory,
}


@pytest.mark.parametrize("store", sorted(STORES))
@pytest.mark.parametrize("behaves", conformance.ALL)
def test_it_does_what_every_job_store_does(
    behaves: Callable[[Callable[[], JobStore]], None], store: str, tmp_path: Path
) -> None:
    behaves(STORES[store](tmp_path))


@given(st.binary(max_size=200), st.data())
def test_a_changed_entry_is_never_taken_for_one(noise: bytes, data: st.DataObject) -> None:
    entry = encode_entry(graph(1, noise.hex()))
    assert decode_entry(entry, JobGraph, "x") == graph(1, noise.hex())
    position = data.draw(st.integers(0, len(entry) - 1))
    changed = bytearray(entry)
    changed[position] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(changed), entry[:position], noise):
        with pytest.raises(DamagedEntryError, match="job-17"):
            decode_entry(bad, JobGraph, "job-17")


def test_golden_entry() -> None:
    value = JobResult(job_id="0" * 32, status=JobStatus.FINISHED)
    entry = encode_entry(value)
    assert entry[:8] == b"pyflJS01"
    assert entry[8:40].hex() == "e2dd4e438d3449c495c72935cee1f34327edc2c218917af530a6e68d78437075"
    assert entry[40:].startswith(b"\x83\xa6job_id\xd9 000")
    assert decode_entry(entry, JobResult, "x") == value


def test_golden_layout(tmp_path: Path) -> None:
    store = DirectoryJobStore(f"{tmp_path}/above/store", sync=False)
    epoch = store.claim_epoch()
    assert epoch == 1
    store.put_job(graph(1), epoch)
    store.put_commit(JobCommit(job_id=graph(1).job_id, payload=b"c"), epoch)
    store.put_result(result(2), epoch)
    store.put_blob("a" * 64, [b"a ", b"blob"], epoch)
    names = {str(path.relative_to(tmp_path / "above")): path for path in sorted((tmp_path / "above").rglob("*"))}
    job_id, other = f"{1:032x}", f"{2:032x}"
    entries = [f"blob-{'a' * 64}", f"commit-{job_id}", f"job-{job_id}", f"result-{other}"]
    assert list(names) == ["store", "store/epoch-1", *(f"store/epoch-1/{name}" for name in entries), "store/format"]
    assert names["store/format"].read_bytes() == b"2"
    assert names[f"store/epoch-1/blob-{'a' * 64}"].read_bytes() == b"a blob"
    assert decode_entry(names[f"store/epoch-1/job-{job_id}"].read_bytes(), JobGraph, "") == graph(1)
    assert {path.stat().st_mode & 0o777 for path in names.values() if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in names.values() if path.is_file()} == {0o600}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = DirectoryJobStore(f"{tmp_path}/store")
    store.put_job(graph(1), store.claim_epoch())
    path = tmp_path / "store" / "epoch-1" / f"job-{1:032x}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedEntryError, match=str(path)):
        store.recover()
    (tmp_path / "store" / "epoch-1").rename(tmp_path / "store" / "epoch-one")
    with pytest.raises(DamagedEntryError, match=r"is damaged \(it has no directory epoch-<number>\)"):
        store.claim_epoch()


def test_versions_are_checked(tmp_path: Path) -> None:
    store = DirectoryJobStore(f"{tmp_path}/store")
    newer = JobGraph(job_id="1" * 32, name="n", vertices=[], edges=[], format_version=FORMAT_VERSION + 1)
    store.put_job(newer, store.claim_epoch())
    with pytest.raises(ExternalError, match="newer version"):
        store.recover()
    (tmp_path / "store" / "format").write_text("1")
    with pytest.raises(ExternalError, match="layout version 1, this version reads 2"):
        DirectoryJobStore(f"{tmp_path}/store")


def test_what_an_older_leader_had_begun_is_deleted_by_the_next(tmp_path: Path) -> None:
    store = DirectoryJobStore(f"{tmp_path}/store")
    store.put_job(graph(1), store.claim_epoch())
    (tmp_path / "store" / "epoch-1" / ".half.1").write_bytes(b"xx")
    assert store.recover().graphs == [graph(1)]
    store.claim_epoch()
    assert store.recover().graphs == [graph(1)]
    assert os.listdir(tmp_path / "store" / "epoch-2") == [f"job-{1:032x}"]


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExternalError, match="cannot be used: Not a directory"):
        DirectoryJobStore(f"{tmp_path}/file/store")
    assert os.listdir(tmp_path) == ["file"]
    store = DirectoryJobStore(f"{tmp_path}/store")
    LocalFileSystem().delete(f"{tmp_path}/store", recursive=True)
    with pytest.raises(ExternalError, match="cannot be read: No such file or directory"):
        store.recover()
    with pytest.raises(ExternalError, match=r"cannot be stored in .*: No such file or directory"):
        store.put_result(result(1), 1)


def test_a_write_that_was_under_way_is_seen_by_the_next_leader_or_never_happens() -> None:
    """A deposed leader stands still at each step: also within the one that makes its entry, its directory looked up."""
    step = 1
    while taken_over_while_writing(step):
        step += 1
    assert step > 10


def taken_over_while_writing(step: int) -> bool:
    """Whether another leader came at that step; none is wronged."""
    tree: dict[str, Node] = {}
    steps: Iterator[int] = itertools.repeat(0)
    found: list[list[JobResult]] = []

    def pause() -> None:
        if next(steps) == step:
            new = DirectoryJobStore("/a/store", files=MemoryFileSystem(tree))
            new.claim_epoch()
            found.append(new.recover().results)

    store = DirectoryJobStore("/a/store", files=MemoryFileSystem(tree, pause))
    epoch = store.claim_epoch()
    steps = itertools.count(1)
    try:
        store.put_result(result(1), epoch)
        written = True
    except StaleEpochError:
        written = False
    last = DirectoryJobStore("/a/store", files=MemoryFileSystem(tree)).recover().results
    if found:
        assert found == [[result(1)]] or not written
        assert found == [last], "nothing is written behind a leader's back"
    else:
        assert last == [result(1)]
    return bool(found)
