"""``flink logs``: what it shows and says, with YARN and its file system played on this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyflow_yarn.cli import logs
from tests.unit.cli.conftest import Ran
from tests.unit.yarn.fake_yarn import APPLICATION, MASTER, FakeYarn, container
from tests.unit.yarn.test_tfile import VECTORS

JOB = "0123456789abcdef0123456789abcdef"
OTHER = "application_1700000000000_0001"
LOG = "taskmanager.log"
RUNNING = {
    (MASTER, "jobmanager.log"): b"the JobManager\n",
    (container(2), "taskmanager.out"): b"no end of line",
    (container(2), LOG): b"begins\n",
    (container(3), LOG): b"begins\n",
}
Cli = Callable[..., Ran]
Use = Callable[[FakeYarn], Path]


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """The configuration leads to this YARN, of which we are user ann; the answer is where logs are aggregated."""

    def configure(yarn: FakeYarn) -> Path:
        folder = tmp_path / "hadoop"
        folder.mkdir(exist_ok=True)
        properties = {
            "yarn.resourcemanager.webapp.address": yarn.node,
            "yarn.nodemanager.remote-app-log-dir": f"file://{tmp_path}/logs",
            "fs.defaultFS": "hdfs://names:8020",
        }
        text = "".join(
            f"<property><name>{key}</name><value>{value}</value></property>" for key, value in properties.items()
        )
        (folder / "yarn-site.xml").write_text(f"<configuration>{text}</configuration>")
        monkeypatch.setenv("HADOOP_CONF_DIR", str(folder))
        monkeypatch.delenv("YARN_CONF_DIR", raising=False)
        monkeypatch.setenv("HADOOP_USER_NAME", "ann")
        monkeypatch.setattr(logs, "POLL_SECONDS", 0.01)
        return tmp_path / "logs" / "ann" / "bucket-logs-tfile" / "0042" / APPLICATION

    return configure


def aggregate(place: Path, vector: str = "tfile") -> None:
    place.mkdir(parents=True)
    shutil.copy(VECTORS / vector, place / "host_1")


def test_all_files_of_a_running_application(cli: Cli, use: Use) -> None:
    with FakeYarn(logs=dict(RUNNING)) as yarn:
        use(yarn)
        assert cli("logs", APPLICATION) == Ran(
            0,
            f"Container: {MASTER} on {yarn.node}\n"
            "LogType:jobmanager.log\nLogLength:15\nLogContents:\nthe JobManager\n\n"
            f"Container: {container(2)} on {yarn.node}\n"
            "LogType:taskmanager.log\nLogLength:7\nLogContents:\nbegins\n\n"
            "LogType:taskmanager.out\nLogLength:14\nLogContents:\nno end of line\n\n"
            f"Container: {container(3)} on {yarn.node}\n"
            "LogType:taskmanager.log\nLogLength:7\nLogContents:\nbegins\n\n",
            "",
        )


def test_a_session_is_the_application_if_none_is_named(cli: Cli, use: Use, tmp_path: Path) -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / f".yarn-properties-{name}").write_text(f"applicationID={APPLICATION}\n")
    with FakeYarn(logs=dict(RUNNING)) as yarn:
        use(yarn)
        ran = cli("logs", f"-Dyarn.properties-file.location={tmp_path}")
        assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("-Dyarn.application.id=" + APPLICATION,),
        ("-yid", APPLICATION),
        ("-Dflink.yarn.a=b", APPLICATION),
        (JOB,),
        (JOB.upper(),),
    ],
)
def test_other_names_of_the_application(cli: Cli, use: Use, words: tuple[str, ...]) -> None:
    with FakeYarn(logs=dict(RUNNING), jobs=["f" * 32, JOB]) as yarn:
        use(yarn)
        ran = cli("logs", *words)
        assert (ran.code, ran.err) == (0, "")
        assert "the JobManager" in ran.out
        assert any("applicationTypes=Apache+Flink" in path for path in yarn.asked) == (len(words[0]) == 32)


@pytest.mark.parametrize(
    ("name", "place"),
    [("1", 12), ("1-1", 13), ("taskmanager-1-2", 2), ("2", 2), ("taskmanager-2-1", 12), ("3", 0), ("2-2", 0)],
)
def test_a_task_manager_is_known_by_the_log_of_the_master(cli: Cli, use: Use, name: str, place: int) -> None:
    second = container(1, attempt=2)
    lines = (
        f"INFO taskmanager-1-1 is in {container(13)} on a\nINFO taskmanager-1-2 is in {container(2)} on b\n",
        f"INFO taskmanager-2-1 is in {container(12, attempt=2)} on a\n",
    )
    logs = {(one, "applicationmaster.log"): text.encode() for one, text in zip((MASTER, second), lines, strict=True)}
    workers = (container(2), container(13), container(12, attempt=2))
    with FakeYarn(
        logs=logs | {(one, LOG): b"x\n" for one in workers}, running=[*workers], masters=[MASTER, second]
    ) as yarn:
        use(yarn)
        ran = cli("logs", "--tm", name, APPLICATION)
        shown = [line.split()[1] for line in ran.out.splitlines() if line.startswith("Container: ")]
        assert [int(one[-6:]) for one in shown] == ([place] if place else [])
        if not place:
            assert ran == Ran(1, "", f"{APPLICATION} has no logs of a taskmanager-{name}.\n")


def test_a_task_manager_without_a_name_is_known_by_its_place(cli: Cli, use: Use) -> None:
    with FakeYarn(state="FINISHED", log_aggregation="SUCCEEDED") as yarn:
        aggregate(use(yarn))
        ran = cli("logs", APPLICATION, "-tm", "3")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"Container: {container(3)} on host:1\nLogType:taskmanager.log.1\n")
        assert cli("logs", APPLICATION, "-tm", "4") == Ran(1, "", f"{APPLICATION} has no logs of a taskmanager-4.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "Missing application id. Specify the id of an application, or of a job that runs on YARN."),
        ((APPLICATION, "more"), "Only one application at a time: name one id."),
        (("app",), '"app" is the id of no application and of no job: write '),
        ((APPLICATION, "--tm", "0"), '"0" is no TaskManager: write its number, 2, or its name, taskmanager-1-2.'),
        ((APPLICATION, "--tm", "x"), '"x" is no TaskManager: write '),
    ],
)
def test_wrong_arguments(cli: Cli, words: tuple[str, ...], sentence: str) -> None:
    ran = cli("logs", *words)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith(sentence)


def test_no_configuration(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_CLASSPATH", "")  # otherwise a usual place is tried
    ran = cli("logs", APPLICATION)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set")


@pytest.mark.parametrize(
    ("yarn", "key", "sentence"),
    [
        (FakeYarn(), OTHER, f"YARN knows no application {OTHER}, and ann left no logs of it: look at the id."),
        (FakeYarn(), JOB, f"No application of ann that runs on YARN has a job {JOB}: name the application by its id."),
        (
            FakeYarn(running=[], masters=[], state="ACCEPTED"),
            APPLICATION,
            f"{APPLICATION} has no logs yet: its state is ACCEPTED, add -f to wait for them.",
        ),
        (
            FakeYarn(state="FINISHED", log_aggregation="DISABLED"),
            APPLICATION,
            f"The logs of {APPLICATION} were left on its nodes: YARN does not aggregate logs"
            " (yarn.log-aggregation-enable is false), look below yarn.nodemanager.log-dirs there.",
        ),
        (
            FakeYarn(state="FINISHED", log_aggregation="RUNNING"),
            APPLICATION,
            f"YARN is still aggregating the logs of {APPLICATION}: try again in a moment.",
        ),
        (
            FakeYarn(state="FINISHED", log_aggregation="SUCCEEDED"),
            APPLICATION,
            f"{APPLICATION} has no aggregated logs of user ann: they are deleted after"
            " yarn.log-aggregation.retain-seconds, or are not where yarn.nodemanager.remote-app-log-dir says.",
        ),
        (
            FakeYarn(state="FINISHED", log_aggregation="TIME_OUT"),
            APPLICATION,
            f"YARN could not aggregate all logs of {APPLICATION}: what is missing may still be on its nodes.",
        ),
        (
            FakeYarn(state="FAILED", log_aggregation="NOT_START", running=[], masters=[]),
            APPLICATION,
            f"{APPLICATION} has no logs: it ended before a container of it was started.",
        ),
        (
            FakeYarn(refusal="User [ann] is not authorized"),
            APPLICATION,
            "The NodeManager at NODE refuses it (User [ann] is not authorized): ask the owner of the application for"
            " the right to view it (yarn.view.acls).",
        ),
    ],
    ids=[
        "unknown",
        "job",
        "not started",
        "disabled",
        "not finished",
        "deleted",
        "incomplete",
        "never started",
        "refused",
    ],
)
def test_what_cannot_be_shown_is_a_sentence(cli: Cli, use: Use, yarn: FakeYarn, key: str, sentence: str) -> None:
    with yarn:
        use(yarn)
        ran = cli("logs", key)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.strip() == sentence.replace("NODE", yarn.node)


def test_a_node_that_is_gone_is_told_after_what_is_there(cli: Cli, use: Use) -> None:
    with FakeYarn() as gone:
        silent = gone.node
    with FakeYarn(logs=dict(RUNNING), running=[container(3)], masters=[MASTER]) as yarn:
        yarn.nodes = [yarn.node, silent]
        use(yarn)
        ran = cli("logs", APPLICATION)
        assert ran.code == 1
        assert "the JobManager" in ran.out
        assert ran.err.startswith(f"The NodeManager at {silent} does not answer (")


def test_yarn_has_forgotten_the_application(cli: Cli, use: Use) -> None:
    with FakeYarn() as yarn:
        place = use(yarn)
        aggregate(place.parent.parent / "0001" / OTHER)
        ran = cli("logs", OTHER)
        assert (ran.code, ran.err) == (0, "")
        assert f"Container: {container(1)} on host:1\n" in ran.out


def test_what_is_followed_ends_with_what_was_aggregated(cli: Cli, use: Use) -> None:
    lines = [f"1 {LOG}{upload} {line}ü" for upload in range(2) for line in range(2)]
    with FakeYarn(logs={(MASTER, LOG): "\n".join(lines).encode()[:30]}) as yarn:
        place = use(yarn)

        def end() -> None:
            while not any("/logs/" in path for path in yarn.asked):
                threading.Event().wait(0.01)
            yarn.state = "FINISHED"
            aggregate(place, "ifile")
            yarn.log_aggregation = "SUCCEEDED"

        thread = threading.Thread(target=end)
        thread.start()
        ran = cli("logs", "-f", APPLICATION)
        thread.join()
    assert (ran.code, ran.err) == (0, "")
    prefix = f"01_000001 {LOG}: "
    assert [line for line in ran.out.splitlines() if line.startswith(prefix)] == [prefix + line for line in lines]
    assert "01_000002 taskmanager.out: 2 taskmanager.out1 1ü" in ran.out


def test_a_resource_manager_that_does_not_return_ends_the_following(
    cli: Cli, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PATIENCE_SECONDS", 0.05)
    yarn = FakeYarn(logs={(MASTER, LOG): b"x\n"})
    with yarn:
        use(yarn)
        answer = yarn.answer

        def answers_no_more(url: object) -> tuple[int, bytes]:
            return (500, b"") if len(yarn.asked) > 10 else answer(url)  # type: ignore[arg-type]

        monkeypatch.setattr(yarn, "answer", answers_no_more)
        ran = cli("logs", "-f", APPLICATION)
    assert ran.code == 1
    assert ran.err.startswith("YARN's ResourceManager does not answer (")
