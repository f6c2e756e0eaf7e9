"""Sessions over Unix sockets, TCP and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from pyflow_runtime.rpc import session as sessions
from pyflow_runtime.rpc.errors import (
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    RemoteError,
    RpcError,
)
from pyflow_runtime.rpc.frames import FrameKind, encode_frame
from pyflow_runtime.rpc.handshake import JOINING, ClientHandshake, Hello
from pyflow_runtime.rpc.session import Conversation, Session, connect, serve, split_address
from pyflow_runtime.rpc.tls import joining_tls, mutual_tls, server_tls
from pyflow_runtime.security.authority import CertificateAuthority
from pyflow_yarn.errors import JobNotFoundError


class Say(msgspec.Struct, frozen=True, tag="say"):
    text: str


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    text: str


class Server:
    """Answers questions, remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.closed: list[tuple[str, str]] = []
        self.sessions: list[Session] = []

    def choose(self, hello: Hello) -> Conversation:
        return Conversation(Say, self.message, Ask, self.request, self.ended, self.sessions.append)

    def message(self, session: Session, message: Say) -> None:
        self.said.append(message.text)
        if message.text == "echo":
            session.send(message)

    async def request(self, session: Session, request: Ask) -> Say:
        if request.text == "never":
            await asyncio.Event().wait()
        if request.text == "unknown":
            raise JobNotFoundError("no such job")
        if request.text == "broken":
            raise ZeroDivisionError("internal")
        return Say(request.text.upper())

    def ended(self, session: Session, reason: str) -> None:
        self.closed.append((session.peer.identity, reason))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def listen(kind: str, directory: Path) -> tuple[socket.socket, str]:
    if kind == "unix":
        listening = socket.socket(socket.AF_UNIX)
        path = str(directory / "s")
        listening.bind(path)
        listening.listen()
        return listening, f"unix:{path}"
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, f"127.0.0.1:{listening.getsockname()[1]}"


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await body()
        await asyncio.sleep(0)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["unix", "tcp", "tls"])
