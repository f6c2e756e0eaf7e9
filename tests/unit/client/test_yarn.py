"""A client that waits for its application on YARN."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pyflow_yarn.client import yarn
from pyflow_yarn.deployment.yarn.deployer import YarnEdge
from pyflow_yarn.deployment.yarn.running import YarnCluster
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn.application_file import ApplicationResult


class Cluster:
    """Says one thing after the other."""

    application_id = "application_1_1"

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def announce(self) -> None:
        pass

    def result(self) -> ApplicationResult | None:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast("ApplicationResult | None", answer)


class Edge:
    """YARN, on which the application has ended as soon as somebody wants to know."""

    class resource_manager:
        @staticmethod
        def report(key: str) -> Any:
            return type("Report", (), {"ended": Edge.ended})

    ended = False


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yarn, "LONGEST_POLL_SECONDS", 0.0)


def wait(cluster: Cluster) -> int:
    return yarn._Attached(cast(YarnCluster, cluster), cast(YarnEdge, Edge()), {}).wait()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Edge, "ended", True)


def test_a_restart_of_yarn_or_hdfs_is_waited_out(ended: None, capsys: pytest.CaptureFixture[str]) -> None:
    silence = ExternalError("No NameNode answers.")
    assert wait(Cluster(silence, silence, ApplicationResult(status="SUCCEEDED"))) == 0
    shown = capsys.readouterr()
    assert shown.out == "Program execution finished\n"
    assert shown.err == "WARNING: No NameNode answers. The application may go on; looking again for a while.\n"


def test_a_silence_that_lasts_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yarn, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(ExternalError, match="No NameNode"):
        wait(Cluster(ExternalError("No NameNode answers.")))


def test_what_the_program_had_to_say_is_shown(ended: None, capsys: pytest.CaptureFixture[str]) -> None:
    result = ApplicationResult(
        status="FAILED", headline="ValueError: 3", text="Traceback ...\nValueError: 3", exit_code=31
    )
    assert wait(Cluster(result)) == 31
    assert capsys.readouterr().err.endswith("Traceback ...\nValueError: 3\n")
