"""The channels that share one connection: frames in, frames out, credit. Pure: a ``Connection`` moves the bytes.

A producer sends DATA only on credit, which the consumer grants in frames when its task is deployed and returns as the
task polls. Control elements need no credit, but never overtake the data of their channel. A peer that breaks these
rules is not one of ours: ``ProtocolError``, and the connection ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from pyflow_runtime.network.batch import Batch, Element, EndOfInput, Watermark
from pyflow_runtime.network.channels import OutputChannel, Stopwatch
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.errors import ChannelBroken, ChannelRefused
from pyflow_runtime.network.frames import (
    CODEC_MASK,
    STAMPED,
    Frame,
    FrameReader,
    Kind,
    OpenRequest,
    pack,
    pack_control,
    pack_data_header,
    pack_timestamps,
    unpack_control,
    unpack_timestamps,
)
from pyflow_runtime.network.gate import Gate, Input
from pyflow_runtime.network.memory import FRAME_SIZE, NetworkMemory
from pyflow_runtime.rpc.errors import ProtocolError
from pyflow_yarn.errors import UserError

PROMPT_SIZE = 64 * 1024
"""So many queued bytes are written without waiting for ``flush``."""

Buffer = bytes | bytearray | memoryview


class Consumers(Protocol):
    """Where a link asks for the gate of a channel that its peer opens."""

    def open(self, request: OpenRequest, channel: Input) -> None:
        """Attach the channel to its gate, now or when the task is deployed, or refuse it."""

    def forget(self, channel: Input) -> None:
        """The producer of a channel that may still be waiting for its gate is gone."""


class Link:
    """One connection's channels, in both directions.

    ``wake`` is called when there is something to write; ``pull`` gives it, ``feed`` takes what was read.
    """

    def __init__(
        self, peer: str, consumers: Consumers, memory: NetworkMemory, frame_limit: int, queue_bound: int
    ) -> None:
        self.peer = peer
        self.consumers = consumers
        self.memory = memory
        self.frame_limit = frame_limit
        self.queue_bound = queue_bound
        self.wake: Callable[[bool], None] = lambda now: None
        self.failure: ChannelBroken | None = None
        self.reader = FrameReader(frame_limit)
        self.line: deque[RemoteOutput] = deque()  # outputs whose oldest frame may go out
        self._control: deque[bytes] = deque()  # frames that no channel's order or credit holds back
        self._outputs: dict[int, RemoteOutput] = {}
        self._inputs: dict[int, RemoteInput] = {}
        self._next_output = 0
        self._next_input = 0

    # ---- out ----

    def open(self, request: OpenRequest, codec: EdgeCodec) -> RemoteOutput:
        """A new channel to the peer; it has no credit until the consumer is deployed there."""
        output = RemoteOutput(self, self._next_output, codec)
        if self.failure is not None:
            output.fail(self.failure)
            return output
        self._next_output += 1
        self._outputs[output.id] = output
        self.send(pack(Kind.OPEN, output.id, payload=msgspec.msgpack.encode(request)))
        return output

    def adopt(self, other: Link) -> None:
        """Take over the channels that were to be opened on a link of which nothing has been sent yet.

        Only while this side has opened nothing here: the channels keep their numbers.
        """
        if self._next_output:
            raise ValueError("this link has channels of its own")
        self._next_output, self._outputs, other._outputs = other._next_output, other._outputs, {}
        for output in self._outputs.values():
            output.move(self)
        self._control.extend(other._control)
        other._control.clear()

    def send(self, frame: bytes, now: bool = False) -> None:
        """Queue a frame that belongs to the connection; ``now`` asks for it to be written at once."""
        if self.failure is None:
            self._control.append(frame)
            self.wake(now)

    def pull(self, buffers: deque[Buffer], size: int) -> None:
        """Append what may be written next to ``buffers``, until that is about ``size`` bytes. Channels take turns."""
        control = self._control
        while control and size > 0:
            frame = control.popleft()
            size -= len(frame)
            buffers.append(frame)
        line = self.line
        while line and size > 0:
            output = line.popleft()
            size -= output.pull(buffers)

    @property
    def pending(self) -> bool:
        """Whether ``pull`` has something to give."""
        return bool(self._control or self.line)

    # ---- in ----

    def feed(self, data: Buffer) -> None:
        """Take bytes as they come; ``ProtocolError`` for anything that is not ours."""
        for frame in self.reader.feed(data):
            self.receive(frame)

    def receive(self, frame: Frame) -> None:
        """Take one frame."""
        kind, channel = frame.kind, frame.channel
        if kind == Kind.OPEN:
            self._opened(frame)
        elif kind <= Kind.ABANDON:
            source = self._inputs.get(channel)
            if source is not None:
                source.receive(frame)
            elif channel >= self._next_input:
                raise ProtocolError(f"a frame came for channel {channel}, which was not opened")
            # else it was released on this side while the frame was under way
        else:
            output = self._outputs.get(channel)
            if output is not None:
                output.receive(frame)
            elif channel >= self._next_output:
                raise ProtocolError(f"an answer came for channel {channel}, which was not opened")

    def _opened(self, frame: Frame) -> None:
        if frame.channel != self._next_input:
            raise ProtocolError(f"channel {frame.channel} was opened out of order")
        try:
            request = msgspec.msgpack.decode(frame.payload, type=OpenRequest)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"an OPEN frame could not be read: {error}") from error
        self._next_input += 1
        channel = self._inputs[frame.channel] = RemoteInput(self, frame.channel)
        self.consumers.open(request, channel)

    # ---- end ----

    def drop_output(self, output: RemoteOutput) -> None:
        """Answers for this channel are ignored from now on."""
        self._outputs.pop(output.id, None)

    def drop_input(self, channel: RemoteInput) -> None:
        """Frames for this channel are ignored from now on."""
        self._inputs.pop(channel.id, None)

    def fail(self, failure: ChannelBroken) -> None:
        """The connection is gone, and every channel on it that had not come to its end."""
        if self.failure is not None:
            return
        self.failure = failure
        self.line.clear()
        self._control.clear()
        outputs, inputs = list(self._outputs.values()), list(self._inputs.values())
        self._outputs.clear()
        self._inputs.clear()
        for output in outputs:
            output.fail(failure)
        for channel in inputs:
            self.consumers.forget(channel)
            channel.fail(failure)


class _Queued(NamedTuple):
    """A frame that waits in its channel."""

    buffers: tuple[Buffer, ...]
    size: int
    data: bool


class RemoteOutput(OutputChannel):
    """The producer's end of a channel to another worker."""

    def __init__(self, link: Link, channel_id: int, codec: EdgeCodec) -> None:
        self.id = channel_id
        self.credit = 0
        self.records = 0
        self.bytes = 0
        self.frames = 0
        self._link = link
        self._codec = codec
        self._queue: deque[_Queued] = deque()
        self._queued_data = 0
        self._queued_bytes = 0
        self._in_line = False
        self._watermark_last = False
        self._records_per_frame = 1 << 30
        self._ended = False
        self._end_received = False
        self._closed = False
        self._failure: ChannelBroken | None = None
        self._stopwatch = Stopwatch()

    @property
    def available(self) -> bool:
        queued = self._queued_data
        blocked = queued > 0 and (queued >= self._link.queue_bound or self._link.memory.full) and self._failure is None
        self._stopwatch.set(blocked)
        return not blocked

    @property
    def drained(self) -> bool:
        return self._end_received

    @property
    def failure(self) -> ChannelBroken | None:
        return self._failure

    @property
    def backpressured_time(self) -> int:
        return self._stopwatch.milliseconds

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for credit or for the kernel."""
        return self._queued_bytes

    def send(self, element: Element) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended or self._closed:
            raise ValueError("an element was sent after the end of the channel")
        if type(element) is Batch:
            self._watermark_last = False
            if element.values:
                self._send_batch(element)
        else:
            self._send_control(element)
        if not self._in_line and self._sendable():
            self._in_line = True
            self._link.line.append(self)
            self._link.wake(self._queued_bytes >= PROMPT_SIZE)
        elif self._in_line and self._queued_bytes >= PROMPT_SIZE:
            self._link.wake(True)

    def _send_control(self, element: Any) -> None:
        frame = pack_control(self.id, element)
        if type(element) is Watermark:
            if self._watermark_last and self._queue:
                # The later watermark says all that the earlier one said, which is still here.
                self._account(-self._queue.pop().size)
            self._watermark_last = True
        else:
            self._watermark_last = False
            self._ended = type(element) is EndOfInput
        self._append((frame,), len(frame), False)

    def _send_batch(self, batch: Batch) -> None:
        values, timestamps = batch.values, batch.timestamps
        count = len(values)
        step = self._records_per_frame
        if count <= step:
            self._send_records(values, timestamps)
            return
        for start in range(0, count, step):
            stop = start + step
            self._send_records(values[start:stop], None if timestamps is None else timestamps[start:stop])

    def _send_records(self, values: Any, timestamps: list[int] | None) -> None:
        count = len(values)
        codec, payload = self._codec.encode(values)
        size = len(payload)
        if size > FRAME_SIZE and count > 1:
            self._records_per_frame = max(1, count * FRAME_SIZE // size)
            self._send_batch(Batch(values, timestamps))
            return
        if count == self._records_per_frame and size * 4 < FRAME_SIZE:
            self._records_per_frame *= 2  # records have become smaller
        buffers: tuple[Buffer, ...] = (payload,)
        if timestamps is not None:
            try:
                stamps = pack_timestamps(timestamps)
            except OverflowError as error:
                raise UserError(
                    "A record has a timestamp that does not fit in 64 bits; timestamps are milliseconds since 1970."
                ) from error
            size += len(stamps)
            buffers = (stamps, payload)
        if size > self._link.frame_limit:
            raise UserError(
                f"A record of {size} bytes does not fit in the network memory of a slot, {self._link.frame_limit} B:"
                " make it smaller, or raise taskmanager.memory.network.min."
            )
        header = pack_data_header(self.id, codec, count, size, timestamps is not None)
        self.records += count
        self._append((header, *buffers), size + len(header), True)

    def _append(self, buffers: tuple[Buffer, ...], size: int, data: bool) -> None:
        self._queue.append(_Queued(buffers, size, data))
        self._account(size)
        self._queued_data += data

    def _account(self, size: int) -> None:
        self._queued_bytes += size
        self._link.memory.outgoing += size

    def _sendable(self) -> bool:
        return bool(self._queue) and (self.credit > 0 or not self._queue[0].data)

    def pull(self, buffers: deque[Buffer]) -> int:
        """Move the oldest frame to ``buffers``; its size. Called by the link when this channel's turn has come."""
        self._in_line = False
        if not self._sendable():
            return 0
        frame = self._queue.popleft()
        buffers.extend(frame.buffers)
        self._account(-frame.size)
        self.bytes += frame.size
        if frame.data:
            self._queued_data -= 1
            self.credit -= 1
            self.frames += 1
        if self._sendable():
            self._in_line = True
            self._link.line.append(self)
        return frame.size

    def move(self, link: Link) -> None:
        """Belong to another link from now on; nothing has been sent on the one before."""
        if self._in_line:
            self._link.line.remove(self)
            link.line.append(self)
        self._link = link

    def receive(self, frame: Frame) -> None:
        """An answer of the consumer."""
        if frame.kind == Kind.CREDIT:
            self.credit += frame.count
            if not self._in_line and self._sendable():
                self._in_line = True
                self._link.line.append(self)
                self._link.wake(False)
        elif frame.kind == Kind.END_RECEIVED:
            if not self._ended or self._queue:
                raise ProtocolError(f"the end of channel {self.id} was acknowledged before it was sent")
            self._end_received = True
        elif not self._end_received:
            if frame.kind == Kind.REFUSED:
                reason = bytes(frame.payload).decode("utf-8", "replace")
                failure: ChannelBroken = ChannelRefused(self._link.peer, f"the channel was refused, {reason}")
            else:
                failure = ChannelBroken(self._link.peer, "the consumer has stopped")
            self._link.drop_output(self)
            self.fail(failure)

    def flush(self) -> None:
        if self._queue:
            self._link.wake(True)

    def fail(self, failure: ChannelBroken) -> None:
        """The consumer is gone; harmless after it has everything."""
        if not self._end_received:
            self._failure = failure
        self._clear()

    def _clear(self) -> None:
        self._queue.clear()
        self._account(-self._queued_bytes)
        self._queued_data = 0
        self._stopwatch.set(False)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._failure is None and not self._end_received:
            # END may be queued, under way or not even sent: the consumer knows which by the order of frames.
            self._link.send(pack(Kind.ABANDON, self.id), now=True)
        self._link.drop_output(self)
        self._clear()


