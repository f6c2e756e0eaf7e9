"""The supervisor in the container of a YARN application's master.

It owns the listening sockets, so that a JobManager that crashed is back in place at the same address; holds the
containers of TaskManagers for it; and runs the application's program beside it, in a process of its own. The program's
end, or the cluster's, is the end of the application, with all its containers.

    python -m pyflow_runtime.entrypoint.application_master
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from pyflow_runtime.entrypoint.container import host, log_directory, private_folder
from pyflow_runtime.entrypoint.sockets import listen_on
from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.control import (
    adopt_orphans,
    describe_exit,
    end_children,
    raise_descriptor_limit,
    run_and_exit,
    set_title,
    signal_process,
    start_logging,
)
from pyflow_runtime.processes.layout import Layout, write_atomically
from pyflow_runtime.processes.restarts import RestartLimit
from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    StartTaskManager,
    StopTaskManager,
    TaskManagerEnded,
    TaskManagerJoined,
    TaskManagerPlaced,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.rest.routes import first_names
from pyflow_runtime.rpc.errors import RpcError
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_runtime.taskexecutor.shell.interpreters import module_command
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import ExternalError, PyflowError
from pyflow_yarn.filesystem import file_system, join, replace_file
from pyflow_yarn.yarn import Containers, FinalStatus
from pyflow_yarn.yarn.application_file import (
    ENDPOINT_NAME,
    FILE_NAME,
    JOB_MANAGER_VARIABLE,
    JOIN_TOKEN_VARIABLE,
    RESULT_NAME,
    TASK_MANAGER_VARIABLE,
    ApplicationEndpoint,
    ApplicationFile,
    ApplicationResult,
    read_application_file,
)

logger = logging.getLogger(__name__)

RESULT_SECONDS = 10.0
RESULT_POLL_SECONDS = 0.1
CHILDREN_END_SECONDS = 5.0
_ATTEMPT = re.compile(r"container_(?:e\d+_)?\d+_\d+_(\d+)_\d+")


class _TaskManager:
    """A TaskManager whose container was asked for and has not ended; its ``join_token`` is "" once it is used."""

    def __init__(self) -> None:
        self.join_token = secrets.token_hex(32)
        self.node = ""
        self.unwanted = False


class ApplicationMaster:
    """See the module. ``run`` returns how the application has ended."""

    def __init__(
        self,
        application: ApplicationFile,
        folder: str,
        layout: Layout,
        attempt: int,
        containers: Callable[[], Containers],
        node: str,
        sockets: tuple[socket.socket, socket.socket],
    ) -> None:
        self._application = application
        self._folder = folder
        self._layout = layout
        self._attempt = attempt
        self._connect = containers
        self._rest, self._rpc = sockets
        self._rest_address, self._rpc_address = (f"{node}:{sock.getsockname()[1]}" for sock in sockets)
        self._loop = asyncio.get_running_loop()
        self._children = Children()
        self._containers: Containers | None = None
        self._task_managers: dict[str, _TaskManager] = {}
        self._next_number = 1
        self._job_manager = 0
        self._restarts = RestartLimit()
        self._link: MessageSocket[ToSupervisorMessage] | None = None
        self._ending = False
        self._end: asyncio.Future[ApplicationResult | None] = self._loop.create_future()

    async def run(self) -> int:
        """Until the application has ended; the exit code of this process."""
        self._children.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._finish, None)
        self._start_job_manager()
        if self._application.program:
            self._start_program()
        try:
            self._containers = await self._loop.run_in_executor(None, self._connect_containers)
            self._containers.start(self)
            for name, task_manager in self._task_managers.items():
                self._request(name, task_manager)
            # Clients that leave by it find the pages as well.
            await self._loop.run_in_executor(None, self._publish_endpoint)
            result = await self._end
        except PyflowError as error:
            logger.error("%s", error)
            result = _failed(str(error))
        self._ending = True
        return await self._end_application(result)

    # ---- the outside world ----

    def _connect_containers(self) -> Containers:
        containers = self._connect()
        for name in first_names():
            containers.add_page(name, f"http://{self._rest_address}/{self._application.pages}/{name}", name)
        # Where the link in YARN's pages leads: the first page there is.
        containers.add_page("web", f"http://{self._rest_address}/{self._application.pages}/overview", "web")
        return containers

    def _publish_endpoint(self) -> None:
        endpoint = ApplicationEndpoint(
            rest_address=self._rest_address, token=self._application.token, attempt=self._attempt
        )
        self._write(ENDPOINT_NAME, endpoint)

    def _write(self, name: str, content: msgspec.Struct) -> None:
        """Readers find the whole file or none."""
        path = join(self._folder, name)
        try:
            replace_file(file_system(path), path, [msgspec.json.encode(content)], private=True)
        except OSError as error:
            raise ExternalError(f"{path} cannot be written: {error.strerror}.") from error

    # ---- the JobManager ----

    def _start_job_manager(self) -> None:
        ours, theirs = socket.socketpair()
        descriptors = (self._rest.fileno(), self._rpc.fileno(), theirs.fileno())
        command = module_command(
            sys.executable,
            "pyflow_runtime.entrypoint.jobmanager",
            *("--directory", str(self._layout.directory), "--configuration", str(self._layout.configuration)),
            *("--log-file", str(self._layout.logs / "jobmanager.log")),
            *("--sockets", ",".join(map(str, descriptors))),
            *("--rpc-address", self._rpc_address, "--storage", self._folder),
            *("--worker-memory", str(self._application.worker_memory_mb), "--queue", self._application.queue),
        )
        self._job_manager = self._children.spawn(command, self._job_manager_ended, pass_fds=descriptors)
        theirs.close()
        self._link = MessageSocket(FrameSocket(ours), ToSupervisorMessage)  # type: ignore[arg-type]
        self._loop.add_reader(ours, self._handle_messages)
        for name, task_manager in self._task_managers.items():
            self._tell(self._started(name))
            if task_manager.node:
                self._tell(TaskManagerPlaced(task_manager_id=name, node=task_manager.node))
        logger.info("JobManager started as process %d", self._job_manager)

    def _started(self, name: str) -> TaskManagerStarted:
        slots = options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(self._application.configuration)
        return TaskManagerStarted(task_manager_id=name, slots=slots, join_token=self._task_managers[name].join_token)

    def _job_manager_ended(self, status: int) -> None:
        # What it said before its end counts: a join token that it has taken must not be open for the next one.
        while self._handle_messages():
            pass
        self._drop_link()
        self._job_manager = 0
        if self._ending:
            return
        if status == 0:
            logger.info("the JobManager has ended the cluster")
            if not self._application.program:
                self._finish(ApplicationResult(status=FinalStatus.SUCCEEDED))
            return
        logger.error("the JobManager has died: %s", describe_exit(status))
        if reason := self._restarts.died(time.monotonic(), describe_exit(status)):
            self._finish(_failed(f"{reason}: the application gives up."))
        else:
            self._start_job_manager()

    def _drop_link(self) -> None:
        if self._link is not None:
            self._loop.remove_reader(self._link.fileno())
            self._loop.remove_writer(self._link.fileno())
            self._link.frames.close()
            self._link = None

    def _handle_messages(self) -> bool:
        """Those that are there now; whether there were any."""
        if self._link is None:
            return False
        try:
            messages = self._link.receive()
        except RpcError:
            self._drop_link()  # its process is about to be reaped
            return False
        for message in messages:
            if isinstance(message, StartTaskManager):
                self._start_task_manager()
            elif isinstance(message, StopTaskManager):
                self._stop_task_manager(message)
            elif isinstance(message, TaskManagerJoined) and message.task_manager_id in self._task_managers:
                self._task_managers[message.task_manager_id].join_token = ""
        return bool(messages)

    def _tell(self, message: AboutTaskManager) -> None:
        # Where nobody hears any more there may still be something to be read: only the end of that drops the link.
        if self._link is not None:
            with suppress(RpcError):
                self._link.send(message)
                if self._link.pending:
                    # A JobManager that starts is told of all TaskManagers: more than the kernel may take at once.
                    self._loop.add_writer(self._link.fileno(), self._flush)

    def _flush(self) -> None:
        assert self._link is not None
        flushed = True
        with suppress(RpcError):
            flushed = self._link.flush()
        if flushed:
            self._loop.remove_writer(self._link.fileno())

    # ---- TaskManagers ----

    def _start_task_manager(self) -> None:
        name = f"taskmanager-{self._attempt}-{self._next_number}"
        self._next_number += 1
        task_manager = self._task_managers[name] = _TaskManager()
        self._tell(self._started(name))
        if self._containers is not None:
            self._request(name, task_manager)

    def _request(self, name: str, task_manager: _TaskManager) -> None:
        assert self._containers is not None
        if task_manager.unwanted:
            self._task_manager_ended(name, "It was no longer wanted.")
        else:
            told = {
                TASK_MANAGER_VARIABLE: name,
                JOB_MANAGER_VARIABLE: self._rpc_address,
                JOIN_TOKEN_VARIABLE: task_manager.join_token,
            }
            self._containers.request(name, told)

    def _stop_task_manager(self, message: StopTaskManager) -> None:
        task_manager = self._task_managers.get(message.task_manager_id)
        if task_manager is not None:
            task_manager.unwanted = not message.kill
            if self._containers is not None:
                self._containers.release(message.task_manager_id)

    def container_started(self, name: str, container_id: str, node: str) -> None:
        """See ``ContainerListener``."""
        self._loop.call_soon_threadsafe(self._task_manager_placed, name, container_id, node)

    def container_ended(self, name: str, reason: str) -> None:
        """See ``ContainerListener``."""
        self._loop.call_soon_threadsafe(self._task_manager_ended, name, reason)

    def master_lost(self, reason: str) -> None:
        """See ``ContainerListener``."""
        logger.error("%s", reason)
        self._loop.call_soon_threadsafe(self._finish, None)

    def _task_manager_placed(self, name: str, container_id: str, node: str) -> None:
        # ``flink logs --tm`` looks for this line.
        logger.info("%s is in %s on %s", name, container_id, node)
        if (task_manager := self._task_managers.get(name)) is not None:
            task_manager.node = node
            self._tell(TaskManagerPlaced(task_manager_id=name, node=node))

    def _task_manager_ended(self, name: str, reason: str) -> None:
        if (task_manager := self._task_managers.pop(name, None)) is not None:
            logger.info("%s has ended: %s", name, reason)
            self._tell(TaskManagerEnded(task_manager_id=name, reason=reason, wanted=task_manager.unwanted))

    # ---- the program ----

    def _start_program(self) -> None:
        file = self._layout.directory / RESULT_NAME
        command = module_command(
            sys.executable,
            "pyflow_yarn.client.application",
            *(str(Path(FILE_NAME).absolute()), self._rest_address, _application_id(os.environ), str(file)),
        )
        pid = self._children.spawn(command, lambda status: self._program_ended(status, file))
        logger.info("the program started as process %d", pid)

    def _program_ended(self, status: int, file: Path) -> None:
        logger.info("the program has ended: %s", describe_exit(status))
        try:
            result = msgspec.json.decode(file.read_bytes(), type=ApplicationResult)
        except (OSError, msgspec.DecodeError):
            result = _failed(f"The program's process ended: {describe_exit(status)}.")
        self._finish(result)

    # ---- the end ----

    def _finish(self, result: ApplicationResult | None) -> None:
        """The end, with its reason; None if YARN ends this container."""
        if not self._end.done():
            self._end.set_result(result)

    async def _end_application(self, result: ApplicationResult | None) -> int:
        if self._job_manager:
            signal_process(self._job_manager, signal.SIGTERM)
        if result is None or self._containers is None:
            return 1
        if self._application.attached:
            await self._loop.run_in_executor(None, self._hand_over, result)
        logger.info("the application ends: %s %s", result.status, result.headline)
        try:
            await self._loop.run_in_executor(None, self._containers.finish, FinalStatus(result.status), result.headline)
        except PyflowError as error:
            logger.error("%s", error)
            return 1
        return 0

    def _hand_over(self, result: ApplicationResult) -> None:
        """Leave the result for the client that waits for it, and wait until it has taken it away."""
        try:
            self._write(RESULT_NAME, result)
            files, path = file_system(self._folder), join(self._folder, RESULT_NAME)
            deadline = time.monotonic() + RESULT_SECONDS
            while files.status(path) is not None and time.monotonic() < deadline:
                time.sleep(RESULT_POLL_SECONDS)
        except (OSError, PyflowError) as error:
            logger.warning("the result of the program cannot be left for its client: %s", error)


def _failed(text: str) -> ApplicationResult:
    return ApplicationResult(status=FinalStatus.FAILED, headline=text, text=text, exit_code=1)


def _application_id(environment: Mapping[str, str]) -> str:
    return environment["SKEIN_APPLICATION_ID"]


def _attempt(environment: Mapping[str, str]) -> int:
    """The number of this attempt at running the master, as its container's id tells."""
    found = _ATTEMPT.fullmatch(environment.get("CONTAINER_ID", ""))
    return int(found[1]) if found else 1


