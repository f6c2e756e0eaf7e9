"""The listening sockets of a cluster, and telling the starter about them."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.config_option import ConfigOption
from pyflow_yarn.errors import ConfigurationError, ExternalError

logger = logging.getLogger(__name__)


def listen_rest(configuration: Mapping[str, str], *, any_port: bool = True) -> socket.socket:
    """The socket of the REST interface, on the first free of the configured ports.

    ``any_port``: without configuration any free one will do.
    """
    host = options.REST_BIND_ADDRESS.read(configuration) or "127.0.0.1"
    if options.REST_BIND_PORT.is_set(configuration):
        key, wanted = options.REST_BIND_PORT.key, options.REST_BIND_PORT.read(configuration)
    else:
        key, wanted = options.REST_PORT.key, str(options.REST_PORT.read(configuration))
        if any_port and not options.REST_PORT.is_set(configuration):
            wanted = "0"
    return listen_on(host, wanted, f"{options.REST_BIND_ADDRESS.key}, {key}")


def listen_on(host: str, wanted: str, keys: str) -> socket.socket:
    """A listening socket on the first free of ``wanted``: ports and ranges, separated by commas.

    ``keys`` of the configuration say so, the last one the ports.
    """
    reason = ""
    key = keys.rpartition(" ")[2]
    for port in _ports(wanted):
        try:
            return _without_delay(socket.create_server((host, port), family=_family(host), backlog=128))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ExternalError(
                    f"Nothing can listen on {host}:{port}: {os.strerror(error.errno or 0)} ({keys})."
                ) from error
            reason = "is in use" if wanted.isdecimal() else "are all in use"
    noun = "Port" if wanted.isdecimal() else "The ports"
    raise ConfigurationError(f"{noun} {wanted} {reason}: set {key} to another port, or to 0 for any free one.")


def _without_delay(sock: socket.socket) -> socket.socket:
    """Accepted connections inherit it; asyncio does it only for sockets that name their protocol.

    Otherwise the second write of each answer waits 40 ms for the peer's delayed acknowledgement.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _ports(text: str) -> list[int]:
    ports: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ports.extend(range(int(first), int(last if dash else first) + 1))
    return ports


def listen_tcp(configuration: Mapping[str, str], host: str, option: ConfigOption[int]) -> socket.socket:
    """A listening socket on the configured port."""
    port = option.read(configuration)
    try:
        return _without_delay(socket.create_server((host, port), family=_family(host), backlog=128))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"Port {port} is in use: set {option.key} to another port.") from error
        raise ExternalError(
            f"Nothing can listen on {host}:{port} ({option.key}): {error.strerror or error}."
        ) from error


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket that only this user can reach."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    os.chmod(path, 0o600)
    sock.listen(128)
    return sock


def address_of(sock: socket.socket) -> str:
    """``host:port`` of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def report_ready(descriptor: int, line: Mapping[str, str]) -> None:
    """Write one line of JSON to the descriptor that the starter reads, and close it."""
    if descriptor >= 0:
        try:
            os.write(descriptor, msgspec.json.encode(line) + b"\n")
        except OSError:
            logger.info("nobody waits for the cluster to be ready")
        os.close(descriptor)
