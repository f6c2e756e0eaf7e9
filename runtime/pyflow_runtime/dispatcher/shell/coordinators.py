"""The coordinator processes of jobs: started with the job's interpreter and files, watched, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from pyflow_runtime.coordinator.messages import CoordinatorStarted, FromCoordinatorMessage, ToCoordinatorMessage
from pyflow_runtime.coordinator.settings import CoordinatorSettings
from pyflow_runtime.dispatcher.effects import SendToCoordinator, StartCoordinator, StopCoordinator
from pyflow_runtime.dispatcher.events import CoordinatorExited, CoordinatorMessage, Event
from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.control import describe_exit, signal_process
from pyflow_runtime.processes.files import remove_directory
from pyflow_runtime.rpc.handshake import Hello
from pyflow_runtime.rpc.session import Conversation, Session
from pyflow_runtime.taskexecutor.shell.environment import FetchBlob, prepare_environment
from pyflow_runtime.taskexecutor.shell.interpreters import default_cache, interpreter_of, module_command
from pyflow_yarn.errors import Domain, FailureInfo, PyflowError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0


ForkCoordinator = Callable[[Path, Callable[[int], None]], Awaitable[int]]


class _Coordinator:
    """One coordinator process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.token = secrets.token_hex(32)
        self.pid = 0
        self.session: Session | None = None
        self.waiting: list[ToCoordinatorMessage] = []
        self.disconnected = asyncio.Event()
        self.stopping = False
        self.killed = False
        self.kill_timer: asyncio.TimerHandle | None = None


