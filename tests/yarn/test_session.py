"""``bin/yarn-session.sh`` on a real YARN: sessions that take several jobs, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.deployment.yarn.interruption import PATIENCE
from tests.conftest import CHECKOUT, Completed, Flink, WordFile
from tests.hadoop.cluster import ENDED, Hadoop, wait_until

COUNT = CHECKOUT / "examples" / "word_count.py"
SCRIPT = CHECKOUT / "bin" / "yarn-session.sh"
ENDLESS = """\
import time
from pyflow_yarn.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1]).map(lambda n: time.sleep(3600)).print()
env.execute("endless")
"""


class Sessions:
    """Runs ``yarn-session.sh``, and ``flink``, as on an edge node."""

    def __init__(self, flink: Flink, hadoop: Hadoop) -> None:
        self.flink = flink
        self.hadoop = hadoop

    @contextmanager
    def _command(self, *command: str | Path) -> Iterator[Flink]:
        before = self.flink.command
        self.flink.command = command
        try:
            yield self.flink
        finally:
            self.flink.command = before

    def run(self, *options: str) -> Completed:
        """To its end, without anything on standard input."""
        with self._command(SCRIPT) as flink:
            return flink(*options, env=self.hadoop.exports, timeout=180)

    def start(self) -> subprocess.Popen[str]:
        """Without options, and with somebody at standard input."""
        with self._command(SCRIPT) as flink:
            return flink.start(env=self.hadoop.exports, stdin=subprocess.PIPE)

    def shell(self, line: str) -> Completed:
        """A line that somebody types in the folder of the installation."""
        with self._command("sh", "-c") as flink:
            return flink(line, env=self.hadoop.exports, cwd=CHECKOUT, timeout=180)

    def python(self, *words: str | Path) -> Completed:
        """A program that is started by itself."""
        with self._command(sys.executable) as flink:
            found = {"PYTHONPATH": os.pathsep.join(source_roots())}
            return flink(*words, env={**self.hadoop.exports, **found}, timeout=180)

    def job(self, *words: str | Path) -> Completed:
        """``flink run``."""
        return self.flink("run", *words, env=self.hadoop.exports, timeout=180)

    @contextmanager
    def attached(self) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """A client whose session is up, and the session's id."""
        client = self.start()
        assert client.stdout is not None
        said = ""
        while "JobManager Web Interface" not in said.rpartition("\n")[0]:
            line = client.stdout.readline()
            assert line, client.communicate()
            said += line
        wait_until("the session is noted", self.is_noted, 60)
        yield client, self.noted()

    def noted(self) -> str:
        """The id in the properties file."""
        (file,) = self._files()
        found = re.search(r"^applicationID=(application_\d+_\d+)$", file.read_text(), re.MULTILINE)
        assert found, file.read_text()
        return found[1]

    def is_noted(self) -> bool:
        """Whether there is a properties file."""
        return bool(self._files())

    def _files(self) -> list[Path]:
        # One that is being written has an ending.
        return [path for path in self.flink.temporary.glob(".yarn-properties-*") if "." not in path.name[1:]]

    def lines(self, folder: str) -> list[str]:
        """What a job has written into a folder of HDFS, sorted."""
        files = [self.hadoop.get(f"{folder}/{name}") for name in self.hadoop.names(folder)]
        return sorted(line for content in files for line in content.decode().splitlines())

    def states(self, application: str) -> dict[str, str]:
        """The states of its jobs."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.hadoop.rm_address}/proxy/{application}/jobs/overview", timeout=30) as page:
            return {job["jid"]: job["state"] for job in json.load(page)["jobs"]}

    def fate(self, application: str) -> tuple[str, str]:
        """State and final status, once nothing of it is left."""
        wait_until(f"{application} ends", lambda: self.hadoop.application(application)["state"] in ENDED, 60)
        self.hadoop.assert_nothing_left(application)
        report = self.hadoop.application(application)
        return report["state"], report["finalStatus"]


@pytest.fixture
def sessions(flink: Flink, hadoop: Hadoop) -> Sessions:
    return Sessions(flink, hadoop)


def test_detached_it_takes_jobs_until_somebody_stops_it(
    sessions: Sessions, hadoop: Hadoop, hdfs_folder: str, word_file: Callable[..., WordFile], tmp_path: Path
) -> None:
    begun = sessions.run(
        "-d",
        "-nm",
        "session of mine",
        "-qu",
        "etl",
        "-s",
        "2",
        "-jm",
        "1024",
        "-tm",
        "1200m",
        "-Dparallelism.default=2",
    )
    assert (begun.returncode, begun.stderr) == (0, ""), begun
    key = sessions.noted()
    lines = [re.sub(r"^.*\[\] - ", "", line) for line in begun.lines()]
    address = lines[-6].removeprefix("JobManager Web Interface: http://")
    assert "Cluster specification: ClusterSpecification{masterMemoryMB=1024, taskManagerMemoryMB=1200," in begun.stdout
    assert lines[-7] == f"Found Web Interface {address} of application '{key}'."
    assert begun.lines()[-6] == f"JobManager Web Interface: http://{address}"
    assert lines[-4:-3] + lines[-2:-1] == [
        f'$ echo "stop" | ./bin/yarn-session.sh -id {key}',
        f"$ yarn application -kill {key}",
    ]
    report = hadoop.application(key)
    assert (report["name"], report["applicationType"], report["state"]) == (
        "session of mine",
        "Apache Flink",
        "RUNNING",
    )
    assert hadoop.page(key, "overview")["slots-total"] == 0, "its pages are there when its client leaves"

    text = word_file(lines=1000)
    hadoop.put(f"{hdfs_folder}/in", text.path.read_bytes())
    files = ("--input", f"hdfs://{hdfs_folder}/in", "--output", f"hdfs://{hdfs_folder}/out")
    counted = sessions.job(COUNT, *files)
    assert counted.returncode == 0, counted
    assert "Found Yarn properties file under " in counted.stdout
    assert sessions.lines(f"{hdfs_folder}/out") == sorted(f"{word} {count}" for word, count in text.counts.items())

    detached = sessions.job("-t", "yarn-session", "-d", COUNT, *files[:-1], f"hdfs://{hdfs_folder}/detached")
    assert detached.returncode == 0, detached
    (job,) = re.findall(r"^Job has been submitted with JobID ([0-9a-f]{32})$", detached.stdout, re.MULTILINE)
    wait_until("the job has finished", lambda: sessions.states(key)[job] == "FINISHED", 60)
    embedded = sessions.job("-t", "local", COUNT, *files[:-1], f"hdfs://{hdfs_folder}/embedded")
    assert embedded.returncode == 0, embedded
    for folder in ("detached", "embedded"):
        assert sessions.lines(f"{hdfs_folder}/{folder}") == sessions.lines(f"{hdfs_folder}/out")
    assert hadoop.application(key)["state"] == "RUNNING"

    (tmp_path / "endless.py").write_text(ENDLESS)
    endless = sessions.job(f"-Dyarn.application.id={key}", "-d", tmp_path / "endless.py")
    assert endless.returncode == 0, endless

    stopped = sessions.shell(lines[-4].removeprefix("$ "))
    assert (stopped.returncode, stopped.stderr) == (0, ""), stopped
    assert f"Application {key} finished with state FINISHED and final state SUCCEEDED at " in stopped.stdout
    assert not sessions.is_noted()
    assert sessions.fate(key) == ("FINISHED", "SUCCEEDED")

    again = sessions.run("-id", key)
    assert again.returncode == 1
    assert f"The Yarn application {key} doesn't run anymore." in again.stderr


def test_attached_it_ends_by_ctrl_c(sessions: Sessions) -> None:
    with sessions.attached() as (client, key):
        by_itself = sessions.python(COUNT)
        assert by_itself.returncode == 0, by_itself
        assert re.search(f"Found Web Interface .* of application '{key}'", by_itself.stdout), by_itself
        assert client.stdin is not None and client.stderr is not None
        client.stdin.write("what\n")
        client.stdin.flush()
        help_text = [client.stderr.readline().rstrip() for _ in range(4)]
        client.send_signal(signal.SIGINT)
        stdout, stderr = client.communicate(timeout=120)
    assert help_text == [
        "Unknown command 'what'. Showing help:",
        "Available commands:",
        "help - show these commands",
        "stop - stop the YARN session",
    ]
    assert (client.returncode, stderr) == (130, ""), stdout
    assert "Deleted Yarn properties file at " in stdout
    assert not sessions.is_noted()
    assert sessions.fate(key) == ("FINISHED", "SUCCEEDED")


def test_attached_the_client_ends_with_a_session_that_is_killed(sessions: Sessions, hadoop: Hadoop) -> None:
    with sessions.attached() as (client, key):
        assert client.stdin is not None
        client.stdin.close()
        client.stdin = None  # of which communicate() would make use
        hadoop.kill_application(key)
        stdout, stderr = client.communicate(timeout=120)
    assert client.returncode == 1, stdout
    assert stderr.startswith("The Flink Yarn cluster has failed. ")
    assert not sessions.is_noted()
    assert sessions.fate(key) == ("KILLED", "KILLED")


def test_ctrl_c_while_it_is_submitted_leaves_nothing_however_often(sessions: Sessions, hadoop: Hadoop) -> None:
    before = {each["id"] for each in hadoop.applications()}
    client = sessions.start()
    # Its folder is made by who submits it, before YARN has taken it.
    wait_until("its files are uploaded", lambda: new_folders(hadoop, before), 120)
    # Neither the submission nor what takes it back ends before the next signal.
    hadoop.stop("resourcemanager")
    client.send_signal(signal.SIGINT)
    assert client.stdout is not None and client.stderr is not None
    while "Cancelling deployment from Deployment Failure Hook" not in (line := client.stdout.readline()):
        assert line, client.communicate()
    for number in (signal.SIGINT, signal.SIGTERM):
        client.send_signal(number)
        assert client.stderr.readline() == PATIENCE
    hadoop.resume("resourcemanager")
    stdout, stderr = client.communicate(timeout=120)
    assert (client.returncode, stderr) == (130, ""), stdout
    assert not new_folders(hadoop, before)
    assert {each["state"] for each in hadoop.applications() if each["id"] not in before} == {"KILLED"}


def new_folders(hadoop: Hadoop, known: set[str]) -> list[str]:
    """Applications' staging folders, but those of the known ones."""
    names = [path.rpartition("/")[2] for path in hadoop.staging_folders()]
    return [name for name in names if name.startswith("application_") and name not in known]


def test_the_resources_of_the_cluster(sessions: Sessions) -> None:
    shown = sessions.run("-q")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("NodeManagers in the ClusterClient 2|Property         |Value          \n")
    assert "\nSummary: totalMemory 12.000gb (12884901888 bytes) totalCores 32\n" in shown.stdout
    assert "\nQueue: etl, Current Capacity: " in shown.stdout
