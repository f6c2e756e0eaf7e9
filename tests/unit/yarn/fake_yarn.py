"""A ResourceManager and a NodeManager on one address, which tell what a test puts into them."""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serving import Answer, Asked, serving

APPLICATION = "application_1700000000000_0042"
MASTER = "container_1700000000000_0042_01_000001"
NODES = "/ws/v1/node/"
CLUSTER = "/ws/v1/cluster/"
# One that a real ResourceManager told.
NODE = json.loads(Path(__file__).with_name("answers").joinpath("nodes.json").read_text())["nodes"]["node"][0]


def container(number: int, attempt: int = 1) -> str:
    """The id of a container of the application."""
    return f"container_1700000000000_0042_{attempt:02}_{number:06}"


@dataclass
class FakeYarn:
    """One application; ``refusal`` is what the NodeManager says instead of showing logs, ``grown`` what a file grows by
    each time it is read."""

    state: str = "RUNNING"
    log_aggregation: str = "NOT_START"
    user: str = "ann"
    running: list[str] = field(default_factory=lambda: [MASTER])
    masters: list[str] = field(default_factory=lambda: [MASTER])
    logs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    refusal: str = ""
    grown: bytes = b""
    nodes: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    node: str = ""

    def __enter__(self) -> FakeYarn:
        self._serving = serving(self._told)
        self.node = self._serving.__enter__()
        self.nodes = self.nodes or [self.node]
        return self

    def __exit__(self, *reason: object) -> None:
        self._serving.__exit__(None, None, None)

    def _told(self, asked: Asked) -> Answer:
        self.asked.append(asked.path)
        status, body = self.answer(urllib.parse.urlsplit(asked.path))
        return Answer(body, status)

    def answer(self, url: urllib.parse.SplitResult) -> tuple[int, bytes]:
        """Code and body for a path."""
        found: Any
        if url.path.startswith(NODES):
            return self._of_node(url.path.removeprefix(NODES), urllib.parse.parse_qs(url.query))
        path = url.path.removeprefix(CLUSTER)
        attempts = {f"appattempt_1700000000000_0042_{int(one.split('_')[3]):06}": one for one in self.masters}
        if path == "nodes":
            found = {"nodes": {"node": [{**NODE, "nodeHTTPAddress": one} for one in self.nodes]}}
        elif path == "apps":
            found = {"apps": {"app": [self._app()]}}
        elif path == f"apps/{APPLICATION}":
            found = {"app": self._app()}
        elif path == f"apps/{APPLICATION}/appattempts":
            each = [{"containerId": one, "nodeHttpAddress": self.nodes[0]} for one in self.masters]
            found = {"appAttempts": {"appAttempt": each}}
        elif path == f"/proxy/{APPLICATION}/jobs/overview":
            found = {"jobs": [{"jid": job} for job in self.jobs]}
        elif path.endswith("/containers"):
            attempt = attempts[path.split("/")[3]].rpartition("_")[0]
            of_attempt = [one for one in self.running if one.startswith(attempt)]
            # YARN tells one as it is, several in a list.
            each = [{"containerId": one, "nodeHttpAddress": f"http://{self.nodes[-1]}"} for one in of_attempt]
            found = {"container": each[0] if len(each) == 1 else each} if each else {}
        else:
            return 404, b'{"RemoteException":{"message":"not found"}}'
        return 200, json.dumps(found).encode()

    def _app(self) -> dict[str, str]:
        return {
            "id": APPLICATION,
            "name": "words",
            "applicationType": "Apache Flink",
            "user": self.user,
            "queue": "root.etl",
            "state": self.state,
            "finalStatus": "UNDEFINED",
            "trackingUrl": f"http://{self.node}/proxy/{APPLICATION}/",
            "logAggregationStatus": self.log_aggregation,
        }

    def _of_node(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        if path == f"apps/{APPLICATION}":
            return 200, b"{}"
        if self.refusal:
            return 500, self.refusal.encode()
        _, one, _, *name = path.split("/")
        if not name:
            files = [
                {"fileName": name, "fileSize": str(len(content))}
                for (owner, name), content in self.logs.items()
                if owner == one
            ]
            return 200, json.dumps(
                {"containerLogsInfo": {"containerLogInfo": files, "logAggregationType": "LOCAL"} if files else {}}
            ).encode()
        key = (one, urllib.parse.unquote(name[0]))
        self.logs[key] += self.grown
        content = self.logs[key]
        size = int(query.get("size", [str(len(content))])[0])
        shown = content[size:] if size < 0 else content[:size]
        head = f"Container: {one} on node\nLogAggregationType: LOCAL\n===\nLogType:{key[1]}\nLogLength:{len(content)}\n"
        return 200, f"{head}LogContents:\n".encode() + shown + b"\nEnd of LogType:x.\n****\n\n"
