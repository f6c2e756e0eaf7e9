"""The server on a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyflow_runtime.rest.application import create_application
from pyflow_runtime.rest.server import RestServer
from tests.unit.rest.cluster import JOB, TOKEN, FakeGateway, graph, job, submission

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def serving(gateway: FakeGateway) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    """Serves in a thread; gives a function that opens a connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = RestServer(create_application(gateway, TOKEN), gateway.configuration)
    thread = threading.Thread(target=lambda: asyncio.run(server.run_on(listener)))
    thread.start()
    opened: list[http.client.HTTPConnection] = []

    def connect() -> http.client.HTTPConnection:
        opened.append(http.client.HTTPConnection("127.0.0.1", port, timeout=20))
        return opened[-1]

    try:
        yield connect
    finally:
        for connection in opened:
            connection.close()
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_requests_share_a_connection() -> None:
    with serving(FakeGateway(job())) as connect:
        connection = connect()
        for path in ("/v1/jobs/overview", f"/v1/jobs/{JOB}", "/healthz"):
            connection.request("GET", path, b"{}", HEADERS)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200 and json.loads(content)
            assert answer.getheader("server") is None


def test_a_submission_and_one_that_is_too_long() -> None:
    gateway = FakeGateway(job())
    with serving(gateway) as connect:
        body, headers = submission(graph(), b"blob")
        connection = connect()
        connection.request("POST", "/v1/jobs", body, HEADERS | headers)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (202, {"jobUrl": f"/jobs/{JOB}"})
        body, headers = submission(graph(), bytes(150_000))
        connection = connect()
        connection.request("POST", "/v1/jobs", iter([body[:70_000], body[70_000:]]), HEADERS | headers)
        answer = connection.getresponse()
        assert answer.status == 413
        assert len(gateway.submitted) == 1


def test_what_it_imports() -> None:
    code = (
        "import sys, pyflow_runtime.rest.application, pyflow_runtime.rest.server;"
        "print(sorted({'jinja2', 'yaml', 'numpy', 'httpx', 'httptools', 'websockets', 'uvloop', 'rich', 'cryptography'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
