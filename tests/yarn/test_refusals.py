"""Applications that cannot run: one sentence and exit code 1 within seconds, and nothing is left on HDFS."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Completed, Flink
from tests.hadoop.cluster import Hadoop

HEAD = f"\n{'-' * 60}\n The program finished with the following exception:\n\n"
Run = Callable[..., Completed]


@pytest.fixture
def run(flink: Flink, hadoop: Hadoop, tmp_path: Path) -> Run:
    """``bin/flink run -t yarn-application`` of a program that is never reached."""
    program = tmp_path / "never.py"
    program.write_text("raise AssertionError('it runs')\n")

    def started(*options: str, env: dict[str, str] | None = None) -> Completed:
        return flink("run", "-t", "yarn-application", *options, program, env={**hadoop.exports, **(env or {})})

    return started


def paths(hadoop: Hadoop, folder: str) -> Iterator[str]:
    """All there is below a folder of HDFS."""
    try:
        names = hadoop.names(folder)
    except FileNotFoundError:
        return
    for name in filter(None, names):
        yield f"{folder}/{name}"
        yield from paths(hadoop, f"{folder}/{name}")


@pytest.fixture
def nothing_happens(hadoop: Hadoop) -> Iterator[None]:
    """No application is submitted, nothing is written below the user's staging folder."""

    def seen() -> tuple[list[str], list[str]]:
        return [one["id"] for one in hadoop.applications()], list(paths(hadoop, f"/user/{getpass.getuser()}/.flink"))

    before = seen()
    yield
    assert seen() == before


def sentence(done: Completed) -> str:
    """The only sentence on the standard error of a client that was refused."""
    assert done.returncode == 1, done
    assert done.stderr.startswith(HEAD), done
    text = done.stderr.removeprefix(HEAD)
    assert text.endswith("\n") and text.count("\n") == 1, done
    assert "application_" not in done.stdout, done
    return text.strip()


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (["-Dyarn.application.queue=nosuch"], r"'nosuch' does not exist\. Available queues: default, etl; choose"),
        (
            ["-Djobmanager.memory.process.size=5000m"],
            r"for the JobManager available! Maximum Memory: 4096MB Requested: 5000MB\.",
        ),
        (["-Dtaskmanager.memory.process.size=5g"], r"for the TaskManagers available! .* Requested: 5120MB\."),
        (["-Dtaskmanager.numberOfTaskSlots=9"], r"virtual cores per node 9 exceeds the maximum .* 8 available"),
        (["-Dyarn.application.node-label=gpu"], r"No running node has the label 'gpu'"),
        (["-Dyarn.staging-directory=s3://bucket/x"], r"s3"),
    ],
)
def test_what_yarn_cannot_run(options: list[str], pattern: str, run: Run) -> None:
    assert re.search(pattern, sentence(run(*options)))


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    ("option", "pattern"),
    [
        ("flink.yarn.resourcemanager.webapp.address", r"YARN's ResourceManager does not answer \(.* refused\): is it"),
        ("flink.hadoop.fs.defaultFS", "cannot be staged in hdfs://127.0.0.1:1/.*: "),
    ],
)
def test_what_does_not_answer(option: str, pattern: str, run: Run) -> None:
    address = "hdfs://127.0.0.1:1" if option.endswith("FS") else "127.0.0.1:1"
    assert re.search(pattern, sentence(run(f"-D{option}={address}")))


@pytest.mark.usefixtures("nothing_happens")
def test_no_hadoop_configuration(run: Run) -> None:
    # The class path says that Hadoop is configured somewhere: no usual place is looked at.
    nowhere = {"HADOOP_CONF_DIR": "", "YARN_CONF_DIR": "", "HADOOP_HOME": "", "HADOOP_CLASSPATH": "x"}
    assert sentence(run(env=nowhere)) == (
        "Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set: set HADOOP_CONF_DIR to the folder that has the cluster's"
        " yarn-site.xml."
    )


@pytest.mark.usefixtures("nothing_happens")
def test_hdfs_that_is_read_only(run: Run, hadoop: Hadoop) -> None:
    hadoop.run("hdfs", "dfsadmin", "-safemode", "enter")
    try:
        refused = sentence(run())
    finally:
        hadoop.run("hdfs", "dfsadmin", "-safemode", "leave")
    assert "the NameNode is in safe mode, HDFS is read-only" in refused


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    ("quota", "amount"),
    [("-setSpaceQuota", 3), ("-setQuota", 3), ("-setQuota", 9)],
    ids=["no byte", "no file", "half an application"],
)
def test_hdfs_that_is_full(quota: str, amount: int, run: Run, hadoop: Hadoop, hdfs_folder: str) -> None:
    hadoop.run("hdfs", "dfsadmin", quota, str(amount), hdfs_folder)
    # With an interpreter of the nodes: an environment would be some seconds of sending more.
    options = (f"-Dyarn.staging-directory={hdfs_folder}", f"-Dpython.executable={sys.executable}")
    assert re.search("[qQ]uota", sentence(run(*options)))
    # What was staged as a whole stays in the cache, for the next one.
    left = [path.removeprefix(hdfs_folder) for path in paths(hadoop, hdfs_folder)]
    assert [
        path
        for path in left
        if not re.fullmatch(r"/\.flink(/cache(/[\w-]+(/(program\.zip|pyflow\.tar\.gz|skein\.jar))?)?)?", path)
    ] == []
