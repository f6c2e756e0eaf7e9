"""Exchanges over real sockets of every transport: everything arrives once and in order, and broken ends are noticed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.network import (
    Barrier,
    Batch,
    ChannelBroken,
    ChannelRefused,
    EdgeCodec,
    Element,
    EndOfInput,
    Exchange,
    InputGate,
    Watermark,
    WatermarkStatus,
)
from pyflow_runtime.network import transport as transports
from pyflow_runtime.network.connection import Phase
from pyflow_runtime.network.frames import HEADER, VERSION, Kind
from pyflow_runtime.network.link import RemoteOutput
from pyflow_runtime.network.memory import FRAME_SIZE
from pyflow_runtime.rpc import frames as rpc_frames
from pyflow_runtime.rpc.handshake import ClientHandshake
from pyflow_runtime.security.authority import CertificateAuthority
from pyflow_yarn.common import Types
from pyflow_yarn.errors import ConfigurationError
from tests.unit.network.workers import Workers, gate, output, settings

TYPE = Types.TUPLE([Types.STRING(), Types.LONG()])


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    return CertificateAuthority(directory / "ca").equip(directory / "member", "worker")


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    found = Workers(tmp_path)
    yield found
    found.close()


@pytest.fixture(params=["unix", "tcp", "tls"])
def transport(request: pytest.FixtureRequest, certificates: Path) -> dict[str, Any]:
    """What ``Workers.add`` takes to force a transport."""
    transport = str(request.param)
    return {
        "transport": transport,
        "certificate_directory": str(certificates) if transport == "tls" else "",
    }


def transports_of(exchange: Exchange) -> list[str]:
    return sorted(str(connection.transport) for connection in exchange._connections)


# ---- everything arrives ----


def test_all_to_all(workers: Workers, transport: dict[str, Any]) -> None:
    random.seed(1)
    count = 3
    exchanges = [workers.add(f"w{index}", **transport) for index in range(count)]
    addresses = [exchange.address for exchange in exchanges]
    gates = [gate(exchange, index, count, codec=EdgeCodec(TYPE)) for index, exchange in enumerate(exchanges)]
    sent: dict[tuple[int, int], list[Any]] = {}
    received: dict[tuple[int, int], list[Any]] = {}
    plans = []
    for producer, exchange in enumerate(exchanges):
        channels = output(exchange, addresses, producer=producer, codec=EdgeCodec(TYPE))
        for consumer, channel in enumerate(channels):
            elements: list[Element] = []
            for number in range(20):
                size = random.choice([1, 10, 3000])
                values = [(f"{producer}-{consumer}-{number}-{row}", row) for row in range(size)]
                elements.append(Batch(values, list(range(size)) if number % 2 else None))
                controls: list[Element] = [Watermark(number), WatermarkStatus(True), Barrier(number, 5)]
                elements.append(random.choice(controls))
            elements.append(EndOfInput())
            sent[producer, consumer], received[producer, consumer] = list(elements), []
            plans.append((channel, elements))
    while not all(channel.drained for channel, _ in plans) or any(gate.ready for gate in gates):
        for channel, elements in plans:
            if elements and channel.available:
                channel.send(elements.pop(0))
        workers.turn(0.001)
        for consumer, merged in enumerate(gates):
            if (arrived := merged.poll()) is not None:
                received[arrived[0], consumer].append(arrived[1])
    assert received == sent
    assert [len(exchange._connections) for exchange in exchanges] == [count - 1] * count
    used = {name for exchange in exchanges for name in transports_of(exchange)}
    assert used == {transport["transport"]}
    assert sum(merged.records for merged in gates) == sum(channel.records for channel, _ in plans)


def test_a_large_record_and_many_small_ones(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (channel,) = output(a, [b.address])
    merged = gate(b)
    large = os.urandom(9_000_000)
    channel.send(Batch([large]))
    for number in range(300):
        channel.send(Batch([number]))
    channel.send(EndOfInput())
    elements = workers.collect(merged, 302)
    assert elements == [Batch([large]), *(Batch([number]) for number in range(300)), EndOfInput()]
    workers.until(lambda: channel.drained)
    assert merged.bytes > 9_000_000


def test_both_directions_share_a_connection(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (there,) = output(a, [b.address], 0)
    inbound = gate(b, number=0)
    there.send(Batch([1]))
    workers.collect(inbound, 1)
    (back,) = output(b, [a.address], 1)
    returned = gate(a, number=1)
    back.send(Batch([2]))
    assert workers.collect(returned, 1) == [Batch([2])]
    assert [len(exchange._connections) for exchange in (a, b)] == [1, 1]


def test_two_workers_that_dial_each_other_at_once(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (there,), (back,) = output(a, [b.address], 0), output(b, [a.address], 1)
    there.send(Batch(["there"]))
    back.send(Batch(["back"]))
    assert workers.collect(gate(b, number=0), 1) == [Batch(["there"])]
    assert workers.collect(gate(a, number=1), 1) == [Batch(["back"])]
    (third,), (fourth,) = output(a, [b.address], 2), output(b, [a.address], 3)
    third.send(Batch(["again"]))
    fourth.send(Batch(["and back"]))
    assert workers.collect(gate(b, number=2), 1) == [Batch(["again"])]
    assert workers.collect(gate(a, number=3), 1) == [Batch(["and back"])]
    assert [len(exchange._connections) for exchange in (a, b)] == [1, 1]
    assert not any(exchange._strangers or exchange._waiting for exchange in (a, b))


def test_of_two_calls_the_one_that_comes_through_is_used(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (there,), (back,) = output(a, [b.address], 0), output(b, [a.address], 1)
    (own,) = a._connections
    (listener,) = b._listeners
    listener.watch(False)
    b._listeners = []  # deaf: it calls, but does not hear the other's call
    workers.until(lambda: a._waiting)
    own.close("a call that does not come through")
    b._listeners = [listener]
    assert isinstance(there.failure, ChannelBroken)
    back.send(Batch(["back"]))
    assert workers.collect(gate(a, number=1), 1) == [Batch(["back"])]
    (again,) = output(a, [b.address], 2)
    again.send(Batch(["again"]))
    assert workers.collect(gate(b, number=2), 1) == [Batch(["again"])]
    assert [len(exchange._connections) for exchange in (a, b)] == [1, 1]


def test_channels_that_were_used_before_their_call_was_dropped_move_with_all_they_hold(workers: Workers) -> None:
    a, b = workers.add("a", "unix"), workers.add("b", "unix")
    (there,) = output(a, [b.address], 0)
    backs = output(b, [a.address, a.address, a.address], 1)
    for number in range(2):
        for channel in backs:
            channel.send(Barrier(number, 0))
            channel.send(Batch([number]))
    backs[2].close()
    workers.rest()
    assert [len(exchange._connections) for exchange in (a, b)] == [1, 1]
    expected = [Barrier(0, 0), Batch([0]), Barrier(1, 0), Batch([1])]
    for consumer in range(2):
        assert workers.collect(gate(a, consumer, number=1), 4) == expected
    assert a._consumers.waiting == 0
    assert there.failure is None


def test_a_consumer_may_be_deployed_long_after_its_producer(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    remote, local = output(a, [b.address, a.address])
    for channel in (remote, local):
        sent = 0
        while channel.available:
            channel.send(Batch([sent]))
            sent += 1
        assert sent in (2, 4)
    workers.rest()
    assert not remote.available
    assert not local.available
    assert workers.collect(gate(b, 0), 2) == [Batch([0]), Batch([1])]
    assert workers.collect(gate(a, 1), 4) == [Batch([number]) for number in range(4)]
    workers.until(lambda: remote.available)


def test_a_finished_producer_may_end_its_worker_when_drained(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (channel,) = output(a, [b.address])
    merged = gate(b)
    for number in range(10):
        channel.send(Batch([number]))
    channel.send(EndOfInput())
    elements: list[Element] = []
    while not channel.drained:
        workers.turn(0.001)
        if len(elements) < 9 and (arrived := merged.poll()) is not None:
            elements.append(arrived[1])
    channel.close()
    a.close()
    workers.rest()
    assert elements + workers.collect(merged, 11 - len(elements)) == [*(Batch([n]) for n in range(10)), EndOfInput()]
    assert merged.poll() is None


def test_a_slow_consumer_bounds_what_its_producer_holds(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", credits=3, **transport), workers.add("b", credits=3, **transport)
    (channel,) = output(a, [b.address])
    merged = gate(b)
    assert isinstance(channel, RemoteOutput)
    records = [os.urandom(100_000), os.urandom(100_000)]
    sent = received = 0
    highest_queued = highest_buffered = 0
    while received < 60:
        while channel.available and sent < 60:
            channel.send(Batch(records))
            sent += 1
        workers.rest()  # whatever can move has moved: the consumer is the slower one
        highest_queued = max(highest_queued, channel.queued_bytes)
        highest_buffered = max(highest_buffered, merged.buffered)
        if (arrived := merged.poll()) is not None:
            assert arrived[1] == Batch(records)
            received += 1
    assert highest_queued <= 3 * FRAME_SIZE
    assert highest_buffered <= 3 * FRAME_SIZE
    assert channel.backpressured_time > 0


# ---- channels within a worker ----


def test_a_local_channel_passes_the_very_objects(workers: Workers) -> None:
    a = workers.add("a", "unix")
    (channel,) = output(a, [a.address])
    merged = gate(a)
    batch = Batch([object()], [1])
    assert channel.available
    channel.send(batch)
    channel.send(Batch([]))
    channel.send(Watermark(1))
    channel.send(Watermark(2))
    drained = [channel.drained]
    channel.send(EndOfInput())
    channel.flush()
    drained.append(channel.drained)
    assert drained == [False, True]
    arrived = merged.poll()
    assert arrived is not None
    assert arrived[1] is batch
    assert workers.collect(merged, 2) == [Watermark(2), EndOfInput()]
    assert (channel.records, merged.records) == (1, 1)
    with pytest.raises(ValueError, match="after the end"):
        channel.send(batch)
    channel.close()
    merged.close()
    assert channel.failure is None
    assert not a._connections


def test_a_local_channel_has_bounds_and_measures_back_pressure(workers: Workers) -> None:
    a = workers.add("a", "unix", credits=5)
    (channel,) = output(a, [a.address])
    merged = gate(a)
    for number in range(10):
        assert channel.available
        channel.send(Batch([number]))
    blocked = [channel.available]
    while channel.backpressured_time < 2:
        pass
    merged.poll()
    blocked.append(channel.available)
    assert blocked == [False, True]


def test_ends_of_local_channels_break_each_other(workers: Workers) -> None:
    a = workers.add("a", "unix")
    first, second = output(a, [a.address, a.address])
    early, late = gate(a, 0), gate(a, 1)
    first.close()
    with pytest.raises(ChannelBroken, match="the producer has stopped"):
        early.poll()
    early.close()
    late.close()
    with pytest.raises(ChannelBroken, match="the consumer has stopped"):
        second.send(Batch([1]))
    (refused,) = output(a, [a.address])
    with pytest.raises(ChannelRefused, match="the consumer has stopped"):
        refused.send(Batch([1]))
    (abandoned,) = output(a, [a.address], number=5)
    abandoned.close()
    assert a._consumers.waiting == 0


# ---- transports ----


def test_auto_takes_unix_on_one_host_and_tcp_or_tls_elsewhere(workers: Workers, certificates: Path) -> None:
    here = workers.add("here", "auto")
    cases = [
        (workers.add("neighbour", "auto"), "unix"),
        (workers.add("remote", "auto", host_id="elsewhere"), "tcp"),
        (workers.add("safe", "auto", host_id="elsewhere", certificate_directory=str(certificates)), "tls"),
    ]
    caller = workers.add("caller", "auto", certificate_directory=str(certificates))
    for number, (exchange, expected) in enumerate(cases):
        source = caller if expected == "tls" else here
        (channel,) = output(source, [exchange.address], number)
        channel.send(Batch([expected]))
        assert workers.collect(gate(exchange, number=number), 1) == [Batch([expected])]
        assert transports_of(exchange) == [expected]


def test_a_unix_path_that_is_too_long_gives_way_to_tcp(workers: Workers, tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    a = workers.add("a", "auto", directory=str(deep))
    assert (a.address.unix_path, a.address.port > 0) == ("", True)
    b = workers.add("b", "auto")
    (channel,) = output(b, [a.address])
    channel.send(Batch([1]))
    assert workers.collect(gate(a), 1) == [Batch([1])]
    assert transports_of(a) == ["tcp"]
    with pytest.raises(ConfigurationError, match=r"longer than 107 bytes.*TMPDIR"):
        workers.add("c", "unix", directory=str(deep))


def test_listening_follows_the_settings(workers: Workers, tmp_path: Path) -> None:
    both, unix, tcp = (workers.add(name, name) for name in ("auto", "unix", "tcp"))
    quiet = workers.add("quiet", "auto", bind_host="", secret="")
    assert [bool(exchange.address.unix_path) for exchange in (both, unix, tcp, quiet)] == [True, True, False, True]
    assert [bool(exchange.address.port) for exchange in (both, unix, tcp, quiet)] == [True, False, True, False]
    path = Path(unix.address.unix_path)
    assert path.stat().st_mode & 0o777 == 0o600
    unix.close()
    assert not path.exists()
    for transport, changes, message in [
        ("tls", {}, "no certificates"),
        ("tcp", {"secret": ""}, "need the cluster's secret"),
        ("smoke", {}, "must be auto, unix, tcp or tls"),
        ("tcp", {"bind_host": "192.0.2.1"}, "taskmanager.bind-host"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            Exchange(settings(tmp_path, "bad", transport, **changes), workers.selector)
    with pytest.raises(ConfigurationError, match=f"Port {tcp.address.port} on"):
        Exchange(settings(tmp_path, "bad", "tcp"), workers.selector, port=tcp.address.port)


def test_a_worker_that_no_transport_leads_to_breaks_the_channel(workers: Workers, certificates: Path) -> None:
    unix, tcp = workers.add("unix", "unix"), workers.add("tcp", "tcp")
    tls = workers.add("tls", "tls", certificate_directory=str(certificates))
    gone = workers.add("gone", "unix")
    gone.close()
    lost = workers.add("lost", "tcp")
    lost.close()
    for source, target, reason in [
        (tcp, unix, "it listens on no port, and only TCP would lead to it"),
        (unix, tcp, "it has no Unix socket"),
        (tcp, tls, "its port speaks TLS, not TCP"),
        (tls, tcp, "its port speaks plain TCP, not TLS"),
        (unix, gone, "it cannot be reached by UNIX, No such file or directory"),
        (tcp, lost, "it cannot be reached by TCP, Connection refused"),
    ]:
        (channel,) = output(source, [target.address], number=7)
        workers.until(lambda channel=channel: channel.failure is not None)  # type: ignore[misc]
        with pytest.raises(ChannelBroken, match=reason) as caught:
            channel.send(Batch([1]))
        assert caught.value.peer == target.worker_id


def test_a_full_backlog_is_tried_again(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "_BACKLOG", 0)
    a = workers.add("a", "unix")
    b = workers.add("b", "unix")
    others = []
    for _ in range(10):
        other = socket.socket(socket.AF_UNIX)
        other.setblocking(False)
        others.append(other)
        if other.connect_ex(b.address.unix_path):
            break
    (channel,) = output(a, [b.address])
    (connection,) = a._connections
    assert connection.phase is Phase.WAITING
    channel.send(Batch([1]))
    assert workers.collect(gate(b), 1) == [Batch([1])]
    for other in others:
        other.close()


# ---- strangers ----

HELLO = ClientHandshake("data", "stranger", "b", "the cluster's secret").start()
GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\xff" * 5000,
    bytes(5000),
    HEADER.pack(2**32 - 1, VERSION, Kind.DATA, 0, 0, 1),
    rpc_frames.HEADER.pack(2**32 - 1, rpc_frames.FrameKind.HELLO),
    rpc_frames.encode_frame(rpc_frames.FrameKind.HELLO, b"pyfl\x00\x02" + bytes(20)),
    rpc_frames.encode_frame(rpc_frames.FrameKind.HELLO, b"pyfl\x00\x01" + b"\xff" * 20),
    rpc_frames.encode_frame(rpc_frames.FrameKind.MESSAGE, b""),
    ClientHandshake("worker", "stranger", "b").start(),
    ClientHandshake("data", "stranger", "someone else").start(),
    HELLO + rpc_frames.encode_frame(rpc_frames.FrameKind.PROOF, bytes(32)),
    HELLO + rpc_frames.encode_frame(rpc_frames.FrameKind.WELCOME, b""),
    HELLO + HEADER.pack(0, VERSION, Kind.OPEN, 0, 0, 0),
]


def dial(address: Any, transport: str) -> socket.socket:
    if transport == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.unix_path)
    else:
        sock = socket.create_connection((address.host, address.port))
    sock.setblocking(False)
    return sock


def ended(sock: socket.socket) -> bool:
    """Whether the other side has closed; what it said before is dropped."""
    try:
        return not sock.recv(65_536)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_garbage_ends_its_own_connection_only(workers: Workers, transport: dict[str, Any]) -> None:
    random.seed(2)
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    (channel,) = output(a, [b.address])
    merged = gate(b)
    channel.send(Batch([0]))
    workers.collect(merged, 1)
    for number, garbage in enumerate([*GARBAGE, *(random.randbytes(random.randint(5, 9000)) for _ in range(50))]):
        stranger = dial(b.address, transport["transport"])
        try:
            with contextlib.suppress(BlockingIOError):
                stranger.sendall(garbage)
            if transport["transport"] == "tls" or number >= len(GARBAGE):
                stranger.shutdown(socket.SHUT_WR)  # part of what looks like a TLS record, or a long greeting
            workers.until(lambda stranger=stranger: ended(stranger), 5)  # type: ignore[misc]
        finally:
            stranger.close()
        channel.send(Batch([number]))
        assert workers.collect(merged, 1) == [Batch([number])]
    workers.rest()
    assert [len(exchange._connections) for exchange in (a, b)] == [1, 1]
    assert not b._strangers


def test_strangers_that_say_nothing_give_way_to_newer_ones(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflow_runtime.network.exchange._STRANGERS", 3)
    b = workers.add("b", "tcp")
    silent = [dial(b.address, "tcp") for _ in range(5)]
    workers.rest()
    assert [ended(sock) for sock in silent] == [True, True, False, False, False]
    a = workers.add("a", "tcp")
    (channel,) = output(a, [b.address])
    channel.send(Batch([1]))
    assert workers.collect(gate(b), 1) == [Batch([1])]
    for sock in silent:
        sock.close()


def test_a_worker_of_another_cluster_is_refused(workers: Workers, transport: dict[str, Any]) -> None:
    a = workers.add("a", **transport)
    b = workers.add("b", **{**transport, "secret": "another secret"})
    for source, target in ((a, b), (b, a)):
        (channel,) = output(source, [target.address])
        workers.until(lambda channel=channel: channel.failure is not None)  # type: ignore[misc]
        with pytest.raises(ChannelBroken, match="does not know this cluster's secret"):
            channel.send(Batch([1]))
    workers.rest()
    assert not a._connections
    assert not b._connections


def test_certificates_of_another_authority_are_refused(workers: Workers, certificates: Path, tmp_path: Path) -> None:
    foreign = CertificateAuthority(tmp_path / "ca").equip(tmp_path / "member", "worker")
    a = workers.add("a", "tls", certificate_directory=str(foreign))
    b = workers.add("b", "tls", certificate_directory=str(certificates))
    for source, target in ((a, b), (b, a)):
        (channel,) = output(source, [target.address])
        workers.until(lambda channel=channel: channel.failure is not None)  # type: ignore[misc]
        with pytest.raises(ChannelBroken, match="certificate verify failed"):
            channel.send(Batch([1]))


def test_an_address_that_another_worker_has_taken_is_noticed(workers: Workers, transport: dict[str, Any]) -> None:
    a, b = workers.add("a", **transport), workers.add("b", **transport)
    old = type(b.address)(
        **{name: getattr(b.address, name) for name in b.address.__struct_fields__} | {"worker_id": "before"}
    )
    (channel,) = output(a, [old])
    workers.until(lambda: channel.failure is not None)
    assert "this is worker b, not before" in str(channel.failure)


# ---- peers that die ----

PEER = """
import os, selectors, sys
from pathlib import Path
from tests.unit.network.workers import gate, output, settings
from pyflow_runtime.network import Batch, Exchange
import msgspec
from pyflow_runtime.taskexecutor.messages import WorkerAddress

