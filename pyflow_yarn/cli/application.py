"""The process of ``standalone-job.sh``: a JobManager and beside it the program's client; both end with the job.

It takes the place of a JobManager's daemon: it holds its lock and directory, and has its pid file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from types import FrameType

import msgspec

from pyflow_yarn.cli.daemons import stop_daemons
from pyflow_yarn.client.job_client import ENDED
from pyflow_yarn.client.launch import EXIT_PROGRAM_FAILED
from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.client.signals import EXIT_TERMINATED
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.daemons import SESSION, TASK_EXECUTOR, Places, Ready, read_ready
from pyflow_yarn.deployment.layout import run_module_code
from pyflow_yarn.deployment.process import die_with_parent
from pyflow_yarn.deployment.standing import await_leader
from pyflow_yarn.errors import ClusterError, PyflowError

EXIT_FAILED = 1443 % 256
"""Flink's JobManager exits with 1443 when its application has failed; a shell sees this much of it."""

END_SECONDS = 15.0
POLL_SECONDS = 0.2


class Terminated(BaseException):
    """SIGTERM or Ctrl-C: the application is to end."""


def main(arguments: list[str] | None = None) -> int:
    """The program; its exit code is the application's."""
    parser = argparse.ArgumentParser(prog="pyflow_yarn.cli.application")
    for name in ("configuration", "directory", "log-file", "pid-file"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("words", nargs="*", help="after --: options and arguments of flink run")
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminate)
    return _Application(given).run()


def _terminate(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    raise Terminated


class _Application:
    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.job_manager: subprocess.Popen[bytes] | None = None
        self.client: subprocess.Popen[bytes] | None = None
        self.rest: RestClient | None = None

    def run(self) -> int:
        """Until the application has ended, with everything of it."""
        code = EXIT_TERMINATED
        try:
            self._start_job_manager()
            self._start_client()
            code = self._await_end()
        except PyflowError as error:
            self._report(Ready(error=str(error)))
            sys.stderr.write(f"{error}\n")
            code = 1
        except Terminated:
            pass
        finally:
            self._end()
        return code

    def _report(self, ready: Ready) -> None:
        if self.given.ready_fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self.given.ready_fd, msgspec.json.encode(ready) + b"\n")
            os.close(self.given.ready_fd)
            self.given.ready_fd = -1

    # -- the processes --

    def _start_job_manager(self) -> None:
        given = self.given
        reading, writing = os.pipe()
        own = ["--configuration", given.configuration, "--directory", given.directory, "--log-file", given.log_file]
        command = [sys.executable, "-P", "-c", run_module_code(SESSION.module), *own, "--ready-fd", str(writing)]
        try:
            self.job_manager = _child(command, (writing,))
            os.close(writing)
            ready = read_ready(reading)
        finally:
            os.close(reading)
        if ready is None:
            raise ClusterError(f"The JobManager did not start: its log is {given.log_file}.")
        if ready.error:
            raise ClusterError(ready.error)
        await_leader(given.directory, given.log_file)
        with open(os.path.join(given.directory, "token"), encoding="ascii") as file:
            self.rest = RestClient(Endpoint(ready.rest_address, file.read().strip()), {})
        self._report(ready)

    def _start_client(self) -> None:
        assert self.rest is not None
        host, _, port = self.rest.endpoint.address.rpartition(":")
        where = {
            "rest.address": host,
            "rest.port": port,
            "security.rest.token-file": os.path.join(self.given.directory, "token"),
        }
        options = ["-t", "remote", *(f"-D{key}={value}" for key, value in where.items())]
        command = [sys.executable, "-P", "-m", "pyflow_yarn.cli.main", "run", *options, *self.given.words]
        self.client = _child(command, ())

    def _await_end(self) -> int:
        assert self.client is not None
        self._await_client()
        jobs = self._states()
        # Those that the program did not wait for (execute_async, -d).
        while self.client.returncode == 0 and not all(state in ENDED for state in jobs):
            time.sleep(POLL_SECONDS)
            jobs = self._states()
        if "FAILED" in jobs:
            return EXIT_FAILED
        if self.client.returncode == 0 or (self.client.returncode == EXIT_PROGRAM_FAILED and "CANCELED" in jobs):
            return 0
        return EXIT_FAILED

    def _await_client(self) -> None:
        assert self.client is not None and self.job_manager is not None
        handles = [os.pidfd_open(process.pid) for process in (self.client, self.job_manager)]
        try:
            ended, _, _ = select.select(handles, [], [])
        finally:
            for handle in handles:
                os.close(handle)
        if handles[0] not in ended:
            raise ClusterError(f"The JobManager has ended before its application: its log is {self.given.log_file}.")
        self.client.wait()

    def _states(self) -> list[str]:
        assert self.rest is not None
        return [job["state"] for job in self.rest.get("/jobs/overview")["jobs"]]

    # -- the end --

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _stop(self.client)
        if self.job_manager is not None and self.rest is not None and self.job_manager.poll() is None:
            with contextlib.suppress(PyflowError, subprocess.TimeoutExpired):
                # Cancels what still runs.
                self.rest.request("DELETE", "/cluster", None, END_SECONDS)
                self.job_manager.wait(END_SECONDS)
        _stop(self.job_manager)
        # TaskManagers of this host have no further use.
        places = Places(os.environ)
        if places.instances(TASK_EXECUTOR):
            stop_daemons(places, TASK_EXECUTOR, every=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.given.pid_file)
        shutil.rmtree(self.given.directory, ignore_errors=True)


def _child(command: list[str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """A child that dies with this process, whatever ends it."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        # This process has one thread.
        preexec_fn=die_with_parent,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
