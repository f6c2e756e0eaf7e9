"""Two links joined by two pipes, under any interleaving: order per channel, nothing lost or doubled, credit kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.network import link as links
from pyflow_runtime.network.batch import Barrier, Batch, Element, EndOfInput, Watermark, WatermarkStatus
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.consumers import Consumers
from pyflow_runtime.network.errors import ChannelBroken, ChannelRefused
from pyflow_runtime.network.frames import HEADER, Kind, OpenRequest, pack, pack_control
from pyflow_runtime.network.gate import Gate
from pyflow_runtime.network.link import Buffer, Link, RemoteOutput
from pyflow_runtime.network.memory import FRAME_SIZE, NetworkMemory
from pyflow_runtime.rpc.errors import ProtocolError
from pyflow_runtime.taskexecutor.messages import InputEdge
from pyflow_yarn.common import Types
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import JobEdge, Partitioning

JOB = "a94fa0d5b5c1d1f16c5e0f4d1d3b9a01"
LIMIT = 4 * 1024 * 1024


def edge(number: int) -> JobEdge:
    return JobEdge(
        id=number, source="s", source_operator=0, target="t", partitioning=Partitioning.HASH, partitioner=b""
    )


def without_superseded_watermarks(elements: list[Element]) -> list[Element]:
    """A watermark right before another one may be left out; nothing else may."""
    return [
        element
        for element, following in zip(elements, [*elements[1:], None], strict=True)
        if not (isinstance(element, Watermark) and isinstance(following, Watermark))
    ]


class Side:
    """A worker's end: its link, the bytes on their way to the other side, and its gates by edge."""

    def __init__(self, name: str, peer: str, credits: int, memory: int = 64 * 1024 * 1024) -> None:
        self.name = name
        self.consumers = Consumers()
        self.memory = NetworkMemory(memory, credits)
        self.link = Link(peer, self.consumers, self.memory, LIMIT, queue_bound=credits)
        self.wire = bytearray()
        self.gates: dict[int, Gate] = {}

    def pull(self, size: int = 1 << 30) -> None:
        buffers: deque[Buffer] = deque()
        self.link.pull(buffers, size)
        for buffer in buffers:
            self.wire += buffer

    def deliver(self, other: Side, size: int = 1 << 30) -> None:
        piece = bytes(self.wire[:size])
        del self.wire[:size]
        other.link.feed(piece)

    def deploy(self, number: int, producers: int = 1, attempt: int = 0, codec: EdgeCodec | None = None) -> Gate:
        gate = Gate(producers, codec or EdgeCodec())
        self.gates[number] = gate
        self.consumers.deploy(
            ExecutionAttemptId(JOB, "t", 0, attempt), InputEdge(edge(number), [(i, 0) for i in range(producers)]), gate
        )
        return gate

    def open(self, number: int, producer: int = 0, attempt: int = 0, codec: EdgeCodec | None = None) -> RemoteOutput:
        return self.link.open(OpenRequest(JOB, number, producer, 0, 0, attempt), codec or EdgeCodec())


def pump(*sides: Side) -> None:
    """Move everything until both directions are at rest."""
    left, right = sides
    while left.link.pending or right.link.pending or left.wire or right.wire:
        left.pull()
        right.pull()
        left.deliver(right)
        right.deliver(left)


def joined(credits: int = 2) -> tuple[Side, Side]:
    return Side("a", "b", credits), Side("b", "a", credits)


def polled(gate: Gate) -> list[Element]:
    elements = []
    while (arrived := gate.poll()) is not None:
        elements.append(arrived[1])
    return elements


