"""However the client ends, nothing of its cluster stays: the fixtures look for processes and folders."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Flink
from tests.leaks import Process, Watch

EXAMPLES = CHECKOUT / "examples"
ENDLESS = ("run", "-p", "2", Path(__file__).parent / "programs" / "ticks.py")
SECONDS = 30


def running(flink: Flink) -> subprocess.Popen[str]:
    """An endless job, with records from both of its subtasks: its tasks run, not only its workers."""
    client = flink.start(*ENDLESS)
    assert client.stdout is not None
    seen: set[str] = set()
    while not {"1>", "2>"} <= seen:
        line = client.stdout.readline()
        assert line, client.communicate()
        seen.add(line.partition(" ")[0])
    return client


def processes(watch: Watch) -> list[Process]:
    return sorted(watch.look().processes, key=lambda process: process.pid)


def workers(watch: Watch) -> list[Process]:
    return [process for process in processes(watch) if process.command.startswith("pyflow worker")]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_to_the_client(flink: Flink, number: signal.Signals, code: int) -> None:
    client = running(flink)
    client.send_signal(number)
    client.communicate(timeout=SECONDS)
    assert client.returncode == code


def test_ctrl_c_at_the_terminal_reaches_the_client_alone(flink: Flink) -> None:
    """The cluster is a session of its own: the client cancels the job in good order."""
    client = running(flink)
    os.killpg(client.pid, signal.SIGINT)
    _, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == 130
    assert "Traceback" not in stderr


def test_every_process_of_the_cluster_has_a_title(flink: Flink, watch: Watch) -> None:
    client = running(flink)
    titles = [process.command for process in processes(watch) if process.pid != client.pid]
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=SECONDS)
    assert [title for title in titles if not title.startswith("pyflow ")] == []


@pytest.mark.parametrize("victim", ["pyflow worker", "pyflow taskmanager", "pyflow zygote"])
def test_a_process_killed_by_hand(flink: Flink, watch: Watch, victim: str) -> None:
    """Without a restart strategy the job fails, or goes on if the process was not needed; the client says which."""
    client = running(flink)
    (target, *_) = (process for process in processes(watch) if process.command.startswith(victim))
    os.kill(target.pid, signal.SIGKILL)
    if victim == "pyflow zygote":
        deadline = time.monotonic() + SECONDS
        while target in processes(watch):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(workers(watch)) == 2, "workers do not need it"
        client.send_signal(signal.SIGINT)
    _, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == (130 if victim == "pyflow zygote" else 31)
    assert "Traceback" not in stderr


def test_a_job_manager_killed_by_hand_comes_back(flink: Flink, watch: Watch, tmp_path: Path) -> None:
    """In place: the client keeps its address, and the job starts again from its beginning."""
    client = flink.start("run", EXAMPLES / "data_generator.py", "--count", "300", "--rate", "100")
    deadline = time.monotonic() + SECONDS
    while not workers(watch):
        assert client.poll() is None, client.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (target,) = (process for process in processes(watch) if process.command.startswith("pyflow jobmanager"))
    os.kill(target.pid, signal.SIGKILL)
    stdout, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == 0, stdout + stderr
    totals = [0] * 5
    for number in range(300):
        totals[number * 7 % 5] += number * number % 100
    printed = sorted(line for line in stdout.splitlines() if line.startswith("customer"))
    assert printed == [f"customer {customer}: {total}" for customer, total in enumerate(totals)]
