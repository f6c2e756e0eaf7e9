"""The progress line: what it says, and where it is not wanted."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import pytest

from pyflow_yarn.client import progress
from pyflow_yarn.client.rest import RestClient
from tests.unit.client.fake_rest import JOB, Answer, FakeRest

DETAIL = {
    "state": "RUNNING",
    "vertices": [
        {"parallelism": 2, "tasks": {"RUNNING": 1, "FINISHED": 1}, "metrics": {"write-records": 12345}},
        {"parallelism": 1, "tasks": {"RUNNING": 1}, "metrics": {"write-records": 0}},
    ],
}


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    screen = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=screen, stdout=io.StringIO()))
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((30, 24)))
    for name in ("PYFLOW_NO_PROGRESS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    return screen


def test_what_it_says() -> None:
    assert progress.describe_progress(DETAIL) == "RUNNING, 2 of 3 tasks running, 1 finished, 12,345 records"
    assert progress.describe_progress({}) == "?, 0 of 0 tasks running, 0 finished"


def test_the_line_fits_the_terminal_and_goes_away(
    fake_rest: FakeRest, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_rest.routes[f"GET /v1/jobs/{JOB}"] = Answer(200, DETAIL)
    rest = RestClient(fake_rest.endpoint(), {})
    line = progress.progress_line(rest, JOB, "name", prints=False)
    assert line is not None
    assert 0 < line.refresh() <= progress.FIRST_AFTER
    line.erase()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(progress, "FIRST_AFTER", 0.0)
    assert line.refresh() == progress.PERIOD
    assert terminal.getvalue() == "\r\x1b[Kname: RUNNING, 2 of 3 tasks r\r"
    line.erase()
    line.erase()
    assert terminal.getvalue().endswith("r\r\r\x1b[K")
    rest.close()


def test_a_cluster_that_does_not_answer_shows_nothing(
    fake_rest: FakeRest, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = RestClient(fake_rest.endpoint(), {})
    line = progress.progress_line(rest, JOB, "name", prints=False)
    assert line is not None
    monkeypatch.setattr(progress, "FIRST_AFTER", 0.0)
    assert line.refresh() == progress.PERIOD
    assert terminal.getvalue() == ""
    rest.close()


def test_where_it_is_not_wanted(fake_rest: FakeRest, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = RestClient(fake_rest.endpoint(), {})
    streams = vars(progress)["sys"]

    def wanted(prints: bool = False) -> bool:
        return progress.progress_line(rest, JOB, "name", prints) is not None

    assert wanted()
    assert wanted(prints=True), "standard output is a file"
    monkeypatch.setattr(streams, "stdout", Terminal())
    assert not wanted(prints=True)
    assert wanted()
    monkeypatch.setenv("TERM", "dumb")
    assert not wanted()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PYFLOW_NO_PROGRESS", "1")
    assert not wanted()
    monkeypatch.delenv("PYFLOW_NO_PROGRESS")
    monkeypatch.setattr(streams, "stderr", io.StringIO())
    assert not wanted()
