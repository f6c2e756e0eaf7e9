"""One socket between two workers, and the link on it: connects, shakes hands, then moves bytes both ways."""

from __future__ import annotations

import enum
import itertools
import logging
import os
import selectors
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING

from pyflow_runtime.network import transport as transports
from pyflow_runtime.network.errors import ChannelBroken
from pyflow_runtime.network.link import Buffer, Link
from pyflow_runtime.network.transport import Transport
from pyflow_runtime.rpc import frames as rpc_frames
from pyflow_runtime.rpc.errors import AuthenticationError, ProtocolError
from pyflow_runtime.rpc.handshake import ClientHandshake, Hello, ServerHandshake, check_same_user

if TYPE_CHECKING:
    from pyflow_runtime.network.exchange import Exchange
    from pyflow_runtime.taskexecutor.messages import WorkerAddress

ROLE = "data"
_HELLO_LIMIT = 4096  # of a frame before the peer is known
_WRITE_SIZE = 256 * 1024  # taken from the channels at a time; the rest waits there, where it is counted
_READS_AT_ONCE = 4  # then other connections have their turn
_BUFFERS_AT_ONCE = 64  # of one sendmsg; the system's limit is 1024
_TLS_RECORD = 16 * 1024

_log = logging.getLogger(__name__)


class Phase(enum.Enum):
    """How far a connection has come."""

    WAITING = "waiting"  # the peer's backlog was full; dialled again by the next flush
    CONNECTING = "connecting"
    ENCRYPTING = "encrypting"
    GREETING = "greeting"
    OPEN = "open"
    CLOSED = "closed"


