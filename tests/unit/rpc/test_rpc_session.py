"""Sessions over Unix sockets, TCP and TLS."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

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
from pyflow_runtime.rpc.handshake import ClientHandshake, Hello
from pyflow_runtime.rpc.session import Conversation, Session, connect, serve, split_address, tls_context
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


def certificates(directory: Path, authority: Path | None = None) -> Path:
    """A directory with ca.pem, cert.pem and key.pem; signed by another directory's authority if given."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    directory.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool) -> Any:
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("ca"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.sign(signer, hashes.SHA256())

    if authority is None:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        ca = certificate("ca", authority_key, authority_key, True)
        (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        (directory / "ca.key").write_bytes(key_bytes(authority_key))
    else:
        loaded = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        authority_key = loaded
        (directory / "ca.pem").write_bytes((authority / "ca.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    (directory / "key.pem").write_bytes(key_bytes(key))
    own = certificate("member", key, authority_key, False)
    (directory / "cert.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    return directory


@pytest.mark.parametrize("kind", ["unix", "tcp", "tls"])
def test_messages_and_requests(kind: str, tmp_path: Path) -> None:
    async def body() -> None:
        server = Server()
        heard: list[Say] = []
        listening, address = listen(kind, tmp_path)
        server_tls = client_tls = None
        if kind == "tls":
            first = certificates(tmp_path / "a")
            server_tls = tls_context(first, server=True)
            client_tls = tls_context(certificates(tmp_path / "b", first), server=False)
        accepting = await serve(listening, server.choose, secret="s3", tls=server_tls)
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
        ours = certificates(tmp_path / "a")
        accepting = await serve(listening, server.choose, tls=tls_context(ours, server=True))
        stranger = tls_context(certificates(tmp_path / "b"), server=False)
        with pytest.raises(RpcError):
            await connect(address, ClientHandshake("taskmanager", "t"), Conversation(), tls=stranger)
        with pytest.raises(RpcError):
            await connect(address, ClientHandshake("taskmanager", "t"), Conversation(), timeout=2)
        assert server.sessions == []
        accepting.close()
        await accepting.wait_closed()

    run(body)
    with pytest.raises(AuthenticationError, match=r"ca\.pem"):
        tls_context(tmp_path / "nothing", server=True)


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
