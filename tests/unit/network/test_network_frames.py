"""The format of frames is fixed by golden vectors; the reader takes any cutting of the stream and refuses garbage."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.network import frames
from pyflow_runtime.network.batch import Barrier, BarrierOptions, EndOfInput, Watermark, WatermarkStatus
from pyflow_runtime.network.frames import Codec, Frame, FrameReader, Kind, OpenRequest, pack
from pyflow_runtime.rpc.errors import ProtocolError
from pyflow_runtime.rpc.frames import FrameKind

GOLDEN = Path(__file__).with_name("frames_golden.json")
LIMIT = 1024 * 1024

CONTROLS: dict[str, frames.Control] = {
    "watermark": Watermark(1_700_000_000_000),
    "last watermark": Watermark(2**63 - 1),
    "first watermark": Watermark(-(2**63)),
    "idle": WatermarkStatus(True),
    "active": WatermarkStatus(False),
    "barrier": Barrier(7, 1_700_000_000_000),
    "unaligned barrier": Barrier(8, 5, BarrierOptions(unaligned=True)),
    "barrier that may become unaligned": Barrier(9, 5, BarrierOptions(alignment_timeout=30_000)),
    "savepoint barrier": Barrier(2**62, 5, BarrierOptions(savepoint=True)),
    "end of input": EndOfInput(),
}
REQUEST = OpenRequest("a94fa0d5b5c1d1f16c5e0f4d1d3b9a01", 3, 1, 0, 2, 1)


def test_frames_are_the_ones_of_every_version_before() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["version"] == frames.VERSION
    written = {name: frames.pack_control(5, element).hex() for name, element in CONTROLS.items()}
    written["open"] = pack(Kind.OPEN, 5, payload=msgspec.msgpack.encode(REQUEST)).hex()
    written["credit"] = pack(Kind.CREDIT, 5, count=2).hex()
    written["refused"] = pack(Kind.REFUSED, 5, payload="zu spät".encode()).hex()
    written["abandon"] = pack(Kind.ABANDON, 5).hex()
    written["release"] = pack(Kind.RELEASE, 5).hex()
    written["end received"] = pack(Kind.END_RECEIVED, 5).hex()
    stamps = frames.pack_timestamps([1, -1, 2**40])
    written["data header"] = frames.pack_data_header(5, Codec.MSGPACK, 3, len(stamps) + 1, True).hex()
    written["timestamps"] = stamps.hex()
    assert written == golden["frames"]
    for name, element in CONTROLS.items():
        (frame,) = FrameReader(LIMIT).feed(bytes.fromhex(golden["frames"][name]))
        assert (frame.channel, frames.unpack_control(frame)) == (5, element)


def test_kinds_do_not_overlap_with_those_of_control_connections() -> None:
    assert not {int(kind) for kind in Kind} & {int(kind) for kind in FrameKind}


frame = st.builds(
    Frame,
    st.sampled_from([int(kind) for kind in Kind]),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300) | st.integers(0, 40_000).map(bytes),
)


def encoded(frame: Frame) -> bytes:
    return pack(Kind(frame.kind), frame.channel, flags=frame.flags, count=frame.count, payload=bytes(frame.payload))


@given(st.lists(frame, max_size=8), st.data())
def test_a_stream_is_cut_into_its_frames_however_it_arrives(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, sent))
    reader = FrameReader(LIMIT)
    received: list[Frame] = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 50) | st.integers(1, len(stream)), label="size")
        target = reader.target()
        if target is None:
            received += reader.feed(stream[position : position + size])
        else:
            size = min(size, len(target), len(stream) - position)
            target[:size] = stream[position : position + size]
            target.release()
            received += reader.advance(size)
        position += size
    assert [encoded(frame) for frame in received] == [encoded(frame) for frame in sent]


def test_a_received_frame_keeps_nothing_of_the_callers_buffer() -> None:
    buffer = bytearray(pack(Kind.DATA, 1, payload=b"abc"))
    (frame,) = FrameReader(LIMIT).feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert frame.payload == b"abc"


def test_memory_grows_with_what_arrives_not_with_what_is_claimed() -> None:
    reader = FrameReader(2**32 - 1)
    tracemalloc.start()
    try:
        reader.feed(frames.HEADER.pack(2**32 - 1, frames.VERSION, Kind.DATA, 0, 0, 1))
        for _ in range(30):
            reader.feed(bytes(100_000))
            target = reader.target()
            assert target is not None
            assert len(target) >= 64 * 1024
            target[:10] = bytes(10)
            target.release()
            assert not reader.advance(10)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_large_frame_arrives_in_linear_time() -> None:
    payload = bytes(range(256)) * 40_000
    stream = pack(Kind.DATA, 1, payload=payload)
    reader = FrameReader(len(payload))
    pieces = [stream[start : start + 65_536] for start in range(0, len(stream), 65_536)]
    received = [frame for piece in pieces for frame in reader.feed(piece)]
    assert [frame.payload for frame in received] == [payload]


@pytest.mark.parametrize(
    "header",
    [
        frames.HEADER.pack(LIMIT + 1, frames.VERSION, Kind.DATA, 0, 0, 0),
        frames.HEADER.pack(frames.CONTROL_LIMIT + 1, frames.VERSION, Kind.OPEN, 0, 0, 0),
        frames.HEADER.pack(0, frames.VERSION + 1, Kind.DATA, 0, 0, 0),
        frames.HEADER.pack(0, frames.VERSION, 1, 0, 0, 0),
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_frame_is_refused_by_its_header(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader(LIMIT).feed(header)


@given(st.binary(min_size=16))
def test_garbage_is_refused_or_waited_for_but_never_breaks_the_reader(garbage: bytes) -> None:
    reader = FrameReader(LIMIT)
    try:
        reader.feed(garbage)
    except ProtocolError:
        return


@pytest.mark.parametrize("kind", [Kind.WATERMARK, Kind.BARRIER])
def test_control_frames_of_a_wrong_length_are_refused(kind: Kind) -> None:
    with pytest.raises(ProtocolError, match="3 bytes"):
        frames.unpack_control(Frame(kind, 0, 0, 0, b"abc"))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_timestamps_come_back(timestamps: list[int]) -> None:
    assert frames.unpack_timestamps(memoryview(frames.pack_timestamps(timestamps))) == timestamps
