"""Who may talk to whom."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path

import pytest

from pyflow_runtime.rpc.errors import AuthenticationError, ConnectionLost, ProtocolError, RpcError
from pyflow_runtime.rpc.frames import Frame, FrameDecoder, FrameKind, encode_frame
from pyflow_runtime.rpc.handshake import ClientHandshake, Hello, ServerHandshake, connect_unix


def one(data: bytes) -> Frame:
    (frame,) = FrameDecoder().feed(data)
    return frame


def talk(client: ClientHandshake, server: ServerHandshake) -> Hello:
    to_server: bytes | None = client.start()
    welcome = False
    while to_server is not None:
        answer, welcome = server.receive(one(to_server))
        to_server = client.receive(one(answer))
    assert welcome
    assert server.hello is not None
    return server.hello


def test_hello_begins_with_magic_and_version() -> None:
    start = ClientHandshake("worker", "w0").start()
    assert start[4:11] == bytes.fromhex("00" + "7079666c" + "0001")


def test_without_a_secret_a_hello_is_enough() -> None:
    hello = talk(ClientHandshake("worker", "w0", "i1"), ServerHandshake(""))
    assert (hello.role, hello.identity, hello.incarnation) == ("worker", "w0", "i1")


def test_the_secret_is_proved_by_both() -> None:
    assert talk(ClientHandshake("taskmanager", "t", secret="s3"), ServerHandshake("s3")).identity == "t"
    with pytest.raises(AuthenticationError, match="does not know this cluster's secret"):
        talk(ClientHandshake("taskmanager", "t", secret="s3"), ServerHandshake("other"))
    with pytest.raises(AuthenticationError, match="none is configured"):
        talk(ClientHandshake("taskmanager", "t"), ServerHandshake("other"))
    server = ServerHandshake("s3")
    server.receive(one(ClientHandshake("taskmanager", "t", secret="s3").start()))
    with pytest.raises(AuthenticationError, match="proof"):
        server.receive(Frame(FrameKind.PROOF, b"\0" * 32))


def test_a_token_is_proved_with_the_secret_by_both() -> None:
    def server(secret: str, token: str) -> ServerHandshake:
        return ServerHandshake(secret, token=lambda hello: token if hello.identity == "t" else "")

    assert talk(ClientHandshake("joining", "t", secret="s3", token="x"), server("s3", "x")).identity == "t"
    assert talk(ClientHandshake("joining", "u", secret="s3"), server("s3", "x")).identity == "u"
    for secret, token in (("s3", ""), ("s3", "y"), ("s4", "x"), ("x", "s3")):
        with pytest.raises(AuthenticationError, match="does not know"):
            talk(ClientHandshake("joining", "t", secret="s3", token="x"), server(secret, token))
    asked = server("s3", "x")
    asked.receive(one(ClientHandshake("joining", "t", secret="s3").start()))
    with pytest.raises(AuthenticationError, match="proof"):
        asked.receive(Frame(FrameKind.PROOF, b"\0" * 32))


def test_a_proof_is_good_for_one_conversation() -> None:
    client = ClientHandshake("taskmanager", "t", secret="s3")
    first, second = ServerHandshake("s3"), ServerHandshake("s3")
    challenge, _ = first.receive(one(client.start()))
    second.receive(one(client.start()))
    proof = client.receive(one(challenge))
    assert proof is not None
    with pytest.raises(AuthenticationError):
        second.receive(one(proof))


def test_admission_may_refuse() -> None:
    with pytest.raises(AuthenticationError, match="no worker w9"):
        talk(ClientHandshake("worker", "w9"), ServerHandshake("", lambda hello: f"there is no worker {hello.identity}"))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not a connection of pyflow"),
        (b"GET / HTTP/1.1", "not a connection of pyflow"),
        (struct.pack("!4sH", b"pyfl", 2), "protocol version 2"),
        (struct.pack("!4sH", b"pyfl", 1) + b"\xc1", "could not be read"),
    ],
)
def test_strangers_are_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        ServerHandshake("").receive(Frame(FrameKind.HELLO, payload))


def serve(path: Path, answer: bytes) -> threading.Thread:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        connection, _ = listener.accept()
        with listener, connection, contextlib.suppress(ConnectionError):
            connection.recv(10_000)
            connection.sendall(answer)
            connection.recv(10_000)

    thread = threading.Thread(target=accept)
    thread.start()
    return thread


def test_connecting_by_unix_socket(tmp_path: Path) -> None:
    thread = serve(tmp_path / "s", encode_frame(FrameKind.WELCOME, b"") + encode_frame(FrameKind.PING, b"1"))
    frames = connect_unix(str(tmp_path / "s"), "worker", "w0", timeout=5)
    assert frames.wait_frame(5) == Frame(FrameKind.PING, b"1")
    frames.close()
    thread.join()


def test_a_refusal_reaches_the_client(tmp_path: Path) -> None:
    thread = serve(tmp_path / "s", encode_frame(FrameKind.CLOSE, b"not you"))
    with pytest.raises(AuthenticationError, match="not you"):
        connect_unix(str(tmp_path / "s"), "worker", "w0", timeout=5)
    thread.join()
    with pytest.raises(ConnectionLost, match="cannot be reached"):
        connect_unix(str(tmp_path / "nobody"), "worker", "w0", timeout=5)


def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = serve(tmp_path / "s", b"")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(RpcError, match=f"runs as user {user}"):
        connect_unix(str(tmp_path / "s"), "worker", "w0", timeout=5)
    thread.join()
