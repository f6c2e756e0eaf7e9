"""Finding a cluster by the id of its application."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pyflow_yarn.deployment.yarn import running
from pyflow_yarn.deployment.yarn.deployer import YarnEdge
from pyflow_yarn.deployment.yarn.running import ApplicationEndedError, YarnCluster
from pyflow_yarn.errors import ClusterError
from pyflow_yarn.yarn.application_file import ENDPOINT_NAME


class Edge:
    """YARN and HDFS: what they answer, one after the other."""

    hadoop = SimpleNamespace(web_scheme="http")
    user = "ann"

    def __init__(self, *, ended: list[bool], published: list[bytes | None], complaints: tuple[str, ...] = ()) -> None:
        self.ended = ended
        self.published = published
        self.complaints = list(complaints)
        self.resource_manager = SimpleNamespace(report=self._report, masters=lambda key: ["master"])
        self.staging = SimpleNamespace(application_folder=lambda key: f"hdfs://nn/{key}")

    def _report(self, key: str) -> Any:
        return SimpleNamespace(ended=self.ended.pop(0), final_status="FAILED", diagnostics="exit code 69\nstack")

    def complain(self, *of: object) -> str:
        return self.complaints.pop(0) if self.complaints else ""

    def read(self, path: str) -> bytes | None:
        assert path.endswith(f"/application_1_1/{ENDPOINT_NAME}")
        return self.published.pop(0)


def cluster(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> YarnCluster:
    monkeypatch.setattr(running, "read_file", edge.read)
    monkeypatch.setattr(running, "complaint", edge.complain)
    monkeypatch.setattr(running, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(running, "COMPLAINT_SECONDS", 0.0)
    return YarnCluster("application_1_1", cast(YarnEdge, edge))


def test_the_endpoint_is_waited_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = b'{"version": 1, "rest_address": "n1:1", "token": "t", "attempt": 1}'
    edge = Edge(ended=[False, False], published=[None, None, endpoint])
    assert cluster(edge, monkeypatch).announce().address == "n1:1"
    assert "Found Web Interface n1:1 of application 'application_1_1'." in capsys.readouterr().out
    assert (edge.ended, edge.published) == ([], []), "each is asked once a turn"


def test_an_application_that_has_ended_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(ended=[False, True], published=[None, None])
    with pytest.raises(
        ApplicationEndedError, match=r"It has previously completed with final status: FAILED \(exit code 69\)$"
    ):
        cluster(edge, monkeypatch).announce()


def test_a_master_without_a_python_is_told_when_no_other_attempt_found_one(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(ended=[False, False, True], published=[None] * 3, complaints=("node1: no.", "", "node2: no."))
    with pytest.raises(ClusterError, match=r"^The application application_1_1 has no Python that works: node2: no\.$"):
        cluster(edge, monkeypatch).announce()
    endpoint = b'{"version": 1, "rest_address": "n1:1", "token": "t", "attempt": 2}'
    edge = Edge(ended=[False], published=[None, endpoint], complaints=("node1: no.",))
    assert cluster(edge, monkeypatch).announce().address == "n1:1"
