"""The HTTP server around the application, on a socket that somebody else opened."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping

from starlette.types import ASGIApp
from uvicorn import Config, Server

from pyflow_yarn.configuration.options import REST_IDLENESS_TIMEOUT

SHUTDOWN_SECONDS = 2


class RestServer(Server):
    """Serves until ``stop``; leaves signals to the process."""

    def __init__(self, application: ASGIApp, configuration: Mapping[str, str]) -> None:
        super().__init__(
            Config(
                application,
                http="h11",
                ws="none",
                lifespan="off",
                loop="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, REST_IDLENESS_TIMEOUT.read(configuration) // 1000),
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own business."""
        yield

    async def run_on(self, listener: socket.socket) -> None:
        """Serve on a listening socket until ``stop``, which also closes it here."""
        await self.serve([listener])

    def stop(self) -> None:
        """Answer what is under way, then return from ``run_on``."""
        self.should_exit = True
