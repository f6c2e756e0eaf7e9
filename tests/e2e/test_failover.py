"""Processes of a job are killed or stopped while it runs: its output is right, once, and nothing is left."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Flink, WordFile
from tests.e2e.standing_cluster import StandingCluster
from tests.integration.embedded_cluster import alive, descendants, wait_until
from tests.leaks import Watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PROGRAMS = Path(__file__).parent / "programs"
EXPONENTIAL = {
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "10 ms",
    "restart-strategy.exponential-delay.max-backoff": "200 ms",
}
FAILURE_RATE = {
    "restart-strategy.type": "failure-rate",
    "restart-strategy.failure-rate.max-failures-per-interval": "1000",
    "restart-strategy.failure-rate.delay": "10 ms",
}
SECONDS = 60
MINUTE = 60.0


class WordCount:
    """A word count that goes on until it is let go, and where its subtasks are at work."""

    def __init__(self, text: WordFile, folder: Path) -> None:
        self.text = text
        self.output, self.marks, self.calm = folder / "output", folder / "marks", folder / "calm"
        self.marks.mkdir()

    @property
    def words(self) -> tuple[str | Path, ...]:
        """Program and arguments."""
        return (PROGRAMS / "word_count.py", self.text.path, self.output, self.marks, self.calm)

    def workers(self) -> set[int]:
        """Living processes in which records have been seen."""
        return {pid for pid in (int(mark.name.split("-")[1]) for mark in self.marks.iterdir()) if alive(pid)}

    def attempts(self) -> int:
        """How often both subtasks came to see records."""
        subtasks = Counter(mark.name.split("-")[0] for mark in self.marks.iterdir())
        return min(subtasks["0"], subtasks["1"])

    def await_attempt(self, number: int) -> None:
        """Wait until both subtasks are at work for the n-th time."""
        wait_until(f"attempt {number} at work", lambda: self.attempts() >= number, SECONDS)
        assert not self.output.exists() or not any(file.name[0] != "." for file in self.output.iterdir())

    def check(self) -> None:
        """Each word has been counted from one to its number, once."""
        lines: Counter[str] = Counter()
        for file in self.output.iterdir():
            assert not file.name.startswith("."), f"{file.name} is left"
            lines.update(file.read_text(encoding="utf-8").splitlines())
        expected = {f"({word},{n})" for word, count in self.text.counts.items() for n in range(1, count + 1)}
        assert lines == Counter(expected)


@pytest.fixture
def word_count(word_file: Callable[..., WordFile], tmp_path: Path) -> WordCount:
    return WordCount(word_file(lines=12000), tmp_path)


@pytest.fixture
def cluster(flink: Flink) -> Iterator[StandingCluster]:
    standing = StandingCluster(flink)
    try:
        yield standing
    finally:
        standing.stop()


def dynamic(*settings: dict[str, str]) -> list[str]:
    """``-D`` options."""
    return [f"-D{key}={value}" for each in settings for key, value in each.items()]


def find(watch: Watch, title: str) -> list[int]:
    """Processes of this session by title, the oldest first."""
    found = [process for process in watch.look().processes if process.command.startswith(f"pyflow {title}")]
    return [process.pid for process in sorted(found, key=lambda process: (process.started, process.pid))]


def kill(pid: int) -> None:
    """Kill a process by hand."""
    os.kill(pid, signal.SIGKILL)
    wait_until(f"end of {pid}", lambda: not alive(pid))


def finished(client: subprocess.Popen[str]) -> str:
    """What the client says at the end of a job that succeeds."""
    stdout, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == 0, (stdout, stderr)
    assert "Traceback" not in stderr
    assert "has finished." in stdout
    return stderr


@pytest.mark.parametrize("strategy", [EXPONENTIAL, FAILURE_RATE], ids=lambda each: each["restart-strategy.type"])
def test_ten_workers_are_killed(flink: Flink, word_count: WordCount, strategy: dict[str, str]) -> None:
    client = flink.start("run", *dynamic(strategy), *word_count.words)
    for number in range(1, 11):
        word_count.await_attempt(number)
        kill(min(word_count.workers()))
    word_count.await_attempt(11)
    word_count.calm.touch()
    assert finished(client) == ""
    word_count.check()


def test_five_task_managers_are_killed(flink: Flink, word_count: WordCount, watch: Watch) -> None:
    client = flink.start("run", *dynamic(EXPONENTIAL), *word_count.words)
    for number in range(1, 6):
        word_count.await_attempt(number)
        task_manager = find(watch, "taskmanager")[-1]
        theirs = [worker for worker in word_count.workers() if _task_manager_of(worker) == task_manager]
        assert theirs
        kill(task_manager)
        for worker in theirs:
            wait_until("the end of its workers", functools.partial(_ended, worker))
    word_count.await_attempt(6)
    word_count.calm.touch()
    assert finished(client) == ""
    word_count.check()


def test_the_job_manager_is_killed(flink: Flink, word_count: WordCount, watch: Watch) -> None:
    client = flink.start("run", *dynamic(EXPONENTIAL), *word_count.words)
    for number in (1, 2):
        word_count.await_attempt(number)
        (job_manager,) = find(watch, "jobmanager")
        kill(job_manager)
    word_count.await_attempt(3)
    assert client.poll() is None
    word_count.calm.touch()
    finished(client)
    word_count.check()


SILENCE = {"heartbeat.interval": "200 ms", "heartbeat.timeout": "2 s"}


@pytest.mark.parametrize("with_workers", [False, True], ids=["alone", "with its workers"])
def test_a_task_manager_that_hangs_and_returns(
    cluster: StandingCluster, word_count: WordCount, watch: Watch, with_workers: bool
) -> None:
    """Three TaskManagers with a slot each: one hangs, the third takes its place."""
    cluster.start({**EXPONENTIAL, **SILENCE, "taskmanager.numberOfTaskSlots": "1"}, workers=3)
    job = cluster.submit(*word_count.words)
    word_count.await_attempt(1)
    hanging = min(word_count.workers())
    task_manager = _task_manager_of(hanging)
    stopped = list(descendants(task_manager)) if with_workers else [task_manager]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        cluster.await_task_managers(2)
        word_count.await_attempt(2)
        # Nobody can have told its worker: it counts no more, and goes on as soon as it can.
        assert alive(hanging)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_until("the end of the worker that counts no more", functools.partial(_ended, hanging), SECONDS)
    cluster.await_task_managers(3)
    assert cluster.job_state(job) == "RUNNING"
    attempts = word_count.attempts()
    word_count.calm.touch()
    cluster.await_state(job, "FINISHED")
    word_count.check()
    assert word_count.attempts() == attempts == 2
    wait_until("all slots free", lambda: cluster.get("/overview")["slots-available"] == 3, SECONDS)
    wait_until("no worker", lambda: not find(watch, "worker"), SECONDS)


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_ten_kills_and_a_minute_of_silence(cluster: StandingCluster, word_count: WordCount, watch: Watch) -> None:
    """Default heartbeats: workers and TaskManagers are killed in turn, then a TaskManager stops for a minute."""
    cluster.start({**EXPONENTIAL, "taskmanager.numberOfTaskSlots": "1"}, workers=3)
    job = cluster.submit(*word_count.words)
    for number in range(1, 11):
        word_count.await_attempt(number)
        worker = min(word_count.workers())
        if number % 2:
            kill(worker)
        else:
            kill(_task_manager_of(worker))
            assert cluster.script("taskmanager.sh", "start").returncode == 0
    word_count.await_attempt(11)
    hanging = min(word_count.workers())
    task_manager = _task_manager_of(hanging)
    stopped, since = list(descendants(task_manager)), time.monotonic()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until("its loss", lambda: word_count.attempts() >= 12, 90)
        time.sleep(max(0.0, MINUTE - (time.monotonic() - since)))
        assert alive(hanging)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_until("the end of the worker that counts no more", functools.partial(_ended, hanging), SECONDS)
    assert alive(task_manager)
    cluster.await_task_managers(3)
    assert cluster.job_state(job) == "RUNNING"
    word_count.calm.touch()
    cluster.await_state(job, "FINISHED")
    word_count.check()
    assert word_count.attempts() == 12
    wait_until("no worker", lambda: not find(watch, "worker"), SECONDS)


def test_a_task_manager_of_a_client_hangs(flink: Flink, word_count: WordCount, watch: Watch) -> None:
    """Its supervisor ends it: nothing returns."""
    client = flink.start("run", *dynamic(EXPONENTIAL, SILENCE), *word_count.words)
    word_count.await_attempt(1)
    hanging = find(watch, "taskmanager")[-1]
    os.kill(hanging, signal.SIGSTOP)
    wait_until("its end", functools.partial(_ended, hanging), SECONDS)
    word_count.await_attempt(2)
    word_count.calm.touch()
    assert finished(client) == ""
    word_count.check()


def _ended(pid: int) -> bool:
    return not alive(pid)


def _task_manager_of(pid: int) -> int:
    """The TaskManager above a worker."""
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"pyflow taskmanager"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert pid > 1
    return pid


def test_only_the_failed_region_runs_again(flink: Flink, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    done = flink("run", *dynamic(EXPONENTIAL), PROGRAMS / "two_regions.py", tmp_path / "output", marks)
    assert (done.returncode, done.stderr) == (0, "")
    opened = {mark.name: len(mark.read_text()) for mark in marks.iterdir() if mark.name.startswith("open-")}
    assert opened == {
        **{f"open-{name}-0-{attempt}": 1 for name in ("first", "second") for attempt in (0, 1)},
        **{f"open-{name}-1-0": 1 for name in ("first", "second")},
    }
    numbers: list[int] = []
    for file in (tmp_path / "output").iterdir():
        numbers += map(int, file.read_text().split())
    assert sorted(numbers) == list(range(1, 1001))


def test_a_full_failover_runs_everything_again(flink: Flink, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    full = {"jobmanager.execution.failover-strategy": "full"}
    done = flink("run", *dynamic(EXPONENTIAL, full), PROGRAMS / "two_regions.py", tmp_path / "output", marks)
    assert (done.returncode, done.stderr) == (0, "")
    opened = {mark.name for mark in marks.iterdir() if mark.name.startswith("open-")}
    assert len(opened) == 8
