"""The options of ``yarn-session.sh``: names and keys are Flink's; what is wrong is one sentence on stdout."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.cli.parser import parse
from pyflow_yarn.cli.yarn_session import OPTIONS, run, session_configuration

HINT = "\n\nUse the help option (-h or --help) to get help on the command.\n"


def configured(*words: str) -> dict[str, str]:
    return session_configuration(parse(OPTIONS, words, False))


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (("-at", "Mine"), "yarn.application.type", "Mine"),
        (("--applicationType", "Mine"), "yarn.application.type", "Mine"),
        (("-id", "application_1_0001"), "yarn.application.id", "application_1_0001"),
        (("--applicationId=application_1_0001",), "yarn.application.id", "application_1_0001"),
        (("-j", "x.jar"), "yarn.flink-dist-jar", "x.jar"),
        (("-jm", "1024"), "jobmanager.memory.process.size", "1024m"),
        (("--jobManagerMemory", "2g"), "jobmanager.memory.process.size", "2g"),
        (("-tm", "1728"), "taskmanager.memory.process.size", "1728m"),
        (("--taskManagerMemory", "1728m"), "taskmanager.memory.process.size", "1728m"),
        (("-nl", "gpu"), "yarn.application.node-label", "gpu"),
        (("-nm", "a name"), "yarn.application.name", "a name"),
        (("-qu", "etl"), "yarn.application.queue", "etl"),
        (("-s", "4"), "taskmanager.numberOfTaskSlots", "4"),
        (("-z", "mine"), "high-availability.cluster-id", "mine"),
        (("-Dparallelism.default=4",), "parallelism.default", "4"),
        (("-D", "yarn.tags=a,b"), "yarn.tags", "a,b"),
        (("-qu", "etl", "-Dyarn.application.queue=other"), "yarn.application.queue", "other"),
        (("-d",), "execution.attached", "false"),
        (("--detached",), "execution.attached", "false"),
        ((), "execution.attached", "true"),
        ((), "execution.target", "yarn-session"),
    ],
)
def test_options_are_keys(words: tuple[str, ...], key: str, value: str) -> None:
    assert configured(*words)[key] == value


def test_what_is_shipped_exists(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    words = ("-t", str(file), "--ship", "hdfs://there/files")
    assert configured(*words)["yarn.ship-files"] == f"{file};hdfs://there/files"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-x"], "Unrecognized option: -x"),
        (["-nm"], "Missing argument for option: nm"),
        (["start"], "Unexpected argument 'start'!"),
        (["-t", "/no/such"], "The file or directory '/no/such' given with -t (--ship) does not exist."),
    ],
)
def test_what_is_wrong_is_said(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 1
    assert capsys.readouterr() == (f"{sentence}{HINT}", "")


def test_without_hadoop_it_says_what_to_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_CLASSPATH", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert run(["-q"]) == 1
    assert "Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set" in capsys.readouterr().err


def test_help_lists_flinks_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-h"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Usage:", "   Optional"]
    names = [line.split()[0].partition(",")[0] for line in lines[2:] if line.startswith("     -")]
    assert names == ["-at", "-D", "-d", "-h", "-id", "-jm", "-nl", "-nm", "-q", "-qu", "-s", "-t", "-tm", "-z"]
