"""A standing cluster under test: run by the scripts of ``bin`` as a user would, with folders and ports of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.layout import source_roots
from tests.conftest import CHECKOUT, Completed, Flink
from tests.integration.embedded_cluster import alive, wait_until

HOST = socket.gethostname()
SUBMITTED = re.compile(r"^Job has been submitted with JobID ([0-9a-f]{32})$", re.MULTILINE)
SETTINGS = {"rest.port": "0", "jobmanager.rpc.port": "0"}


class StandingCluster:
    """See the module. ``settings`` go into its ``config.yaml``, ``workers`` into ``conf/workers``."""

    def __init__(self, flink: Flink) -> None:
        self.flink = flink
        self.state = flink.home / "s" / "pyflow-yarn" / HOST.partition(".")[0][:24]
        self.conf = flink.root / "c"
        self.conf.mkdir()
        self.env = {
            "XDG_STATE_HOME": str(flink.home / "s"),
            "FLINK_CONF_DIR": str(self.conf),
            "FLINK_IDENT_STRING": "me",
        }
        self.configure({})

    def configure(self, settings: Mapping[str, str], workers: int | list[str] = 1) -> None:
        """Write the configuration."""
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in {**SETTINGS, **settings}.items()]
        (self.conf / "config.yaml").write_text("".join(lines))
        hosts = ["localhost"] * workers if isinstance(workers, int) else workers
        (self.conf / "workers").write_text("".join(f"{host}\n" for host in hosts))

    def script(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Completed:
        """Run one of the scripts to its end."""
        return self._to_its_end([CHECKOUT / "bin" / name, *arguments], env or {})

    def start(self, settings: Mapping[str, str] | None = None, workers: int = 1) -> StandingCluster:
        """Start it, and wait for its TaskManagers."""
        self.configure(settings or {}, workers)
        done = self.script("start-cluster.sh")
        assert (done.returncode, done.stderr) == (0, ""), done
        self.await_task_managers(workers)
        return self

    def await_task_managers(self, count: int) -> None:
        """Wait until so many are registered."""
        wait_until(f"{count} TaskManagers", lambda: self.get("/overview")["taskmanagers"] == count, 30)

    def run(self, *arguments: str | Path, timeout: float = 60) -> Completed:
        """``bin/flink run`` without a target."""
        return self.flink("run", *arguments, env=self.env, timeout=timeout)

    def python(self, *arguments: str | Path) -> Completed:
        """Run a program by itself, with the interpreter of the tests."""
        return self._to_its_end([sys.executable, *arguments], {"PYTHONPATH": os.pathsep.join(source_roots())})

    def _to_its_end(self, command: Sequence[str | Path], env: Mapping[str, str]) -> Completed:
        done = subprocess.run(
            command,
            cwd=self.flink.working_directory,
            env=self.flink.environment({**self.env, **env}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def submit(self, *arguments: str | Path) -> str:
        """``bin/flink run -d``; the job's id."""
        done = self.run("-d", *arguments)
        assert done.returncode == 0, done
        found = SUBMITTED.findall(done.stdout)
        assert len(found) == 1, done
        return str(found[0])

    def get(self, path: str) -> Any:
        """An answer of the REST interface."""
        rest = self.rest()
        try:
            return rest.get(path)
        finally:
            rest.close()

    def rest(self) -> RestClient:
        """A client of the REST interface."""
        written = json.loads((self.state / "jm" / "endpoint.json").read_text())
        token = (self.state / "jm" / "token").read_text()
        return RestClient(Endpoint(written["rest_address"], token), {})

    def job_state(self, job_id: str) -> str:
        """The state of a job."""
        return str(self.get(f"/jobs/{job_id}")["state"])

    def running_tasks(self, job_id: str) -> int:
        """How many subtasks of the job run."""
        return sum(vertex["tasks"]["RUNNING"] for vertex in self.get(f"/jobs/{job_id}")["vertices"])

    def failures(self, job_id: str) -> int:
        """How many failures of the job are known."""
        return len(self.get(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"])

    def await_state(self, job_id: str, state: str, deadline: float = 60) -> None:
        """Wait until the job is in that state."""
        wait_until(f"{job_id} {state}", lambda: self.job_state(job_id) == state, deadline)

    def pid_file(self, service: str = "taskexecutor", number: int = 0) -> Path:
        """The pid file of a daemon."""
        return self.state / "run" / f"flink-me-{service}-{number}-{HOST}.pid"

    def pid(self, service: str = "taskexecutor", number: int = 0) -> int:
        """The process of a daemon."""
        return int(self.pid_file(service, number).read_text().splitlines()[0])

    def kill(self, service: str = "taskexecutor", number: int = 0) -> int:
        """Kill a daemon by hand; the process it was."""
        pid = self.pid(service, number)
        os.kill(pid, signal.SIGKILL)
        wait_until(f"end of {pid}", lambda: not alive(pid))
        return pid

    def stop(self) -> None:
        """Stop it, as the last thing of a test."""
        for service, number in [("taskexecutor", number) for number in range(9)] + [("standalonesession", 0)]:
            if self.pid_file(service, number).exists() and alive(pid := self.pid(service, number)):
                os.kill(pid, signal.SIGCONT)
        self.script("stop-cluster.sh")
