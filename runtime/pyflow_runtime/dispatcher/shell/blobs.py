"""The BlobServer: which blobs there are, who needs them, and when they may go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from pyflow_runtime.blob.messages import CHUNK_SIZE, BlobChunk, FetchBlob
from pyflow_runtime.blob.store import BlobStore
from pyflow_yarn.errors import ClusterError, ExternalError
from pyflow_yarn.graph.job_graph import JobGraph

PROMISE_SECONDS = 300.0


class BlobServer:
    """Blobs live as long as a job that names them, and a while longer if a client was told that they are here."""

    def __init__(self, directory: Path) -> None:
        self._store = BlobStore(directory)
        self._jobs: dict[str, set[str]] = {}
        self._promised: dict[str, float] = {}

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Which blobs a client has to send; it may count on the others for some minutes."""
        wanted = list(keys)
        missing = self._store.missing(wanted)
        until = time.monotonic() + PROMISE_SECONDS
        self._promised.update((key, until) for key in wanted if key not in missing)
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
        self._promised[key] = time.monotonic() + PROMISE_SECONDS

    def keep(self, graph: JobGraph) -> None:
        """The job needs its blobs from now on; ``ClusterError`` if one is not here."""
        keys = {artifact.blob for artifact in graph.artifacts}
        if missing := self._store.missing(keys):
            names = ", ".join(artifact.name for artifact in graph.artifacts if artifact.blob in missing)
            raise ClusterError(f"Files of job '{graph.name}' are missing on the JobManager: {names}; submit it again.")
        self._jobs[graph.job_id] = keys

    def recover(self, graphs: Iterable[JobGraph]) -> None:
        """A new JobManager: these jobs need their blobs, all others are left over from jobs that ended."""
        self._jobs = {graph.job_id: {artifact.blob for artifact in graph.artifacts} for graph in graphs}
        self._store.keep_only(set().union(*self._jobs.values()))

    def release(self, job_id: str) -> None:
        """The job has ended: blobs that nobody needs any more go."""
        keys = self._jobs.pop(job_id, set())
        now = time.monotonic()
        self._promised = {key: until for key, until in self._promised.items() if until > now}
        used = set(self._promised).union(*self._jobs.values())
        self._store.delete(keys - used)

    async def path(self, key: str) -> Path:
        """Where a blob is, for processes of this machine."""
        if self._store.missing([key]):
            raise ClusterError(f"There is no blob {key}.")
        return self._store.path(key)

    async def serve(self, request: FetchBlob) -> BlobChunk:
        """A piece of a blob."""
        data, size = await asyncio.to_thread(self._store.read, request.key, request.offset, CHUNK_SIZE)
        return BlobChunk(data=data, size=size)
