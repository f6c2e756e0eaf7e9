"""The frame of the data plane: what goes over an established connection between two workers.

    u32 length of the payload | u8 version | u8 kind | u16 flags | u32 channel | u32 count      (little-endian)
    payload

    to the consumer   OPEN     msgpack of OpenRequest
                      DATA     count records; flags: codec in the low byte, STAMPED; payload: count timestamps
                               (i64 each) if STAMPED, then the records as the codec wrote them
                      WATERMARK      i64
                      STATUS         flags: IDLE
                      BARRIER        i64 checkpoint, i64 timestamp, i32 alignment timeout; flags: UNALIGNED, SAVEPOINT
                      END            nothing follows on the channel
                      ABANDON        nothing follows, and the producer had not come to its end
    to the producer   CREDIT         count more DATA frames may be sent
                      REFUSED        text: why the channel was not opened
                      RELEASE        the consumer wants no more
                      END_RECEIVED   END has arrived, and with it everything before

Channels are numbered from 0 by the side that opens them, each side for itself: the kind tells whose number it is.
The kinds do not overlap with those of ``rpc.frames``, whose handshake comes first on the connection.
``tests/unit/network/frames_golden.json`` fixes the format; a change of it raises ``VERSION``.
"""

from __future__ import annotations

import array
import enum
import struct
import sys

import msgspec

from pyflow_runtime.network.batch import Barrier, BarrierOptions, EndOfInput, Watermark, WatermarkStatus
from pyflow_runtime.rpc.errors import ProtocolError

VERSION = 1
HEADER = struct.Struct("<IBBHII")
HEADER_SIZE = HEADER.size
CONTROL_LIMIT = 64 * 1024
_WATERMARK = struct.Struct("<q")
_BARRIER = struct.Struct("<qqi")
_FIRST_ALLOCATION = 1024 * 1024
_DIRECT_SIZE = 64 * 1024


class Kind(enum.IntEnum):
    """What a frame says. Values are part of the format."""

    DATA = 64
    WATERMARK = 65
    STATUS = 66
    BARRIER = 67
    END = 68
    OPEN = 69
    ABANDON = 70
    CREDIT = 71
    REFUSED = 72
    RELEASE = 73
    END_RECEIVED = 74


class Codec(enum.IntEnum):
    """How the records of a DATA frame are written: the low byte of its flags. Values are part of the format."""

    PICKLE = 0
    MSGPACK = 1
    ARROW = 2


CODEC_MASK = 0x00FF
STAMPED = 0x0100
IDLE = 0x0001
UNALIGNED = 0x0001
SAVEPOINT = 0x0002
_KINDS = frozenset(int(kind) for kind in Kind)


class OpenRequest(msgspec.Struct, frozen=True, array_like=True):
    """The channel that a producer wants to open."""

    job_id: str
    edge: int
    producer: int
    producer_attempt: int
    consumer: int
    consumer_attempt: int


class Frame(msgspec.Struct, frozen=True):
    """One frame as received. The payload is the frame's own memory."""

    kind: int
    flags: int
    channel: int
    count: int
    payload: bytes | bytearray


def pack(kind: Kind, channel: int, *, flags: int = 0, count: int = 0, payload: bytes = b"") -> bytes:
    """A small frame, whole."""
    return HEADER.pack(len(payload), VERSION, kind, flags, channel, count) + payload


def pack_data_header(channel: int, codec: Codec, count: int, length: int, stamped: bool) -> bytes:
    """The header of a DATA frame, whose payload is sent from where it is."""
    return HEADER.pack(length, VERSION, Kind.DATA, codec | STAMPED if stamped else codec, channel, count)


Control = Watermark | WatermarkStatus | Barrier | EndOfInput


def pack_control(channel: int, element: Control) -> bytes:
    """The frame of a control element."""
    if isinstance(element, Watermark):
        return pack(Kind.WATERMARK, channel, payload=_WATERMARK.pack(element.timestamp))
    if isinstance(element, WatermarkStatus):
        return pack(Kind.STATUS, channel, flags=IDLE if element.idle else 0)
    if isinstance(element, Barrier):
        options = element.options
        return pack(
            Kind.BARRIER,
            channel,
            flags=(UNALIGNED if options.unaligned else 0) | (SAVEPOINT if options.savepoint else 0),
            payload=_BARRIER.pack(element.checkpoint_id, element.timestamp, options.alignment_timeout),
        )
    return pack(Kind.END, channel)