class Connection:
    """A data connection, dialled or accepted.

    Channels may be opened on a dialled one at once; they wait until the peer has proved to be the right one. Whatever
    goes wrong ends in ``close``, which breaks the channels; nothing is raised to the worker's loop.
    """

    def __init__(self, exchange: Exchange, transport: Transport, sock: socket.socket | None, link: Link) -> None:
        self.exchange = exchange
        self.transport = transport
        self.link = link
        self.phase = Phase.WAITING
        self.address: WorkerAddress | None = None
        self._socket = sock
        self._mask = 0
        self._client: ClientHandshake | None = None
        self._server: ServerHandshake | None = None
        self._held: tuple[bytes, bool] | None = None
        self._greeting = bytearray()
        self._out: deque[Buffer] = deque()
        self._blocked = False  # the kernel takes no more; a writable event ends that
        self._unwritable = False
        link.wake = self._wake

    # ---- coming about ----

    def dial(self, address: WorkerAddress) -> None:
        """Begin to connect to a worker."""
        self.address = address
        try:
            self._socket = transports.dial(self.transport, address)
        except transports.TryAgain:
            self.exchange.dirty.add(self)
            return
        except OSError as error:
            self.close(f"it cannot be reached by {self.transport.upper()}, {error.strerror or error}")
            return
        self._client = ClientHandshake(ROLE, self.exchange.worker_id, address.worker_id, self.exchange.secret)
        self.phase = Phase.CONNECTING
        self._watch(selectors.EVENT_WRITE)

    def accept(self) -> None:
        """Begin to listen to a stranger."""
        assert self._socket is not None
        try:
            transports.prepare(self._socket, self.transport)
            if self.transport is Transport.UNIX:
                check_same_user(self._socket)
            self._server = ServerHandshake(self.exchange.secret, self._admit)
            self._start_greeting(server=True)
        except (OSError, AuthenticationError) as error:
            self.close(str(error))

    def _admit(self, hello: Hello) -> str | None:
        if hello.role != ROLE:
            return f"this is the data port of a worker, not for {hello.role!r}"
        if hello.incarnation != self.exchange.worker_id:
            return f"this is worker {self.exchange.worker_id}, not {hello.incarnation}"
        return None

    def _start_greeting(self, *, server: bool) -> None:
        assert self._socket is not None
        if self.transport is Transport.TLS:
            if self._mask:
                self.exchange.selector.unregister(self._socket)
                self._mask = 0
            context = self.exchange.tls_context(server=server)
            self._socket = context.wrap_socket(self._socket, server_side=server, do_handshake_on_connect=False)
            self.phase = Phase.ENCRYPTING
            self._encrypt()
        else:
            self._greet()

    def _encrypt(self) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._watch(selectors.EVENT_WRITE)
        else:
            self._greet()

    def _greet(self) -> None:
        self.phase = Phase.GREETING
        self._watch(selectors.EVENT_READ)
        if self._client is not None:
            self._queue(self._client.start())
            self._write()

    def _read_greeting(self) -> None:
        data = self._receive(_HELLO_LIMIT)
        if data is None:
            return
        self._greeting += data
        header = rpc_frames.HEADER
        while self.phase is Phase.GREETING and len(self._greeting) >= header.size:
            length, kind = header.unpack_from(self._greeting)
            if length > _HELLO_LIMIT:
                raise ProtocolError("the first bytes were not a greeting of pyflow")
            end = header.size + length
            if len(self._greeting) < end:
                return
            frame = rpc_frames.Frame(kind, bytes(self._greeting[header.size : end]))
            del self._greeting[:end]
            self._greeted(frame)
        if self.phase is Phase.OPEN and self._greeting:
            rest = bytes(self._greeting)
            self._greeting.clear()
            self.link.feed(rest)
        if self.phase is Phase.OPEN:
            self._read()

    def _greeted(self, frame: rpc_frames.Frame) -> None:
        if self._client is not None:
            answer = self._client.receive(frame)
            if answer is not None:
                self._queue(answer)
                self._write()
                return
        else:
            assert self._server is not None
            stranger = self._server.hello is None
            answer, welcome = self._server.receive(frame)
            assert self._server.hello is not None
            self.link.peer = self._server.hello.identity
            if stranger and self.exchange.waits(self):
                self._held = (answer, welcome)
                return
            self._answer(answer, welcome)
            return
        self._opened()

    def _answer(self, answer: bytes, welcome: bool) -> None:
        self._queue(answer)
        if welcome:
            self._opened()
        else:
            self._write()

    def go_on(self) -> None:
        """Answer a caller after all whose answer was held back."""
        if self._held is not None:
            held, self._held = self._held, None
            self._answer(*held)

    def _opened(self) -> None:
        self.phase = Phase.OPEN
        self._client = self._server = None
        self.exchange.connected(self)
        self.flush()

    # ---- events ----

    def on_ready(self, mask: int) -> None:
        """Go on with what the socket is ready for."""
        try:
            if self.phase is Phase.CONNECTING:
                self._connected()
            elif self.phase is Phase.ENCRYPTING:
                self._encrypt()
            elif self.phase is not Phase.CLOSED:  # by an event that came with this one
                if mask & selectors.EVENT_WRITE:
                    self._blocked = False
                    self._write()
                if mask & selectors.EVENT_READ and self.phase is Phase.GREETING:
                    self._read_greeting()
                elif mask & selectors.EVENT_READ and self.phase is Phase.OPEN:
                    self._read()
        except AuthenticationError as error:
            self._say_goodbye(str(error))
            self.close(str(error))
        except ProtocolError as error:
            self.close(str(error))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self.close(error.strerror or str(error))

    def _connected(self) -> None:
        assert self._socket is not None and self.address is not None
        status = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            raise OSError(status, f"it cannot be reached by {self.transport.upper()}, {os.strerror(status)}")
        self._start_greeting(server=False)

    def _say_goodbye(self, reason: str) -> None:
        """Tell a peer that is refused why, if the kernel takes that at once."""
        if self._server is not None and not self._out:
            self._queue(rpc_frames.encode_frame(rpc_frames.FrameKind.CLOSE, reason.encode()))
            self._write()

    # ---- reading ----

    def _receive(self, size: int) -> bytes | None:
        """Some bytes; None if there are none now. Closes at the end of the stream."""
        assert self._socket is not None
        try:
            data = self._socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        if not data:
            self.close("the peer closed the connection")
            return None
        return data

    def _read(self) -> None:
        """Read a bounded amount, straight into a large frame's own memory where one is arriving."""
        scratch, reader, link = self.exchange.scratch, self.link.reader, self.link
        for _ in range(_READS_AT_ONCE):
            sock = self._socket
            assert sock is not None
            # Each read has room for a whole TLS record: nothing stays decrypted where no selector would announce it.
            target = reader.target()
            try:
                size = sock.recv_into(scratch if target is None else target)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            finally:
                if target is not None:
                    room = len(target)
                    target.release()
                else:
                    room = len(scratch)
            if not size:
                self.close("the peer closed the connection")
                return
            for frame in reader.feed(scratch[:size]) if target is None else reader.advance(size):
                link.receive(frame)
            if self.phase is not Phase.OPEN:
                return
            if size < room and self.transport is not Transport.TLS:
                return

    # ---- writing ----

    def _wake(self, now: bool) -> None:
        if now:
            self.flush()
        else:
            self.exchange.dirty.add(self)

    def flush(self) -> None:
        """Write what the link has, as far as the kernel takes it."""
        if self.phase is Phase.WAITING and self.address is not None:
            self.dial(self.address)
        elif self.phase is Phase.OPEN and not self._blocked:
            self._write()

    def _queue(self, data: bytes) -> None:
        self._out.append(data)

    def _write(self) -> None:
        """Write until nothing is left or the kernel takes no more.

        A failed write does not close: the peer may have finished and gone, and its last frames are still to be read.
        The end of the stream, or the error, comes to the reading side too.
        """
        out, link = self._out, self.link
        try:
            while not self._unwritable:
                if not out and self.phase is Phase.OPEN:
                    link.pull(out, _WRITE_SIZE)
                if not out:
                    break
                if self.transport is Transport.TLS:
                    self._send_encrypted()
                else:
                    self._send()
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._blocked = True
            self._watch(selectors.EVENT_READ | selectors.EVENT_WRITE)
            return
        except ssl.SSLWantReadError:
            return
        except OSError as error:
            _log.debug("writing to worker %s failed: %s", link.peer, error)
            self._unwritable = True
        if self._unwritable:
            out.clear()
        self._watch(selectors.EVENT_READ)

    def _send(self) -> None:
        assert self._socket is not None
        out = self._out
        sent = self._socket.sendmsg(list(itertools.islice(out, _BUFFERS_AT_ONCE)))
        while sent:
            head = out[0]
            if sent < len(head):
                out[0] = memoryview(head)[sent:]
                return
            sent -= len(head)
            out.popleft()

    def _send_encrypted(self) -> None:
        """One send of about a TLS record: small buffers are joined, large ones cut.

        After a send that would block, OpenSSL wants the very same bytes again: they stay at the head as one buffer.
        """
        assert self._socket is not None
        out = self._out
        head = out.popleft()
        if len(head) < _TLS_RECORD and out:
            joined = bytearray(head)
            while out and len(joined) < _TLS_RECORD:
                joined += out.popleft()
            head = joined
        out.appendleft(head)
        view = memoryview(head)[: 4 * _TLS_RECORD]
        sent = self._socket.send(view)
        if sent == len(head):
            out.popleft()
        else:
            out[0] = memoryview(head)[sent:]

    def _watch(self, mask: int) -> None:
        if mask == self._mask or self._socket is None:
            return
        if self._mask:
            self.exchange.selector.modify(self._socket, mask, self)
        else:
            self.exchange.selector.register(self._socket, mask, self)
        self._mask = mask

    # ---- end ----

    def close(self, reason: str, expected: bool = False) -> None:
        """End the connection; channels that had not come to their end are broken."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase is not Phase.OPEN and not expected:
            _log.info("data connection with worker %s was not established: %s", self.link.peer or "?", reason)
        self.phase = Phase.CLOSED
        if self._socket is not None:
            if self._mask:
                self.exchange.selector.unregister(self._socket)
                self._mask = 0
            self._socket.close()
        self._out.clear()
        self.exchange.disconnected(self)
        self.link.fail(ChannelBroken(self.link.peer, reason))
