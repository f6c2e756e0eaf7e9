"""Hadoop's TFile, read: blocks of keys and values, compressed or not, with an index at the end.

The layout is that of ``org.apache.hadoop.io.file.tfile``. Numbers have a variable length, strings are UTF-8 after
their length; a value is a row of chunks, of which all but the last have a negative length.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
NOT_COMPRESSED = "none"
_VERSION = 1
_TAIL = struct.Struct(f">qHH{len(MAGIC)}s")
_PIECE = 1 << 16
_DEFLATED = "gz"  # in spite of the name it is zlib's format


class UnreadableError(Exception):
    """The bytes are no file of this kind, or one that only Hadoop reads; the text says what is wrong."""


class Source(Protocol):
    """Bytes that are read once, from the beginning to the end."""

    def read(self, count: int) -> bytes:
        """At most so many of the next bytes; none at the end."""

    def skip(self, count: int) -> None:
        """Leave bytes out."""


class Region(NamedTuple):
    """Where a block is in the file."""

    offset: int
    size: int


class Entry(NamedTuple):
    """A key, and where its value is: the how manieth of a block."""

    key: bytes
    block: int
    place: int


class TFile:
    """The keys of a file in their order, and their values."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file = file
        if length < _TAIL.size:
            raise UnreadableError("it is too short")
        file.seek(length - _TAIL.size)
        index, version, _, magic = _TAIL.unpack(_exactly(file, _TAIL.size))
        if magic != MAGIC:
            raise UnreadableError("its end is not that of a TFile")
        if version != _VERSION:
            raise UnreadableError(f"its version is {version}")
        metas = self._metas(RawBytes(file, Region(index, length - _TAIL.size - index)))
        data = self._meta(metas, "BCFile.index")
        self._compression = _string(data)
        self._blocks = [_region(data) for _ in range(_length(data))]
        # The first entry is the first key of the file; then come the number of entries and the last key of each block.
        index_of_keys = self._meta(metas, "TFile.index")
        exactly(index_of_keys, _length(index_of_keys))
        self._index = [self._index_entry(index_of_keys) for _ in self._blocks]

    def entries(self) -> Iterator[Entry]:
        """All keys; of a block only what stands before its last value is read."""
        for block, (count, last) in enumerate(self._index):
            source = self._open(block)
            for place in range(count - 1):
                yield Entry(exactly(source, _length(source)), block, place)
                _Value(source).skip_rest()
            yield Entry(last, block, count - 1)

    def value(self, entry: Entry) -> Source:
        """What belongs to a key."""
        source = self._open(entry.block)
        for _ in range(entry.place):
            source.skip(_length(source))
            _Value(source).skip_rest()
        source.skip(_length(source))
        return _Value(source)

    def _open(self, block: int) -> Source:
        return opened(self._file, self._blocks[block], self._compression)

    def _metas(self, source: Source) -> dict[str, tuple[str, Region]]:
        return {_string(source): (_string(source), _region(source)) for _ in range(_length(source))}

    def _meta(self, metas: dict[str, tuple[str, Region]], name: str) -> Source:
        if f"data:{name}" not in metas:
            raise UnreadableError(f"it has no {name}")
        compression, region = metas[f"data:{name}"]
        return opened(self._file, region, compression)

    @staticmethod
    def _index_entry(source: Source) -> tuple[int, bytes]:
        entry = Buffer(exactly(source, _length(source)))
        key = exactly(entry, _length(entry))
        return _length(entry), key


def opened(file: IO[bytes], region: Region, compression: str) -> Source:
    """The content of a region."""
    if compression == NOT_COMPRESSED:
        return RawBytes(file, region)
    if compression == _DEFLATED:
        return _Inflated(RawBytes(file, region))
    raise UnreadableError(f"its compression is {compression}")


class RawBytes:
    """See ``Source``: a part of a file; what others read of the file does not matter."""

    def __init__(self, file: IO[bytes], region: Region) -> None:
        if region.offset < 0 or region.size < 0:
            raise UnreadableError("a block of it is nowhere")
        self._file = file
        self._position = region.offset
        self._end = region.offset + region.size

    def read(self, count: int) -> bytes:
        """See ``Source``."""
        self._file.seek(self._position)
        found = self._file.read(min(count, self._end - self._position))
        self._position += len(found)
        return found

    def skip(self, count: int) -> None:
        """See ``Source``."""
        self._position = min(self._position + max(0, count), self._end)


class Buffer:
    """See ``Source``: bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def read(self, count: int) -> bytes:
        """See ``Source``."""
        found = self._content[self._position : self._position + count]
        self._position += len(found)
        return found

    def skip(self, count: int) -> None:
        """See ``Source``."""
        self._position += count


class _Inflated:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._inflater = zlib.decompressobj()

    def read(self, count: int) -> bytes:
        found = b""
        while count and not found and not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._source.read(_PIECE)
            try:
                found = self._inflater.decompress(packed, count)
            except zlib.error as damage:
                raise UnreadableError(f"a block cannot be unpacked ({damage})") from None
            if not packed and not found:
                break
        return found

    def skip(self, count: int) -> None:
        while count and (found := self.read(min(count, _PIECE))):
            count -= len(found)


class _Value:
    """The chunks of a value in a block."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._last = False

    def read(self, count: int) -> bytes:
        if not self._more():
            return b""
        found = self._source.read(min(count, self._left))
        if count and not found:
            raise UnreadableError("a block ends too early")
        self._left -= len(found)
        return found

    def skip(self, count: int) -> None:
        while count and self._more():
            skipped = min(count, self._left)
            self._source.skip(skipped)
            self._left -= skipped
            count -= skipped

    def skip_rest(self) -> None:
        while self._more():
            self.skip(self._left)

    def _more(self) -> bool:
        while not self._left and not self._last:
            length = number(self._source)
            self._last = length >= 0
            self._left = abs(length)
        return self._left > 0


def exactly(source: Source, count: int) -> bytes:
    """So many bytes; fewer are a fault of the file."""
    found = b""
    while len(found) < count:
        piece = source.read(count - len(found))
        if not piece:
            raise UnreadableError("it ends too early")
        found += piece
    return found


def number(source: Source) -> int:
    """A number of variable length."""
    (first,) = struct.unpack("b", exactly(source, 1))
    if first >= -32:
        return int(first)
    # The first byte says how many follow, and is the highest digit if few do.
    for lowest, middle, follow in ((-72, -52, 1), (-104, -88, 2), (-120, -112, 3)):
        if first >= lowest:
            return int(first - middle) << 8 * follow | int.from_bytes(exactly(source, follow))
    return int.from_bytes(exactly(source, first + 129), signed=True)


def _length(source: Source) -> int:
    found = number(source)
    if found < 0:
        raise UnreadableError("a length in it is negative")
    return found


def _string(source: Source) -> str:
    return exactly(source, _length(source)).decode("utf-8", "replace")


def _region(source: Source) -> Region:
    region = Region(number(source), number(source))
    number(source)  # the size without compression
    return region


def _exactly(file: IO[bytes], count: int) -> bytes:
    return exactly(RawBytes(file, Region(file.seek(0, os.SEEK_CUR), count)), count)