class Interleavings(RuleBasedStateMachine):
    """Any order of opening, deploying, sending, moving some bytes, and polling."""

    channels: Bundle[int] = Bundle("channels")

    def __init__(self) -> None:
        super().__init__()
        self.credits = 2
        self.sides = joined(self.credits)
        self.outputs: dict[int, tuple[Side, Side, RemoteOutput]] = {}
        self.sent: dict[int, list[Element]] = {}
        self.received: dict[int, list[Element]] = {}
        self.record = 0

    @rule(target=channels, direction=st.booleans(), declared=st.booleans())
    def open(self, direction: bool, declared: bool) -> int:
        here, there = self.sides if direction else self.sides[::-1]
        number = len(self.outputs)
        codec = EdgeCodec(Types.TUPLE([Types.LONG(), Types.STRING()]) if declared else None)
        self.outputs[number] = (here, there, here.open(number, codec=codec))
        self.sent[number], self.received[number] = [], []
        return number

    @rule(number=channels)
    def deploy(self, number: int) -> None:
        _, there, _ = self.outputs[number]
        if number not in there.gates:
            there.deploy(number, codec=EdgeCodec(Types.TUPLE([Types.LONG(), Types.STRING()])))

    def send(self, number: int, element: Element) -> None:
        output = self.outputs[number][2]
        if not any(isinstance(sent, EndOfInput) for sent in self.sent[number]):
            output.send(element)
            self.sent[number].append(element)

    @rule(number=channels, count=st.integers(1, 5), width=st.sampled_from([1, 100, 100_000]), stamped=st.booleans())
    def send_batch(self, number: int, count: int, width: int, stamped: bool) -> None:
        values: list[Any] = []
        for _ in range(count):
            self.record += 1
            values.append((self.record, "x" * width))
        self.send(number, Batch(values, list(range(count)) if stamped else None))

    @rule(number=channels, element=st.sampled_from([Watermark(1), Watermark(2), WatermarkStatus(True), Barrier(1, 2)]))
    def send_control(self, number: int, element: Element) -> None:
        self.send(number, element)

    @rule(number=channels)
    def end(self, number: int) -> None:
        self.send(number, EndOfInput())

    @rule(direction=st.booleans(), pulled=st.integers(1, 500_000), delivered=st.integers(1, 500_000))
    def move(self, direction: bool, pulled: int, delivered: int) -> None:
        here, there = self.sides if direction else self.sides[::-1]
        here.pull(pulled)
        here.deliver(there, delivered)

    @rule(number=channels, times=st.integers(1, 5))
    def poll(self, number: int, times: int) -> None:
        gate = self.outputs[number][1].gates.get(number)
        if gate is not None:
            for _ in range(times):
                arrived = gate.poll()
                if arrived is not None:
                    self.received[number].append(arrived[1])

    @invariant()
    def a_consumer_never_holds_more_frames_than_its_credit(self) -> None:
        for here, there, output in self.outputs.values():
            assert output.credit <= self.credits
            channel = there.link._inputs.get(output.id)
            if channel is not None:
                frames = [item for item in channel.queue if not isinstance(item, (Watermark, WatermarkStatus))]
                data = [item for item in frames if getattr(item, "kind", None) == Kind.DATA]
                assert len(data) <= self.credits
                assert output.credit + len(data) <= self.credits
            assert here.link.failure is there.link.failure is None

    @invariant()
    def nothing_overtakes_and_nothing_is_made_up(self) -> None:
        for number, received in self.received.items():
            sent = records(self.sent[number])
            assert records(received) == sent[: len(records(received))]

    def teardown(self) -> None:
        for number, (_, there, _) in self.outputs.items():
            self.send(number, EndOfInput())
            if number not in there.gates:
                self.deploy(number)
        while not all(output.drained for _, _, output in self.outputs.values()):
            pump(*self.sides)
            for number in self.outputs:
                self.poll(number, 1)
        for number, (_, there, output) in self.outputs.items():
            self.received[number] += polled(there.gates[number])
            sent = without_superseded_watermarks(self.sent[number])
            received = without_superseded_watermarks(self.received[number])
            assert merged(received) == merged(sent)
            assert output.records == sum(len(element) for element in sent if isinstance(element, Batch))
            assert output.queued_bytes == 0
            assert not there.gates[number].buffered
            there.gates[number].close()
        assert [side.memory._reserved for side in self.sides] == [0, 0]
        assert [side.memory.outgoing for side in self.sides] == [0, 0]


def records(elements: list[Element]) -> list[Any]:
    return [value for element in elements if isinstance(element, Batch) for value in element.values]


def merged(elements: list[Element]) -> list[Any]:
    """Elements with each batch as its records: a large batch may arrive in pieces."""
    found: list[Any] = []
    for element in elements:
        if isinstance(element, Batch):
            stamps: Sequence[int | None] = element.timestamps or [None] * len(element)
            found += zip(element.values, stamps, strict=True)
        else:
            found.append(element)
    return found


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase


# ---- what the machine above does not try ----


