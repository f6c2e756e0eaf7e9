"""Which cluster is meant when none is named."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyflow_yarn.deployment.remote import RemoteCluster
from pyflow_yarn.deployment.state import state_directory
from pyflow_yarn.errors import ConfigurationError
from tests.unit.cli.conftest import Ran
from tests.unit.client.fake_rest import Answer, FakeRest

Cli = Callable[..., Ran]


@pytest.fixture
def registration(cli: Cli, fake_rest: FakeRest) -> Iterator[Path]:
    """A JobManager that lives and has registered; its directory."""
    directory = Path(state_directory(os.environ), "jm")
    directory.mkdir(parents=True, mode=0o700)
    for name, content in (
        ("endpoint.json", json.dumps({"epoch": 1, "rest_address": fake_rest.address})),
        ("token", "hidden\n"),
    ):
        (directory / name).write_text(content)
        (directory / name).chmod(0o600)
    with open(directory.parent / "jm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


def test_the_registered_cluster_is_used_and_named(cli: Cli, registration: Path, fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, {"jobs": []})
    done = cli("list")
    assert (done.code, done.err) == (
        0,
        f"Using the standalone cluster at {fake_rest.address} (another one: -t or -m).\n",
    )
    assert "No running jobs." in done.out


@pytest.mark.parametrize(
    "words", [("-t", "remote"), ("-m", "localhost:1"), ("-Drest.port=1",), ("-Drest.address=far.invalid",)]
)
def test_options_win(cli: Cli, registration: Path, words: tuple[str, ...]) -> None:
    done = cli("list", "-Drest.retry.max-attempts=0", *words)
    assert "Using the standalone cluster" not in done.err
    assert done.code == 1


def test_the_configuration_wins(cli: Cli, registration: Path) -> None:
    Path(os.environ["FLINK_CONF_DIR"], "config.yaml").write_text("rest.address: far.invalid\n")
    done = cli("list", "-Drest.retry.max-attempts=0")
    assert "far.invalid" in done.err
    assert "Using the standalone cluster" not in done.err


def test_its_token_is_known_by_its_port(registration: Path, fake_rest: FakeRest) -> None:
    port = fake_rest.address.rpartition(":")[2]
    assert RemoteCluster({"rest.port": port}).endpoint().token == "hidden"


def test_a_dead_cluster_is_said_to_be(cli: Cli, registration: Path) -> None:
    (registration.parent / "jm.lock").unlink()
    done = cli("list", "-Drest.retry.max-attempts=0")
    assert "has ended without being stopped" in done.err


def test_a_registration_that_others_could_have_written_is_none(cli: Cli, registration: Path) -> None:
    (registration / "endpoint.json").chmod(0o666)
    done = cli("list", "-Drest.retry.max-attempts=0")
    assert "standalone cluster" not in done.err


def test_where_the_state_is() -> None:
    host = os.uname().nodename.partition(".")[0][:24]
    assert state_directory({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == f"/s/pyflow-yarn/{host}"
    assert state_directory({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == f"/h/.local/state/pyflow-yarn/{host}"
    with pytest.raises(ConfigurationError, match="set XDG_STATE_HOME"):
        state_directory({})