def test_messages_and_requests(kind: str, tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        heard: list[Say] = []
        listening, address = listen(kind, tmp_path)
        shown = client_tls = None
        if kind == "tls":
            authority = CertificateAuthority(tmp_path / "ca")
            shown = server_tls(authority.equip(tmp_path / "a", "server"))
            client_tls = mutual_tls(authority.equip(tmp_path / "b", "client"), server=False)
        accepting = await serve(listening, server.choose, secret="s3", tls=shown)
        handshake = ClientHandshake("taskmanager", "t1", "i1", secret="s3")
        client = await connect(
            address, handshake, Conversation(Say, lambda session, message: heard.append(message)), tls=client_tls
        )
        client.send(Say("one"))
        client.send(Say("echo"))
        answers = await asyncio.gather(*(client.request(Ask(f"q{i}"), Say, 5) for i in range(50)))
        assert [answer.text for answer in answers] == [f"Q{i}" for i in range(50)]
        big = "x" * 3_000_000
        assert (await client.request(Ask(big), Say, 10)).text == big.upper()
        with pytest.raises(RemoteError, match="no such job") as caught:
            await client.request(Ask("unknown"), Say, 5)
        assert caught.value.error_type == "JobNotFoundError"
        with pytest.raises(RemoteError, match="internal error"):
            await client.request(Ask("broken"), Say, 5)
        with pytest.raises(DeadlineExceeded):
            await client.request(Ask("never"), Say, 0.05)
        await until(lambda: bool(heard))
        assert heard == [Say("echo")]
        assert server.said == ["one", "echo"]
        assert server.sessions[0].peer.incarnation == "i1"
        client.send(Say("last words"))
        client.close("that was all")
        assert await client.wait_closed() == "that was all"
        await until(lambda: bool(server.closed))
        assert server.closed == [("t1", "that was all")]
        assert server.said[-1] == "last words"
        with pytest.raises(ConnectionLost, match="that was all"):
            await client.request(Ask("x"), Say, 1)
        client.send(Say("dropped"))
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_who_is_refused_hears_why(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("tcp", tmp_path)
        accepting = await serve(
            listening, server.choose, secret="s3", admit=lambda hello: "go away" if hello.role == "spy" else None
        )
        for handshake, reason in [
            (ClientHandshake("taskmanager", "t", secret="other"), "does not know this cluster's secret"),
            (ClientHandshake("taskmanager", "t"), "none is configured"),
            (ClientHandshake("spy", "t", secret="s3"), "go away"),
        ]:
            with pytest.raises(AuthenticationError, match=reason):
                await connect(address, handshake, Conversation())
        assert server.sessions == []
        accepting.close()
        await accepting.wait_closed()
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            await connect(address, ClientHandshake("taskmanager", "t"), Conversation())
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            await connect(f"unix:{tmp_path}/none", ClientHandshake("taskmanager", "t"), Conversation())

    run(body)


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("tcp", tmp_path)
        ours = CertificateAuthority(tmp_path / "ours").equip(tmp_path / "a", "server")
        accepting = await serve(listening, server.choose, tls=server_tls(ours))
        stranger = CertificateAuthority(tmp_path / "theirs").equip(tmp_path / "b", "client")
        for tls in (mutual_tls(stranger, server=False), joining_tls(), None):
            with pytest.raises(RpcError):
                await connect(address, ClientHandshake("taskmanager", "t"), Conversation(), tls=tls, timeout=2)
        assert server.sessions == []
        accepting.close()
        await accepting.wait_closed()

    run(body)
    with pytest.raises(AuthenticationError, match=r"ca\.pem"):
        mutual_tls(tmp_path / "nothing", server=True)


def test_without_a_certificate_one_may_only_join(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("tcp", tmp_path)
        member = CertificateAuthority(tmp_path / "ca").equip(tmp_path / "a", "server")
        accepting = await serve(listening, server.choose, secret="s3", tls=server_tls(member))
        with pytest.raises(AuthenticationError, match="a certificate of this cluster is wanted"):
            await connect(address, ClientHandshake("worker", "w", secret="s3"), Conversation(), tls=joining_tls())
        with pytest.raises(AuthenticationError, match="does not know this cluster's secret"):
            await connect(address, ClientHandshake(JOINING, "w", secret="s4"), Conversation(), tls=joining_tls())
        session = await connect(address, ClientHandshake(JOINING, "w", secret="s3"), Conversation(), tls=joining_tls())
        assert (await session.request(Ask("a"), Say, 5)).text == "A"
        session.close("done")
        await session.wait_closed()
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_whoever_stands_between_is_not_joined(tmp_path: Path) -> None:
    """It passes on every frame, but has to show a certificate of its own."""

    async def body() -> None:
        server = Server()
        listening, address = listen("tcp", tmp_path)
        member = CertificateAuthority(tmp_path / "ours").equip(tmp_path / "a", "server")
        accepting = await serve(listening, server.choose, secret="s3", tls=server_tls(member))

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            host, port = split_address(address)
            onward, back = await asyncio.open_connection(host, port, ssl=joining_tls(), server_hostname="")

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        target.write(data)
                target.close()

            await asyncio.gather(pump(reader, back), pump(onward, writer))

        spy = CertificateAuthority(tmp_path / "theirs").equip(tmp_path / "b", "spy")
        between = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=server_tls(spy).context)
        port = between.sockets[0].getsockname()[1]
        with pytest.raises(AuthenticationError, match="does not know this cluster's secret"):
            handshake = ClientHandshake(JOINING, "w", secret="s3")
            await connect(f"127.0.0.1:{port}", handshake, Conversation(), tls=joining_tls())
        await until(lambda: not server.sessions)
        for each in (between, accepting):
            each.close()
            await each.wait_closed()

    run(body)


def test_garbage_never_reaches_a_handler_and_never_stops_the_server(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("unix", tmp_path)
        accepting = await serve(listening, server.choose)
        generator = random.Random(7)
        welcome = ClientHandshake("taskmanager", "fuzz").start()
        for round_number in range(120):
            garbage = generator.randbytes(generator.randrange(1, 400))
            if round_number % 2:
                garbage = welcome + encode_frame(generator.randrange(11), garbage)
            reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
            await writer.wait_closed()
        assert server.said == []
        client = await connect(address, ClientHandshake("taskmanager", "t"), Conversation())
        assert (await client.request(Ask("a"), Say, 5)).text == "A"
        client.close("done")
        await client.wait_closed()
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_a_malformed_message_ends_the_session_with_the_reason(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("unix", tmp_path)
        accepting = await serve(listening, server.choose)
        client = await connect(address, ClientHandshake("taskmanager", "t"), Conversation())
        client.send(Ask("a request sent as a message"))
        assert "could not be read" in await client.wait_closed()
        await until(lambda: bool(server.closed))
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_a_message_above_the_limit_ends_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("unix", tmp_path)
        accepting = await serve(listening, server.choose)
        client = await connect(address, ClientHandshake("taskmanager", "t"), Conversation())
        monkeypatch.setattr(sessions, "FRAME_LIMIT", 100)
        with pytest.raises(ProtocolError, match="above the limit of 100 bytes"):
            await client.request(Ask("x" * 200), Say, 1)
        client.send(Say("x" * 200))
        assert "above the limit" in await client.wait_closed()
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_requests_fail_when_the_peer_goes(tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        listening, address = listen("unix", tmp_path)
        accepting = await serve(listening, server.choose)
        client = await connect(address, ClientHandshake("taskmanager", "t"), Conversation())
        waiting = asyncio.create_task(client.request(Ask("never"), Say, 30))
        await until(lambda: bool(server.sessions))
        await asyncio.sleep(0.02)
        server.sessions[0].close("leader has changed")
        with pytest.raises(ConnectionLost, match="leader has changed"):
            await waiting
        accepting.close()
        await accepting.wait_closed()

    run(body)


def test_a_silent_peer_is_noticed_and_a_quiet_one_is_kept(tmp_path: Path) -> None:
    async def body() -> None:
        listening, address = listen("unix", tmp_path)
        accepting = await serve(listening, Server().choose)
        loop = asyncio.get_running_loop()
        quiet = Session(
            ClientHandshake("taskmanager", "t"),
            lambda hello: Conversation(),
            keep_alive_interval=0.02,
            keep_alive_timeout=0.2,
        )
        await loop.create_unix_connection(lambda: quiet, address.removeprefix("unix:"))
        await asyncio.sleep(0.5)
        assert quiet.open
        quiet.close("done")
        await quiet.wait_closed()
        accepting.close()
        await accepting.wait_closed()

        ours, theirs = socket.socketpair()
        silent = Session(
            ClientHandshake("taskmanager", "t"),
            lambda hello: Conversation(),
            keep_alive_interval=0.02,
            keep_alive_timeout=0.2,
        )
        await loop.create_unix_connection(lambda: silent, sock=ours)
        theirs.send(encode_frame(FrameKind.WELCOME, b""))
        assert "silent" in await asyncio.wait_for(silent.wait_closed(), 5)
        theirs.close()

    run(body)


def test_addresses() -> None:
    assert split_address("localhost:80") == ("localhost", 80)
    assert split_address("[::1]:80") == ("::1", 80)
    for bad in ("localhost", ":1", "a:b", ""):
        with pytest.raises(ProtocolError, match="no address"):
            split_address(bad)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    test_requests_fail_when_the_peer_goes(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