class Coordinators:
    """All coordinators of one JobManager. ``feed`` takes what happens as events of the control plane.

    ``fork``, where there is one, makes a coordinator of this process's own interpreter out of a warm process.
    """

    def __init__(
        self,
        children: Children,
        directory: Path,
        log_directory: Path,
        rpc_socket: Path,
        log_level: str,
        fetch: FetchBlob,
        feed: Callable[[Event], None],
        run: Callable[..., None],
        fork: ForkCoordinator | None,
    ) -> None:
        self._children = children
        self._directory = directory
        self._log_directory = log_directory
        self._rpc_socket = rpc_socket
        self._log_level = log_level
        self._fetch = fetch
        self._feed = feed
        self._run = run
        self._fork = fork
        self._count = 0
        self._coordinators: dict[tuple[str, int], _Coordinator] = {}

    # ---- effects ----

    def start(self, effect: StartCoordinator) -> None:
        """Start a process; its end, or its failure to start, is ``CoordinatorExited``."""
        self._count += 1
        coordinator = _Coordinator(self._directory / f"c{os.getpid()}.{self._count}")
        self._coordinators[effect.job_id, effect.incarnation] = coordinator
        self._run(self._start(effect, coordinator))

    def send(self, effect: SendToCoordinator) -> None:
        """Send, or keep until the process is connected."""
        coordinator = self._coordinators.get((effect.job_id, effect.incarnation))
        if coordinator is None:
            return
        if coordinator.session is not None:
            coordinator.session.send(effect.message)
        else:
            coordinator.waiting.append(effect.message)

    def stop(self, effect: StopCoordinator) -> None:
        """Let it end by itself for a while, then kill it. What was sent before still reaches it."""
        coordinator = self._coordinators.get((effect.job_id, effect.incarnation))
        if coordinator is None or coordinator.stopping:
            return
        coordinator.stopping = True
        loop = asyncio.get_running_loop()
        coordinator.kill_timer = loop.call_later(PATIENCE_SECONDS, self._kill, coordinator)
        if coordinator.session is not None:
            coordinator.session.close("the coordinator is no longer needed")

    def kill_all(self) -> None:
        """The JobManager ends."""
        for coordinator in self._coordinators.values():
            self._kill(coordinator)
            if coordinator.kill_timer is not None:
                coordinator.kill_timer.cancel()

    # ---- sessions ----

    def admit(self, hello: Hello) -> str | None:
        """A sentence if no such coordinator is expected."""
        return None if self._find(hello) is not None else f"no coordinator of job {hello.identity} is expected"

    def conversation(self, hello: Hello) -> Conversation:
        """What is said on the session of a coordinator."""
        found = self._find(hello)
        assert found is not None
        (job_id, incarnation), coordinator = found

        def message(session: Session, message: FromCoordinatorMessage) -> None:
            if coordinator.session is None:
                if not isinstance(message, CoordinatorStarted) or not secrets.compare_digest(
                    message.token, coordinator.token
                ):
                    session.close("this is not the coordinator that was started")
                    return
                coordinator.session = session
                for waiting in coordinator.waiting:
                    session.send(waiting)
                coordinator.waiting.clear()
            self._feed(CoordinatorMessage(job_id=job_id, incarnation=incarnation, message=message))

        def closed(session: Session, reason: str) -> None:
            if coordinator.session is session:
                coordinator.disconnected.set()

        # It may be busy with user code for long; that its process has ended is seen without keep-alives.
        return Conversation(incoming=FromCoordinatorMessage, message=message, closed=closed, keep_alive=False)

    def _find(self, hello: Hello) -> tuple[tuple[str, int], _Coordinator] | None:
        if not hello.incarnation.isdecimal():
            return None
        key = (hello.identity, int(hello.incarnation))
        coordinator = self._coordinators.get(key)
        return None if coordinator is None else (key, coordinator)

    # ---- processes ----

    async def _start(self, effect: StartCoordinator, coordinator: _Coordinator) -> None:
        key = (effect.job_id, effect.incarnation)
        job = effect.environment
        try:
            coordinator.directory.mkdir(mode=0o700, parents=True)
            prepared = await prepare_environment(job, coordinator.directory, self._fetch)
            python = await interpreter_of(prepared, default_cache(), self._log_directory, self._children.run)
            if coordinator.stopping:
                await self._gone(key, coordinator, "It was stopped before it started.")
                return
            settings = CoordinatorSettings(
                job_id=effect.job_id,
                incarnation=effect.incarnation,
                token=coordinator.token,
                rpc_socket=str(self._rpc_socket),
                environment=prepared.worker,
                parent=os.getpid(),
                log_file=str(self._log_directory / "coordinator.log"),
                log_level=self._log_level,
            )
            file = coordinator.directory / "settings"
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as handle:
                handle.write(msgspec.msgpack.encode(settings))
            coordinator.pid = await self._launch(python, file, lambda status: self._ended(key, coordinator, status))
            if coordinator.killed:
                self._kill(coordinator)
        except (PyflowError, OSError) as error:
            await self._gone(key, coordinator, str(error), error)
            return
        logger.info("coordinator of job %s started as process %d", effect.job_id, coordinator.pid)

    async def _launch(self, python: str, file: Path, ended: Callable[[int], None]) -> int:
        if not python and self._fork is not None:
            return await self._fork(file, ended)
        command = module_command(python or sys.executable, "pyflow_runtime.entrypoint.coordinator", str(file))
        return self._children.spawn(command, ended)

    def _ended(self, key: tuple[str, int], coordinator: _Coordinator, status: int) -> None:
        logger.info("the coordinator of job %s has ended: %s", key[0], describe_exit(status))
        message = f"The coordinator process {coordinator.pid} of the job ended: {describe_exit(status)}."
        self._run(self._gone(key, coordinator, message))

    async def _gone(
        self, key: tuple[str, int], coordinator: _Coordinator, message: str, error: BaseException | None = None
    ) -> None:
        if coordinator.session is not None:
            # What it said before its end is still in the socket, and comes first.
            try:
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await coordinator.disconnected.wait()
            except TimeoutError:
                coordinator.session.close("the coordinator has ended")
        if coordinator.kill_timer is not None:
            coordinator.kill_timer.cancel()
        del self._coordinators[key]
        failure = FailureInfo(
            exception="CoordinatorLostException" if error is None else type(error).__name__,
            message=message,
            domain=error.domain if isinstance(error, PyflowError) else Domain.CLUSTER,
            timestamp=int(time.time() * 1000),
        )
        self._feed(CoordinatorExited(job_id=key[0], incarnation=key[1], failure=failure))
        await asyncio.to_thread(remove_directory, coordinator.directory)

    def _kill(self, coordinator: _Coordinator) -> None:
        coordinator.killed = True
        if coordinator.pid:
            signal_process(coordinator.pid, signal.SIGKILL)
