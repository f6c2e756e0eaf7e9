"""The first words of a connection: who is it, does it speak our protocol, does it belong to this cluster?

    client                                          server
    HELLO  magic version role identity nonce   →
                                               ←    WELCOME                (Unix: the kernel vouches for the user)
    or, where a secret is wanted (TCP):
                                               ←    CHALLENGE nonce, proof that the server knows the secret
    PROOF  that the client knows it            →
                                               ←    WELCOME
    or, at any time                            ←    CLOSE reason

Both proofs are HMAC-SHA256 over both nonces, role and identity, with different labels: neither can be replayed or
reflected. Under TLS they also cover the server's certificate as each side sees it: whoever stands between the two has
another one, and nothing to prove. So a process that knows the secret, but has no certificate yet, may join
(``JOINING``). Everybody else has a certificate.

Both sides are pure; ``connect_unix`` drives the client's on a blocking socket, ``rpc.session`` on streams.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Callable

import msgspec

from pyflow_runtime.rpc.errors import AuthenticationError, ConnectionLost, ProtocolError
from pyflow_runtime.rpc.frames import (
    FRAME_LIMIT,
    HELLO_LIMIT,
    MAGIC,
    PROTOCOL_VERSION,
    Frame,
    FrameKind,
    FrameSocket,
    encode_frame,
)

_PREFIX = struct.Struct("!4sH")
_CREDENTIALS = struct.Struct("3i")
NONCE_SIZE = 32
JOINING = "joining"
"""The role of a process that has no certificate of the cluster yet, and wants one."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who connects: ``role`` is a noun such as ``worker``; ``incarnation`` tells two lives of one identity apart."""

    role: str
    identity: str
    incarnation: str = ""
    nonce: bytes = b""


class _Challenge(msgspec.Struct, frozen=True, kw_only=True):
    nonce: bytes
    proof: bytes


def _proof(secret: str, label: bytes, client: Hello, server_nonce: bytes, server_certificate: bytes) -> bytes:
    parts = [
        label,
        client.role.encode(),
        client.identity.encode(),
        client.incarnation.encode(),
        client.nonce.hex().encode(),
        server_nonce.hex().encode(),
    ]
    if server_certificate:
        parts.append(hashlib.sha256(server_certificate).hexdigest().encode())
    return hmac.digest(secret.encode(), b"\0".join(parts), "sha256")


class ClientHandshake:
    """The connecting side. ``secret`` is "" where none is known; then a challenge is refused.

    ``server_certificate`` (DER) is what the server has shown, b"" without TLS; set before the first frame is received.
    """

    def __init__(self, role: str, identity: str, incarnation: str = "", secret: str = "") -> None:
        self.hello = Hello(role=role, identity=identity, incarnation=incarnation, nonce=os.urandom(NONCE_SIZE))
        self.server_certificate = b""
        self._secret = secret

    def start(self) -> bytes:
        """The bytes to send first."""
        prefix = _PREFIX.pack(MAGIC, PROTOCOL_VERSION)
        return encode_frame(FrameKind.HELLO, prefix + msgspec.msgpack.encode(self.hello))

    def receive(self, frame: Frame) -> bytes | None:
        """Bytes to send in answer; None when the server has said welcome."""
        if frame.kind == FrameKind.WELCOME:
            return None
        if frame.kind == FrameKind.CLOSE:
            raise AuthenticationError(frame.payload.decode("utf-8", "replace"))
        if frame.kind != FrameKind.CHALLENGE:
            raise ProtocolError(f"a frame of kind {frame.kind} came instead of a welcome")
        if not self._secret:
            raise AuthenticationError("the server wants the cluster's secret, and none is configured here")
        try:
            challenge = msgspec.msgpack.decode(frame.payload, type=_Challenge)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"the challenge could not be read: {error}") from error
        if not hmac.compare_digest(challenge.proof, self._proof(b"server", challenge.nonce)):
            raise AuthenticationError("the server does not know this cluster's secret")
        return encode_frame(FrameKind.PROOF, self._proof(b"client", challenge.nonce))

    def _proof(self, label: bytes, nonce: bytes) -> bytes:
        return _proof(self._secret, label, self.hello, nonce, self.server_certificate)


