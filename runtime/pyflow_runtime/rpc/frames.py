"""The frame: the only thing that is ever written to a control connection.

    u32 length (big-endian, of the payload) | u8 kind | payload

The first frame in each direction is a ``HELLO`` whose payload begins with ``MAGIC`` and the protocol version
(``rpc.handshake``), so that a stranger is refused before anything of it is believed. A length above the limit is
refused when the header is read: nothing is allocated for it. Kinds from 64 on belong to the data plane.

``FrameDecoder`` is pure; ``FrameSocket`` is for processes without an event loop of asyncio (slot workers, zygotes).
"""

from __future__ import annotations

import collections
import enum
import select
import socket
import struct
import time
from typing import Generic, NamedTuple, TypeVar

import msgspec

from pyflow_runtime.rpc.errors import ConnectionLost, PeerClosed, ProtocolError, RpcError

MAGIC = b"pyfl"
PROTOCOL_VERSION = 1
HEADER = struct.Struct("!IB")
HELLO_LIMIT = 64 * 1024
FRAME_LIMIT = 256 * 1024 * 1024
_READ_SIZE = 256 * 1024
_READS_AT_ONCE = 16


class FrameKind(enum.IntEnum):
    """What a frame's payload is. Values are part of the protocol."""

    HELLO = 0
    CHALLENGE = 1
    PROOF = 2
    WELCOME = 3
    MESSAGE = 4
    REQUEST = 5
    RESPONSE = 6
    ERROR = 7
    PING = 8
    PONG = 9
    CLOSE = 10


class Frame(NamedTuple):
    """One frame as received."""

    kind: int
    payload: bytes


def encode_frame(kind: int, payload: bytes) -> bytes:
    """A frame as it goes over the wire."""
    return HEADER.pack(len(payload), kind) + payload


class FrameDecoder:
    """Cuts a stream of bytes into frames, however the stream arrives in pieces.

    >>> decoder = FrameDecoder()
    >>> decoder.feed(encode_frame(FrameKind.PING, b"")[:3])
    []
    """

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._needed = HEADER.size

    @property
    def idle(self) -> bool:
        """Whether the stream stands between two frames, where an end of it is orderly."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete; ``ProtocolError`` on a length above the limit."""
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._needed:
            return []
        frames: list[Frame] = []
        position = 0
        available = len(buffer)
        while True:
            if available - position < HEADER.size:
                self._needed = HEADER.size
                break
            length, kind = HEADER.unpack_from(buffer, position)
            if length > self.limit:
                raise ProtocolError(f"a frame of {length} bytes was announced, but the limit is {self.limit} bytes")
            end = position + HEADER.size + length
            if end > available:
                self._needed = end - position
                break
            with memoryview(buffer) as view:
                frames.append(Frame(kind, bytes(view[position + HEADER.size : end])))
            position = end
        del buffer[:position]
        return frames