def test_no_data_is_sent_before_the_consumer_is_deployed() -> None:
    a, b = joined()
    output = a.open(0)
    for number in range(3):
        output.send(Batch([number]))
    output.send(Watermark(1))
    pump(a, b)
    assert (output.bytes, output.available, b.consumers.waiting) == (0, False, 1)
    gate = b.deploy(0)
    pump(a, b)
    assert (output.frames, output.available) == (2, True)
    assert polled(gate) == [Batch([0]), Batch([1])]
    pump(a, b)
    assert polled(gate) == [Batch([2]), Watermark(1)]
    assert output.queued_bytes == 0


def test_control_elements_do_not_wait_for_credit_but_for_the_data_before_them() -> None:
    a, b = joined()
    gate = b.deploy(0)
    output = a.open(0)
    pump(a, b)
    for number in range(3):
        output.send(Batch([number]))
    pump(a, b)
    output.send(Barrier(1, 1))
    pump(a, b)
    assert polled(gate) == [Batch([0]), Batch([1])]
    pump(a, b)
    assert polled(gate) == [Batch([2]), Barrier(1, 1)]
    output.send(Barrier(2, 1))
    pump(a, b)
    assert polled(gate) == [Barrier(2, 1)]


def test_control_elements_need_neither_credit_nor_a_deployed_consumer() -> None:
    a, b = joined()
    output = a.open(0)
    output.send(Watermark(1))
    output.send(Barrier(1, 1))
    output.send(EndOfInput())
    pump(a, b)
    assert (output.credit, output.drained) == (0, True)
    assert polled(b.deploy(0)) == [Watermark(1), Barrier(1, 1), EndOfInput()]


def test_backpressure_is_measured() -> None:
    a, b = joined()
    output = a.open(0)
    assert output.available
    assert output.backpressured_time == 0
    for number in range(2):
        output.send(Batch([number]))
    blocked = [output.available]
    while output.backpressured_time < 2:
        pass
    b.deploy(0)
    pump(a, b)
    blocked.append(output.available)
    assert blocked == [False, True]
    assert output.backpressured_time == output.backpressured_time >= 2


def test_channels_take_turns() -> None:
    a, b = joined(credits=10)
    gates = [b.deploy(number) for number in range(3)]
    outputs = [a.open(number) for number in range(3)]
    pump(a, b)
    for output in outputs:
        for _ in range(10):
            output.send(Batch([b"x" * 1000]))
    a.pull(9000)
    a.deliver(b)
    assert [len(polled(gate)) for gate in gates] == [3, 3, 3]


def test_inputs_of_a_gate_take_turns() -> None:
    a, b = joined(credits=100)
    gate = b.deploy(0, producers=2)
    first, second = a.open(0, 0), a.open(0, 1)
    pump(a, b)
    for _ in range(3):
        first.send(Batch([1]))
    pump(a, b)
    for _ in range(2):
        second.send(Batch([2]))
    pump(a, b)
    order = []
    while (arrived := gate.poll()) is not None:
        order.append(arrived[0])
    assert order == [0, 1, 0, 1, 0]
    assert gate.records == 5


def test_large_batches_are_cut_to_frames_and_small_ones_stay_whole() -> None:
    a, b = joined(credits=100)
    gate = b.deploy(0)
    output = a.open(0)
    pump(a, b)
    values = [bytes([index % 256]) * 1000 for index in range(2000)]
    output.send(Batch(values, list(range(2000))))
    output.send(Batch(values, None))
    pump(a, b)
    batches = [element for element in polled(gate) if isinstance(element, Batch)]
    assert [value for batch in batches for value in batch.values] == values * 2
    stamps = [batch.timestamps for batch in batches if batch.timestamps is not None]
    assert [stamp for part in stamps for stamp in part] == list(range(2000))
    assert 14 <= output.frames <= 24
    assert output.bytes < output.frames * (FRAME_SIZE + 20_000)
    for _ in range(20):  # records have become small: frames grow again
        output.send(Batch([b"x"] * 2000))
        pump(a, b)
        polled(gate)
    before = output.frames
    output.send(Batch([b"x"] * 2000))
    pump(a, b)
    assert output.frames == before + 1


def test_a_record_beyond_the_network_memory_is_refused() -> None:
    a, b = joined()
    b.deploy(0)
    output = a.open(0)
    with pytest.raises(UserError, match=r"A record of 4194\d\d\d bytes.*taskmanager.memory.network.min"):
        output.send(Batch([b"x" * LIMIT]))
    output.send(Batch([b"x" * (LIMIT - 100)]))
    pump(a, b)
    ((_, element),) = [b.gates[0].poll()]  # type: ignore[misc]
    assert element == Batch([b"x" * (LIMIT - 100)])


