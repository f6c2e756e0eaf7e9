"""Blobs: named by their content, complete or not there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from pyflow_runtime.blob.cache import BlobCache
from pyflow_runtime.blob.messages import BlobChunk
from pyflow_runtime.blob.store import BlobStore
from pyflow_yarn.errors import ExternalError


def key_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_put_and_read(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    key = key_of(b"content")
    assert store.missing([key, key]) == [key]
    path = store.put(key, b"content")
    assert store.put(key, b"content") == path
    assert store.missing([key]) == []
    assert store.read(key, 0, 3) == (b"con", 7)
    assert store.read(key, 5, 100) == (b"nt", 7)
    assert path.stat().st_mode & 0o777 == 0o400
    store.delete([key, key])
    assert not store.has(key)
    with pytest.raises(ExternalError, match="There is no blob"):
        store.read(key, 0, 1)


def test_content_is_checked(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(ExternalError, match="damaged on its way"):
        store.put(key_of(b"a"), b"b")
    assert os.listdir(store.directory) == []
    for key in ("../x", "A" * 64, "ab"):
        with pytest.raises(ExternalError, match="no blob key"):
            store.has(key)


def test_only_some_are_kept(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    keys = [key_of(content) for content in (b"a", b"b")]
    store.put(keys[0], b"a")
    store.put(keys[1], b"b")
    (store.directory / ".half").touch()
    store.keep_only({keys[1], key_of(b"c")})
    assert os.listdir(store.directory) == [keys[1]]


class Origin:
    """A BlobServer that gives small pieces."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = {key_of(content): content for content in contents}
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, key: str, offset: int) -> BlobChunk:
        self.asked.append((key, offset))
        await asyncio.sleep(0)
        return BlobChunk(data=self.contents[key][offset : offset + 10], size=len(self.contents[key]))


def test_a_blob_is_fetched_once(tmp_path: Path) -> None:
    async def body() -> None:
        content = bytes(range(25))
        origin = Origin(content, b"")
        cache = BlobCache(tmp_path / "cache", origin.fetch)
        key = key_of(content)
        paths = await asyncio.gather(*(cache.get(key) for _ in range(5)))
        assert set(paths) == {tmp_path / "cache" / key}
        assert paths[0].read_bytes() == content
        assert origin.asked == [(key, 0), (key, 10), (key, 20)]
        await cache.get(key)
        assert len(origin.asked) == 3
        assert (await cache.get(key_of(b""))).read_bytes() == b""
        cache.delete({key})
        assert not paths[0].exists()

    asyncio.run(body())


def test_a_damaged_transfer_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    async def body() -> None:
        origin = Origin(b"right")
        key = key_of(b"right")
        origin.contents[key] = b"wrong"
        cache = BlobCache(tmp_path / "cache", origin.fetch)
        with pytest.raises(ExternalError, match="damaged"):
            await cache.get(key)
        assert os.listdir(tmp_path / "cache") == []
        origin.contents[key] = b"right"
        assert (await cache.get(key)).read_bytes() == b"right"

    asyncio.run(body())
