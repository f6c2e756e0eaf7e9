"""``flink logs``: what the containers of an application on YARN have written."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import TypeVar

from pyflow_yarn.cli.flavours import flavour_configuration
from pyflow_yarn.cli.jobs import JOB_ID
from pyflow_yarn.cli.options import FOLLOW, TASK_MANAGER
from pyflow_yarn.cli.parser import ArgumentError, CommandLine
from pyflow_yarn.client.configuration import configuration_directory
from pyflow_yarn.client.log_following import Follower
from pyflow_yarn.client.signals import interrupted_by
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import YARN_APPLICATION_ID
from pyflow_yarn.deployment.yarn.deployer import YarnEdge
from pyflow_yarn.deployment.yarn.properties_file import properties_file, read_properties_file
from pyflow_yarn.errors import ClusterError, ExternalError, PyflowError
from pyflow_yarn.yarn import APPLICATION_ID, ApplicationNotFoundError, ApplicationReport
from pyflow_yarn.yarn.aggregated_logs import AggregatedLogs
from pyflow_yarn.yarn.container_logs import ContainerLogs, LogFile, LogsError, task_manager_container
from pyflow_yarn.yarn.node_manager import NodeManagers
from pyflow_yarn.yarn.resource_manager import RefusedError
from pyflow_yarn.yarn.running_logs import RunningLogs
from pyflow_yarn.yarn.skein_adapter import APPLICATION_TYPE

EXIT_OK = 0
EXIT_ERROR = 1
TASK_MANAGER_NAME = re.compile(r"(taskmanager-)?(\d+-)?[1-9]\d*", re.ASCII)
POLL_SECONDS = 1.0
# A ResourceManager that is started anew, or gives over to another, is waited for.
PATIENCE_SECONDS = 60.0
AGGREGATION_SECONDS = 120.0
T = TypeVar("T")
_UNDER_WAY = ("NOT_START", "RUNNING", "RUNNING_WITH_FAILURE")
_INCOMPLETE = ("FAILED", "TIME_OUT")


def logs(line: CommandLine) -> int:
    """``flink logs``."""
    try:
        configuration = _configuration(line)
        words = line.arguments or [_configured(configuration)]
    except PyflowError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ERROR
    if len(words) > 1:
        raise ArgumentError("Only one application at a time: name one id.")
    if not APPLICATION_ID.fullmatch(words[0]) and not JOB_ID.fullmatch(words[0]):
        raise ArgumentError(
            f'"{words[0]}" is the id of no application and of no job: write application_1700000000000_0001, or the 32 '
            "hexadecimal digits of a job that runs."
        )
    task_manager = line.value(TASK_MANAGER)
    if task_manager is not None and not TASK_MANAGER_NAME.fullmatch(task_manager):
        raise ArgumentError(f'"{task_manager}" is no TaskManager: write its number, 2, or its name, taskmanager-1-2.')
    try:
        with interrupted_by(signal.SIGTERM):
            problems = _Logs(YarnEdge(configuration, os.environ), words[0], task_manager).show(line.has(FOLLOW))
    except PyflowError as error:
        problems = [str(error)]
    sys.stdout.flush()
    for sentence in problems:
        sys.stderr.write(f"{sentence}\n")
    return EXIT_ERROR if problems else EXIT_OK


def _configuration(line: CommandLine) -> Mapping[str, str]:
    directory = configuration_directory()
    flavoured, _ = flavour_configuration(line, load(directory, {}))
    return load(directory, flavoured)


def _configured(configuration: Mapping[str, str]) -> str:
    """The application that commands turn to where none is named."""
    session = read_properties_file(properties_file(configuration))
    if found := YARN_APPLICATION_ID.read(configuration) or (session and session.application_id):
        return found
    raise ArgumentError("Missing application id. Specify the id of an application, or of a job that runs on YARN.")


class _Logs:
    """The logs of one application, or of one of its TaskManagers."""

    def __init__(self, edge: YarnEdge, key: str, task_manager: str | None) -> None:
        self._task_manager = (task_manager or "").removeprefix("taskmanager-")
        self._container = ""
        self._edge = edge  # its folder goes with it
        self._resource_manager = edge.resource_manager
        self._key = key if APPLICATION_ID.fullmatch(key) else self._application_of(key.lower())
        nodes = NodeManagers(edge.hadoop.web_scheme, edge.user)
        self._running = RunningLogs(self._resource_manager, nodes, self._key)

    def show(self, follow: bool) -> list[str]:
        """Show them; the answer is what is missing, a sentence each."""
        try:
            report = self._resource_manager.report(self._key)
        except ApplicationNotFoundError:
            # YARN forgets applications long before their logs are deleted.
            return self._show_forgotten()
        if follow:
            return self._follow()
        return self._show_aggregated(report) if report.ended else self._show_running(report)

    def _show_running(self, report: ApplicationReport) -> list[str]:
        if not self._print(self._running):
            if self._task_manager:
                return [*self._running.problems, self._no_task_manager()]
            if not self._running.problems:
                return [f"{self._key} has no logs yet: its state is {report.state}, add -f to wait for them."]
        return self._running.problems

    def _show_aggregated(self, report: ApplicationReport) -> list[str]:
        aggregated = self._aggregated(report)
        shown = self._print(aggregated)
        return [*aggregated.problems, *self._missing(report, shown)]

    def _show_forgotten(self) -> list[str]:
        aggregated = AggregatedLogs(self._edge.hadoop, self._edge.user, self._key)
        if not self._print(aggregated):
            return [
                *aggregated.problems,
                f"YARN knows no application {self._key}, and {self._edge.user} left no logs of it: look at the id.",
            ]
        return aggregated.problems

    def _aggregated(self, report: ApplicationReport) -> AggregatedLogs:
        if report.log_aggregation == "DISABLED":
            raise LogsError(
                f"The logs of {self._key} were left on its nodes: YARN does not aggregate logs"
                " (yarn.log-aggregation-enable is false), look below yarn.nodemanager.log-dirs there."
            )
        return AggregatedLogs(self._edge.hadoop, report.user, self._key)

    def _missing(self, report: ApplicationReport, shown: int) -> list[str]:
        """Why there may be more than was shown, or why nothing was."""
        if report.log_aggregation in _UNDER_WAY and self._resource_manager.masters(self._key):
            return [f"YARN is still aggregating the logs of {self._key}: try again in a moment."]
        if report.log_aggregation in _INCOMPLETE:
            return [f"YARN could not aggregate all logs of {self._key}: what is missing may still be on its nodes."]
        if shown:
            return []
        if self._task_manager:
            return [self._no_task_manager()]
        if not self._resource_manager.masters(self._key):
            return [f"{self._key} has no logs: it ended before a container of it was started. {report.diagnostics}"]
        return [
            f"{self._key} has no aggregated logs of user {report.user}: they are deleted after"
            " yarn.log-aggregation.retain-seconds, or are not where yarn.nodemanager.remote-app-log-dir says."
        ]

    def _no_task_manager(self) -> str:
        return f"{self._key} has no logs of a taskmanager-{self._task_manager}."

    def _print(self, source: ContainerLogs) -> int:
        """Print all that is there now, and say how many files that were."""
        shown = 0
        for container, group in groupby(self._chosen(source), key=lambda file: (file.container, file.node)):
            _write([f"Container: {container[0]} on {container[1]}\n".encode()])
            for file in group:
                shown += 1
                if file.length:
                    _write([f"LogType:{file.name}\nLogLength:{file.length}\nLogContents:\n".encode()])
                    last = b""
                    for piece in source.read(file, 0):
                        last = piece
                        _write([piece])
                    _write([b"\n" if last.endswith(b"\n") else b"\n\n"])
        return shown

    def _follow(self) -> list[str]:
        follower = Follower(_show_lines, self._chosen)
        told: set[str] = set()
        while True:
            # What was written before the end is in the files that are looked at after it.
            report = self._patiently(lambda: self._resource_manager.report(self._key))
            if report.ended:
                break
            self._patiently(lambda: follower.look(self._running))
            sys.stdout.flush()
            for sentence in self._running.problems:
                if sentence not in told:
                    told.add(sentence)
                    sys.stderr.write(f"{sentence}\n")
            time.sleep(POLL_SECONDS)
        deadline = time.monotonic() + AGGREGATION_SECONDS
        while report.log_aggregation in _UNDER_WAY and time.monotonic() < deadline:
            if not self._resource_manager.masters(self._key):
                break
            time.sleep(POLL_SECONDS / 4)
            report = self._patiently(lambda: self._resource_manager.report(self._key))
        try:
            aggregated = self._aggregated(report)
            follower.end(aggregated)
        except PyflowError:
            follower.close()
            raise
        return [*aggregated.problems, *self._missing(report, len(self._chosen(aggregated)))]

    def _chosen(self, source: ContainerLogs) -> list[LogFile]:
        files = source.files()
        if self._task_manager and not self._container:
            self._container = task_manager_container(source, files, self._task_manager)
        return [file for file in files if file.container == self._container] if self._task_manager else files

    def _application_of(self, job_id: str) -> str:
        for report in self._resource_manager.running(self._edge.user, APPLICATION_TYPE):
            if job_id in self._resource_manager.jobs(report):
                return report.id
        raise ClusterError(
            f"No application of {self._edge.user} that runs on YARN has a job {job_id}: name the application by its id."
        )

    @staticmethod
    def _patiently(ask: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except RefusedError:
                raise
            except ExternalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)


def _show_lines(name: str, lines: list[bytes]) -> None:
    prefix = f"{name}: ".encode()
    _write([prefix + line for line in lines])


def _write(content: list[bytes]) -> None:
    sys.stdout.buffer.write(b"".join(content))
