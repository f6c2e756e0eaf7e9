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
(``JOINING``); where the cluster gives each of them a token, both sides prove that they know that, too. Everybody else
has a certificate, and its name in the cluster's own certificates.

Both sides are pure; ``connect_unix`` drives the client's on a blocking socket, ``rpc.session`` on streams.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from pyflow_runtime.rpc.tls import ServerTls

_PREFIX = struct.Struct("!4sH")
_CREDENTIALS = struct.Struct("3i")
NONCE_SIZE = 32
LONGEST_NAME = 64
JOINING = "joining"
"""The role of a process that has no certificate of the cluster yet, and wants one."""
JOB_MANAGER = "jobmanager"
"""The JobManager's name in certificates of the cluster's own authority; no other member gets it."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who connects: ``role`` is a noun such as ``worker``; ``incarnation`` tells two lives of one identity apart."""

    role: str
    identity: str
    incarnation: str = ""
    nonce: bytes = b""


class _Challenge(msgspec.Struct, frozen=True, kw_only=True):
    nonce: bytes
    proof: bytes


def member_name(identity: str) -> str:
    """How a certificate names a process: by its identity, or by the digest of one that is too long."""
    encoded = identity.encode()
    return identity if len(encoded) <= LONGEST_NAME else hashlib.sha256(encoded).hexdigest()


def _proof(
    secret: str, token: str, label: bytes, client: Hello, server_nonce: bytes, server_certificate: bytes
) -> bytes:
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
    key = f"{secret}\0{token}" if token else secret
    return hmac.digest(key.encode(), b"\0".join(parts), "sha256")


class ClientHandshake:
    """The connecting side. ``secret`` is "" where none is known; then a challenge is refused. ``token``: to join with.

    ``server_certificate`` (DER) is what the server has shown, b"" without TLS; ``shown`` is the name in it, None where
    it was not verified; set before the first frame is received. ``server_name``: which it has to be, "" if any.
    """

    def __init__(
        self,
        role: str,
        identity: str,
        incarnation: str = "",
        secret: str = "",
        token: str = "",
        server_name: str = "",
    ) -> None:
        self.hello = Hello(role=role, identity=identity, incarnation=incarnation, nonce=os.urandom(NONCE_SIZE))
        self.server_certificate = b""
        self._secret = secret
        self.shown: str | None = None
        self._token = token
        self._server_name = server_name

    def start(self) -> bytes:
        """The bytes to send first."""
        prefix = _PREFIX.pack(MAGIC, PROTOCOL_VERSION)
        return encode_frame(FrameKind.HELLO, prefix + msgspec.msgpack.encode(self.hello))

    def receive(self, frame: Frame) -> bytes | None:
        """Bytes to send in answer; None when the server has said welcome."""
        if self._server_name and self.shown != self._server_name:
            raise AuthenticationError(f"the server has shown the certificate of '{self.shown}'")
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
        return _proof(self._secret, self._token, label, self.hello, nonce, self.server_certificate)


class ServerHandshake:
    """The accepting side. With a ``secret`` the client must prove that it knows it; ``admit`` may refuse a hello.

    So may ``token``, by raising; it gives what the client must know beside the secret, "" for nothing. ``shown``, with
    ``tls``, is the name in the client's certificate, None if there is none; set before the first frame is received.
    """

    def __init__(
        self,
        secret: str,
        admit: Callable[[Hello], str | None] = lambda hello: None,
        tls: ServerTls | None = None,
        token: Callable[[Hello], str] = lambda hello: "",
    ) -> None:
        self.shown: str | None = None
        self._secret = secret
        self._admit = admit
        self._tls = tls
        self._token_of = token
        self._token = ""
        self._nonce = b""
        self.hello: Hello | None = None

    def receive(self, frame: Frame) -> tuple[bytes, bool]:
        """Bytes to send, and whether the peer is welcome now. Raises what should be said to the peer before closing."""
        if self.hello is None:
            self.hello = decode_hello(frame)
            if self._tls is not None:
                self._check_name(self._tls, self.hello)
            if reason := self._admit(self.hello):
                raise AuthenticationError(reason)
            self._token = self._token_of(self.hello)
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

    def _check_name(self, tls: ServerTls, hello: Hello) -> None:
        if self.shown is None:
            if hello.role != JOINING:
                raise AuthenticationError("a certificate of this cluster is wanted")
        elif tls.names_members and self.shown != member_name(hello.identity):
            raise AuthenticationError(f"{hello.role} {hello.identity} has shown the certificate of '{self.shown}'")

    def _proof(self, label: bytes, hello: Hello) -> bytes:
        certificate = self._tls.certificate if self._tls else b""
        return _proof(self._secret, self._token, label, hello, self._nonce, certificate)


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