class FrameSocket:
    """Frames over one non-blocking stream socket, without asyncio.

    Nothing here blocks except ``wait_frame`` and ``drain``: ``send`` writes what the kernel takes and queues the rest,
    ``flush`` goes on with it (``pending`` tells that the loop should watch for writability).
    """

    def __init__(self, sock: socket.socket, limit: int = FRAME_LIMIT) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.decoder = FrameDecoder(limit)
        self._queue: collections.deque[memoryview] = collections.deque()
        self._received: collections.deque[Frame] = collections.deque()

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether bytes wait for the socket to become writable."""
        return bool(self._queue)

    def send(self, kind: int, payload: bytes) -> None:
        """Write a frame, as far as the kernel takes it; the rest is queued."""
        self._queue.append(memoryview(encode_frame(kind, payload)))
        self.flush()

    def flush(self) -> bool:
        """Write what is queued, as far as the kernel takes it; True when nothing is left."""
        try:
            while self._queue:
                head = self._queue[0]
                sent = self.socket.send(head)
                if sent == len(head):
                    self._queue.popleft()
                else:
                    self._queue[0] = head[sent:]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise ConnectionLost(f"the connection broke while writing: {error.strerror or error}") from error
        return True

    def drain(self, timeout: float) -> bool:
        """Write everything that is queued, waiting at most ``timeout`` seconds; True when nothing is left."""
        end = time.monotonic() + timeout
        while not self.flush():
            remaining = end - time.monotonic()
            if remaining <= 0 or not _wait(self.socket, select.POLLOUT, remaining):
                return False
        return True

    def receive(self) -> list[Frame]:
        """The frames that are there now; ``ConnectionLost`` at the end of the stream (frames before it come first)."""
        frames = list(self._received)
        self._received.clear()
        for _ in range(_READS_AT_ONCE):
            try:
                data = self.socket.recv(_READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return frames
            except OSError as error:
                return self._ended(frames, f"the connection broke while reading: {error.strerror or error}", error)
            if not data:
                return self._ended(frames, "the peer closed the connection", None)
            frames.extend(self.decoder.feed(data))
            if len(data) < _READ_SIZE:
                return frames
        return frames

    def _ended(self, frames: list[Frame], reason: str, cause: BaseException | None) -> list[Frame]:
        if frames:
            return frames  # the next call meets the end of the stream again
        raise ConnectionLost(reason) from cause

    def wait_frame(self, timeout: float) -> Frame:
        """The next frame, waiting at most ``timeout`` seconds; ``TimeoutError`` after that."""
        end = time.monotonic() + timeout
        while not self._received:
            remaining = end - time.monotonic()
            if remaining <= 0 or not _wait(self.socket, select.POLLIN, remaining):
                raise TimeoutError(f"the peer said nothing for {timeout:g} s")
            self._received.extend(self.receive())
        return self._received.popleft()

    def close(self) -> None:
        """Close the socket; what is queued is lost (``drain`` first)."""
        self._queue.clear()
        self.socket.close()


def _wait(sock: socket.socket, events: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(max(0.0, timeout) * 1000))


T = TypeVar("T")


class MessageSocket(Generic[T]):
    """Typed one-way messages over a ``FrameSocket``: what workers and zygotes talk with their supervisor.

    ``incoming`` is the message type (usually a union of tagged structs) that is received.
    """

    def __init__(self, frames: FrameSocket, incoming: type[T]) -> None:
        self.frames = frames
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(incoming)
        self._failure: RpcError | None = None

    def fileno(self) -> int:
        """For selectors."""
        return self.frames.fileno()

    @property
    def pending(self) -> bool:
        """Whether bytes wait for the socket to become writable."""
        return self.frames.pending

    def send(self, message: msgspec.Struct) -> None:
        """Send without blocking; what the kernel does not take is queued (see ``pending``, ``flush``, ``drain``)."""
        self.frames.send(FrameKind.MESSAGE, self._encoder.encode(message))

    def flush(self) -> bool:
        """As ``FrameSocket.flush``."""
        return self.frames.flush()

    def drain(self, timeout: float) -> bool:
        """As ``FrameSocket.drain``."""
        return self.frames.drain(timeout)

    def receive(self) -> list[T]:
        """The messages that are there now; ``ConnectionLost`` at the end, ``ProtocolError`` on anything malformed.

        What came before an end or a malformed message is returned first; the next call raises.
        """
        if self._failure is not None:
            raise self._failure
        messages: list[T] = []
        try:
            for frame in self.frames.receive():
                messages.extend(self._decode(frame))
        except RpcError as error:
            if not messages:
                raise
            self._failure = error
        return messages

    def wait_message(self, timeout: float) -> T:
        """The next message, waiting at most ``timeout`` seconds; ``TimeoutError`` after that."""
        end = time.monotonic() + timeout
        while True:
            for message in self._decode(self.frames.wait_frame(end - time.monotonic())):
                return message

    def _decode(self, frame: Frame) -> list[T]:
        if frame.kind == FrameKind.MESSAGE:
            try:
                return [self._decoder.decode(frame.payload)]
            except msgspec.DecodeError as error:
                raise ProtocolError(f"a message could not be read: {error}") from error
        if frame.kind == FrameKind.PING:
            self.frames.send(FrameKind.PONG, frame.payload)
            return []
        if frame.kind == FrameKind.CLOSE:
            raise PeerClosed(frame.payload.decode("utf-8", "replace") or "the peer closed the session")
        if frame.kind == FrameKind.PONG:
            return []
        raise ProtocolError(f"a frame of kind {frame.kind} has no place in this conversation")

    def close(self) -> None:
        """Close the socket."""
        self.frames.close()
