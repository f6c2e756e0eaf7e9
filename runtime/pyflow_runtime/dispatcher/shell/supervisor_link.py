"""The JobManager's end of the socket pair with its supervisor."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    CoordinatorEnded,
    CoordinatorForked,
    ForkCoordinator,
    FromSupervisorMessage,
    ToSupervisorMessage,
)
from pyflow_runtime.rpc.errors import RpcError
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket

logger = logging.getLogger(__name__)


class SupervisorLink:
    """A JobManager does not outlive its supervisor: a link that breaks needs no mending."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection: MessageSocket[Any] = MessageSocket(
            FrameSocket(sock), cast("type[Any]", FromSupervisorMessage)
        )
        self._handlers: list[Callable[[AboutTaskManager], None]] = []
        self._forking: dict[str, asyncio.Future[int]] = {}
        self._ended: dict[str, Callable[[int], None]] = {}

    def start(self, handle: Callable[[AboutTaskManager], None]) -> None:
        """Hand over what is said about TaskManagers, from the next turn of the loop on."""
        self._handlers.append(handle)
        self._loop.add_reader(self._connection, self._readable)

    def hear(self, handle: Callable[[AboutTaskManager], None]) -> None:
        """Have another one hear the same, before who starts the link."""
        self._handlers.append(handle)

    def send(self, message: ToSupervisorMessage) -> None:
        """Send a message, later if the kernel takes no more now."""
        self.record(message)

    def record(self, message: ToSupervisorMessage) -> bool:
        """Send a message; whether the kernel has it: then it arrives even if this process dies at once."""
        try:
            self._connection.send(message)
        except RpcError as error:
            logger.error("the supervisor has gone: %s", error)
            return False
        if self._connection.pending:
            self._loop.add_writer(self._connection, self._writable)
            return False
        return True

    async def fork_coordinator(self, file: Path, ended: Callable[[int], None]) -> int:
        """Have a coordinator forked whose settings are in that file; its pid. ``ended(status)`` tells its end."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._forking[str(file)] = future
        self._ended[str(file)] = ended
        self.send(ForkCoordinator(file=str(file)))
        try:
            return await future
        finally:
            del self._forking[str(file)]

    def _writable(self) -> None:
        flushed = True
        with suppress(RpcError):  # the reader meets the end, and says so
            flushed = self._connection.flush()
        if flushed:
            self._loop.remove_writer(self._connection)

    def _readable(self) -> None:
        try:
            messages: list[FromSupervisorMessage] = self._connection.receive()
        except RpcError as error:
            logger.error("the supervisor has gone: %s", error)
            self._loop.remove_reader(self._connection)
            return
        for message in messages:
            self._take(message)

    def _take(self, message: FromSupervisorMessage) -> None:
        if isinstance(message, CoordinatorForked):
            future = self._forking.get(message.file)
            if future is not None and not future.done():
                future.set_result(message.pid)
        elif isinstance(message, CoordinatorEnded):
            ended = self._ended.pop(message.file, None)
            if ended is not None:
                # After whoever waits for the pid has got it, which may be in the same turn.
                self._loop.call_soon(ended, message.status)
        else:
            for handle in self._handlers:
                handle(message)