def _containers() -> Containers:
    from pyflow_yarn.yarn.skein_adapter import SkeinContainers

    return SkeinContainers.of_this_container()


def main() -> int:
    """The program."""
    raise_descriptor_limit()
    set_title("pyflow applicationmaster")
    adopt_orphans()
    try:
        application = read_application_file(Path(FILE_NAME))
        configuration = application.configuration
        logs = log_directory(os.environ)
        start_logging(logs / "applicationmaster.log", options.ENV_LOG_LEVEL.read(configuration), rotate=True)
        with private_folder() as directory:
            layout = Layout(directory)
            layout.logs = logs
            layout.check()
            for file, content in (
                (layout.configuration, msgspec.json.encode(configuration)),
                (layout.token, application.token.encode()),
                (layout.secret, application.secret.encode()),
                (layout.pages, application.pages.encode()),
            ):
                write_atomically(file, content)
            name = host(os.environ)
            rest = listen_on(
                options.REST_BIND_ADDRESS.read(configuration) or name,
                options.REST_BIND_PORT.read(configuration) if options.REST_BIND_PORT.is_set(configuration) else "0",
                f"{options.REST_BIND_ADDRESS.key}, {options.REST_BIND_PORT.key}",
            )
            rpc = listen_on(
                options.JOBMANAGER_BIND_HOST.read(configuration) or name,
                options.YARN_APPLICATION_MASTER_PORT.read(configuration),
                f"{options.JOBMANAGER_BIND_HOST.key}, {options.YARN_APPLICATION_MASTER_PORT.key}",
            )
            folder = join(application.folders, _application_id(os.environ))

            async def live() -> int:
                master = ApplicationMaster(
                    application, folder, layout, _attempt(os.environ), _containers, name, (rest, rpc)
                )
                return await master.run()

            return asyncio.run(live())
    except PyflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        end_children(CHILDREN_END_SECONDS)


if __name__ == "__main__":
    run_and_exit(main)
