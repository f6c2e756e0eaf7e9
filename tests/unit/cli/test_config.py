"""``flink config``: what it shows, where values come from, and what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.cli.config import Entry, _texts
from pyflow_yarn.configuration.config_option import is_secret
from pyflow_yarn.configuration.loading import read_yaml
from pyflow_yarn.configuration.options import OPTIONS
from tests.unit.cli.conftest import Ran

Cli = Callable[..., Ran]

FILE = """\
rest:
  port: 8082
parallelism.default: 2
akka.ask.timeout: 5 s
my.password: open sesame
pipeline.global-job-parameters.color: "red # not blue"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, not yet written; its folder is found by a relative name."""
    monkeypatch.setenv("FLINK_CONF_DIR", "conf")
    monkeypatch.delenv("PYFLOW__taskmanager__numberOfTaskSlots", raising=False)
    return tmp_path / "conf" / "config.yaml"


def test_nothing_is_set(cli: Cli, file: Path) -> None:
    assert cli("config") == Ran(0, "", "")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], [
            "my.password: ******",
            "parallelism.default: 2",
            "pekko.ask.timeout: 5 s",
            'pipeline.global-job-parameters.color: "red # not blue"',
            "rest.port: 8082",
            "taskmanager.numberOfTaskSlots: 4",
        ]),
        (["--show-origin", "-Dparallelism.default=3"], [
            "my.password: ******                                     # conf/config.yaml:5",
            "parallelism.default: 3                                  # the command line",
            "pekko.ask.timeout: 5 s                                  # conf/config.yaml:4, as akka.ask.timeout",
            'pipeline.global-job-parameters.color: "red # not blue"  # conf/config.yaml:6',
            "rest.port: 8082                                         # conf/config.yaml:2",
            "taskmanager.numberOfTaskSlots: 4                        "
            "# environment variable PYFLOW__taskmanager__numberOfTaskSlots",
        ]),
        (["rest.port"], ["rest.port: 8082"]),
        (["rest.port", "parallelism.default", "rest.port"], ["rest.port: 8082", "parallelism.default: 2"]),
        (["akka.ask.timeout"], ["pekko.ask.timeout: 5 s"]),
        (["-o", "rest.port", "heartbeat.interval"], [
            "rest.port: 8082           # conf/config.yaml:2",
            "heartbeat.interval: 10 s  # default",
        ]),
        (["rest.port", "-Drest.port=1", "-o"], ["rest.port: 1  # the command line"]),
        (["pipeline.global-job-parameters"], ['pipeline.global-job-parameters.color: "red # not blue"']),
        (["my.password"], ["my.password: ******"]),
        (["rest.address", "-m", "here:1"], ["rest.address: here"]),
        (["execution.target", "-t", "local"], ["execution.target: local"]),
        (["-o", "env.log.dir"], ["env.log.dir:  # not set"]),
        (["-o", "execution.checkpointing.dir"], ["execution.checkpointing.dir:  # not set"]),
    ],
)  # fmt: skip
def test_what_is_shown(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], lines: list[str]
) -> None:
    file.write_text(FILE)
    monkeypatch.setenv("PYFLOW__taskmanager__numberOfTaskSlots", "4")
    ran = cli("config", *words)
    assert (ran.code, ran.out.splitlines()) == (0, lines)
    assert ran.err == "WARNING: Unknown configuration key 'my.password' (from conf/config.yaml).\n"


@pytest.mark.parametrize(
    ("words", "err"),
    [
        (["rest.prt"], "Unknown configuration key 'rest.prt': did you mean 'rest.port'?\n"),
        (["rest.port", "nonsense"], "Unknown configuration key 'nonsense'. All keys: flink config --all\n"),
        (["-Drest.port=x"],
         "'x' is not a valid value of rest.port (from the command line): allowed is a whole number from 0 to 65535.\n"),
        (["parallelism.defaults", "rest.prt"],
         "Unknown configuration key 'parallelism.defaults': did you mean 'parallelism.default'?\n"
         "Unknown configuration key 'rest.prt': did you mean 'rest.port'?\n"),
    ],
)  # fmt: skip
def test_what_is_refused(cli: Cli, file: Path, words: list[str], err: str) -> None:
    assert cli("config", *words) == Ran(1, "", err)


def test_a_file_that_cannot_be_read_is_named(cli: Cli, file: Path) -> None:
    file.write_text("a: 1\na: 2\n")
    ran = cli("config")
    assert ran == Ran(1, "", "conf/config.yaml, line 2 is not valid YAML: the key 'a' is there twice.\n")


def test_a_key_that_a_command_line_sets_is_known(cli: Cli, file: Path) -> None:
    ran = cli("config", "my.key", "-Dmy.key=1")
    assert (ran.code, ran.out) == (0, "my.key: 1\n")


def test_an_old_name_beside_the_present_one_says_nothing(cli: Cli, file: Path) -> None:
    file.write_text("akka.ask.timeout: 1 s\npekko.ask.timeout: 2 s\n")
    assert cli("config", "-o") == Ran(0, "pekko.ask.timeout: 2 s  # conf/config.yaml:2\n", "")


def test_the_flat_file_of_1_x(cli: Cli, file: Path) -> None:
    file.with_name("flink-conf.yaml").write_text("# head\nrest.port: 1\nrest.port: 2\n")
    assert cli("config", "-o") == Ran(0, "rest.port: 2  # conf/flink-conf.yaml:3\n", "")


def test_all_shows_every_key_once(cli: Cli, file: Path) -> None:
    file.write_text("pipeline.global-job-parameters.color: red\nrest.port: 1\n")
    ran = cli("config", "--all", "--show-origin")
    assert (ran.code, ran.err) == (0, "")
    keys = [line.partition(":")[0] for line in ran.out.splitlines()]
    assert keys == sorted({key for key in OPTIONS if not key.startswith("$")} - {"pipeline.global-job-parameters"}
                          | {"pipeline.global-job-parameters.color"})  # fmt: skip
    assert "rest.port: 1 " in ran.out
    assert "parallelism.default: 1 " in ran.out


def test_all_is_what_a_configuration_file_may_say(cli: Cli, file: Path) -> None:
    shown = cli("config", "--all").out
    file.write_text(shown)
    assert cli("config", "--all").out == shown


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda key: not is_secret(key))
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.sampled_from(["my.key", "rest.address"]) | KEYS.map("x.{}".format), VALUES, st.booleans())
def test_the_output_is_yaml(tmp_path_factory: pytest.TempPathFactory, key: str, value: str, shows_origin: bool) -> None:
    (text,) = _texts([Entry(key, value, value)], shows_origin)
    assert "\n" not in text
    file = tmp_path_factory.getbasetemp() / "config_output.yaml"
    file.write_text(f"{text}\n", encoding="utf-8")
    assert read_yaml(file) == {key: value}
