"""The TaskManager's process, forked by the embedded supervisor or started by hand (standalone).

python -m pyflow_runtime.entrypoint.taskmanager --configuration conf.json --directory D
    --jobmanager HOST:PORT [--secret-file F] [--certificates D] [--ready-fd N] [--log-file F]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pyflow_runtime.entrypoint.memory import embedded_memory, memory_is_given
from pyflow_runtime.entrypoint.sockets import report_ready
from pyflow_runtime.processes.control import (
    adopt_orphans,
    end_children,
    fork,
    raise_descriptor_limit,
    run_and_exit,
    set_title,
    start_logging,
)
from pyflow_runtime.processes.layout import Endpoint, Layout, read_configuration, read_secret
from pyflow_runtime.processes.zygote import run_zygote, warm_up
from pyflow_runtime.taskexecutor.messages import RegisterTaskManager
from pyflow_runtime.taskexecutor.shell.machine_facts import hardware
from pyflow_runtime.taskexecutor.shell.process import TaskManagerProcess, TaskManagerSettings
from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.memory import TaskManagerMemory, task_manager_memory
from pyflow_yarn.errors import ConfigurationError, PyflowError

CHILDREN_END_SECONDS = 5.0


def run_embedded(layout: Layout, configuration: Mapping[str, str], number: int, slots: int) -> int:
    """A TaskManager of the embedded cluster, in a process forked for it."""
    return run(
        configuration,
        memory=embedded_memory(configuration, slots),
        task_manager_id=f"taskmanager-{number}",
        slots=slots,
        host="localhost",
        directory=layout.task_manager(number),
        log_directory=layout.logs,
        address=lambda: f"unix:{layout.rpc_socket}",
        secret=read_secret(layout.secret, create=False),
        certificates=layout.certificates if layout.certificates.exists() else None,
    )


def run(
    configuration: Mapping[str, str],
    *,
    memory: TaskManagerMemory,
    task_manager_id: str,
    slots: int,
    host: str,
    directory: Path,
    log_directory: Path,
    address: Callable[[], str],
    secret: str,
    certificates: Path | None = None,
    joins: bool = False,
    join_token: str = "",
    ends_with_supervisor: bool = False,
    own_log: Path | None = None,
    ready_fd: int = -1,
) -> int:
    """Be a TaskManager until it has ended; the exit code. There must be one thread: the zygote is forked first."""
    set_title(f"pyflow taskmanager {task_manager_id}")
    if options.TASKMANAGER_NETWORK_TRANSPORT.read(configuration) == "tls" and certificates is None:
        raise ConfigurationError(
            "taskmanager.network.transport is tls, but the TaskManager was started without --certificates."
        )
    level = options.ENV_LOG_LEVEL.read(configuration)
    log_file = own_log or log_directory / f"{task_manager_id}.log"
    start_logging(log_file, level, rotate=True, max_files=options.ENV_LOG_MAX.read(configuration))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    adopt_orphans()
    own = os.getpid()
    ours, theirs = socket.socketpair()
    theirs_only = [ours.fileno()] if ready_fd < 0 else [ours.fileno(), ready_fd]
    zygote = fork(lambda: run_zygote(theirs, own, task_manager_id, log_file, level), close=theirs_only)
    theirs.close()
    registration = RegisterTaskManager(
        task_manager_id=task_manager_id,
        incarnation=secrets.token_hex(8),
        host=host,
        data_port=options.TASKMANAGER_DATA_PORT.read(configuration),
        slots=slots,
        hardware=hardware(memory.managed),
        process_memory=memory.process,
        managed_memory=memory.managed,
        network_memory=memory.network,
        pid=own,
        started=int(time.time() * 1000),
    )
    settings = TaskManagerSettings(
        registration=registration,
        configuration=configuration,
        directory=directory,
        log_directory=log_directory,
        address=address,
        secret=secret,
        certificates=certificates,
        joins=joins,
        join_token=join_token,
        memory_limit=memory.slot_total if memory_is_given(configuration) else 0,
        bind_host=options.TASKMANAGER_BIND_HOST.read(configuration) or "127.0.0.1",
        zygote=(ours, zygote),
        ends_with_supervisor=ends_with_supervisor,
        own_log=own_log,
    )
    report_ready(ready_fd, {"task_manager_id": task_manager_id})

    async def live() -> int:
        return await TaskManagerProcess(settings).run()

    return asyncio.run(live())


def _log_directory(given: argparse.Namespace, configuration: Mapping[str, str], directory: Path) -> Path:
    if configured := options.ENV_LOG_DIR.read(configuration):
        return Path(configured)
    return Path(given.log_file).parent if given.log_file else directory / "logs"


def endpoint_address(file: Path, fallback: str) -> Callable[[], str]:
    """Where the JobManager is: as its endpoint file says at the moment, else as configured."""

    def address() -> str:
        try:
            return msgspec.json.decode(file.read_bytes(), type=Endpoint).rpc_address
        except (OSError, msgspec.DecodeError):
            return fallback

    return address


def main(arguments: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="pyflow_runtime.entrypoint.taskmanager")
    parser.add_argument("--configuration", type=Path, required=True, help="JSON map of the effective configuration")
    parser.add_argument("--directory", type=Path, required=True, help="private directory of this TaskManager")
    parser.add_argument("--jobmanager", default="", help="host:port or unix:/path; default: as configured")
    parser.add_argument("--endpoint-file", type=Path, help="endpoint.json of the JobManager, if it can be read here")
    parser.add_argument("--secret-file", type=Path, help="the cluster's secret; default: secret in the directory")
    parser.add_argument("--certificates", type=Path, help="directory with ca.pem, cert.pem and key.pem")
    parser.add_argument("--ready-fd", type=int, default=-1, help="where one line of JSON says that it has begun")
    parser.add_argument("--log-file", type=Path, help="default: named after its id, in env.log.dir")
    given = parser.parse_args(arguments)
    raise_descriptor_limit()
    try:
        configuration = read_configuration(given.configuration)
        directory = given.directory.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        host = options.TASKMANAGER_HOST.read(configuration) or socket.gethostname()
        generated = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        configured = options.JOBMANAGER_RPC_ADDRESS.read(configuration) or "localhost"
        fallback = given.jobmanager or f"{configured}:{options.JOBMANAGER_RPC_PORT.read(configuration)}"
        secret = read_secret(given.secret_file or directory / "secret", create=False)
        joins = options.SECURITY_SSL_INTERNAL_ENABLED.read(configuration) and given.certificates is None
        warm_up()
        slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
        return run(
            configuration,
            memory=task_manager_memory(configuration, slots),
            task_manager_id=options.TASKMANAGER_RESOURCE_ID.read(configuration) or generated,
            slots=slots,
            host=host,
            directory=directory,
            log_directory=_log_directory(given, configuration, directory),
            address=endpoint_address(given.endpoint_file, fallback) if given.endpoint_file else lambda: fallback,
            secret=secret,
            certificates=given.certificates or (directory / "tls" if joins else None),
            joins=joins,
            own_log=given.log_file,
            ready_fd=given.ready_fd,
        )
    except PyflowError as error:
        if given.ready_fd >= 0:
            report_ready(given.ready_fd, {"error": str(error)})
        else:
            sys.stderr.write(f"{error}\n")
        return 1
    finally:
        end_children(CHILDREN_END_SECONDS)


if __name__ == "__main__":
    run_and_exit(main)
