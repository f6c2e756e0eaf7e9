"""The JobManager's process, forked by the embedded supervisor, or started by hand (standalone) or by the one on YARN.

python -m pyflow_runtime.entrypoint.jobmanager --configuration conf.json --directory D [--ready-fd N] [--log-file F]
    [--storage URI]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pyflow_runtime.dispatcher.shell.process import Deployment, JobManagerProcess, JobManagerSettings
from pyflow_runtime.dispatcher.shell.supervisor_link import SupervisorLink
from pyflow_runtime.entrypoint.sockets import address_of, listen_rest, listen_tcp, listen_unix, report_ready
from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_runtime.processes.control import (
    adopt_orphans,
    die_with_parent,
    end_children,
    raise_descriptor_limit,
    run_and_exit,
    set_title,
    start_logging,
)
from pyflow_runtime.processes.layout import Layout, read_configuration, read_secret
from pyflow_runtime.resourcemanager.driver import StandaloneDriver
from pyflow_runtime.resourcemanager.embedded_driver import EmbeddedDriver
from pyflow_runtime.resourcemanager.yarn_driver import Pace, Worker, YarnDriver
from pyflow_runtime.rpc.handshake import JOB_MANAGER
from pyflow_runtime.rpc.tls import ServerTls, server_tls
from pyflow_runtime.security.admission import AdmissionByToken
from pyflow_runtime.security.authority import CertificateAuthority
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import PyflowError
from pyflow_yarn.filesystem import join

CHILDREN_END_SECONDS = 5.0


def run_embedded(
    layout: Layout,
    configuration: Mapping[str, str],
    rest: socket.socket,
    rpc: socket.socket,
    supervisor: socket.socket,
) -> int:
    """The JobManager of the embedded cluster, in a process forked for it."""
    slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS
    fixed = slots.read(configuration) if slots.is_set(configuration) else None
    most = options.SLOTMANAGER_NUMBER_OF_SLOTS_MAX.read(configuration)

    def deployment() -> Deployment:
        link = SupervisorLink(supervisor)
        return Deployment(EmbeddedDriver(link, fixed, most), link.fork_coordinator)

    address = f"unix:{layout.rpc_socket}"
    return run(configuration, layout, rest, [rpc], address, deployment, outlives_machine=False)


def run(
    configuration: Mapping[str, str],
    layout: Layout,
    rest: socket.socket,
    rpc: list[socket.socket],
    rpc_address: str,
    deployment: Callable[[], Deployment],
    tls: ServerTls | None = None,
    authority: CertificateAuthority | None = None,
    outlives_machine: bool = True,
    log_file: Path | None = None,
    storage: str = "",
) -> int:
    """Be a JobManager until the cluster ends; the exit code.

    ``storage``: directory, also on HDFS, of what must survive this machine; by default the layout's is good enough.
    """
    set_title("pyflow jobmanager")
    level = options.ENV_LOG_LEVEL.read(configuration)
    max_files = options.ENV_LOG_MAX.read(configuration)
    start_logging(log_file or layout.logs / "jobmanager.log", level, rotate=True, max_files=max_files)
    adopt_orphans()
    wants_token = options.SECURITY_REST_AUTH.read(configuration) == "token"
    settings = JobManagerSettings(
        configuration=configuration,
        layout=layout,
        rest=rest,
        rest_address=address_of(rest),
        rpc=rpc,
        rpc_address=rpc_address,
        token=read_secret(layout.token, create=False) if wants_token else None,
        secret=read_secret(layout.secret, create=False),
        store=lambda: DirectoryJobStore(
            join(storage, "jobstore") if storage else str(layout.job_store), sync=outlives_machine
        ),
        remote_store=bool(storage),
        deployment=deployment,
        tls=tls,
        authority=authority,
        pages=layout.pages.read_text() if layout.pages.exists() else "",
    )

    async def live() -> int:
        return await JobManagerProcess(settings).run()

    return asyncio.run(live())


def _tls(
    configuration: Mapping[str, str], layout: Layout, given: Path | None
) -> tuple[ServerTls | None, CertificateAuthority | None]:
    """How TLS is spoken, if it is: with the certificates given, or as the first member of an authority of our own."""
    if not options.SECURITY_SSL_INTERNAL_ENABLED.read(configuration):
        return None, None
    if given is not None:
        return server_tls(given), None
    authority = CertificateAuthority(layout.authority)
    return server_tls(authority.equip(layout.certificates, JOB_MANAGER), names_members=True), authority


def _on_yarn(
    configuration: Mapping[str, str], supervisor: socket.socket, memory_mb: int, queue: str
) -> Callable[[], Deployment]:
    """For a JobManager whose supervisor holds containers of YARN."""
    slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
    pace = Pace(
        options.RESOURCEMANAGER_START_WORKER_MAX_FAILURE_RATE.read(configuration),
        options.RESOURCEMANAGER_START_WORKER_RETRY_INTERVAL.read(configuration) / 1000,
    )

    def deployment() -> Deployment:
        loop = asyncio.get_running_loop()
        link = SupervisorLink(supervisor)
        admission = AdmissionByToken(link.record)
        link.hear(admission.handle)
        driver = YarnDriver(link, Worker(slots, memory_mb, queue), pace, loop.time, loop.call_later)
        return Deployment(driver, admission=admission)

    return deployment


def _descriptors(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main(arguments: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="pyflow_runtime.entrypoint.jobmanager")
    parser.add_argument("--configuration", type=Path, required=True, help="JSON map of the effective configuration")
    parser.add_argument("--directory", type=Path, required=True, help="private directory of this JobManager")
    parser.add_argument("--ready-fd", type=int, default=-1, help="where one line of JSON says that it listens")
    parser.add_argument("--certificates", type=Path, help="directory with ca.pem, cert.pem and key.pem")
    parser.add_argument("--log-file", type=Path, help="default: jobmanager.log in env.log.dir")
    parser.add_argument("--storage", default="", help="directory, also on HDFS, of what must survive this machine")
    yarn = parser.add_argument_group("on YARN", "what the supervisor says that starts it")
    yarn.add_argument("--sockets", type=_descriptors, help="listening for REST and for RPC, and to the supervisor")
    yarn.add_argument("--rpc-address", default="", help="host:port where TaskManagers find it")
    yarn.add_argument("--worker-memory", type=int, default=0, help="MB of a TaskManager's container")
    yarn.add_argument("--queue", default="", help="where those containers come from")
    given = parser.parse_args(arguments)
    if given.sockets:
        die_with_parent(os.getppid())
    raise_descriptor_limit()
    try:
        layout = Layout(given.directory.absolute())
        layout.check()
        configuration = read_configuration(given.configuration)
        if logs := options.ENV_LOG_DIR.read(configuration):
            layout.logs = Path(logs)
        elif given.log_file:
            layout.logs = given.log_file.parent
        read_secret(layout.token, create=True)
        read_secret(layout.secret, create=True)
        deployment: Callable[[], Deployment] = lambda: Deployment(StandaloneDriver())  # noqa: E731
        if given.sockets:
            rest, rpc, supervisor = (socket.socket(fileno=descriptor) for descriptor in given.sockets)
            deployment = _on_yarn(configuration, supervisor, given.worker_memory, given.queue)
        else:
            rest = listen_rest(configuration, any_port=False)
            host = options.JOBMANAGER_BIND_HOST.read(configuration) or "127.0.0.1"
            rpc = listen_tcp(configuration, host, options.JOBMANAGER_RPC_PORT)
        layout.rpc_socket.unlink(missing_ok=True)
        ready = {
            "rest_address": address_of(rest),
            "rpc_address": given.rpc_address or address_of(rpc),
            "token_file": str(layout.token),
            "secret_file": str(layout.secret),
        }
        local = listen_unix(layout.rpc_socket)
        tls, authority = _tls(configuration, layout, given.certificates)
    except PyflowError as error:
        if given.ready_fd >= 0:
            report_ready(given.ready_fd, {"error": str(error)})
        else:
            sys.stderr.write(f"{error}\n")
        return 1
    report_ready(given.ready_fd, ready)
    try:
        return run(
            configuration,
            layout,
            rest,
            [rpc, local],
            ready["rpc_address"],
            deployment=deployment,
            tls=tls,
            authority=authority,
            log_file=given.log_file,
            storage=given.storage,
        )
    except PyflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        end_children(CHILDREN_END_SECONDS)
        for name in (layout.rpc_socket, layout.endpoint):
            name.unlink(missing_ok=True)


if __name__ == "__main__":
    run_and_exit(main)
