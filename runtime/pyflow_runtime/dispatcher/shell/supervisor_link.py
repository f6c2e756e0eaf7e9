"""The JobManager's end of the socket pair with the embedded supervisor."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
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
        self._handle: Callable[[AboutTaskManager], None] | None = None
        self._forking: dict[str, asyncio.Future[int]] = {}
        self._ended: dict[str, Callable[[int], None]] = {}

    def start(self, handle: Callable[[AboutTaskManager], None]) -> None:
        """Hand over what is said about TaskManagers, from the next turn of the loop on."""
        self._handle = handle
        self._loop.add_reader(self._connection, self._readable)

    def send(self, message: ToSupervisorMessage) -> None:
        """Send a message; there are few, and they are small."""
        try:
            self._connection.send(message)
        except RpcError as error:
            logger.error("the supervisor has gone: %s", error)

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
            assert self._handle is not None
            self._handle(message)
