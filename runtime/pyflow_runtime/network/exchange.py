"""The exchange of one slot worker: everything that enters or leaves it as data.

One connection per pair of workers, opened when the first channel needs it, carries all channels between them in both
directions. A socket per pair of TaskManagers, as in Flink, would need a process in between that copies every byte once
more, since slots are processes here. The price is descriptors: a worker that talks with all others of 1,000
TaskManagers with 8 slots each holds 8,000 of them (a shuffle of that size needs ``ulimit -n`` above it), against 1,000
with a socket per TaskManager.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import ssl
from pathlib import Path

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.network import transport as transports
from pyflow_runtime.network.channels import InputGate, OutputChannel
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.network.connection import Connection, Phase
from pyflow_runtime.network.consumers import Consumers
from pyflow_runtime.network.errors import ChannelBroken
from pyflow_runtime.network.frames import OpenRequest
from pyflow_runtime.network.gate import Gate
from pyflow_runtime.network.link import Link
from pyflow_runtime.network.local import LocalInput, LocalOutput
from pyflow_runtime.network.memory import NetworkMemory
from pyflow_runtime.network.transport import Transport
from pyflow_runtime.rpc.tls import mutual_tls
from pyflow_runtime.taskexecutor.messages import ChannelTarget, InputEdge, OutputEdge, WorkerAddress
from pyflow_runtime.worker.messages import WorkerSettings
from pyflow_yarn.graph.job_graph import Partitioning

DEFAULT_NETWORK_MEMORY = 64 * 1024 * 1024
_SCRATCH_SIZE = 256 * 1024
_STRANGERS = 256  # connections whose peer has not proved yet who it is; the oldest gives way
_ACCEPTS_AT_ONCE = 64
_LARGEST_FRAME = (1 << 32) - 1

_log = logging.getLogger(__name__)


class _Listener:
    """A listening socket; what the selector holds for it."""

    def __init__(self, exchange: Exchange, transport: Transport, sock: socket.socket) -> None:
        self.exchange = exchange
        self.transport = transport
        self.socket = sock
        self.watched = False
        sock.setblocking(False)

    def watch(self, watched: bool) -> None:
        """Whether to be told of those who come."""
        if watched and not self.watched:
            self.exchange.selector.register(self.socket, selectors.EVENT_READ, self)
        elif self.watched and not watched:
            self.exchange.selector.unregister(self.socket)
        self.watched = watched

    def on_ready(self, mask: int) -> None:
        """Accept who has come."""
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, _ = self.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptor is left. The selector would announce the caller again and again: wait for the next turn.
                _log.warning("a data connection could not be accepted: %s", error)
                self.watch(False)
                return
            self.exchange.accepted(self.transport, sock)


class Exchange:
    """One per worker; driven by the worker's selector loop, from one thread, and never blocking.

        exchange = Exchange(settings, selector, network_memory=settings.network_memory, credits=2)
        ... report exchange.address ...
        while True:
            exchange.flush()                        # once per turn, before waiting
            for key, mask in selector.select(timeout):
                if exchange.owns(key):
                    exchange.on_ready(key, mask)

    A worker should not end before the outputs of its finished tasks are ``drained``. A task with outputs that are not
    ``available`` had better go on collecting small batches than send them: credit counts frames.

    ``certificate_directory`` of the settings, if TLS is used, holds ``ca.pem``, ``cert.pem`` and ``key.pem``.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        selector: selectors.BaseSelector,
        *,
        network_memory: int = 0,
        credits: int = 2,
        port: int = 0,
    ) -> None:
        self.selector = selector
        self.worker_id = settings.worker_id
        self.secret = settings.secret
        self.scratch = memoryview(bytearray(_SCRATCH_SIZE))
        self.dirty: set[Connection] = set()
        self._settings = settings
        memory = network_memory or DEFAULT_NETWORK_MEMORY
        self._frame_limit = min(memory, _LARGEST_FRAME)
        self._memory = NetworkMemory(memory, credits)
        self._bound = max(2, credits)
        self._consumers = Consumers()
        self._peers: dict[str, Connection] = {}  # where channels to a worker are opened
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}  # in order of arrival
        self._waiting: dict[str, Connection] = {}  # callers that this worker calls, too
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._closed = False
        sockets, self.address = transports.listen(settings, port)
        self._listeners = [_Listener(self, transport, sock) for transport, sock in sockets.items()]
        for listener in self._listeners:
            listener.watch(True)

    # ---- channels ----

    def output(self, attempt_id: ExecutionAttemptId, output_edge: OutputEdge, codec: EdgeCodec) -> list[OutputChannel]:
        """The channels of one edge out of a task, in the order of the edge's targets."""
        codec.remembers = output_edge.edge.partitioning is Partitioning.BROADCAST
        return [self._channel(attempt_id, output_edge.edge.id, target, codec) for target in output_edge.targets]

    def _channel(
        self, attempt_id: ExecutionAttemptId, edge: int, target: ChannelTarget, codec: EdgeCodec
    ) -> OutputChannel:
        request = OpenRequest(
            attempt_id.job_id, edge, attempt_id.subtask, attempt_id.attempt, target.subtask, target.attempt
        )
        if target.address.worker_id == self.worker_id:
            # As many elements as a remote channel holds at both its ends.
            end = LocalInput(self.worker_id, self._consumers)
            output = LocalOutput(end, 2 * self._bound)
            self._consumers.open(request, end)
            return output
        return self._link(target.address).open(request, codec)

    def _link(self, address: WorkerAddress) -> Link:
        connection = self._peers.get(address.worker_id)
        if connection is not None:
            return connection.link
        link = self._new_link(address.worker_id)
        try:
            transport = transports.choose(self._settings, address)
        except transports.Unreachable as error:
            link.fail(ChannelBroken(address.worker_id, str(error)))
            return link
        connection = Connection(self, transport, None, link)
        self._connections.add(connection)
        self._peers[address.worker_id] = connection
        connection.dial(address)
        return link

    def _new_link(self, peer: str) -> Link:
        return Link(peer, self._consumers, self._memory, self._frame_limit, self._bound)

    def input(self, attempt_id: ExecutionAttemptId, input_edge: InputEdge, codec: EdgeCodec) -> InputGate:
        """The gate of one edge into a task; producers that asked before get their credit now."""
        gate = Gate(len(input_edge.producers), codec)
        self._consumers.deploy(attempt_id, input_edge, gate)
        return gate

    # ---- the worker's loop ----

    def owns(self, key: selectors.SelectorKey) -> bool:
        """Whether a selector key was registered by this exchange."""
        return isinstance(key.data, (Connection, _Listener)) and key.data.exchange is self

    def on_ready(self, key: selectors.SelectorKey, mask: int) -> None:
        """Move the bytes that a selector key announced; call it for each key that ``owns`` claims."""
        key.data.on_ready(mask)

    def flush(self) -> None:
        """Write what all channels have queued, as far as credit and the kernel allow."""
        for listener in self._listeners:
            listener.watch(True)
        if self.dirty:
            dirty, self.dirty = self.dirty, set()
            for connection in dirty:
                connection.flush()

    def close(self) -> None:
        """Close all sockets and remove the Unix socket; what was not drained is lost."""
        if self._closed:
            return
        self._closed = True
        for listener in self._listeners:
            listener.watch(False)
            listener.socket.close()
        self._listeners = []
        if self.address.unix_path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address.unix_path)
        for connection in list(self._connections):
            connection.close("this worker is ending")
        self.dirty.clear()

    # ---- for connections ----

    def tls_context(self, *, server: bool) -> ssl.SSLContext:
        """How TLS is spoken, as server or as client."""
        context = self._contexts.get(server)
        if context is None:
            context = mutual_tls(Path(self._settings.certificate_directory), server=server)
            self._contexts[server] = context
        return context

    def accepted(self, transport: Transport, sock: socket.socket) -> None:
        """A stranger has connected."""
        if len(self._strangers) >= _STRANGERS:
            next(iter(self._strangers)).close("too many connections came at once")
        connection = Connection(self, transport, sock, self._new_link(""))
        self._connections.add(connection)
        self._strangers[connection] = None
        connection.accept()

    def connected(self, connection: Connection) -> None:
        """The peer of a connection has proved who it is: channels to it may be opened there too.

        If two workers dial each other at the same moment, the call of the one with the smaller id is used: it lets
        the other's wait (``waits``), which moves its channels over as soon as it has taken the call, here.
        """
        self._strangers.pop(connection, None)
        peer = connection.link.peer
        own = self._peers.setdefault(peer, connection)
        if own is not connection and own.phase is not Phase.OPEN and peer < self.worker_id:
            connection.link.adopt(own.link)
            self._peers[peer] = connection
            own.close("the peer has called", expected=True)
        waiting = self._waiting.pop(peer, None)
        if waiting is not None:
            waiting.close("the peer has taken the call", expected=True)

    def waits(self, connection: Connection) -> bool:
        """Whether a caller is not answered yet because this worker is calling it, too, and has the smaller id."""
        peer = connection.link.peer
        own = self._peers.get(peer)
        if own is None or own.phase is Phase.OPEN or peer <= self.worker_id or peer in self._waiting:
            return False
        self._waiting[peer] = connection
        return True

    def disconnected(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self._strangers.pop(connection, None)
        self.dirty.discard(connection)
        peer = connection.link.peer
        if self._waiting.get(peer) is connection:
            del self._waiting[peer]
        if self._peers.get(peer) is connection:
            del self._peers[peer]
            waiting = self._waiting.pop(peer, None)
            if waiting is not None:
                waiting.go_on()
