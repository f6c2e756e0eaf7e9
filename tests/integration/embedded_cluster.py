"""An embedded cluster under test: real processes, found by their titles."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.job_client import RestJobClient
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.execution import set_executor
from pyflow_yarn.deployment.local import LocalCluster

DEADLINE = 20.0


def wait_until(what: str, condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Poll until something is so."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {deadline:g} s"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> dict[int, str]:
    """Titles of a process and everything below it."""
    found: dict[int, str] = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().strip()
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found.update(descendants(int(child)))
    return found


class EmbeddedCluster:
    """See the module."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self.configuration = dict(configuration)
        self.local = LocalCluster(self.configuration).start()
        self.executor = ClusterExecutor(self.configuration, self.local)
        assert self.local._process is not None
        self.pid = self.local._process.pid

    @property
    def directory(self) -> Path:
        """The cluster's directory."""
        return Path(self.local.directory)

    def processes(self) -> dict[int, str]:
        """Titles of all its processes; one that has ended, and waits to be collected, has none."""
        return {pid: title for pid, title in descendants(self.pid).items() if title}

    def find(self, title: str) -> list[int]:
        """Processes whose title begins so."""
        return [pid for pid, text in self.processes().items() if text.startswith(f"pyflow {title}")]

    def one(self, title: str) -> int:
        """The process of that title, once there is exactly one."""
        wait_until(f"one {title}", lambda: len(self.find(title)) == 1)
        return self.find(title)[0]

    def kill(self, pid: int) -> None:
        """Kill a process by hand."""
        os.kill(pid, signal.SIGKILL)
        wait_until(f"end of {pid}", lambda: not alive(pid))

    def environment(self) -> StreamExecutionEnvironment:
        """An environment whose jobs this cluster runs."""
        set_executor(self.executor)
        return StreamExecutionEnvironment.get_execution_environment()

    def status(self, job: RestJobClient) -> str:
        """The state of a job."""
        return str(job.status().name)


@contextlib.contextmanager
def embedded_cluster(configuration: Mapping[str, str] | None = None) -> Iterator[EmbeddedCluster]:
    """A cluster that ends with the block, whatever happens in it."""
    cluster = EmbeddedCluster(configuration or {})
    try:
        cluster.local.endpoint()
        yield cluster
    finally:
        set_executor(None)
        cluster.executor.close()
        cluster.local.stop()
