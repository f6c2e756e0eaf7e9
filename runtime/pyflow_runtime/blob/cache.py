"""The TaskManager's side of blobs: each is fetched once, checked, and shared read-only by all slots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pyflow_runtime.blob.messages import BlobChunk
from pyflow_runtime.blob.store import BlobStore
from pyflow_yarn.errors import ExternalError

FetchChunk = Callable[[str, int], Awaitable[BlobChunk]]


class BlobCache:
    """Blobs in a directory, fetched when first asked for. ``fetch(key, offset)`` asks the BlobServer for a piece."""

    def __init__(self, directory: Path, fetch: FetchChunk) -> None:
        self._store = BlobStore(directory)
        self._fetch = fetch
        self._running: dict[str, asyncio.Task[None]] = {}

    async def get(self, key: str) -> Path:
        """The blob's path; whoever asks while it is being fetched waits for the same transfer."""
        path = self._store.path(key)
        if path.exists():
            return path
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._transfer(key))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        await asyncio.shield(task)
        return path

    def delete(self, keys: set[str]) -> None:
        """Forget blobs that no job here needs."""
        self._store.delete(keys)

    async def _transfer(self, key: str) -> None:
        with self._store.writer(key) as writer:
            offset = 0
            while True:
                chunk = await self._fetch(key, offset)
                if not chunk.data and offset < chunk.size:
                    raise ExternalError(f"Blob {key} ends early, at {offset} of {chunk.size} bytes.")
                await asyncio.to_thread(writer.write, chunk.data)
                offset += len(chunk.data)
                if offset >= chunk.size:
                    break
            await asyncio.to_thread(writer.commit)
