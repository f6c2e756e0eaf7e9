"""The zygotes of a TaskManager: one per interpreter, started when first needed, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, cast

from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.control import describe_exit, signal_process
from pyflow_runtime.rpc.errors import PeerClosed, RpcError
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_runtime.taskexecutor.shell.interpreters import module_command
from pyflow_runtime.worker.messages import ForkFailed, ForkWorker, FromZygoteMessage, WorkerForked, WorkerSettings
from pyflow_yarn.errors import ClusterError, UserError

logger = logging.getLogger(__name__)

ATTEMPTS = 3
FORK_SECONDS = 60.0


class ZygoteLost(ClusterError):
    """The zygote died before it answered."""


class ZygoteUnusable(UserError):
    """The interpreter cannot run our code; the message is a sentence."""


class Zygote:
    """The connection with one zygote process."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self._connection: MessageSocket[Any] = MessageSocket(FrameSocket(sock), cast("type[Any]", FromZygoteMessage))
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self.open = True
        self._loop.add_reader(sock, self._readable)

    async def fork(self, settings: WorkerSettings) -> int:
        """The pid of a new worker, which is this process's child."""
        if not self.open:
            raise ZygoteLost("the zygote has gone")
        future: asyncio.Future[int] = self._loop.create_future()
        self._waiting[settings.worker_id] = future
        try:
            self._connection.send(ForkWorker(settings=settings))
            if self._connection.pending:
                self._loop.add_writer(self._connection, self._writable)
            async with asyncio.timeout(FORK_SECONDS):
                return await future
        except TimeoutError:
            # Stopped, or stuck in an import: another one may do better.
            signal_process(self.pid, signal.SIGKILL)
            lost = ZygoteLost(f"it did not answer within {FORK_SECONDS:g} s")
            self._lost(lost)
            raise lost from None
        except RpcError as error:
            lost = ZygoteLost(str(error))
            self._lost(lost)
            raise lost from error
        finally:
            self._waiting.pop(settings.worker_id, None)

    def close(self) -> None:
        """Let it end; workers that it forked live on."""
        self._lost(ZygoteLost("the TaskManager ends"))

    def _readable(self) -> None:
        try:
            messages = self._connection.receive()
        except PeerClosed as error:
            self._lost(ZygoteUnusable(str(error)))
            return
        except RpcError as error:
            self._lost(ZygoteLost(str(error)))
            return
        for message in messages:
            future = self._waiting.get(message.worker_id)
            if future is None or future.done():
                continue
            if isinstance(message, WorkerForked):
                future.set_result(message.pid)
            elif isinstance(message, ForkFailed):
                future.set_exception(ClusterError(f"The worker could not be started: {message.reason}."))

    def _writable(self) -> None:
        try:
            if self._connection.flush():
                self._loop.remove_writer(self._connection)
        except RpcError as error:
            self._lost(ZygoteLost(str(error)))

    def _lost(self, error: Exception) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


class Zygotes:
    """See the module. ``first`` is a zygote of this process's own interpreter that runs already, with its pid."""

    def __init__(
        self, children: Children, name: str, log_file: Path, log_level: str, first: tuple[socket.socket, int] | None
    ) -> None:
        self._children = children
        self._name = name
        self._log_file = log_file
        self._log_level = log_level
        self._zygotes: dict[str, Zygote] = {}
        self._closing = False
        if first is not None:
            sock, pid = first
            self._zygotes[""] = Zygote(sock, pid)
            self._children.watch(pid, lambda status: self._ended("", status))

    async def fork(self, executable: str, settings: WorkerSettings) -> int:
        """Fork a worker from the zygote of that interpreter ("": this process's own); its pid."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._zygote(executable).fork(settings)
            except ZygoteLost as error:
                if attempt + 1 == ATTEMPTS:
                    raise ClusterError(
                        f"The worker could not be started with {executable or sys.executable}: {error}"
                        f" (see {self._log_file})."
                    ) from error
                logger.warning("the zygote of %s was lost (%s): trying another", executable or sys.executable, error)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Let all zygotes end."""
        self._closing = True
        for zygote in self._zygotes.values():
            zygote.close()

    def _zygote(self, executable: str) -> Zygote:
        zygote = self._zygotes.get(executable)
        if zygote is None or not zygote.open:
            zygote = self._zygotes[executable] = self._start(executable)
        return zygote

    def _start(self, executable: str) -> Zygote:
        ours, theirs = socket.socketpair()
        command = module_command(
            executable or sys.executable,
            "pyflow_runtime.entrypoint.zygote",
            *(str(theirs.fileno()), str(os.getpid()), self._name, str(self._log_file), self._log_level),
        )
        try:
            pid = self._children.spawn(
                command, lambda status: self._ended(executable, status), pass_fds=[theirs.fileno()]
            )
        except OSError as error:
            ours.close()
            raise UserError(f"The Python interpreter {executable} cannot be started: {error.strerror}.") from error
        finally:
            theirs.close()
        logger.info("zygote of %s started as process %d", executable or sys.executable, pid)
        return Zygote(ours, pid)

    def _ended(self, executable: str, status: int) -> None:
        if self._closing:
            return
        logger.warning("the zygote of %s has ended: %s", executable or sys.executable, describe_exit(status))
        # A new one at once: the next worker must not wait for its imports. One that could not start is not repeated.
        if status < 0:
            self._zygotes[executable] = self._start(executable)