def unpack_control(frame: Frame) -> Control:
    """The control element of a WATERMARK, STATUS, BARRIER or END frame."""
    try:
        if frame.kind == Kind.WATERMARK:
            return Watermark(*_WATERMARK.unpack(frame.payload))
        if frame.kind == Kind.BARRIER:
            checkpoint_id, timestamp, alignment_timeout = _BARRIER.unpack(frame.payload)
            unaligned, savepoint = bool(frame.flags & UNALIGNED), bool(frame.flags & SAVEPOINT)
            return Barrier(checkpoint_id, timestamp, BarrierOptions(unaligned, savepoint, alignment_timeout))
    except struct.error as error:
        raise ProtocolError(f"a {Kind(frame.kind).name} frame has {len(frame.payload)} bytes") from error
    if frame.kind == Kind.STATUS:
        return WatermarkStatus(bool(frame.flags & IDLE))
    return EndOfInput()


def pack_timestamps(timestamps: list[int]) -> bytes:
    """Timestamps as the payload of a DATA frame begins with; ``OverflowError`` beyond 64 bits."""
    packed = array.array("q", timestamps)
    if sys.byteorder != "little":
        packed.byteswap()
    return packed.tobytes()


def unpack_timestamps(payload: memoryview) -> list[int]:
    """Inverse of ``pack_timestamps``."""
    packed = array.array("q")
    packed.frombytes(payload)
    if sys.byteorder != "little":
        packed.byteswap()
    return packed.tolist()


class FrameReader:
    """Cuts a stream of bytes into frames, however the stream arrives in pieces. Pure.

    Every byte is copied once, into the memory of its frame, so that the caller's receive buffer can be used again at
    once. A large payload can be received in place: ``target`` is where its next bytes belong, ``advance`` tells how
    many came. Memory grows with what has arrived, not with what a header claims.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._header = bytearray()
        self._frame: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._length = 0
        self._filled = 0
        self._body: bytearray | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """The frames that these bytes complete; ``ProtocolError`` if they are none."""
        frames: list[Frame] = []
        with memoryview(data) as view:
            position, end = 0, len(view)
            while position < end:
                if self._body is not None:
                    take = min(self._length - self._filled, end - position)
                    self._reserve(take)
                    self._body[self._filled : self._filled + take] = view[position : position + take]
                    position += take
                    frames += self.advance(take)
                    continue
                if self._header or end - position < HEADER_SIZE:
                    piece = view[position : position + HEADER_SIZE - len(self._header)]
                    self._header += piece
                    position += len(piece)
                    if len(self._header) < HEADER_SIZE:
                        break
                    length = self._begin(self._header, 0)
                    self._header.clear()
                else:
                    length = self._begin(view, position)
                    position += HEADER_SIZE
                if end - position >= length:
                    frames.append(Frame(*self._frame, bytes(view[position : position + length])))
                    position += length
                else:
                    self._body = bytearray(min(length, _FIRST_ALLOCATION))
                    self._length = length
                    self._filled = 0
        return frames

    def _begin(self, data: bytearray | memoryview, position: int) -> int:
        length, version, kind, flags, channel, count = HEADER.unpack_from(data, position)
        if version != VERSION or kind not in _KINDS:
            raise ProtocolError(f"a frame of version {version} and kind {kind} came, which this version does not know")
        limit = self.limit if kind == Kind.DATA else CONTROL_LIMIT
        if length > limit:
            raise ProtocolError(f"a frame of {length} bytes was announced, but the limit is {limit} bytes")
        self._frame = (kind, flags, channel, count)
        return int(length)

    def _reserve(self, more: int) -> None:
        """Make room for more bytes; twice the room there was, so that copies stay linear."""
        assert self._body is not None
        needed = self._filled + more
        if needed > len(self._body):
            wanted = min(self._length, max(needed, 2 * len(self._body)))
            self._body.extend(bytes(wanted - len(self._body)))

    def target(self) -> memoryview | None:
        """Where the next bytes of a large payload belong, to be released before ``advance``; None: ``feed`` them.

        There is room for 64 KiB at least, which is more than a TLS record.
        """
        missing = self._length - self._filled
        if self._body is None or missing < _DIRECT_SIZE:
            return None
        self._reserve(_DIRECT_SIZE)
        return memoryview(self._body)[self._filled :]

    def advance(self, received: int) -> list[Frame]:
        """The frame that bytes received in ``target`` complete, if they do."""
        self._filled += received
        if self._body is None or self._filled < self._length:
            return []
        body, self._body = self._body, None
        return [Frame(*self._frame, body)]
