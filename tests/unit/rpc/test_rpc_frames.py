"""The frame codec, pure and over sockets."""

from __future__ import annotations

import socket
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.rpc.errors import ConnectionLost, PeerClosed, ProtocolError
from pyflow_runtime.rpc.frames import (
    FRAME_LIMIT,
    Frame,
    FrameDecoder,
    FrameKind,
    FrameSocket,
    MessageSocket,
    encode_frame,
)


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    text: str


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    number: int


def pair() -> tuple[FrameSocket, FrameSocket]:
    left, right = socket.socketpair()
    return FrameSocket(left), FrameSocket(right)


frames = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=20)


def test_golden_vectors() -> None:
    assert encode_frame(FrameKind.PING, b"") == bytes.fromhex("0000000008")
    assert encode_frame(FrameKind.MESSAGE, b"abc") == bytes.fromhex("0000000304616263")
    assert encode_frame(255, b"\0" * 256)[:5] == bytes.fromhex("00000100ff")
    assert [kind.value for kind in FrameKind] == list(range(11))


@given(frames, st.data())
def test_any_chunking_gives_the_same_frames(sent: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(kind, payload) for kind, payload in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    decoder = FrameDecoder()
    received: list[Frame] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received.extend(decoder.feed(stream[start:end]))
    assert [(frame.kind, frame.payload) for frame in received] == sent
    assert decoder.idle


@given(st.binary(max_size=2000), st.integers(0, 100))
def test_garbage_gives_frames_or_a_protocol_error(garbage: bytes, limit: int) -> None:
    decoder = FrameDecoder(limit)
    try:
        for byte in garbage:
            for frame in decoder.feed(bytes((byte,))):
                assert len(frame.payload) <= limit
    except ProtocolError:
        pass


def test_an_excessive_length_is_refused_when_the_header_is_there() -> None:
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError, match="4294967295 bytes was announced"):
        decoder.feed(b"\xff\xff\xff\xff\x04")
    decoder = FrameDecoder(limit=10)
    assert decoder.feed(encode_frame(4, b"0123456789")) == [Frame(4, b"0123456789")]
    with pytest.raises(ProtocolError):
        decoder.feed(encode_frame(4, b"0123456789a")[:5])
    assert FRAME_LIMIT < 1 << 32


def test_send_never_blocks_and_nothing_is_lost() -> None:
    left, right = pair()
    payload = bytes(range(256)) * 16384
    left.send(FrameKind.MESSAGE, payload)
    left.send(FrameKind.PING, b"after")
    assert left.pending
    received: list[Frame] = []
    while len(received) < 2:
        received.extend(right.receive())
        left.flush()
    assert received == [Frame(FrameKind.MESSAGE, payload), Frame(FrameKind.PING, b"after")]
    assert left.flush()
    left.close()
    right.close()


def test_the_end_of_a_stream_comes_after_its_last_frame() -> None:
    left, right = pair()
    left.send(FrameKind.MESSAGE, b"last")
    left.close()
    assert right.receive() == [Frame(FrameKind.MESSAGE, b"last")]
    with pytest.raises(ConnectionLost, match="closed the connection"):
        right.receive()
    with pytest.raises(ConnectionLost):
        right.wait_frame(1)
    with pytest.raises(ConnectionLost):
        for _ in range(100):
            right.send(FrameKind.MESSAGE, b"x" * 100_000)
    right.close()


def test_waiting_has_a_deadline() -> None:
    left, right = pair()
    with pytest.raises(TimeoutError):
        left.wait_frame(0.01)
    right.send(FrameKind.MESSAGE, b"1")
    right.send(FrameKind.MESSAGE, b"2")
    assert left.wait_frame(1).payload == b"1"
    assert [frame.payload for frame in left.receive()] == [b"2"]
    left.send(FrameKind.MESSAGE, b"x" * 10_000_000)
    assert not left.drain(0.01)
    left.close()
    right.close()


def test_messages_are_typed() -> None:
    left, right = pair()
    sender: MessageSocket[Pong] = MessageSocket(left, Pong)
    receiver = MessageSocket(right, cast("type[Ping | Pong]", Ping | Pong))
    sender.send(Ping("a"))
    left.send(FrameKind.PING, b"7")
    sender.send(Pong(3))
    assert receiver.wait_message(1) == Ping("a")
    assert receiver.receive() == [Pong(3)]
    assert left.wait_frame(1) == Frame(FrameKind.PONG, b"7")
    left.send(FrameKind.MESSAGE, b"\xc1")
    with pytest.raises(ProtocolError, match="could not be read"):
        receiver.receive()
    sender.send(Pong(cast("int", "no number")))
    with pytest.raises(ProtocolError, match=r"\$\.number"):
        receiver.wait_message(1)
    left.send(99, b"")
    with pytest.raises(ProtocolError, match="kind 99"):
        receiver.receive()
    sender.send(Pong(4))
    left.send(FrameKind.CLOSE, b"enough")
    assert receiver.receive() == [Pong(4)], "what came before the end is not lost"
    with pytest.raises(PeerClosed, match="enough"):
        receiver.receive()
    sender.close()
    receiver.close()
