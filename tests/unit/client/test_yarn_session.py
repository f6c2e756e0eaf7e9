"""A session and whoever attends to it: commands, what is seen of YARN meanwhile, and the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from pyflow_yarn.client import yarn_session
from pyflow_yarn.client.yarn_session import COMMANDS, Commands, Session
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.yarn.deployer import YarnEdge
from pyflow_yarn.deployment.yarn.properties_file import YarnSession, properties_file, write_properties_file
from pyflow_yarn.deployment.yarn.running import YarnCluster
from pyflow_yarn.errors import ClusterError, ExternalError
from pyflow_yarn.yarn import ApplicationReport

ID = "application_1700000000000_0001"
Said = tuple[str, str] | Exception


class FakeYarn:
    """A ResourceManager that says one thing after the other, the last one for ever; "KILLED" once it has killed."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = list(said)
        self.killed: list[str] = []

    def report(self, application_id: str) -> ApplicationReport:
        """What is next."""
        now = self._said[0]
        if len(self._said) > 1:
            del self._said[0]
        if isinstance(now, Exception):
            raise now
        state, final = ("KILLED", "KILLED") if self.killed else now
        return ApplicationReport(
            id=application_id,
            name="",
            type="",
            user="",
            queue="",
            tags=frozenset(),
            state=state,
            final_status=final,
            diagnostics="killed by an operator" if final == "KILLED" else "",
            tracking_url="",
            master_address="",
            finish_time=7,
        )

    def kill(self, application_id: str) -> None:
        """End it."""
        self.killed.append(application_id)


class FakeStaging:
    """Notes whose files are removed."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, application_id: str) -> None:
        """Nothing is left of it."""
        self.forgotten.append(application_id)


class FakeEdge:
    """What a session needs of an edge node."""

    def __init__(self, said: Sequence[Said]) -> None:
        self.resource_manager = FakeYarn(said)
        self.staging = FakeStaging()


class FakeCluster:
    """A cluster whose JobManager is not to be reached."""

    application_id = ID

    def endpoint(self) -> Endpoint:
        """Nobody knows."""
        raise ClusterError("The JobManager has gone.")


RUNNING = ("RUNNING", "UNDEFINED")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where somebody types."""
    reading, writing = os.pipe()
    monkeypatch.setattr(yarn_session, "STANDARD_INPUT", reading)
    monkeypatch.setattr(yarn_session, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(yarn_session, "STOP_SECONDS", 0.01)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb"):
        yield writing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The properties file of the session."""
    path = properties_file({"yarn.properties-file.location": str(tmp_path)})
    write_properties_file(path, YarnSession(ID))
    return path


def session(file: Path, *said: Said) -> tuple[Session, FakeEdge]:
    edge = FakeEdge(said)
    configuration = {"yarn.properties-file.location": str(file.parent)}
    return Session(cast(YarnCluster, FakeCluster()), cast(YarnEdge, edge), configuration), edge


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"stop\n"], ["stop"]),
        ([b"help\nst", b"op\n"], ["help", "stop"]),
        ([b"stop"], ["stop"]),
        ([b"\xff \r\n"], ["\ufffd"]),
        ([b"x" * 5000 + b"\n"], ["x" * 4095]),
        ([], []),
    ],
)
def test_commands_are_lines(pieces: list[bytes], lines: list[str], terminal: int) -> None:
    reading = yarn_session.STANDARD_INPUT
    commands = Commands(reading)
    for piece in pieces:
        os.write(terminal, piece)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), terminal)  # the end of what is typed
    found = []
    while (line := commands.next(0.05)) is not None:
        found.append(line)
    assert found == lines


def test_without_a_command_it_waits_no_longer_than_it_should(terminal: int) -> None:
    assert Commands(yarn_session.STANDARD_INPUT).next(0.0) is None


def test_commands_are_explained(terminal: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(terminal, b"help\nhalt\nquit\n")
    attended, _ = session(file, RUNNING, RUNNING, RUNNING, ("FINISHED", "SUCCEEDED"))
    assert attended.attend() == 0
    assert capsys.readouterr().err == f"{COMMANDS}Unknown command 'halt'. Showing help:\n{COMMANDS}"


def test_a_session_that_somebody_else_stops(terminal: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attended, _ = session(file, RUNNING, ("FINISHED", "SUCCEEDED"))
    assert attended.attend() == 0
    said = capsys.readouterr()
    assert f"Deleted Yarn properties file at {file}" in said.out
    assert f"Application {ID} finished with state FINISHED and final state SUCCEEDED at 7" in said.out
    assert said.err == ""
    assert not file.exists()


def test_a_session_that_is_killed(terminal: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attended, edge = session(file, RUNNING, ("KILLED", "KILLED"))
    assert attended.attend() == 1
    assert edge.staging.forgotten == [ID]
    assert capsys.readouterr().err == "The Flink Yarn cluster has failed. killed by an operator\n"
    assert not file.exists()


def test_a_resource_manager_that_is_silent_for_a_while_ends_no_session(
    terminal: int, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = ExternalError("It does not answer.")
    attended, _ = session(file, RUNNING, silent, silent, RUNNING, silent, ("FINISHED", "SUCCEEDED"))
    assert attended.attend() == 0
    sentence = "The Flink Yarn cluster is in an unknown state: It does not answer. Asking again.\n"
    assert capsys.readouterr().err == sentence * 2


def test_a_session_whose_job_manager_does_not_answer_is_killed(
    terminal: int, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.write(terminal, b"stop\n")
    attended, edge = session(file, RUNNING)
    assert attended.attend() == 1
    assert edge.resource_manager.killed == edge.staging.forgotten == [ID]
    said = capsys.readouterr()
    assert said.err == "WARNING: The JobManager has gone.\n"
    assert "Killing YARN application" in said.out
    assert not file.exists()


def test_a_session_that_does_not_end_stays_noted(terminal: int, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeYarn, "kill", lambda *_: None)
    os.write(terminal, b"stop\n")
    attended, edge = session(file, RUNNING)
    with pytest.raises(ClusterError, match=f"does not end.* yarn application -status {ID}"):
        attended.attend()
    assert file.exists()
    assert edge.staging.forgotten == []
