"""Which cluster is meant where none is named: a session on YARN that is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.client.registered import on_registered_cluster
from pyflow_yarn.deployment.yarn.properties_file import YarnSession, properties_file, write_properties_file

ID = "application_1700000000000_0001"


@pytest.fixture
def noted(tmp_path: Path) -> dict[str, str]:
    """A configuration whose properties file names a session."""
    configuration = {"yarn.properties-file.location": str(tmp_path), "parallelism.default": "1"}
    write_properties_file(properties_file(configuration), YarnSession(ID, {"parallelism.default": "3", "a.b": "c"}))
    return configuration


def test_the_session_that_is_noted_is_the_target(noted: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    found = on_registered_cluster(noted, {}, for_program=True)
    assert (found["execution.target"], found["yarn.application.id"]) == ("yarn-session", ID)
    assert (found["parallelism.default"], found["a.b"]) == ("3", "c")
    assert f"Found Yarn properties file under {properties_file(noted)}." in capsys.readouterr().out


def test_what_the_command_line_says_is_stronger(noted: dict[str, str]) -> None:
    given = {"parallelism.default": "2"}
    assert on_registered_cluster({**noted, **given}, given, for_program=True)["parallelism.default"] == "2"


@pytest.mark.parametrize(
    "named", [{"execution.target": "local"}, {"rest.address": "far.example"}, {"execution.target": "yarn-application"}]
)
def test_another_cluster_that_is_named_is_meant(noted: dict[str, str], named: dict[str, str]) -> None:
    configuration = {**noted, **named}
    assert on_registered_cluster(configuration, named, for_program=True) == configuration


def test_an_id_needs_no_file_and_no_target() -> None:
    found = on_registered_cluster({"yarn.application.id": ID}, {}, for_program=False)
    assert found == {"yarn.application.id": ID, "execution.target": "yarn-session"}