class ServerHandshake:
    """The accepting side. With a ``secret`` the client must prove that it knows it; ``admit`` may refuse a hello.

    ``certificate`` (DER) is what the server shows, b"" without TLS; ``certified`` says whether the client has shown one
    of the cluster, or none is asked; set before the first frame is received.
    """

    def __init__(
        self, secret: str, admit: Callable[[Hello], str | None] = lambda hello: None, certificate: bytes = b""
    ) -> None:
        self.certified = True
        self._secret = secret
        self._admit = admit
        self._certificate = certificate
        self._nonce = b""
        self.hello: Hello | None = None

    def receive(self, frame: Frame) -> tuple[bytes, bool]:
        """Bytes to send, and whether the peer is welcome now. Raises what should be said to the peer before closing."""
        if self.hello is None:
            self.hello = decode_hello(frame)
            if not self.certified and self.hello.role != JOINING:
                raise AuthenticationError("a certificate of this cluster is wanted")
            if reason := self._admit(self.hello):
                raise AuthenticationError(reason)
            if not self._secret:
                return encode_frame(FrameKind.WELCOME, b""), True
            self._nonce = os.urandom(NONCE_SIZE)
            challenge = _Challenge(nonce=self._nonce, proof=self._proof(b"server", self.hello))
            return encode_frame(FrameKind.CHALLENGE, msgspec.msgpack.encode(challenge)), False
        if frame.kind != FrameKind.PROOF:
            raise ProtocolError(f"a frame of kind {frame.kind} came instead of a proof")
        if not hmac.compare_digest(frame.payload, self._proof(b"client", self.hello)):
            raise AuthenticationError("the proof of the cluster's secret is wrong")
        return encode_frame(FrameKind.WELCOME, b""), True

    def _proof(self, label: bytes, hello: Hello) -> bytes:
        return _proof(self._secret, label, hello, self._nonce, self._certificate)


def decode_hello(frame: Frame) -> Hello:
    """The hello in a first frame; ``ProtocolError`` if it is anything else, or of another version."""
    if frame.kind != FrameKind.HELLO or len(frame.payload) < _PREFIX.size:
        raise ProtocolError("this is not a connection of pyflow")
    magic, version = _PREFIX.unpack_from(frame.payload)
    if magic != MAGIC:
        raise ProtocolError("this is not a connection of pyflow")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(f"the peer speaks protocol version {version}, this process speaks {PROTOCOL_VERSION}")
    try:
        return msgspec.msgpack.decode(frame.payload[_PREFIX.size :], type=Hello)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"the hello could not be read: {error}") from error


def check_same_user(sock: socket.socket) -> None:
    """Refuse a Unix peer that runs as another user than this process (``SO_PEERCRED``)."""
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid != os.geteuid():
        raise AuthenticationError(f"the peer runs as user {uid}, this process as user {os.geteuid()}")


def connect_unix(path: str, role: str, identity: str, *, incarnation: str = "", timeout: float = 10.0) -> FrameSocket:
    """Connect to a Unix socket of this cluster and say hello; for processes without asyncio."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except OSError as error:
            raise ConnectionLost(f"{path} cannot be reached: {error.strerror or error}") from error
        check_same_user(sock)
        frames = FrameSocket(sock, HELLO_LIMIT)
        handshake = ClientHandshake(role, identity, incarnation)
        sock.setblocking(True)
        sock.settimeout(timeout)
        sock.sendall(handshake.start())
        sock.setblocking(False)
        while (answer := handshake.receive(frames.wait_frame(timeout))) is not None:
            frames.socket.sendall(answer)
        frames.decoder.limit = FRAME_LIMIT
        return frames
    except BaseException:
        sock.close()
        raise
