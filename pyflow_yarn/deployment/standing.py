"""A standing cluster: what its JobManager and TaskManagers are started with, and on which hosts."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from pyflow_yarn.configuration.options import JOBMANAGER_RPC_ADDRESS, JOBMANAGER_RPC_PORT
from pyflow_yarn.deployment import state
from pyflow_yarn.deployment.daemons import SESSION, TASK_EXECUTOR, Daemon, Places, Service
from pyflow_yarn.errors import ClusterError, ConfigurationError, NotYetSupportedError

LEADER_SECONDS = 30.0
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
LARGEST_SECRET = 4096
_PAUSE = 0.02
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@\[\]-]*")


class Master(NamedTuple):
    """A line of ``conf/masters``."""

    host: str
    web_port: str


def is_here(host: str) -> bool:
    """Whether a name in ``conf/masters`` or ``conf/workers`` means this host."""
    own = os.uname().nodename
    return host in (*LOCAL_NAMES, own, own.partition(".")[0])


def _lines(conf_dir: Path | None, name: str) -> list[str]:
    try:
        text = (conf_dir / name).read_text(encoding="utf-8") if conf_dir is not None else ""
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{conf_dir}/{name} cannot be read: {error}.") from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for line in filter(None, lines):
        if not _HOST.fullmatch(line):
            raise ConfigurationError(f"'{line}' in {conf_dir}/{name} is no name of a host.")
    return [line for line in lines if line]


def read_master(conf_dir: Path | None) -> Master:
    """The only line of ``conf/masters``, which must name this host; this host if there is none."""
    lines = _lines(conf_dir, "masters") or ["localhost"]
    if len(lines) > 1:
        raise NotYetSupportedError(
            f"{conf_dir}/masters names {len(lines)} hosts, but several JobManagers need high availability, which comes"
            " in a later version: leave one."
        )
    host, _, port = lines[0].partition(":")
    if port and (not port.isdecimal() or int(port) > 65535):
        raise ConfigurationError(f"'{lines[0]}' in {conf_dir}/masters is not of the form host or host:webport.")
    if not is_here(host):
        raise ConfigurationError(
            f"{conf_dir}/masters names {host}, which is not this host ({os.uname().nodename}): run the command there."
        )
    return Master(host, port)


def read_workers(conf_dir: Path | None) -> list[str]:
    """The hosts of ``conf/workers``, one for each TaskManager; this host if there is no such file."""
    return _lines(conf_dir, "workers") or ["localhost"]


# -- secrets --


def cluster_secret(places: Places, name: str = "secret") -> str:
    """A secret of this user's clusters; made when it is asked for first."""
    path = os.path.join(places.state, name)
    if not (text := state.read_private(path).strip()):
        text = os.urandom(32).hex()
        state.write_private(path, text)
    return text


# -- processes --


def job_manager(places: Places, service: Service = SESSION) -> Daemon:
    """A JobManager about to be started; jobs of one that crashed are found again."""
    daemon = Daemon(places, service)
    for name in ("secret", "token"):
        state.write_private(os.path.join(daemon.directory, name), cluster_secret(places, name))
    for name in ("endpoint.json", "jm.sock", state.APPLICATION):
        Path(daemon.directory, name).unlink(missing_ok=True)
    return daemon


def await_leader(directory: str, log_file: str) -> None:
    """Wait until the JobManager has said where it is: from then on clients find it."""
    deadline = time.monotonic() + LEADER_SECONDS
    while not os.path.exists(os.path.join(directory, "endpoint.json")):
        if time.monotonic() >= deadline:
            raise ClusterError(f"The JobManager has not begun to lead: its log is {log_file}.")
        time.sleep(_PAUSE)


def task_manager(places: Places, secret: str) -> Daemon:
    """A TaskManager about to be started; ``secret`` is that of a JobManager elsewhere, "" for one on this host."""
    daemon = Daemon(places, TASK_EXECUTOR)
    state.write_private(os.path.join(daemon.directory, "secret"), secret or cluster_secret(places))
    return daemon


def task_manager_arguments(places: Places, address: str) -> list[str]:
    """Where the JobManager is: at that address, else as the one of this host says at the moment, else as configured."""
    if address:
        return ["--jobmanager", address]
    return ["--endpoint-file", os.path.join(places.directory(SESSION, 0), "endpoint.json")]


# -- other hosts --


def remote_address(places: Places, configuration: Mapping[str, str]) -> str:
    """Where TaskManagers on other hosts find the JobManager of this one."""
    host = JOBMANAGER_RPC_ADDRESS.read(configuration)
    if not host or host in LOCAL_NAMES:
        raise ConfigurationError(
            "conf/workers names other hosts, which cannot reach a JobManager at localhost: set jobmanager.rpc.address"
            " to this host's name, and jobmanager.bind-host and taskmanager.bind-host to the interfaces to listen on."
        )
    file = os.path.join(places.directory(SESSION, 0), "endpoint.json")
    try:
        port = msgspec.json.decode(state.read_private(file), type=dict[str, object])["rpc_address"]
    except (msgspec.DecodeError, KeyError):
        return f"{host}:{JOBMANAGER_RPC_PORT.read(configuration)}"
    return f"{host}:{str(port).rpartition(':')[2]}"


def on_host(host: str, command: list[str], environment: Mapping[str, str], text: str = "") -> bool:
    """Run a command on another host by ssh, with ``text`` as its input; whether it succeeded."""
    import shlex

    kept = [
        f"{name}={environment[name]}"
        for name in ("FLINK_CONF_DIR", "FLINK_PID_DIR", "FLINK_LOG_DIR")
        if environment.get(name)
    ]
    words = " ".join(shlex.quote(word) for word in (["env", *kept] if kept else []) + command)
    try:
        done = subprocess.run(
            ["ssh", *shlex.split(environment.get("FLINK_SSH_OPTS", "")), "--", host, words],
            input=text,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigurationError(f"There is no ssh to reach {host}, which conf/workers names: install it.") from None
    return done.returncode == 0


def instances_of(places: Places, service: Service) -> int:
    """How many of its daemons run on this host."""
    return sum(instance.alive() for instance in places.instances(service))