directory, transport, certificates = sys.argv[1:]
selector = selectors.DefaultSelector()
exchange = Exchange(settings(Path(directory), "peer", transport, certificate_directory=certificates), selector)
print(msgspec.json.encode(exchange.address).decode(), flush=True)
parent = msgspec.json.decode(sys.stdin.readline(), type=WorkerAddress)
(back,) = output(exchange, [parent], number=1)
merged = gate(exchange)
while True:
    if back.available:
        back.send(Batch([os.urandom(1000)] * 50))
    exchange.flush()
    for key, mask in selector.select(0.001):
        exchange.on_ready(key, mask)
    merged.poll()
"""


def test_a_peer_that_is_killed_mid_stream_breaks_its_channels_only(
    workers: Workers, transport: dict[str, Any], tmp_path: Path
) -> None:
    import msgspec

    from pyflow_runtime.taskexecutor.messages import WorkerAddress

    a, b = workers.add("a", **transport), workers.add("b", **transport)
    command = [sys.executable, "-c", PEER, str(tmp_path), transport["transport"], transport["certificate_directory"]]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as peer:
        try:
            assert peer.stdin is not None
            assert peer.stdout is not None
            address = msgspec.json.decode(peer.stdout.readline(), type=WorkerAddress)
            peer.stdin.write(msgspec.json.encode(a.address) + b"\n")
            peer.stdin.flush()
            doomed, lasting = output(a, [address, b.address])
            from_peer, at_b = gate(a, number=1), gate(b, 1)
            received = 0
            end = time.monotonic() + 30
            while doomed.frames < 50 or received < 50:
                assert time.monotonic() < end
                if doomed.available:
                    doomed.send(Batch([os.urandom(1000)] * 50))
                workers.turn(0.001)
                received += from_peer.poll() is not None
            os.kill(peer.pid, signal.SIGKILL)
            with pytest.raises(ChannelBroken, match="worker peer"):
                while time.monotonic() < end:
                    workers.turn(0.001)
                    from_peer.poll()
            workers.until(lambda: doomed.failure is not None)
            assert doomed.available
            with pytest.raises(ChannelBroken, match="worker peer"):
                doomed.send(Batch([1]))
            assert "peer" not in a._peers
            lasting.send(Batch(["still here"]))
            assert workers.collect(at_b, 1) == [Batch(["still here"])]
        finally:
            peer.kill()


def test_what_a_finished_peer_sent_last_is_read_although_writing_to_it_fails(
    workers: Workers, transport: dict[str, Any]
) -> None:
    a, b = workers.add("a", credits=30, **transport), workers.add("b", credits=30, **transport)
    (channel,) = output(a, [b.address])
    merged = gate(b)
    channel.send(Batch([0]))
    workers.collect(merged, 1)
    workers.rest()
    for number in range(20):
        channel.send(Batch([number]))
    channel.send(EndOfInput())
    a.flush()
    a.close()  # b has not read anything yet, and its credit will find nobody
    elements: list[Element] = []
    while len(elements) < 21:
        b.flush()
        for key, mask in workers.selector.select(1):
            b.on_ready(key, mask)
        while (arrived := merged.poll()) is not None:
            elements.append(arrived[1])
            b.flush()
    assert elements == [*(Batch([number]) for number in range(20)), EndOfInput()]


def test_when_no_descriptor_is_left_connections_wait(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = workers.add("a", "unix"), workers.add("b", "unix")
    (listener,) = b._listeners
    real = listener.socket

    class Exhausted:
        def accept(self) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    (channel,) = output(a, [b.address])
    monkeypatch.setattr(listener, "socket", Exhausted())
    workers.until(lambda: not listener.watched)
    assert not workers.selector.select(0.01)  # no busy loop
    monkeypatch.setattr(listener, "socket", real)
    channel.send(Batch([1]))
    assert workers.collect(gate(b), 1) == [Batch([1])]


def test_an_event_for_a_connection_that_another_event_has_closed_is_ignored(workers: Workers) -> None:
    a, b = workers.add("a", "unix"), workers.add("b", "unix")
    (channel,) = output(a, [b.address])
    channel.send(Batch([1]))
    workers.collect(gate(b), 1)
    (connection,) = a._connections
    (key,) = [key for key in workers.selector.get_map().values() if key.data is connection]
    connection.close("for the test")
    a.on_ready(key, selectors.EVENT_READ | selectors.EVENT_WRITE)
    assert isinstance(channel.failure, ChannelBroken)


# ---- any order of events ----

step = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 7), st.sampled_from([1, 10, 5000])),
    st.tuples(st.just("mark"), st.integers(0, 7), st.integers(0, 9)),
    st.tuples(st.just("poll"), st.integers(0, 7), st.integers(1, 5)),
    st.tuples(st.just("deploy"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("turn"), st.integers(0, 1), st.integers(0, 3)),
)


@given(st.lists(step, max_size=80))
@hypothesis.settings(max_examples=60, deadline=None)
def test_any_interleaving_of_two_workers(steps: list[tuple[str, int, int]]) -> None:
    """Channel n: the lowest bit says who produces, the next one who consumes."""
    with tempfile.TemporaryDirectory() as directory:
        workers = Workers(Path(directory))
        exchanges = [workers.add(name, "unix") for name in "ab"]
        channels = [
            output(exchanges[number & 1], [exchanges[number >> 1 & 1].address], number)[0] for number in range(8)
        ]
        gates: list[InputGate | None] = [None] * 8
        sent: list[list[Any]] = [[] for _ in channels]
        received: list[list[Any]] = [[] for _ in channels]

        def poll(number: int) -> bool:
            merged = gates[number]
            arrived = None if merged is None else merged.poll()
            if arrived is None:
                return False
            element = arrived[1]
            received[number] += element.values if isinstance(element, Batch) else [element]
            return True

        def deploy(number: int) -> None:
            if gates[number] is None:
                gates[number] = gate(exchanges[number >> 1 & 1], number=number)

        for what, number, count in steps:
            if what == "send" and channels[number].available:
                values = [(len(sent[number]), row) for row in range(count)]
                channels[number].send(Batch(values))
                sent[number] += values
            elif what == "mark":
                channels[number].send(Barrier(count, 0))
                sent[number].append(Barrier(count, 0))
            elif what == "poll":
                for _ in range(count):
                    poll(number)
            elif what == "deploy":
                deploy(number)
            elif what == "turn":
                exchanges[number].flush()
                for key, mask in workers.selector.select(0)[: count + 1]:
                    (owner,) = [exchange for exchange in exchanges if exchange.owns(key)]
                    owner.on_ready(key, mask)
        for number, channel in enumerate(channels):
            deploy(number)
            channel.send(EndOfInput())
            sent[number].append(EndOfInput())

        def done() -> bool:
            moved = [poll(number) for number in range(8)]
            return not any(moved) and all(channel.drained for channel in channels)

        workers.until(done)
        while any([poll(number) for number in range(8)]):
            pass
        assert received == sent
        workers.close()
