"""A command line against a REST server that answers as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pyflow_yarn.cli.main import main
from tests.unit.client.fake_rest import FakeRest


class Ran(NamedTuple):
    """Exit code and streams of one command."""

    code: int
    out: str
    err: str


@pytest.fixture
def fake_rest() -> Iterator[FakeRest]:
    fake = FakeRest()
    yield fake
    fake.close()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ran]:
    """``cli("list", "-a")`` runs a command in this process, in an empty folder with an empty configuration."""
    configuration = tmp_path / "conf"
    configuration.mkdir()
    for name in ("VIRTUAL_ENV", "PYFLINK_CLIENT_EXECUTABLE", "FLINK_REST_CLIENT_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLINK_CONF_DIR", str(configuration))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run
