"""The BlobServer: which blobs there are, who needs them, and when they may go.

They are files of this machine. Where the JobManager may be started on another machine, those of its jobs are in the
JobStore, too: there before the job's graph is, and fetched from there when somebody asks for them first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pyflow_runtime.blob.messages import CHUNK_SIZE, BlobChunk, FetchBlob
from pyflow_runtime.blob.store import BlobStore
from pyflow_runtime.highavailability.job_store import JobStore
from pyflow_yarn.errors import ClusterError, ExternalError
from pyflow_yarn.graph.job_graph import JobGraph

logger = logging.getLogger(__name__)

PROMISE_SECONDS = 300.0
T = TypeVar("T")


class StoredBlobs:
    """The blobs in a JobStore, as one leader sees them."""

    def __init__(self, store: JobStore, epoch: int, keys: Iterable[str]) -> None:
        self.keys = set(keys)
        self._store = store
        self._epoch = epoch
        # One thread: a blob that is deleted and then wanted again is there in the end.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="blob-store")

    async def keep(self, key: str, local: BlobStore) -> None:
        """Put a blob of this machine into the JobStore."""
        await self._run(lambda: self._store.put_blob(key, local.pieces(key), self._epoch))
        self.keys.add(key)

    async def fetch(self, key: str, local: BlobStore) -> None:
        """Make a file of this machine of a blob, unless there is one."""

        def transfer() -> None:
            if not local.has(key):
                with local.writer(key) as writer:
                    for piece in self._store.read_blob(key, self._epoch):
                        writer.write(piece)
                    writer.commit()

        await self._run(transfer)

    def forget(self, keys: set[str]) -> None:
        """Delete blobs some time; those that cannot be deleted are deleted by the next leader."""
        leaving = keys & self.keys
        if leaving:
            self.keys -= leaving
            deleting = self._thread.submit(self._store.delete_blobs, leaving, self._epoch)
            deleting.add_done_callback(_log_failure)

    def close(self) -> None:
        """Return when all is done that was asked for."""
        self._thread.shutdown()

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _log_failure(done: Future[None]) -> None:
    if error := done.exception():
        logger.warning("%s", error)


class BlobServer:
    """Blobs live as long as a job that names them, and a while longer if a client was told that they are here."""

    def __init__(self, directory: Path) -> None:
        self._store = BlobStore(directory)
        self._stored: StoredBlobs | None = None
        self._jobs: dict[str, set[str]] = {}
        self._promised: dict[str, float] = {}
        self._being_kept: Counter[str] = Counter()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Which blobs a client has to send; it may count on the others for some minutes."""
        wanted = list(keys)
        missing = self._lacking(wanted)
        self._promise(key for key in wanted if key not in missing)
        return missing

    async def put(self, blobs: dict[str, bytes]) -> None:
        """Store blobs whose content has been checked against their keys."""
        for key, content in blobs.items():
            await asyncio.to_thread(self._store.put, key, content)

    async def receive(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a blob of any size while it comes in; the client may count on it for some minutes."""
        if self._store.has(key):
            async for _ in content:
                pass
        else:
            try:
                with self._store.writer(key) as writer:
                    pieces: list[bytes] = []
                    async for piece in content:
                        pieces.append(piece)
                        if sum(map(len, pieces)) >= CHUNK_SIZE:
                            await asyncio.to_thread(writer.write, b"".join(pieces))
                            pieces.clear()
                    writer.write(b"".join(pieces))
                    writer.commit()
            except OSError as error:
                raise ExternalError(f"The JobManager cannot store a file of the job: {error.strerror}.") from error
        self._promise([key])

    async def keep(self, graph: JobGraph) -> None:
        """The job needs its blobs from now on; ``ClusterError`` if one is not here."""
        keys = {artifact.blob for artifact in graph.artifacts}
        self._being_kept.update(keys)
        try:
            if missing := self._lacking(keys):
                names = ", ".join(artifact.name for artifact in graph.artifacts if artifact.blob in missing)
                raise ClusterError(
                    f"Files of job '{graph.name}' are missing on the JobManager: {names}; submit it again."
                )
            if self._stored is not None:
                for key in keys - self._stored.keys:
                    await self._stored.keep(key, self._store)
        finally:
            self._being_kept.subtract(keys)
        self._jobs[graph.job_id] = keys

    def recover(self, graphs: Iterable[JobGraph], stored: StoredBlobs | None = None) -> None:
        """A new JobManager: these jobs need their blobs, all others are left over from jobs that ended."""
        self._jobs = {graph.job_id: {artifact.blob for artifact in graph.artifacts} for graph in graphs}
        used = set().union(*self._jobs.values())
        self._store.keep_only(used)
        self._stored = stored
        if stored is not None:
            stored.forget(stored.keys - used)

    def release(self, job_id: str) -> None:
        """The job has ended: blobs that nobody needs any more go."""
        keys = self._jobs.pop(job_id, set())
        now = time.monotonic()
        self._promised = {key: until for key, until in self._promised.items() if until > now}
        used = set(self._promised).union(+self._being_kept, *self._jobs.values())
        self._store.delete(keys - used)
        if self._stored is not None:
            self._stored.forget(keys - used)

    async def path(self, key: str) -> Path:
        """Where a blob is, for processes of this machine."""
        if self._lacking([key]):
            raise ClusterError(f"There is no blob {key}.")
        if self._stored is not None and not self._store.has(key):
            await self._stored.fetch(key, self._store)
        return self._store.path(key)

    async def serve(self, request: FetchBlob) -> BlobChunk:
        """A piece of a blob."""
        await self.path(request.key)
        data, size = await asyncio.to_thread(self._store.read, request.key, request.offset, CHUNK_SIZE)
        return BlobChunk(data=data, size=size)

    def close(self) -> None:
        """Return when blobs that are not needed any more have been deleted from the JobStore, too."""
        if self._stored is not None:
            self._stored.close()

    def _promise(self, keys: Iterable[str]) -> None:
        until = time.monotonic() + PROMISE_SECONDS
        self._promised.update((key, until) for key in keys)

    def _lacking(self, keys: Iterable[str]) -> list[str]:
        stored = self._stored.keys if self._stored is not None else ()
        return [key for key in self._store.missing(keys) if key not in stored]
