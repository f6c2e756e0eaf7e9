"""What is seen of an application on YARN from outside: when it got how far, and what its containers use.

One thread asks the ResourceManager, and through its proxy the application's REST interface; another looks at the
processes of the containers, which are on this machine. Times are seconds since 1970.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import proportional_memory
from tests.hadoop.cluster import ENDED, Hadoop, wait_until

POLL_SECONDS = 0.1
SAMPLE_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")
CONTAINER = re.compile(rb"container_(?:e\d+_)?(\d+_\d+)_\d+_\d+")
# By its interpreter, or by the title that it gave itself.
OUR_PROCESS = re.compile(rb"[^\0 ]*/python|pyflow ")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Process:
    """A process, from ``/proc/<pid>/stat``: seconds of CPU are its own and those of children that have ended."""

    parent: int
    cpu: float
    began: float


@dataclass
class Container:
    """What was seen of a container: when its first process and its first Python began (0 if it has none), its CPU
    seconds, and the highest PSS in bytes.
    """

    began: float
    python_began: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class Watch:
    """Watches the application that is submitted next, or one that runs and is given its next job."""

    def __init__(self, hadoop: Hadoop, application: str = "") -> None:
        self.application = application
        self.containers: dict[str, Container] = {}
        self.running = self.job_running = 0.0
        self._hadoop = hadoop
        self._applications = {each["id"] for each in hadoop.applications()}
        self._jobs = set(self._states()) if application else set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._follow, self._sample)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def containers_since(self, began: float) -> list[Container]:
        """The application's containers that began then or later, in that order."""
        containers = [container for container in self.containers.values() if container.began >= began]
        return sorted(containers, key=lambda container: container.began)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS) and not self.job_running:
            if not self.application:
                new = [each["id"] for each in self._hadoop.applications() if each["id"] not in self._applications]
                self.application = next(iter(new), "")
            elif not self.running:
                if self._hadoop.application(self.application)["state"] in ("RUNNING", *ENDED):
                    self.running = time.time()
            elif {"RUNNING", "FINISHED"} & {s for job, s in self._states().items() if job not in self._jobs}:
                self.job_running = time.time()

    def _states(self) -> dict[str, str]:
        """The states of the application's jobs; none while the application does not answer."""
        url = f"{self._hadoop.rm_address}/proxy/{self.application}/jobs/overview"
        with suppress(OSError, ValueError, KeyError), _direct.open(url, timeout=10) as response:
            return {job["jid"]: job["state"] for job in json.load(response)["jobs"]}
        return {}

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            commands, processes = look()
            for name, pids in containers_of(self.application, commands, processes).items():
                began = min(processes[pid].began for pid in pids)
                container = self.containers.setdefault(name, Container(began))
                pythons = [processes[pid].began for pid in pids if OUR_PROCESS.match(commands.get(pid, b""))]
                container.python_began = container.python_began or min(pythons, default=0.0)
                container.cpu = max(container.cpu, sum(processes[pid].cpu for pid in pids))
                container.memory = max(container.memory, sum(map(proportional_memory, pids)))


def look() -> tuple[dict[int, bytes], dict[int, Process]]:
    """Command lines and accounts of all processes, by their ids."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    commands, processes = {}, {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(OSError):
            processes[pid] = process_of(Path(f"/proc/{pid}/stat").read_text(), booted)
            commands[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    return commands, processes


def process_of(stat: str, booted: float) -> Process:
    """What a line of ``/proc/<pid>/stat`` says."""
    fields = stat.rpartition(")")[2].split()
    cpu = sum(map(int, fields[11:15])) / TICKS
    return Process(parent=int(fields[1]), cpu=cpu, began=booted + int(fields[19]) / TICKS)


def containers_of(
    application: str, commands: Mapping[int, bytes], processes: Mapping[int, Process]
) -> dict[str, list[int]]:
    """The containers of an application: processes whose command names the container, and what descends from them."""
    mark = application.removeprefix("application_").encode()
    containers: dict[str, list[int]] = {}
    for pid in processes:
        ancestor, found = pid, None
        while ancestor in processes and not found:
            found = next((f for f in CONTAINER.finditer(commands.get(ancestor, b"")) if f[1] == mark), None)
            ancestor = processes[ancestor].parent
        if found:
            containers.setdefault(found[0].decode(), []).append(pid)
    return containers


def files_stored(hadoop: Hadoop, folder: str = "/") -> dict[str, int]:
    """The lengths of all files on HDFS, by their paths."""
    found: dict[str, int] = {}
    # A folder may be removed meanwhile.
    with suppress(FileNotFoundError):
        answer = json.loads(hadoop.webhdfs("GET", folder, "LISTSTATUS"))
        for status in answer["FileStatuses"]["FileStatus"]:
            path = f"{folder.rstrip('/')}/{status['pathSuffix']}"
            found |= files_stored(hadoop, path) if status["type"] == "DIRECTORY" else {path: int(status["length"])}
    return found


def wait_until_quiet(hadoop: Hadoop, application: str, seconds: float) -> dict[str, Any]:
    """YARN's last report of an application: it has ended, its processes as well, and its logs are put away."""

    def quiet() -> bool:
        report = hadoop.application(application)
        stored = report.get("logAggregationStatus") not in ("NOT_START", "RUNNING", "RUNNING_WITH_FAILURE")
        return report["state"] in ENDED and stored and not hadoop.processes(application)

    wait_until(f"{application} has ended", quiet, seconds)
    return hadoop.application(application)
