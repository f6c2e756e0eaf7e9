"""Sessions: the frames of ``rpc.frames`` over asyncio, Unix or TCP, with or without TLS.

A session carries one-way messages, requests with an id and a deadline, and keep-alives, in both directions. What is
received has a declared type; anything else ends the session with the reason said to the peer. Callbacks of a
``Conversation`` run in the event loop, in the order of arrival, and ``closed`` is called exactly once, last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec

from pyflow_runtime.rpc.errors import (
    AuthenticationError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    RemoteError,
    RpcError,
)
from pyflow_runtime.rpc.frames import FRAME_LIMIT, HELLO_LIMIT, Frame, FrameDecoder, FrameKind, encode_frame
from pyflow_runtime.rpc.handshake import ClientHandshake, Hello, ServerHandshake, check_same_user
from pyflow_runtime.rpc.tls import ServerTls, name_shown
from pyflow_yarn.errors import PyflowError

logger = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 10.0
KEEP_ALIVE_INTERVAL = 10.0
KEEP_ALIVE_TIMEOUT = 60.0
_REQUEST = struct.Struct("!QI")
_RESPONSE = struct.Struct("!Q")
_encode = msgspec.msgpack.Encoder().encode
T = TypeVar("T")


class Conversation:
    """What one side does with what it hears. ``incoming`` and ``requests`` are types (unions) for msgspec."""

    def __init__(
        self,
        incoming: Any = None,
        message: Callable[[Session, Any], None] | None = None,
        requests: Any = None,
        request: Callable[[Session, Any], Awaitable[Any]] | None = None,
        closed: Callable[[Session, str], None] | None = None,
        opened: Callable[[Session], None] | None = None,
        keep_alive: bool = True,
    ) -> None:
        self.decoder = msgspec.msgpack.Decoder(incoming) if incoming is not None else None
        self.request_decoder = msgspec.msgpack.Decoder(requests) if requests is not None else None
        self.message = message
        self.request = request
        self.closed = closed
        self.opened = opened
        self.keep_alive = keep_alive


class _RemoteFailure(msgspec.Struct, frozen=True):
    error_type: str
    message: str


class Session(asyncio.Protocol):
    """One end of a connection. Made by ``connect`` and ``serve``."""

    def __init__(
        self,
        handshake: ClientHandshake | ServerHandshake,
        choose: Callable[[Hello], Conversation],
        *,
        keep_alive_interval: float = KEEP_ALIVE_INTERVAL,
        keep_alive_timeout: float = KEEP_ALIVE_TIMEOUT,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._handshake: ClientHandshake | ServerHandshake | None = handshake
        self._choose = choose
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder(HELLO_LIMIT)
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._next_request = 1
        self._heard = self._loop.time()
        self._keep_alive_interval = keep_alive_interval
        self._keep_alive_timeout = keep_alive_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._reason: str | None = None
        self.welcome: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[str] = self._loop.create_future()
        self.peer = Hello(role="", identity="")

    # ---- using it ----

    @property
    def open(self) -> bool:
        """Whether something sent now can still arrive."""
        return self._conversation is not None and self._reason is None

    def send(self, message: msgspec.Struct) -> None:
        """Send a one-way message; silently dropped when the session has ended (``closed`` tells).

        A message above the limit ends the session: what follows it may rely on it.
        """
        if not self.open:
            return
        try:
            self._write(FrameKind.MESSAGE, _encode(message))
        except ProtocolError as error:
            logger.error("to %s %s: %s", self.peer.role, self.peer.identity, error)
            self.close(str(error))

    async def request(self, message: msgspec.Struct, answer: type[T], timeout: float) -> T:
        """Ask, and wait for the answer; ``RemoteError``, ``DeadlineExceeded`` or ``ConnectionLost`` if it fails."""
        if not self.open:
            raise ConnectionLost(self._reason or "the session is not open")
        number = self._next_request
        self._next_request += 1
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._answers[number] = future
        try:
            header = _REQUEST.pack(number, min(int(timeout * 1000), 0xFFFFFFFF))
            self._write(FrameKind.REQUEST, header + _encode(message))
            async with asyncio.timeout(timeout):
                payload = await future
        except TimeoutError as error:
            if isinstance(error, RpcError):
                raise
            raise DeadlineExceeded(f"{self.peer.role or 'the peer'} did not answer within {timeout:g} s") from None
        finally:
            self._answers.pop(number, None)
        try:
            return msgspec.msgpack.decode(payload, type=answer)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"an answer could not be read: {error}") from error

    def close(self, reason: str) -> None:
        """Say goodbye and close; what was sent before still goes out."""
        if self._reason is None:
            self._reason = reason
            if self._transport is not None:
                self._write(FrameKind.CLOSE, reason.encode())
                self._transport.close()

    async def wait_closed(self) -> str:
        """Wait for the end of the session; the reason."""
        return await asyncio.shield(self._gone)

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self._handshake_late)
        sock = transport.get_extra_info("socket")
        try:
            if sock is not None and sock.family == socket.AF_UNIX:
                check_same_user(sock)
        except (AuthenticationError, OSError) as error:
            self.close(str(error))
            return
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if self._handshake is not None and tls is not None:
            self._handshake.shown = name_shown(tls)
        if isinstance(self._handshake, ClientHandshake):
            if tls is not None:
                self._handshake.server_certificate = tls.getpeercert(True) or b""
            self._transport.write(self._handshake.start())

    def data_received(self, data: bytes) -> None:
        """Handle whatever frames these bytes complete."""
        self._heard = self._loop.time()
        try:
            for frame in self._decoder.feed(data):
                if self._reason is not None:
                    return
                if self._handshake is not None:
                    self._shake(frame)
                else:
                    self._handle(frame)
        except RpcError as error:
            logger.warning("session with %s %s ends: %s", self.peer.role or "?", self.peer.identity, error)
            self.close(str(error))
            if not self.welcome.done():
                self.welcome.set_exception(error)

    def eof_received(self) -> bool:
        """The peer has closed its side: so do we."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Everything that waits for this session fails now."""
        if self._reason is None:
            self._reason = f"the connection broke: {error}" if error else "the peer closed the connection"
        if self._timer is not None:
            self._timer.cancel()
        lost = ConnectionLost(self._reason)
        if not self.welcome.done():
            self.welcome.set_exception(lost)
        with contextlib.suppress(asyncio.CancelledError):
            self.welcome.exception()  # nobody has to wait for it
        for future in self._answers.values():
            if not future.done():
                future.set_exception(lost)
        for task in self._serving:
            task.cancel()
        if not self._gone.done():
            self._gone.set_result(self._reason)
        if self._conversation is not None and self._conversation.closed is not None:
            self._conversation.closed(self, self._reason)

    # ---- inside ----

    def _write(self, kind: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if len(payload) > FRAME_LIMIT:
            raise ProtocolError(f"a message of {len(payload)} bytes is above the limit of {FRAME_LIMIT} bytes")
        self._transport.write(encode_frame(kind, payload))

    def _shake(self, frame: Frame) -> None:
        handshake = self._handshake
        assert self._transport is not None
        if isinstance(handshake, ClientHandshake):
            answer = handshake.receive(frame)
            if answer is not None:
                self._transport.write(answer)
                return
            peer = Hello(role="server", identity="")
        else:
            assert handshake is not None
            answer, welcome = handshake.receive(frame)
            self._transport.write(answer)
            if not welcome:
                return
            assert handshake.hello is not None
            peer = handshake.hello
        self.peer = peer
        self._handshake = None
        self._decoder.limit = FRAME_LIMIT
        self._conversation = self._choose(peer)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._conversation.keep_alive:
            self._timer = self._loop.call_later(self._keep_alive_interval, self._keep_alive)
        if not self.welcome.done():
            self.welcome.set_result(None)
        if self._conversation.opened is not None:
            self._conversation.opened(self)

    def _handle(self, frame: Frame) -> None:
        conversation = self._conversation
        assert conversation is not None
        kind, payload = frame
        if kind == FrameKind.MESSAGE:
            if conversation.decoder is None or conversation.message is None:
                raise ProtocolError("this session takes no messages")
            try:
                message = conversation.decoder.decode(payload)
            except msgspec.DecodeError as error:
                raise ProtocolError(f"a message could not be read: {error}") from error
            conversation.message(self, message)
        elif kind == FrameKind.REQUEST:
            self._handle_request(conversation, payload)
        elif kind in (FrameKind.RESPONSE, FrameKind.ERROR):
            self._handle_answer(kind, payload)
        elif kind == FrameKind.PING:
            self._write(FrameKind.PONG, payload)
        elif kind == FrameKind.CLOSE:
            self._reason = payload.decode("utf-8", "replace") or "the peer closed the session"
            if self._transport is not None:
                self._transport.close()
        elif kind != FrameKind.PONG:
            raise ProtocolError(f"a frame of kind {kind} has no place in this conversation")

    def _handle_request(self, conversation: Conversation, payload: bytes) -> None:
        if len(payload) < _REQUEST.size:
            raise ProtocolError("a request is too short to be one")
        if conversation.request_decoder is None or conversation.request is None:
            raise ProtocolError("this session takes no requests")
        number, timeout = _REQUEST.unpack_from(payload)
        try:
            request = conversation.request_decoder.decode(payload[_REQUEST.size :])
        except msgspec.DecodeError as error:
            raise ProtocolError(f"a request could not be read: {error}") from error
        task = self._loop.create_task(self._serve(conversation.request, number, timeout / 1000, request))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(
        self, handler: Callable[[Session, Any], Awaitable[Any]], number: int, timeout: float, request: Any
    ) -> None:
        header = _RESPONSE.pack(number)
        try:
            async with asyncio.timeout(timeout):
                answer = await handler(self, request)
            self._write(FrameKind.RESPONSE, header + _encode(answer))
        except TimeoutError:
            logger.warning("a %s of %s was not answered in time", type(request).__name__, self.peer.identity)
        except PyflowError as error:
            failure = _RemoteFailure(type(error).__name__, str(error))
            self._write(FrameKind.ERROR, header + _encode(failure))
        except Exception as error:
            logger.exception("a %s of %s %s failed", type(request).__name__, self.peer.role, self.peer.identity)
            failure = _RemoteFailure(type(error).__name__, f"internal error: {error}")
            self._write(FrameKind.ERROR, header + _encode(failure))

    def _handle_answer(self, kind: int, payload: bytes) -> None:
        if len(payload) < _RESPONSE.size:
            raise ProtocolError("an answer is too short to be one")
        (number,) = _RESPONSE.unpack_from(payload)
        future = self._answers.get(number)
        if future is None or future.done():
            return  # too late: whoever asked has given up
        if kind == FrameKind.RESPONSE:
            future.set_result(payload[_RESPONSE.size :])
            return
        try:
            failure = msgspec.msgpack.decode(payload[_RESPONSE.size :], type=_RemoteFailure)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"an error could not be read: {error}") from error
        future.set_exception(RemoteError(failure.error_type, failure.message))

    def _handshake_late(self) -> None:
        self.close(f"the handshake took more than {HANDSHAKE_TIMEOUT:g} s")

    def _keep_alive(self) -> None:
        silent = self._loop.time() - self._heard
        if silent >= self._keep_alive_timeout:
            # The peer may be stopped: nothing that waits in the buffers will ever go out.
            self._reason = f"the peer has been silent for {silent:.0f} s"
            if self._transport is not None:
                self._transport.abort()
            return
        if silent >= self._keep_alive_interval * 0.9:
            self._write(FrameKind.PING, b"")
        self._timer = self._loop.call_later(self._keep_alive_interval, self._keep_alive)


