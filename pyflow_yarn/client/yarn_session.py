"""``yarn-session.sh``: a session on YARN is brought up or found, attended to from standard input, and ended."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.client.shipment import shared_files
from pyflow_yarn.client.signals import exit_code, interrupted_by
from pyflow_yarn.configuration.options import EXECUTION_ATTACHED, YARN_APPLICATION_ID
from pyflow_yarn.deployment.yarn.deployer import YarnDeployer, YarnEdge
from pyflow_yarn.deployment.yarn.lines import SESSION_CLI, say, say_how_to_stop
from pyflow_yarn.deployment.yarn.properties_file import (
    YarnSession,
    check_properties_file,
    delete_properties_file,
    properties_file,
    write_properties_file,
)
from pyflow_yarn.deployment.yarn.running import YarnCluster
from pyflow_yarn.errors import ClusterError, ExternalError, PyflowError
from pyflow_yarn.yarn import ApplicationReport, FinalStatus

APPLICATION_NAME = "Flink session cluster"
COMMANDS = """Available commands:
help - show these commands
stop - stop the YARN session
"""
LOOK_SECONDS = 3.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.2
LONGEST_COMMAND = 4096
STANDARD_INPUT = 0


def run_session(configuration: Mapping[str, str], dynamic_properties: Mapping[str, str]) -> int:
    """Bring up a session, or find the one that the configuration names, and attend to it if attached; the exit code.

    ``dynamic_properties`` are noted for the commands that will use it.
    """
    try:
        with interrupted_by(signal.SIGTERM, signal.SIGHUP):
            session = Session.found(configuration) or Session.deployed(configuration, dynamic_properties)
            if EXECUTION_ATTACHED.read(configuration):
                return session.attend()
            say_how_to_stop(session.cluster.application_id)
            return 0
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)


class Session:
    """A session that runs, and what can be done with it from here."""

    def __init__(self, cluster: YarnCluster, edge: YarnEdge, configuration: Mapping[str, str]) -> None:
        self.cluster = cluster
        self._edge = edge
        self._configuration = configuration

    @classmethod
    def found(cls, configuration: Mapping[str, str]) -> Session | None:
        """The session whose id the configuration has, if it has one."""
        application_id = YARN_APPLICATION_ID.read(configuration)
        if not application_id:
            return None
        edge = YarnEdge(configuration, os.environ)
        session = cls(YarnCluster(application_id, edge), edge, configuration)
        try:
            session.cluster.find()
        except ClusterError:
            with suppress(PyflowError):
                if (report := session._report()).ended:
                    session._clean_up(report)
            raise
        return session

    @classmethod
    def deployed(cls, configuration: Mapping[str, str], dynamic_properties: Mapping[str, str]) -> Session:
        """A new session, noted in the properties file."""
        path = properties_file(configuration)
        check_properties_file(path)
        with YarnDeployer(configuration, os.environ) as deployer:
            application_id = deployer.deploy(APPLICATION_NAME, shared_files(deployer.edge.staging, configuration))
            session = cls(YarnCluster(application_id, deployer.edge), deployer.edge, configuration)
            try:
                address = session.cluster.announce().address
                sys.stdout.write(f"JobManager Web Interface: http://{address}\n")
                sys.stdout.flush()
                write_properties_file(path, YarnSession(application_id, dynamic_properties))
            except BaseException:
                deployer.take_back()
                raise
        return session

    def attend(self) -> int:
        """Take commands until the session ends or is to end."""
        code = 0
        try:
            report = self._await_end_or_stop()
        except KeyboardInterrupt as interrupt:
            code, report = exit_code(interrupt), None
        try:
            if report is not None:
                return self._ended_by_itself(report)
            return self._stop() or code
        except KeyboardInterrupt:
            key = self.cluster.application_id
            sys.stderr.write(f"The session {key} may be running still; end it with: yarn application -kill {key}\n")
            raise

    def _await_end_or_stop(self) -> ApplicationReport | None:
        """The report of a session that has ended; None if it is to be stopped."""
        commands = Commands(STANDARD_INPUT)
        known = True
        while True:
            try:
                if (report := self._report()).ended:
                    return report
                known = True
            except ExternalError as error:
                if known:
                    sys.stderr.write(f"The Flink Yarn cluster is in an unknown state: {error} Asking again.\n")
                known = False
            command = commands.next(LOOK_SECONDS)
            if command in ("stop", "quit"):
                return None
            if command is not None:
                if command != "help":
                    sys.stderr.write(f"Unknown command '{command}'. Showing help:\n")
                sys.stderr.write(COMMANDS)
                sys.stderr.flush()

    def _ended_by_itself(self, report: ApplicationReport) -> int:
        self._clean_up(report)
        if report.final_status == FinalStatus.SUCCEEDED:
            return 0
        sys.stderr.write(f"The Flink Yarn cluster has failed. {report.diagnostics}".rstrip() + "\n")
        return 1

    def _stop(self) -> int:
        """End the session with its jobs: its JobManager does it, else YARN."""
        try:
            RestClient(self.cluster.endpoint(), self._configuration, self.cluster.check).send("DELETE", "/cluster")
            report = self._await_end()
        except PyflowError as error:
            report = self._report()
            if not report.ended:
                sys.stderr.write(f"WARNING: {error}\n")
        if not report.ended:
            say("Killing YARN application")
            self._edge.resource_manager.kill(report.id)
            report = self._await_end()
        if not report.ended:
            raise ClusterError(
                f"The session {report.id} does not end, neither by itself nor killed: look at it with"
                f" yarn application -status {report.id}"
            )
        self._clean_up(report)
        return 0 if report.final_status == FinalStatus.SUCCEEDED else 1

    def _await_end(self) -> ApplicationReport:
        deadline = time.monotonic() + STOP_SECONDS
        while not (report := self._report()).ended and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return report

    def _report(self) -> ApplicationReport:
        return self._edge.resource_manager.report(self.cluster.application_id)

    def _clean_up(self, report: ApplicationReport) -> None:
        """After the end: the note goes, and what a killed master could not remove."""
        path = properties_file(self._configuration)
        if delete_properties_file(path, report.id):
            say(f"Deleted Yarn properties file at {path}", logger=SESSION_CLI)
        self._edge.staging.forget(report.id)
        say(
            f"Application {report.id} finished with state {report.state} and final state {report.final_status} at"
            f" {report.finish_time}",
            logger=SESSION_CLI,
        )


class Commands:
    """Lines of a terminal or pipe. Where it has ended no more come, and the session goes on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = b""
        self._open = True

    def next(self, seconds: float) -> str | None:
        """The next line; None if there is none in that time."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._text:
            if (left := deadline - time.monotonic()) <= 0:
                return None
            if not self._open:
                time.sleep(left)
            elif select.select([self._descriptor], [], [], left)[0]:
                self._read()
        line, _, self._text = self._text.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _read(self) -> None:
        try:
            piece = os.read(self._descriptor, LONGEST_COMMAND)
        except OSError:
            piece = b""
        self._open = bool(piece)
        # A last line needs no end.
        self._text = (self._text + (piece or (b"\n" if self._text else b"")))[-LONGEST_COMMAND:]
