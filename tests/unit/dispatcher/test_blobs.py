"""Blobs in the JobStore: a JobManager on another machine has what the jobs need."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from pyflow_runtime.blob.messages import FetchBlob
from pyflow_runtime.dispatcher.shell.blobs import BlobServer, StoredBlobs
from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_runtime.highavailability.job_store import StaleEpochError
from pyflow_yarn.errors import ClusterError, ExternalError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind, JobGraph

CONTENTS = [b"first", b"second" * 1_000_000, b""]
KEYS = [hashlib.sha256(content).hexdigest() for content in CONTENTS]


def graph(job: str, *keys: str) -> JobGraph:
    artifacts = [Artifact(kind=ArtifactKind.CACHED_FILE, name="data.csv", blob=key, size=1) for key in keys]
    return JobGraph(job_id=job * 32, name="job", vertices=[], edges=[], artifacts=artifacts)


class Machine:
    """A JobManager's machine: a directory of its own, and a leader epoch."""

    def __init__(self, directory: Path, storage: Path) -> None:
        self.store = DirectoryJobStore(f"{storage}/jobstore", sync=False)
        self.epoch = self.store.claim_epoch()
        found = self.store.recover()
        self.stored = StoredBlobs(self.store, self.epoch, found.blobs)
        self.directory = directory / f"machine-{self.epoch}"
        self.server = BlobServer(self.directory)
        self.server.recover(found.graphs, self.stored)

    async def submit(self, job: JobGraph) -> None:
        await self.server.keep(job)
        self.store.put_job(job, self.epoch)

    def in_store(self) -> set[str]:
        """Once everything has been done that was asked for; the last question of a test."""
        self.server.close()
        return set(self.store.recover().blobs)


async def brought(*keys: str) -> dict[str, bytes]:
    return {key: CONTENTS[KEYS.index(key)] for key in keys}


def test_another_machine_has_the_blobs_of_the_jobs_and_no_others(tmp_path: Path) -> None:
    async def body() -> None:
        first = Machine(tmp_path, tmp_path)
        await first.server.put(await brought(*KEYS))
        with pytest.raises(ClusterError, match=r"missing on the JobManager: data\.csv"):
            await first.submit(graph("a", "0" * 64))
        await first.submit(graph("a", *KEYS[:2]))
        # In the store, but its graph never got there: this JobManager has died in between.
        await first.server.keep(graph("b", KEYS[2]))
        assert first.in_store() == set(KEYS)

        second = Machine(tmp_path, tmp_path)
        assert list(second.directory.iterdir()) == []
        assert second.server.missing(KEYS) == [KEYS[2]]
        chunk = await second.server.serve(FetchBlob(key=KEYS[0], offset=1))
        assert (chunk.data, chunk.size) == (b"irst", 5)
        paths = await asyncio.gather(*(second.server.path(KEYS[1]) for _ in range(3)))
        assert paths[0].read_bytes() == CONTENTS[1]
        with pytest.raises(ClusterError, match="There is no blob"):
            await second.server.path(KEYS[2])
        assert second.in_store() == set(KEYS[:2])

    asyncio.run(body())


def test_blobs_go_when_no_job_needs_them(tmp_path: Path) -> None:
    async def body() -> None:
        machine = Machine(tmp_path, tmp_path)
        await machine.server.put(await brought(*KEYS))
        await machine.submit(graph("a", *KEYS[:2]))
        await machine.submit(graph("b", *KEYS[1:]))
        machine.server.release("a" * 32)
        assert [path.name for path in machine.directory.iterdir()].count(KEYS[0]) == 0
        assert machine.in_store() == set(KEYS[1:])

    asyncio.run(body())


def test_what_a_submission_is_about_to_need_does_not_go_with_another_job(tmp_path: Path) -> None:
    async def body() -> None:
        machine = Machine(tmp_path, tmp_path)
        await machine.server.put(await brought(*KEYS))
        await machine.submit(graph("a", KEYS[0]))
        copying, go_on = threading.Event(), threading.Event()

        def slowly(key: str, content: Iterable[bytes], epoch: int) -> None:
            copying.set()
            assert go_on.wait(10)
            DirectoryJobStore.put_blob(machine.store, key, content, epoch)

        machine.store.put_blob = slowly  # type: ignore[method-assign]
        submitting = asyncio.create_task(machine.submit(graph("b", *KEYS)))
        await asyncio.to_thread(copying.wait, 10)
        machine.server.release("a" * 32)
        go_on.set()
        await submitting
        assert (await machine.server.path(KEYS[0])).read_bytes() == CONTENTS[0]
        assert machine.in_store() == set(KEYS)

    asyncio.run(body())


def test_a_deposed_leader_takes_no_job_and_no_blobs(tmp_path: Path) -> None:
    async def body() -> None:
        old = Machine(tmp_path, tmp_path)
        await old.server.put(await brought(*KEYS))
        await old.submit(graph("a", KEYS[0]))
        new = Machine(tmp_path, tmp_path)
        with pytest.raises(StaleEpochError):
            await old.server.keep(graph("b", KEYS[1]))
        old.server.release("a" * 32)
        old.server.close()
        assert new.in_store() == {KEYS[0]}

    asyncio.run(body())


def test_damage_and_a_store_that_fails_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        first = Machine(tmp_path, tmp_path)
        await first.server.put(await brought(*KEYS))
        await first.submit(graph("a", KEYS[0]))

        def full(key: str, content: Iterable[bytes], epoch: int) -> None:
            raise ExternalError("HDFS is full.")

        def broken(keys: Iterable[str], epoch: int) -> None:
            raise ExternalError("HDFS is broken.")

        first.store.put_blob = full  # type: ignore[method-assign]
        first.store.delete_blobs = broken  # type: ignore[method-assign]
        with pytest.raises(ExternalError, match="HDFS is full"):
            await first.submit(graph("b", KEYS[1]))
        first.server.release("a" * 32)
        first.server.close()
        assert "HDFS is broken." in caplog.text

        (tmp_path / "jobstore" / "epoch-1" / f"blob-{KEYS[0]}").write_bytes(b"fist")
        second = Machine(tmp_path, tmp_path)
        with pytest.raises(ExternalError, match="was damaged on its way"):
            await second.server.path(KEYS[0])
        second.server.close()

    asyncio.run(body())