async def connect(
    address: str,
    handshake: ClientHandshake,
    conversation: Conversation,
    *,
    tls: ssl.SSLContext | None = None,
    timeout: float = HANDSHAKE_TIMEOUT,
) -> Session:
    """Open a session to ``unix:/path`` or ``host:port``; ``RpcError`` with a sentence if that fails."""
    loop = asyncio.get_running_loop()
    session: Session | None = None

    def protocol() -> Session:
        nonlocal session
        session = Session(handshake, lambda hello: conversation)
        return session

    try:
        async with asyncio.timeout(timeout):
            if address.startswith("unix:"):
                await loop.create_unix_connection(protocol, address.removeprefix("unix:"))
            else:
                host, port = split_address(address)
                # Certificates are the cluster's own and name its members, not hosts.
                await loop.create_connection(protocol, host, port, ssl=tls, server_hostname="" if tls else None)
            assert session is not None
            try:
                await session.welcome
            except (AuthenticationError, ProtocolError):
                await session.wait_closed()  # nothing is left when the caller hears of it
                raise
    except TimeoutError:
        if session is not None:
            session.close("the handshake took too long")
        raise DeadlineExceeded(f"{address} did not answer within {timeout:g} s") from None
    except ssl.SSLError as error:
        raise AuthenticationError(f"{address} could not be trusted: {error.reason or error}") from error
    except OSError as error:
        if isinstance(error, RpcError):
            raise
        raise ConnectionLost(f"{address} cannot be reached: {error.strerror or error}") from error
    return session


async def serve(
    listening: socket.socket,
    choose: Callable[[Hello], Conversation],
    *,
    secret: str = "",
    tls: ServerTls | None = None,
    admit: Callable[[Hello], str | None] = lambda hello: None,
    token: Callable[[Hello], str] = lambda hello: "",
) -> asyncio.Server:
    """Accept sessions on a listening socket; ``choose`` gives each admitted peer its conversation.

    The ``secret`` and the ``token`` are asked of TCP peers; on a Unix socket the kernel tells who the peer is.
    """
    loop = asyncio.get_running_loop()
    if listening.family == socket.AF_UNIX:
        return await loop.create_unix_server(lambda: Session(ServerHandshake("", admit), choose), sock=listening)
    return await loop.create_server(
        lambda: Session(ServerHandshake(secret, admit, tls, token), choose),
        sock=listening,
        ssl=tls.context if tls else None,
    )


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` (an IPv6 host stands in brackets)."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ProtocolError(f"'{address}' is no address of the form host:port")
    return host.strip("[]"), int(port)
