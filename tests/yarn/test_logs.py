"""``flink logs`` on a real YARN: followed while containers come and go, and read when all is over."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyflow_yarn.yarn import wait_until_ended
from pyflow_yarn.yarn.skein_adapter import SkeinYarn
from tests.conftest import CHECKOUT, Flink
from tests.hadoop.cluster import Hadoop
from tests.serving import Answer, serving
from tests.yarn.conformance import SECONDS, Events, application, running, wait_for

JOB = "0123456789abcdef0123456789abcdef"
JOBS = json.dumps({"jobs": [{"jid": JOB}]}).encode()
TRACEBACK = (
    "ERROR words failed",
    "Traceback (most recent call last):",
    '  File "words.py", line 3, in count',
    "    1 // 0",
    "ZeroDivisionError: division by zero",
)
FAIL = "printf '%s\\n' " + " ".join(f"'{line}'" for line in TRACEBACK)
MASTER = f"""
echo "the JobManager begins" >> $LOG_DIRS/jobmanager.log
until [ -e "$GO" ]; do sleep 0.1; done
{FAIL} >> $LOG_DIRS/jobmanager.log
printf "the last line" >> $LOG_DIRS/jobmanager.log
"""
WORKER = f"""
cd $LOG_DIRS
echo "$NAME begins" >> taskmanager.log
for i in 1 2 3 4 5 6 7 8 9; do
  echo "$NAME line $i" >> taskmanager.log
  echo "$NAME prints $i" >> taskmanager.out
  sleep 0.1
done
{FAIL} >> taskmanager.log
mv taskmanager.log taskmanager.log.1
echo "$NAME goes on" >> taskmanager.log
if [ -n "$EXIT" ]; then exit "$EXIT"; fi
exec sleep 900
"""
MASTER_LOG = ["the JobManager begins", *TRACEBACK, "the last line"]


def worker_log(name: str) -> list[str]:
    """All lines, those that were rotated first."""
    return [f"{name} begins", *(f"{name} line {i}" for i in range(1, 10)), *TRACEBACK, f"{name} goes on"]


def worker_out(name: str) -> list[str]:
    return [f"{name} prints {i}" for i in range(1, 10)]


class Followed:
    """A command whose output is read while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(iter(self._process.stdout.readline, ""))

    def end(self) -> tuple[int, str]:
        """The exit code and standard error, when it has ended."""
        code = self._process.wait(SECONDS)
        self._reader.join()
        assert self._process.stderr is not None
        return code, self._process.stderr.read()

    def files(self) -> dict[str, list[str]]:
        """The lines of each file, by its name without the container."""
        found: dict[str, list[str]] = {}
        for line in self.lines:
            name, _, text = line.rstrip("\n").partition(": ")
            found.setdefault(name, []).append(text)
        return found


def test_logs_are_followed_to_the_end_and_read_afterwards(
    adapter: SkeinYarn, hadoop: Hadoop, flink: Flink, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    spec = application()
    spec = replace(
        spec,
        master=replace(spec.master, command=MASTER, environment={"GO": str(go)}),
        worker=replace(spec.worker, command=WORKER),
    )
    with serving(lambda _: Answer(JOBS)) as page, running(adapter, spec) as key:
        containers, events = adapter.containers(key), Events()
        containers.start(events)
        containers.add_page("jobs", f"http://{page}", "Jobs")
        containers.request("stays", {"NAME": "taskmanager-2"})
        containers.request("ends", {"NAME": "taskmanager-1", "EXIT": "3"})
        followed = Followed(flink.start("logs", "-f", key, env=hadoop.exports))
        wait_for(lambda: sum("goes on" in line for line in followed.lines) == 2)
        wait_for(lambda: "ends" in events.ended)
        # It has ended, and still its log is there for who comes later.
        number = {name: started[0][-9:] for name, started in events.started.items()}
        place = {name: str(1 + sorted(number.values()).index(one)) for name, one in number.items()}
        ended = flink("logs", "--tm", place["ends"], key, env=hadoop.exports)
        stays = flink("logs", "--tm", place["stays"], JOB, env=hadoop.exports)
        containers.close()
        go.touch()
        code, errors = followed.end()
        assert wait_until_ended(adapter, key, SECONDS).final_status == "SUCCEEDED"
    assert (code, errors) == (0, "")
    files = followed.files()
    assert files["01_000001 jobmanager.log"] == MASTER_LOG
    for name, task_manager in (("ends", "taskmanager-1"), ("stays", "taskmanager-2")):
        assert files[f"{number[name]} taskmanager.log"] == worker_log(task_manager)
        assert files[f"{number[name]} taskmanager.out"] == worker_out(task_manager)
    texts = [line.rstrip("\n").partition(": ")[2] for line in followed.lines]
    begins = [place for place, text in enumerate(texts) if text == TRACEBACK[1]]
    assert len(begins) == 3
    assert all(texts[place : place + 4] == list(TRACEBACK[1:]) for place in begins)

    for done, task_manager, name in ((ended, "taskmanager-1", "ends"), (stays, "taskmanager-2", "stays")):
        assert (done.returncode, done.stderr) == (0, "")
        shown = done.lines()
        assert shown[0].startswith(f"Container: {events.started[name][0]} on ")
        assert [line for line in shown if line in worker_log(task_manager)] == worker_log(task_manager)

    everything = flink("logs", key, env=hadoop.exports)
    assert (everything.returncode, everything.stderr) == (0, "")
    shown = everything.lines()
    assert [line.split()[1][-9:] for line in shown if line.startswith("Container: ")] == [
        "01_000001",
        *sorted(number.values()),
    ]
    assert {"LogType:jobmanager.log", "LogType:application.master.log", "LogType:taskmanager.log.1"} <= set(shown)
    assert "\n".join(MASTER_LOG) in everything.stdout
    for task_manager in ("taskmanager-1", "taskmanager-2"):
        assert "\n".join(worker_log(task_manager)[:-1]) in everything.stdout
        assert "\n".join(worker_out(task_manager)) in everything.stdout

    stranger = flink("logs", key, env={**hadoop.exports, "HADOOP_USER_NAME": "stranger"})
    assert (stranger.returncode, stranger.stdout) == (1, "")
    assert f"The logs of {key} belong to " in stranger.stderr
    assert "ask " in stranger.stderr

    command = f"'{CHECKOUT / 'bin' / 'flink'}' logs {key} | head -1; echo ${{PIPESTATUS[0]}}"
    piped = subprocess.run(
        ["bash", "-c", command],
        env=flink.environment(hadoop.exports),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert piped.stdout.startswith("Container: ")
    assert piped.stderr == ""


def test_signals_end_the_following(adapter: SkeinYarn, hadoop: Hadoop, flink: Flink) -> None:
    spec = application()
    with running(adapter, replace(spec, master=replace(spec.master, command="echo here; exec sleep 900"))) as key:
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = flink.start("logs", "-f", key, env=hadoop.exports)
            followed = Followed(process)
            wait_for(partial(_shows_here, followed))
            process.send_signal(number)
            assert followed.end() == (code, "")


def _shows_here(followed: Followed) -> bool:
    return any(line.endswith(": here\n") for line in followed.lines)


def test_an_application_that_yarn_does_not_know(hadoop: Hadoop, flink: Flink) -> None:
    done = flink("logs", "application_1700000000000_0001", env=hadoop.exports)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("YARN knows no application application_1700000000000_0001, and ")