def test_a_timestamp_beyond_64_bits_is_refused() -> None:
    a, _ = joined()
    with pytest.raises(UserError, match="timestamp that does not fit in 64 bits"):
        a.open(0).send(Batch([1], [2**63]))


def test_credit_shrinks_to_one_frame_per_channel_when_memory_is_short() -> None:
    memory = NetworkMemory(2 * 10 * FRAME_SIZE, 4)
    assert [memory.reserve() for _ in range(5)] == [4, 4, 2, 1, 1]
    memory.release(4)
    assert memory.reserve() == 2


def test_output_channels_share_the_memory_for_what_goes_out() -> None:
    a = Side("a", "b", credits=4, memory=2 * FRAME_SIZE)
    first, second = a.open(0), a.open(1)
    record = b"x" * (FRAME_SIZE // 2)
    first.send(Batch([record]))
    assert first.available
    first.send(Batch([record]))
    assert [first.available, second.available] == [False, True]
    second.send(Batch([1]))
    assert [first.available, second.available] == [False, False]
    first.close()
    assert second.available
    assert a.memory.outgoing == second.queued_bytes


# ---- ends ----


def test_a_stale_consumer_attempt_is_refused() -> None:
    a, b = joined()
    b.deploy(0, attempt=1)
    stale, current, later = a.open(0, attempt=0), a.open(0, attempt=1), a.open(0, attempt=2)
    pump(a, b)
    assert isinstance(stale.failure, ChannelRefused)
    assert "attempt 0 of the consumer is over" in str(stale.failure)
    with pytest.raises(ChannelRefused, match="worker b"):
        stale.send(Batch([1]))
    assert stale.available  # so that the producer comes to send, and learns it
    assert current.failure is later.failure is None
    assert b.consumers.waiting == 1
    b.gates[0].close()
    b.deploy(0, attempt=2)
    assert b.consumers.waiting == 0


def test_a_stale_producer_attempt_and_a_second_channel_are_refused() -> None:
    a, b = joined()
    b.deploy(0)
    good, again = a.open(0), a.open(0)
    stale = a.link.open(OpenRequest(JOB, 0, 0, 7, 0, 0), EdgeCodec())
    pump(a, b)
    assert good.failure is None
    assert "already" in str(again.failure)
    assert "another attempt of subtask 0 than attempt 7" in str(stale.failure)


def test_a_channel_to_a_consumer_that_has_stopped_is_refused() -> None:
    a, b = joined()
    b.deploy(0).close()
    output = a.open(0)
    pump(a, b)
    assert isinstance(output.failure, ChannelRefused)
    with pytest.raises(ValueError, match="has a gate"):
        b.deploy(0)


def test_waiting_channels_of_older_attempts_are_refused_when_a_later_one_is_deployed() -> None:
    a, b = joined()
    old, new = a.open(0, attempt=0), a.open(0, attempt=1)
    pump(a, b)
    b.deploy(0, attempt=1)
    pump(a, b)
    assert isinstance(old.failure, ChannelRefused)
    assert new.failure is None


def test_a_consumer_that_stops_breaks_its_producers() -> None:
    a, b = joined()
    gate = b.deploy(0, producers=2)
    running, ended = a.open(0, 0), a.open(0, 1)
    pump(a, b)
    running.send(Batch([1]))
    ended.send(EndOfInput())
    pump(a, b)
    running.send(Batch([2]))
    gate.close()
    gate.close()
    assert gate.poll() is None
    pump(a, b)  # the frame that was under way is dropped without complaint
    with pytest.raises(ChannelBroken, match="the consumer has stopped"):
        running.send(Batch([3]))
    assert ended.drained
    assert ended.failure is None
    assert b.memory.reserve() == 2


def test_a_producer_that_stops_early_breaks_its_consumer() -> None:
    a, b = joined()
    gate = b.deploy(0)
    output = a.open(0)
    output.send(Batch([1]))
    pump(a, b)
    output.close()
    output.close()
    pump(a, b)
    assert gate.ready
    with pytest.raises(ChannelBroken, match="the producer has stopped before its end"):
        gate.poll()
    with pytest.raises(ValueError, match="after the end of the channel"):
        output.send(Batch([2]))


def test_a_producer_that_stops_before_the_consumer_is_deployed_is_forgotten() -> None:
    a, b = joined()
    output = a.open(0)
    pump(a, b)
    output.close()
    pump(a, b)
    assert b.consumers.waiting == 0


def test_closing_after_the_end_is_silent_whatever_was_acknowledged() -> None:
    a, b = joined()
    gate = b.deploy(0, producers=2)
    first, second = a.open(0, 0), a.open(0, 1)
    pump(a, b)
    for output in (first, second):
        output.send(Batch([1]))
        output.send(EndOfInput())
    a.pull()
    a.deliver(b)
    first.close()  # the acknowledgement is still under way
    pump(a, b)
    second.close()
    pump(a, b)
    assert second.drained
    assert polled(gate) == [Batch([1]), Batch([1]), EndOfInput(), EndOfInput()]
    with pytest.raises(ValueError, match="after the end"):
        second.send(Batch([1]))


def test_a_lost_connection_breaks_what_had_not_ended() -> None:
    a, b = joined()
    gates = [b.deploy(number) for number in range(3)]
    running, ended, unacknowledged = (a.open(number) for number in range(3))
    back = b.open(7)
    pump(a, b)
    ended.send(EndOfInput())
    pump(a, b)
    running.send(Batch([1]))
    unacknowledged.send(EndOfInput())
    for side in (a, b):
        side.link.fail(ChannelBroken(side.link.peer, "the peer closed the connection"))
    assert (ended.drained, ended.failure) == (True, None)
    for output, peer in ((running, "b"), (unacknowledged, "b"), (back, "a")):
        assert output.failure is not None
        assert output.failure.peer == peer
        assert output.queued_bytes == 0
    assert polled(gates[1]) == [EndOfInput()]
    for number in (0, 2):
        with pytest.raises(ChannelBroken, match="worker a"):
            gates[number].poll()
    assert isinstance(a.open(9).failure, ChannelBroken)
    for gate in gates:
        gate.close()
    a.link.fail(ChannelBroken("b", "again"))
    assert a.consumers.waiting == b.consumers.waiting == 0


# ---- peers that are not ours ----

OPEN_FRAME = pack(Kind.OPEN, 0, payload=msgspec.msgpack.encode(OpenRequest(JOB, 0, 0, 0, 0, 0)))


@pytest.mark.parametrize(
    "stream",
    [
        pack(Kind.DATA, 0, count=1, payload=b"x"),
        pack(Kind.CREDIT, 0, count=1),
        pack(Kind.OPEN, 1, payload=OPEN_FRAME[HEADER.size :]),
        pack(Kind.OPEN, 0, payload=b"nonsense"),
        OPEN_FRAME + OPEN_FRAME,
        OPEN_FRAME + pack(Kind.DATA, 0, count=1, payload=b"x") * 3,
        OPEN_FRAME + pack_control(0, EndOfInput()) * 2,
        OPEN_FRAME + pack_control(0, EndOfInput()) + pack_control(0, Watermark(1)),
    ],
)
def test_breaches_of_the_protocol_are_refused(stream: bytes) -> None:
    _, b = joined()
    b.deploy(0)
    with pytest.raises(ProtocolError):
        b.link.feed(stream)


def test_data_before_credit_is_refused() -> None:
    _, b = joined()
    with pytest.raises(ProtocolError, match="without credit"):
        b.link.feed(OPEN_FRAME + pack(Kind.DATA, 0, count=1, payload=b"x"))


def test_an_end_that_was_not_sent_cannot_be_acknowledged() -> None:
    a, _ = joined()
    a.open(0)
    with pytest.raises(ProtocolError, match="acknowledged before"):
        a.link.feed(pack(Kind.END_RECEIVED, 0))


@pytest.mark.parametrize(("count", "flags"), [(2, 0), (1, 0x100), (1000, 0x100)])
def test_data_that_is_not_what_its_header_says_is_refused(count: int, flags: int) -> None:
    _, b = joined()
    gate = b.deploy(0)
    codec, payload = EdgeCodec().encode([1])
    b.link.feed(OPEN_FRAME + pack(Kind.DATA, 0, flags=codec | flags, count=count, payload=payload))
    with pytest.raises((ProtocolError, UserError)):
        gate.poll()


def test_the_prompt_size_is_reached_before_the_queue_is_full() -> None:
    assert links.PROMPT_SIZE < FRAME_SIZE
    a, _ = joined()
    woken: list[bool] = []
    a.link.wake = woken.append
    output = a.open(0)
    output.credit = 10
    output.send(Batch([b"small"]))
    output.send(Batch([b"x" * links.PROMPT_SIZE]))
    output.flush()
    assert woken == [False, False, True, True]
