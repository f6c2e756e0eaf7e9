"""``flink run -t yarn-application``: programs as applications of their own on a real YARN."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyflow_runtime.security.join_tokens import JoinRefusedError
from pyflow_runtime.security.joining import join
from pyflow_yarn.yarn.application_file import (
    JOB_MANAGER_VARIABLE,
    JOIN_TOKEN_VARIABLE,
    TASK_MANAGER_VARIABLE,
    ApplicationFile,
)
from tests.conftest import CHECKOUT, Completed, Flink, WordFile
from tests.hadoop.cluster import ENDED, Hadoop, wait_until

COUNT = CHECKOUT / "examples" / "word_count.py"
SLOW = CHECKOUT / "tests" / "e2e" / "programs" / "word_count.py"
RESTARTS = ("-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.delay=100 ms")
TARGET = ("-t", "yarn-application")
Run = Callable[..., Completed]
ATTACHED = pytest.mark.parametrize("mode", ["attached", "detached"])


def detached(mode: str) -> tuple[str, ...]:
    """The option for a client that leaves, if it does."""
    return ("-d",) if mode == "detached" else ()


@pytest.fixture
def run(flink: Flink, hadoop: Hadoop) -> Run:
    """``bin/flink run -t yarn-application`` as on an edge node."""
    return functools.partial(flink, "run", *TARGET, env=hadoop.exports, timeout=180)


def application_of(done: Completed) -> str:
    """The only application that a client's output names."""
    (found,) = set(re.findall(r"application_\d+_\d+", done.stdout + done.stderr))
    return str(found)


def fate(hadoop: Hadoop, application: str, attempts: int = 1) -> tuple[str, str, str]:
    """State, final status and diagnostics, once it has ended, in so many attempts, and nothing of it is left."""
    wait_until(f"{application} ends", lambda: hadoop.application(application)["state"] in ENDED, 120)
    hadoop.assert_nothing_left(application)
    assert hadoop.attempts(application) == attempts
    report = hadoop.application(application)
    return report["state"], report["finalStatus"], report["diagnostics"].strip()


def process_of(hadoop: Hadoop, application: str, title: str) -> int:
    """The only process of an application with that title."""
    (found,) = [line for line in hadoop.processes(application) if f": pyflow {title}" in line]
    return int(found.partition(":")[0])


def counted(hadoop: Hadoop, folder: str) -> dict[str, str]:
    """What a word count has written."""
    names = hadoop.names(folder)
    return dict(line.split(" ") for name in names for line in hadoop.get(f"{folder}/{name}").decode().splitlines())


@pytest.fixture
def text(word_file: Callable[..., WordFile], hadoop: Hadoop, hdfs_folder: str) -> WordFile:
    """Words, in the file `in` of the test's folder on HDFS."""
    words = word_file(lines=4000)
    hadoop.put(f"{hdfs_folder}/in", Path(words.path).read_bytes())
    return words


def files(folder: str) -> tuple[str, ...]:
    return "--input", f"hdfs://{folder}/in", "--output", f"hdfs://{folder}/out"


def test_word_count_from_hdfs_to_hdfs(run: Run, hadoop: Hadoop, hdfs_folder: str, text: WordFile) -> None:
    named = ("-Dyarn.application.name=words of mine", "-Dyarn.application.queue=etl", "-Dyarn.tags=ta,tb")
    done = run("-p", "2", *named, "-Dyarn.application.priority=7", COUNT, *files(hdfs_folder))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert counted(hadoop, f"{hdfs_folder}/out") == {word: str(count) for word, count in text.counts.items()}
    application = application_of(done)
    assert fate(hadoop, application) == ("FINISHED", "SUCCEEDED", "")
    report = hadoop.application(application)
    assert (report["name"], report["applicationType"]) == ("words of mine", "Apache Flink")
    assert report["queue"].rpartition(".")[2] == "etl"
    assert set(report["applicationTags"].split(",")) == {"ta", "tb"}
    assert report["priority"] == 7


def without_java(hadoop: Hadoop, folder: Path) -> dict[str, str]:
    """The variables of a machine that has a Hadoop configuration, and neither Java nor Hadoop's programs."""
    programs = folder / "programs"
    programs.mkdir()
    for place in os.get_exec_path({"PATH": os.environ["PATH"]}):
        for program in os.scandir(place) if os.path.isdir(place) else ():
            if program.name not in ("java", "yarn", "hadoop", "hdfs") and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program.path)
    return {**hadoop.exports, "PATH": str(programs), "JAVA_HOME": ""}


