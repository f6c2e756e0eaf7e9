"""Listening sockets, and sentences where they cannot be had."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from pyflow_runtime.entrypoint.embedded import initial_slots
from pyflow_runtime.entrypoint.sockets import address_of, listen_rest, listen_tcp, listen_unix, report_ready
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import ConfigurationError, ExternalError


@pytest.fixture
def taken() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_any_port_is_taken_where_none_is_wanted() -> None:
    with listen_rest({}) as sock:
        assert address_of(sock).startswith("127.0.0.1:")


def test_a_port_in_use_is_named_with_its_key(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with taken:
        with pytest.raises(ConfigurationError, match=rf"Port {port} is in use: set rest\.port to another"):
            listen_rest({"rest.port": str(port)})
        with pytest.raises(ConfigurationError, match=rf"Port {port} is in use: set rest\.bind-port"):
            listen_rest({"rest.port": "0", "rest.bind-port": str(port)})
        with pytest.raises(ConfigurationError, match="are all in use"):
            listen_rest({"rest.bind-port": f"{port},{port}-{port}"})
        with pytest.raises(ConfigurationError, match=r"jobmanager\.rpc\.port"):
            listen_tcp({"jobmanager.rpc.port": str(port)}, "127.0.0.1", options.JOBMANAGER_RPC_PORT)


def test_the_first_free_port_of_a_range(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    with taken, listen_rest({"rest.bind-port": f"{port},0"}) as sock:
        assert sock.getsockname()[1] != port


def test_an_interface_that_is_not_here() -> None:
    with pytest.raises(ExternalError, match=r"Nothing can listen on 192\.0\.2\.1:0"):
        listen_rest({"rest.bind-address": "192.0.2.1"})


def test_addresses_of_both_families() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert address_of(sock) == f"127.0.0.1:{sock.getsockname()[1]}"
    with contextlib.suppress(ExternalError), listen_rest({"rest.bind-address": "::1"}) as sock:
        assert address_of(sock) == f"[::1]:{sock.getsockname()[1]}"


def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s"):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


def test_readiness_is_one_line() -> None:
    reading, writing = os.pipe()
    report_ready(writing, {"error": "no"})
    assert os.read(reading, 100) == b'{"error":"no"}\n'
    assert os.read(reading, 100) == b""
    os.close(reading)
    report_ready(-1, {})


def test_slots_of_the_first_task_manager() -> None:
    assert initial_slots({}) == 1
    assert initial_slots({"parallelism.default": "3"}) == 3
    assert initial_slots({"parallelism.default": "3", "taskmanager.numberOfTaskSlots": "2"}) == 2
    assert initial_slots({"parallelism.default": "9", "slotmanager.number-of-slots.max": "4"}) == 4
