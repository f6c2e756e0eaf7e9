"""A REST server in a thread, whose answers a test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from pyflow_yarn.deployment.cluster import Endpoint

JOB = "0123456789abcdef0123456789abcdef"


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What it gets: JSON unless ``body`` is bytes; ``status`` 0 closes the connection without a word."""

    status: int
    body: Any = None


Route = Answer | list[Answer] | Callable[[Request], Answer]


class FakeRest:
    """``routes`` maps ``GET /v1/...`` (without the query) to answers; of a list, the last one is repeated."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[Request] = []
        self.connections = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                fake.connections += 1

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
                fake.requests.append(request)
                status, body = fake.answer(request)
                if not status:
                    self.close_connection = True
                    return
                content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, request: Request) -> Answer:
        """The scripted answer; 404 for anything else."""
        route = self.routes.get(f"{request.method} {request.path.partition('?')[0]}")
        if route is None:
            return Answer(404, {"errors": [f"Unable to load requested file {request.path}."]})
        if isinstance(route, list):
            return route.pop(0) if len(route) > 1 else route[0]
        return route if isinstance(route, Answer) else route(request)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def endpoint(self, token: str = "") -> Endpoint:
        return Endpoint(self.address, token)

    def sent(self, method: str, path: str) -> list[Request]:
        """The requests of that method and path (without the query)."""
        return [each for each in self.requests if each.method == method and each.path.partition("?")[0] == path]

    def succeed(self, job_id: str = JOB, **accumulators: str) -> None:
        """Accept any job and let it succeed at once."""
        self.routes["POST /v1/blobs/missing"] = lambda asked: Answer(200, {"missing": json.loads(asked.body)["keys"]})
        self.routes["POST /v1/jobs"] = Answer(202, {"jobUrl": f"/jobs/{job_id}"})
        self.ends(job_id, "SUCCEEDED")
        self.routes[f"GET /v1/jobs/{job_id}/accumulators"] = Answer(
            200,
            {
                "job-accumulators": [],
                "user-task-accumulators": [
                    {"name": name, "type": "IntCounter", "value": value} for name, value in accumulators.items()
                ],
            },
        )

    def ends(self, job_id: str, status: str, cause: dict[str, Any] | None = None) -> None:
        """Let the job have ended with that application status."""
        result: dict[str, Any] = {"id": job_id, "name": "job", "application-status": status, "net-runtime": 42}
        if cause is not None:
            result["failure-cause"] = cause
        self.routes[f"GET /v1/jobs/{job_id}/execution-result"] = Answer(
            200, {"status": {"id": "COMPLETED"}, "job-execution-result": result}
        )

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
