"""Sockets: which kind leads to a worker, and how each is made. Nothing here blocks."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import socket

from pyflow_runtime.taskexecutor.messages import WorkerAddress
from pyflow_runtime.worker.messages import WorkerSettings
from pyflow_yarn.errors import ClusterError, ConfigurationError

SOCKET_NAME = "d.sock"
UNIX_PATH_LIMIT = 107
"""sockaddr_un holds 108 bytes with the final zero; longer paths (deep container directories) go by TCP."""

_BACKLOG = 4096
_BUFFER_SIZE = 1024 * 1024
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))


class Transport(enum.StrEnum):
    """How two workers are connected."""

    UNIX = "unix"
    TCP = "tcp"
    TLS = "tls"


class Unreachable(ClusterError):
    """No transport leads to a worker."""


class TryAgain(Exception):
    """The peer's queue of new connections is full at the moment."""


def choose(settings: WorkerSettings, peer: WorkerAddress) -> Transport:
    """The transport to a worker: the forced one, or Unix on one host, else TLS if the worker has it, else TCP."""
    wanted = settings.transport
    if wanted == "auto":
        if peer.unix_path and peer.host_id == settings.host_id:
            return Transport.UNIX
        wanted = Transport.TLS if peer.tls else Transport.TCP
    if wanted == Transport.UNIX:
        if not peer.unix_path:
            raise Unreachable("it has no Unix socket, and taskmanager.network.transport is unix")
        return Transport.UNIX
    if not peer.port:
        raise Unreachable(f"it listens on no port, and only {wanted.upper()} would lead to it")
    if peer.tls != (wanted == Transport.TLS):
        raise Unreachable(f"its port speaks {'TLS' if peer.tls else 'plain TCP'}, not {wanted.upper()}")
    return Transport(wanted)


def listen(settings: WorkerSettings, port: int) -> tuple[dict[Transport, socket.socket], WorkerAddress]:
    """The listening sockets that the settings call for, and the address to tell others.

    With ``auto``: the Unix socket, if its path is short enough, and one port, unless ``bind_host`` is "".
    """
    if settings.transport not in ("auto", *Transport):
        raise ConfigurationError(
            f"taskmanager.network.transport is {settings.transport!r}, but must be auto, unix, tcp or tls."
        )
    path = os.path.join(settings.directory, SOCKET_NAME)
    fits = len(os.fsencode(path)) <= UNIX_PATH_LIMIT
    sockets: dict[Transport, socket.socket] = {}
    try:
        if settings.transport == Transport.UNIX and not fits:
            raise ConfigurationError(
                f"taskmanager.network.transport is unix, but the socket path {path} is longer than {UNIX_PATH_LIMIT}"
                " bytes: set TMPDIR to a shorter one, or the transport auto."
            )
        if settings.transport == Transport.UNIX or (settings.transport == "auto" and fits):
            sockets[Transport.UNIX] = _listen_unix(path)
        encrypted = bool(settings.certificate_directory) and settings.transport != Transport.TCP
        needs_port = settings.transport in (Transport.TCP, Transport.TLS) or not sockets
        if needs_port or (settings.transport == "auto" and settings.bind_host):
            if settings.transport == Transport.TLS and not encrypted:
                raise ConfigurationError(
                    "taskmanager.network.transport is tls, but there are no certificates:"
                    " set security.ssl.internal.enabled."
                )
            if not settings.secret:
                raise ConfigurationError("Data connections by TCP need the cluster's secret, and there is none.")
            sockets[Transport.TLS if encrypted else Transport.TCP] = _listen_tcp(settings.bind_host, port)
    except BaseException:
        for sock in sockets.values():
            sock.close()
        raise
    # Bound to one interface, a worker can be reached there and nowhere else, whatever the host is called.
    host = settings.host if settings.bind_host in ("", "0.0.0.0", "::") else settings.bind_host
    tcp = sockets.get(Transport.TLS) or sockets.get(Transport.TCP)
    address = WorkerAddress(
        worker_id=settings.worker_id,
        host=host,
        host_id=settings.host_id,
        unix_path=path if Transport.UNIX in sockets else "",
        port=0 if tcp is None else tcp.getsockname()[1],
        tls=Transport.TLS in sockets,
    )
    return sockets, address


def _listen_unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ClusterError(f"The data socket {path} could not be made: {error.strerror}.") from error
    sock.setblocking(False)
    return sock


def _listen_tcp(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Port {port} on {host or 'all interfaces'} cannot be used for data connections: {reason};"
            " see taskmanager.data.port and taskmanager.bind-host."
        ) from error


def dial(transport: Transport, peer: WorkerAddress) -> socket.socket:
    """A socket that connects or is connected; ``TryAgain`` if that must be done once more, ``OSError`` if it fails."""
    if transport is Transport.UNIX:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = peer.unix_path
    else:
        # Blocks for a name that is in no file; IPv4 first, as that is what workers listen on unless told otherwise.
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        sock = socket.socket(family, socket.SOCK_STREAM)
        target = (str(address[0]), int(address[1]))
    sock.setblocking(False)
    prepare(sock, transport)
    status = sock.connect_ex(target)
    if status in (0, errno.EINPROGRESS):
        return sock
    sock.close()
    if status == errno.EAGAIN:  # a Unix socket's backlog is full; there is no waiting for that to end
        raise TryAgain
    raise OSError(status, os.strerror(status))


def prepare(sock: socket.socket, transport: Transport) -> None:
    """Set the options of a data connection."""
    sock.setblocking(False)
    if transport is Transport.UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_SIZE)
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # No TCP_USER_TIMEOUT: it also ends connections whose peer is merely slow to read.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
