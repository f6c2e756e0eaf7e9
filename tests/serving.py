"""An HTTP server of this machine, in threads, that answers what a test has it answer."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body.decode()}".strip()


class Answer(NamedTuple):
    """What comes back."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[str]:
    """The server's address, ``host:port``, while it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            told = answer(Asked(self.command, self.path, dict(self.headers), self.rfile.read(length)))
            self.send_response(told.status)
            for name, value in {**told.headers, "Content-Length": str(len(told.body))}.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # who has read enough hangs up
                self.end_headers()
                self.wfile.write(told.body)

        do_PUT = do_POST = do_GET

        def log_message(self, format: str, *values: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
