"""The JobManager's end of the socket pair with the embedded supervisor."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from pyflow_runtime.resourcemanager.embedded_driver import FromSupervisorMessage, ToSupervisorMessage
from pyflow_runtime.rpc.errors import RpcError
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket

logger = logging.getLogger(__name__)


class SupervisorLink:
    """Carries the messages of the ``EmbeddedDriver``. A JobManager does not outlive its supervisor."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection: MessageSocket[Any] = MessageSocket(
            FrameSocket(sock), cast("type[Any]", FromSupervisorMessage)
        )
        self._handle: Callable[[FromSupervisorMessage], None] | None = None

    def start(self, handle: Callable[[FromSupervisorMessage], None]) -> None:
        """Hand over what arrives, from the next turn of the loop on."""
        self._handle = handle
        self._loop.add_reader(self._connection, self._readable)

    def send(self, message: ToSupervisorMessage) -> None:
        """Send a message; there are few, and they are small."""
        try:
            self._connection.send(message)
        except RpcError as error:
            logger.error("the supervisor has gone: %s", error)

    def _readable(self) -> None:
        assert self._handle is not None
        try:
            messages = self._connection.receive()
        except RpcError as error:
            logger.error("the supervisor has gone: %s", error)
            self._loop.remove_reader(self._connection)
            return
        for message in messages:
            self._handle(message)