class RemoteInput(Input):
    """The consumer's end of a channel from another worker. Frames are decoded when the task polls them."""

    def __init__(self, link: Link, channel_id: int) -> None:
        super().__init__(link.peer)
        self.id = channel_id
        self._link = link
        self._codec: EdgeCodec | None = None
        self._window = 0
        self._credit = 0  # DATA frames that the producer may still send
        self._owed = 0  # frames that were polled and whose credit was not returned yet

    def attach(self, gate: Gate, index: int) -> None:
        super().attach(gate, index)
        self._codec = gate.codec
        self._window = self._link.memory.reserve()
        self._grant(self._window, True)

    def _grant(self, frames: int, now: bool) -> None:
        self._credit += frames
        self._link.send(pack(Kind.CREDIT, self.id, count=frames), now)

    def receive(self, frame: Frame) -> None:
        """A frame of the producer."""
        if self.ended:
            if frame.kind == Kind.ABANDON:  # the producer closed before it knew that END had arrived
                return
            raise ProtocolError(f"a frame came after the end of channel {self.id}")
        if frame.kind == Kind.DATA:
            if self._credit <= 0 or self.gate is None:
                raise ProtocolError(f"a DATA frame came on channel {self.id} without credit")
            self._credit -= 1
            self.gate.buffered += len(frame.payload)
            self.push(frame)
        elif frame.kind == Kind.ABANDON:
            self._link.consumers.forget(self)
            self._link.drop_input(self)
            self.fail(ChannelBroken(self.peer, "the producer has stopped before its end"))
        else:
            self.push(unpack_control(frame))
            if frame.kind == Kind.END:
                self.ended = True
                self._link.send(pack(Kind.END_RECEIVED, self.id), now=True)

    def take(self) -> Element:
        item = self.queue.popleft()
        if type(item) is not Frame:
            element: Element = item
            return element
        assert self.gate is not None and self._codec is not None  # DATA comes on credit, which comes with the gate
        self.gate.buffered -= len(item.payload)
        self.gate.bytes += len(item.payload)
        self._owed += 1
        if not self.ended and (not self.queue or 2 * self._owed >= self._window):
            # Written when the worker's turn ends, together with what the task sends meanwhile: each write wakes the
            # peer, which costs far more than the frame. With another frame under way nobody waits for it.
            owed, self._owed = self._owed, 0
            self._grant(owed, self._window == 1)
        return _batch(item, self._codec)

    def refuse(self, reason: str) -> None:
        self._link.drop_input(self)
        self._link.send(pack(Kind.REFUSED, self.id, payload=reason.encode()), now=True)

    def release(self) -> None:
        self._link.drop_input(self)
        self._link.memory.release(self._window)
        self._window = 0
        if not self.ended:
            self._link.send(pack(Kind.RELEASE, self.id), now=True)


def _batch(frame: Frame, codec: EdgeCodec) -> Batch:
    with memoryview(frame.payload) as payload:
        timestamps: list[int] | None = None
        start = 0
        if frame.flags & STAMPED:
            start = 8 * frame.count
            if start > len(payload):
                raise ProtocolError(f"a DATA frame of {len(payload)} bytes claims {frame.count} timestamps")
            timestamps = unpack_timestamps(payload[:start])
        values = codec.decode(frame.flags & CODEC_MASK, payload[start:])
    if len(values) != frame.count:
        raise ProtocolError(f"a DATA frame holds {len(values)} records but claims {frame.count}")
    return Batch(values, timestamps)