def test_detached_the_client_leaves_when_it_runs(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    """On a machine without Java."""
    environment = without_java(hadoop, tmp_path)
    done = flink("run", *TARGET, "-d", COUNT, *files(hdfs_folder), env=environment, timeout=180)
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert lines[-2].endswith("] - YARN application has been deployed successfully.")
    application = application_of(done)
    assert re.search(rf"Found Web Interface \S+:\d+ of application '{application}'\.$", lines[-1])
    assert fate(hadoop, application) == ("FINISHED", "SUCCEEDED", "")
    assert counted(hadoop, f"{hdfs_folder}/out") == {word: str(count) for word, count in text.counts.items()}


def test_detached_a_program_may_have_ended_before_its_client_leaves(run: Run, hadoop: Hadoop, tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("")
    done = run("-d", tmp_path / "short.py")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert fate(hadoop, application_of(done)) == ("FINISHED", "SUCCEEDED", "")


@ATTACHED
def test_the_users_error_is_the_applications_and_in_its_logs(
    mode: str, run: Run, flink: Flink, hadoop: Hadoop, tmp_path: Path
) -> None:
    program = tmp_path / "fails.py"
    program.write_text(
        "from pyflow_yarn.datastream import StreamExecutionEnvironment\n"
        "import helper_beside\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection([3, 0]).map(helper_beside.divide).print()\n"
        "env.execute('fails')\n"
    )
    (tmp_path / "helper_beside.py").write_text("def divide(n):\n    return 12 // n\n")
    done = run(*detached(mode), program)
    if mode == "attached":
        assert done.returncode == 31, done
        assert " The program finished with the following exception:" in done.stderr
        assert "return 12 // n" in done.stderr
        assert done.stderr.rstrip().endswith("ZeroDivisionError: integer division or modulo by zero")
    else:
        assert (done.returncode, done.stderr) == (0, ""), done
    expected = "ZeroDivisionError: integer division or modulo by zero"
    application = application_of(done)
    assert fate(hadoop, application) == ("FINISHED", "FAILED", expected)
    logs = flink("logs", "-f", application, env=hadoop.exports)
    assert (logs.returncode, logs.stderr) == (0, "")
    assert f"01_000001 jobmanager.err: {expected}\n" in logs.stdout
    of_one = flink("logs", "--tm", "taskmanager-1-1", application, env=hadoop.exports)
    assert (of_one.returncode, of_one.stderr) == (0, "")
    assert re.search(r"\bworker taskmanager-1-1-\S+ of slot 0 is process ", of_one.stdout)
    assert of_one.stdout.count("Container: ") == 1


def test_a_program_that_raises_is_a_failed_application(run: Run, hadoop: Hadoop, tmp_path: Path) -> None:
    program = tmp_path / "raises.py"
    program.write_text("import sys\n\nraise ValueError(' '.join(sys.argv[1:]))\n")
    done = run(program, "no", "--such", "word")
    assert done.returncode == 31, done
    assert done.stderr.rstrip().endswith("ValueError: no --such word")
    assert fate(hadoop, application_of(done)) == (
        "FINISHED",
        "FAILED",
        "ValueError: no --such word (raises.py, line 3)",
    )


def test_what_runs_in_containers_is_the_users(flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile) -> None:
    for path in ("/user/alice", hdfs_folder):
        hadoop.webhdfs("PUT", path, "MKDIRS")
        hadoop.webhdfs("PUT", path, "SETOWNER", owner="alice")
    exports = {**hadoop.exports, "HADOOP_USER_NAME": "alice"}
    done = flink("run", *TARGET, COUNT, *files(hdfs_folder), env=exports, timeout=180)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert hadoop.application(application_of(done))["user"] == "alice"
    assert fate(hadoop, application_of(done)) == ("FINISHED", "SUCCEEDED", "")
    assert {status["owner"] for status in _statuses(hadoop, f"{hdfs_folder}/out")} == {"alice"}
    hadoop.webhdfs("DELETE", "/user/alice", "DELETE", recursive="true")


@ATTACHED
def test_per_job_mode_runs_main_here_and_each_job_there(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, mode: str
) -> None:
    done = flink(
        "run", "-t", "yarn-per-job", *detached(mode), COUNT, *files(hdfs_folder), env=hadoop.exports, timeout=180
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "Job Clusters are deprecated since Flink 1.15." in done.stdout
    (job,) = re.findall(r"^Job has been submitted with JobID ([0-9a-f]{32})$", done.stdout, re.MULTILINE)
    application = application_of(done)
    if mode == "attached":
        assert re.search(rf"^Job with JobID {job} has finished.$", done.stdout, re.MULTILINE)
    else:
        assert f"yarn application -kill {application}" in done.stdout
    assert fate(hadoop, application) == ("FINISHED", "SUCCEEDED", "")
    assert counted(hadoop, f"{hdfs_folder}/out") == {word: str(count) for word, count in text.counts.items()}


class Running:
    """A word count that waits until it may go on, as an application."""

    def __init__(self, flink: Flink, hadoop: Hadoop, folder: str, tmp_path: Path, *options: str) -> None:
        self.hadoop = hadoop
        self.output = f"{folder}/out"
        self.marks, self._calm = tmp_path / "marks", tmp_path / "calm"
        self.marks.mkdir()
        place = hadoop.default_fs
        words = (SLOW, f"{place}{folder}/in", f"{place}{self.output}", self.marks, self._calm)
        named = () if "-t" in options else TARGET
        self.client = flink.start("run", *named, *options, *words, env=hadoop.exports)
        self.application = ""
        self.await_attempts(2)
        (self.application,) = [one["id"] for one in hadoop.applications() if one["state"] == "RUNNING"]

    @property
    def master(self) -> int:
        """The process of skein's ApplicationMaster."""
        (found,) = [
            line for line in self.hadoop.processes(self.application) if "java -Xmx128M" in line and "bash" not in line
        ]
        return int(found.partition(":")[0])

    def job(self) -> str:
        """The id of its job."""
        (row,) = self.hadoop.page(self.application, "jobs/overview")["jobs"]
        return str(row["jid"])

    def await_attempts(self, count: int) -> None:
        """Wait until that many subtasks have begun to write."""
        wait_until(f"{count} subtasks write", lambda: len(list(self.marks.iterdir())) >= count, 120)

    def kill(self, title: str) -> None:
        """End a process of the application."""
        os.kill(process_of(self.hadoop, self.application, title), signal.SIGKILL)

    def finish(self) -> tuple[int | None, str, str]:
        """Let it go on; how the client ended, and what it said."""
        self._calm.touch()
        stdout, stderr = self.client.communicate(timeout=180)
        return self.client.returncode, stdout, stderr

    def assert_right(self, text: WordFile) -> None:
        """Everything was counted, and nothing twice."""
        expected = {f"({word},{n})" for word, count in text.counts.items() for n in range(1, count + 1)}
        names = self.hadoop.names(self.output)
        assert not [name for name in names if name.startswith((".", "_"))]
        written = [line for name in names for line in self.hadoop.get(f"{self.output}/{name}").decode().splitlines()]
        assert Counter(written) == Counter(expected)


@ATTACHED
def test_a_job_that_is_cancelled_is_a_killed_application(
    mode: str, flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    application = Running(flink, hadoop, hdfs_folder, tmp_path, *detached(mode))
    found = f"-Dyarn.application.id={application.application}"
    listed = flink("list", found, env=hadoop.exports)
    job = application.job()
    assert f" : {job} : word count (RUNNING)" in listed.stdout, listed
    done = flink("cancel", found, job, env=hadoop.exports)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.endswith(f"Cancelled job {job}.\n")
    code, _, stderr = application.finish()
    if mode == "attached":
        assert code == 31
        assert stderr.rstrip().endswith(f"Job {job} was cancelled.")
    assert fate(hadoop, application.application) == ("FINISHED", "KILLED", f"Job {job} was cancelled.")


def test_a_client_that_is_killed_takes_its_job_along_if_it_was_to(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    patience = ("-Dclient.heartbeat.interval=1 s", "-Dclient.heartbeat.timeout=5 s")
    application = Running(flink, hadoop, hdfs_folder, tmp_path, "-sae", *patience)
    application.client.kill()
    state, status, text_of_it = fate(hadoop, application.application)
    assert (state, status) == ("FINISHED", "KILLED")
    assert text_of_it.endswith("was cancelled.")


@ATTACHED
def test_a_master_that_is_killed_for_good_is_a_failed_application(
    mode: str, flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    options = ("-Dyarn.application-attempts=1", *detached(mode))
    application = Running(flink, hadoop, hdfs_folder, tmp_path, *options)
    key = application.application
    os.kill(application.master, signal.SIGKILL)
    code, _, stderr = application.finish()
    if mode == "attached":
        assert code == 31
        assert f"The Yarn application {key} ended with the final status FAILED:" in stderr
    else:
        # Nobody is there to clean up but the user's next deployment.
        wait_until("it has ended", lambda: hadoop.application(key)["state"] in ENDED, 60)
        assert [name for name in hadoop.staging_folders() if key in name]
        (tmp_path / "none.py").write_text("")
        next_one = flink("run", *TARGET, tmp_path / "none.py", env=hadoop.exports, timeout=120)
        assert next_one.returncode == 0, next_one
    state, status, diagnostics = fate(hadoop, key)
    assert (state, status) == ("FAILED", "FAILED")
    assert "exitCode: 137" in diagnostics


@pytest.mark.parametrize("target", ["yarn-application", "yarn-per-job"])
def test_a_second_attempt_at_the_master_goes_on_with_the_job(
    target: str, flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    application = Running(flink, hadoop, hdfs_folder, tmp_path, "-t", target, *RESTARTS)
    job = application.job()
    os.kill(application.master, signal.SIGKILL)
    application.await_attempts(4)
    assert application.job() == job
    code, stdout, stderr = application.finish()
    assert code == 0, stdout + stderr
    application.assert_right(text)
    assert fate(hadoop, application.application, attempts=2) == ("FINISHED", "SUCCEEDED", "")


def test_a_dead_node_manager_costs_no_result_and_leaves_nothing(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    application = Running(flink, hadoop, hdfs_folder, tmp_path, "-p", "2", *RESTARTS)
    master = hadoop.application(application.application)["amHostHttpAddress"].partition(":")[0]
    (other,) = [name for name in ("nodemanager1", "nodemanager2") if hadoop.addresses[name] != master]
    hadoop.kill(other)
    code, stdout, stderr = application.finish()
    assert (code, stderr) == (0, ""), stdout
    application.assert_right(text)
    assert fate(hadoop, application.application) == ("FINISHED", "SUCCEEDED", "")


def test_ctrl_c_ends_what_was_to_end_with_the_client_and_leaves_the_rest(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    first = Running(flink, hadoop, hdfs_folder, tmp_path)
    first.client.send_signal(signal.SIGINT)
    _, stderr = first.client.communicate(timeout=30)
    assert first.client.returncode == 130
    assert f"The application {first.application} is still running; end it with: flink cancel" in stderr
    assert hadoop.application(first.application)["state"] == "RUNNING"
    hadoop.kill_application(first.application)
    (tmp_path / "second").mkdir()
    second = Running(flink, hadoop, hdfs_folder, tmp_path / "second", "-sae")
    second.client.send_signal(signal.SIGINT)
    _, stderr = second.client.communicate(timeout=60)
    assert (second.client.returncode, stderr) == (130, f"The application {second.application} was cancelled.\n")
    assert fate(hadoop, second.application)[:2] == ("FINISHED", "KILLED")
    # The first was killed behind everybody's back; the next deployment has looked for what such ones leave.
    hadoop.assert_nothing_left(first.application)


@pytest.mark.parametrize(
    ("victim", "mode"),
    [("jobmanager", "attached"), ("jobmanager", "detached"), ("taskmanager taskmanager-1-1", "attached")],
)
def test_a_process_that_is_killed_costs_no_result(
    victim: str, mode: str, flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    job = Running(flink, hadoop, hdfs_folder, tmp_path, "-p", "2", *RESTARTS, *detached(mode))
    job.kill(victim)
    job.await_attempts(4)
    code, stdout, stderr = job.finish()
    assert (code, stderr) == (0, ""), stdout
    assert fate(hadoop, job.application) == ("FINISHED", "SUCCEEDED", "")
    job.assert_right(text)


def test_the_proxy_link_shows_the_job_and_changes_nothing(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    job = Running(flink, hadoop, hdfs_folder, tmp_path, "-p", "2")
    (row,) = hadoop.page(job.application, "jobs/overview")["jobs"]
    assert (row["name"], row["state"]) == ("word count", "RUNNING")
    assert row["tasks"]["running"] >= 2
    assert hadoop.page(job.application, "overview")["taskmanagers"] == 2
    with pytest.raises(OSError, match=": 403 "):
        hadoop.page(job.application, f"jobs/{row['jid']}/yarn-cancel")
    code, stdout, _ = job.finish()
    assert code == 0, stdout
    assert fate(hadoop, job.application)[1] == "SUCCEEDED"


def test_secrets_are_seen_by_nobody_else(
    flink: Flink, hadoop: Hadoop, hdfs_folder: str, text: WordFile, tmp_path: Path
) -> None:
    application = Running(flink, hadoop, hdfs_folder, tmp_path, "-p", "2", *RESTARTS)
    key = application.application
    folder = next(path for path in hadoop.staging_folders() if key in path)
    assert _modes(hadoop, folder) == {"700"}, "nobody else gets to what is in the folder"
    content = msgspec.msgpack.decode(hadoop.get(_named(hadoop, folder, "application.bin")), type=ApplicationFile)
    of_workers = msgspec.msgpack.decode(hadoop.get(_named(hadoop, folder, "taskmanager.bin")))
    assert set(of_workers) == {"version", "configuration", "secret"}
    secrets = [content.secret, content.token, content.pages]
    assert of_workers["secret"] == content.secret
    assert not [secret for secret in secrets if secret in of_workers["configuration"].values()]
    containers = [
        Path("/proc", line.partition(":")[0], "cwd").resolve()
        for line in hadoop.processes(key)
        if ": pyflow taskmanager " in line
    ]
    told = [_variables(container) for container in containers]
    tokens = {variables[JOIN_TOKEN_VARIABLE] for variables in told}
    assert len(tokens) == 2
    assert [(container / "application.bin").exists() for container in containers] == [False, False]
    for line in hadoop.processes(key):
        process = Path("/proc", line.partition(":")[0])
        command, environment = ((process / name).read_text(errors="replace") for name in ("cmdline", "environ"))
        assert not [secret for secret in secrets if secret in command + environment], line
        assert not [token for token in tokens if token in command], line
    application.kill("jobmanager")
    application.await_attempts(4)
    for variables, name, reason in (
        *((variables, variables[TASK_MANAGER_VARIABLE], "its join token has been used") for variables in told),
        (told[0], "taskmanager-1-99", "it has no container"),
    ):
        address, token = variables[JOB_MANAGER_VARIABLE], variables[JOIN_TOKEN_VARIABLE]
        with pytest.raises(JoinRefusedError, match=f"'{name}' may not join: {reason}"):
            asyncio.run(join(address, name, content.secret, token, tmp_path / "stolen"))
    logs = flink("logs", key, env=hadoop.exports)
    assert "may not join: its join token has been used" in logs.stdout
    code, stdout, stderr = application.finish()
    assert code == 0, stderr
    assert not [secret for secret in (*secrets, *tokens) if secret in logs.stdout + stdout]
    assert fate(hadoop, key)[1] == "SUCCEEDED"


def _variables(container: Path) -> dict[str, str]:
    """What YARN was told to set in a container, as its script there says; a process's title overwrites its own."""
    script = (container / "launch_container.sh").read_text()
    return dict(re.findall(r'^export (PYFLOW_\w+)="(.*)"$', script, re.MULTILINE))


def _named(hadoop: Hadoop, folder: str, name: str) -> str:
    """The only file of that name below a folder."""
    (found,) = (path for path in _files(hadoop, folder) if path.endswith(f"/{name}"))
    return found


def _statuses(hadoop: Hadoop, path: str) -> list[dict[str, Any]]:
    listing = json.loads(hadoop.webhdfs("GET", path, "LISTSTATUS"))
    return list(listing["FileStatuses"]["FileStatus"])


def _files(hadoop: Hadoop, folder: str) -> list[str]:
    found = []
    for status in _statuses(hadoop, folder):
        path = f"{folder}/{status['pathSuffix']}"
        found += _files(hadoop, path) if status["type"] == "DIRECTORY" else [path]
    return found


def _modes(hadoop: Hadoop, folder: str) -> set[str]:
    parent, _, name = folder.rpartition("/")
    return {status["permission"] for status in _statuses(hadoop, parent) if status["pathSuffix"] == name}
