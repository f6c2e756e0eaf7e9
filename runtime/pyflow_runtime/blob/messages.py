"""How blobs are fetched: requests on the RPC session of a TaskManager or a coordinator with its JobManager."""

from __future__ import annotations

import msgspec

CHUNK_SIZE = 4 * 1024 * 1024


class FetchBlob(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fetch_blob"):
    """Up to ``CHUNK_SIZE`` bytes of a blob from ``offset`` on; answered by ``BlobChunk``."""

    key: str
    offset: int


class BlobChunk(msgspec.Struct, frozen=True, kw_only=True):
    """``size`` is the whole blob's."""

    data: bytes
    size: int
