"""The texts, streams and exit codes that scripts rely on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyflow_yarn.cli.options import ACTIONS
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.version import VERSION
from tests.unit.cli.conftest import Ran
from tests.unit.client.fake_rest import JOB, Answer, FakeRest

Cli = Callable[..., Ran]
HINT = "\n\nUse the help option (-h or --help) to get help on the command.\n"
BLOCK = f"\n{'-' * 60}\n The program finished with the following exception:\n\n"
INVALID = (
    '"{}" is not a valid action.\n\nValid actions are "run", "list", "info", "savepoint", "stop", or "cancel".\n\n'
    "Specify the version option (-v or --version) to print Flink version.\n\n"
    "Specify the help option (-h or --help) to get help on the command.\n"
)
NO_JAR = "Could not get job jar and dependencies from JAR file: JAR file does not exist: "
EXAMPLE_ID = "0" * 31 + "1"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("word", ["-v", "--version"])
def test_version_is_one_line(cli: Cli, word: str) -> None:
    ran = cli(word)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Version: {VERSION}")
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize("action", ["foo", "RUN", "--run", ""])
def test_an_unknown_action_lists_the_valid_ones(cli: Cli, action: str) -> None:
    assert cli(action) == Ran(1, INVALID.format(action), "")


def test_without_an_action_the_whole_help_comes_first(cli: Cli) -> None:
    ran = cli()
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("./flink <ACTION> [OPTIONS] [ARGUMENTS]\n\nThe following actions are available:\n")
    assert ran.out.endswith("\nPlease specify an action.\n")
    assert ran.out.removesuffix("Please specify an action.\n") == cli("--help").out


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_each_action_has_help_of_80_columns(cli: Cli, action: str, word: str) -> None:
    ran = cli(action, word)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f'\nAction "{action}" ')
    assert f'\n  "{action}" action options:\n' in ran.out
    for flavour in ("Generic CLI", "yarn-cluster", "default"):
        assert f"\n  Options for {flavour} mode:\n" in ran.out
    assert max(len(line) for line in ran.out.splitlines() if line.startswith("  ")) <= 80


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "--nonsense"], NO_JAR + "--nonsense"),
        (["run", "missing.jar"], NO_JAR + "missing.jar"),
        (["run", "-p", "abc", "a.py"], "The parallelism must be a positive number: abc"),
        (["run", "-p", "0", "a.py"], "The parallelism must be a positive number: 0"),
        (["run", "-p", "-1", "a.py"], "The parallelism must be a positive number: -1"),
        (["run", "-p"], "Missing argument for option: p"),
        (["run", "-pym", "m"], "Option -pym must be used in conjunction with `--pyFiles`."),
        (["run", "-pym", "m", "-py", "a.py"], "Cannot use options -py and -pym simultaneously."),
        (["run", "-m", "nowhere", "a.py"], "The given JobManager address 'nowhere' is not of the form host:port."),
        (["run", "-cm", "mine", "a.py"], "'mine' is not a valid value of -cm: allowed are claim, no_claim, legacy."),
        (["stop", "-type", "fast", "xyz"], "'fast' is not a valid value of -type: allowed are canonical, native."),
        (["list", "--x"], "Unrecognized option: --x"),
        (["cancel"], "Missing JobID. Specify a JobID to cancel a job."),
        (["stop"], "Missing JobId"),
        (["savepoint"], "Missing JobID. Specify a Job ID to trigger a savepoint."),
        (["cancel", "xyz"],
         'Cannot parse JobID from "xyz". The expected format is [0-9a-fA-F]{32},'
         " e.g. fd72014d4c864993a2e5a9287b4a9c5d."),
        (["cancel", "application_1"], None),
        (["run", "-s", "hdfs:///x", "a.py"],
         "Starting from a savepoint (-s) is not supported yet: this version has no savepoints. Leave -s out."),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_line_on_stdout_with_a_hint(cli: Cli, words: list[str], sentence: str | None) -> None:
    ran = cli(*words)
    assert (ran.code, ran.err) == (1, "")
    if sentence is not None:
        assert ran.out == sentence + HINT


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stop", EXAMPLE_ID], "Stopping with a savepoint is not supported yet"),
        (["savepoint", EXAMPLE_ID], "The action savepoint is not supported yet"),
        (["savepoint", "-d", "path"], "The action savepoint is not supported yet"),
        (["checkpoint", EXAMPLE_ID], "The action checkpoint is not supported yet"),
        (
            ["list", "-t", "yarn-session"],
            "No cluster id was specified. Please specify a cluster to which you would like",
        ),
        (["list", "-yid", "application_1_1"], "Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set"),
        (["list", "-t", "foo"], '"foo" is not a valid target. Valid are "local", "remote", "yarn-session"'),
        (["list", "-t", "local"], 'The target "local" has no cluster to connect to'),
        (["list", "-Drest.port=x"], "'x' is not a valid value of rest.port"),
    ],
)
def test_cluster_actions_that_fail_say_so_in_a_block_on_stderr(
    cli: Cli, words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_CLASSPATH", "")
    ran = cli(*words)
    assert ran.code == 1
    assert ran.err.startswith(BLOCK + sentence)
    assert ran.err.count("\n") == 5


def test_cancelling_with_a_savepoint_is_deprecated_and_not_there(cli: Cli) -> None:
    ran = cli("cancel", "-s", "dir", EXAMPLE_ID)
    assert ran.code == 1
    assert ran.out == (
        'DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.\n'
        f"Cancelling job {EXAMPLE_ID} with CANONICAL savepoint to dir.\n"
    )
    assert ran.err.startswith(BLOCK + "Cancelling with a savepoint is not supported yet")


def row(start: int, job_id: str, name: str, state: str) -> dict[str, object]:
    return {"jid": job_id, "name": name, "state": state, "start-time": start}


def local(milliseconds: int) -> str:
    return time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(milliseconds / 1000))


def test_list_of_an_idle_cluster(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, {"jobs": []})
    expected = "Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n"
    assert cli("list", "-m", fake_rest.address) == Ran(0, expected, "")
    assert cli("list", "-a", "-m", fake_rest.address) == Ran(0, expected, "")
    assert cli("list", "-r", "-m", fake_rest.address).out == "Waiting for response...\nNo running jobs.\n"
    assert cli("list", "-s", "-m", fake_rest.address).out == "Waiting for response...\nNo scheduled jobs.\n"


def test_list_shows_blocks_in_order_of_start(cli: Cli, fake_rest: FakeRest) -> None:
    ids = [digit * 32 for digit in "12345"]
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(
        200,
        {
            "jobs": [
                row(3000, ids[0], "late", "RUNNING"),
                row(1000, ids[1], "a (odd) : name", "RESTARTING"),
                row(2000, ids[2], "new", "INITIALIZING"),
                row(500, ids[3], "old", "FINISHED"),
                row(400, ids[4], "older", "FAILED"),
            ]
        },
    )
    running = (
        "Waiting for response...\n"
        "------------------ Running/Restarting Jobs -------------------\n"
        f"{local(1000)} : {ids[1]} : a (odd) : name (RESTARTING)\n"
        f"{local(3000)} : {ids[0]} : late (RUNNING)\n"
        f"{'-' * 62}\n"
    )
    scheduled = (
        "----------------------- Scheduled Jobs -----------------------\n"
        f"{local(2000)} : {ids[2]} : new (INITIALIZING)\n"
        f"{'-' * 62}\n"
    )
    terminated = (
        "---------------------- Terminated Jobs -----------------------\n"
        f"{local(400)} : {ids[4]} : older (FAILED)\n"
        f"{local(500)} : {ids[3]} : old (FINISHED)\n"
        f"{'-' * 62}\n"
    )
    assert cli("list", "-m", fake_rest.address) == Ran(0, running + scheduled, "")
    assert cli("list", "-a", "-m", fake_rest.address) == Ran(0, running + scheduled + terminated, "")


def test_an_unreachable_cluster_is_given_up_within_seconds(cli: Cli) -> None:
    begin = time.monotonic()
    ran = cli("list", "-m", f"127.0.0.1:{closed_port()}")
    assert time.monotonic() - begin < 5
    assert ran.code == 1
    assert ran.out == "Waiting for response...\n"
    assert ran.err.startswith(BLOCK + "The cluster at 127.0.0.1:")
    assert "cannot be reached: connection refused" in ran.err


def test_address_from_the_configuration_file(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    (tmp_path / "conf" / "config.yaml").write_text(f"rest:\n  address: 127.0.0.1\n  port: {fake_rest.port}\n")
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, {"jobs": []})
    assert cli("list").code == 0


def test_unknown_keys_are_warned_about_with_the_nearest_one(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, {"jobs": []})
    ran = cli("list", "-m", fake_rest.address, "-Dparalelism.default=4")
    assert ran.code == 0
    assert ran.err.startswith("WARNING: Unknown configuration key 'paralelism.default'")
    assert "did you mean 'parallelism.default'" in ran.err


def test_what_answers_may_be_something_else(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, b"<html>")
    ran = cli("list", "-m", fake_rest.address)
    assert ran.code == 1
    assert "what answers is no REST server of a cluster" in ran.err


def test_cancel(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(202, {})
    ran = cli("cancel", "-m", fake_rest.address, JOB.upper())
    assert ran == Ran(0, f"Cancelling job {JOB}.\nCancelled job {JOB}.\n", "")
    assert fake_rest.requests[-1].path == f"/v1/jobs/{JOB}?mode=cancel"


def test_cancel_of_an_unknown_job(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(404, {"errors": ["Job could not be found."]})
    ran = cli("cancel", "-m", fake_rest.address, JOB)
    assert ran == Ran(1, f"Cancelling job {JOB}.\n", f"{BLOCK}Could not cancel job {JOB}. Job could not be found.\n")


@pytest.mark.parametrize(("state", "code"), [("CANCELED", 0), ("FINISHED", 1)])
def test_cancel_of_a_job_that_has_ended(cli: Cli, fake_rest: FakeRest, state: str, code: int) -> None:
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(409, {"errors": ["It has ended."]})
    fake_rest.routes[f"GET /v1/jobs/{JOB}/status"] = Answer(200, {"status": state})
    ran = cli("cancel", "-m", fake_rest.address, JOB)
    assert ran.code == code
    assert (f"Cancelled job {JOB}." in ran.out) == (code == 0)


def test_the_token_goes_with_every_request(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(200, {"jobs": []})
    token = tmp_path / "token"
    token.write_text("secret\n")
    assert cli("list", "-m", fake_rest.address, f"-Dsecurity.rest.token-file={token}").code == 0
    assert fake_rest.requests[-1].headers["Authorization"] == "Bearer secret"
    ran = cli("list", "-m", fake_rest.address, "-Dsecurity.rest.token-file=nowhere")
    assert ran.code == 1
    assert "'nowhere' (security.rest.token-file) cannot be read" in ran.err


def test_a_wrong_token_is_explained(cli: Cli, fake_rest: FakeRest) -> None:
    fake_rest.routes["GET /v1/jobs/overview"] = Answer(401, {"errors": ["no"]})
    ran = cli("list", "-m", fake_rest.address)
    assert ran.code == 1
    assert "wants its token" in ran.err


def test_faults_of_our_own_are_admitted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("pyflow_yarn.cli.main.version_line", fail)
    ran = cli("-v")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(BLOCK + "This is a fault of pyflow-yarn itself; please report it.\nTraceback")
    assert ran.err.rstrip().endswith("RuntimeError: unforeseen")


def test_closed_streams_do_no_harm() -> None:
    command = [sys.executable, "-c", "import sys; from pyflow_yarn.cli.main import main; sys.exit(main())", "-v"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(source_roots())}
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], env=environment, check=False)
    assert done.returncode == 0
