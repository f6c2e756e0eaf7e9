"""``flink run`` on YARN: the program travels to the cluster with its files, and its end comes back."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from pyflow_yarn.client.failures import error_block
from pyflow_yarn.client.job_client import ENDED, RestJobClient
from pyflow_yarn.client.launch import EXIT_PROGRAM_FAILED
from pyflow_yarn.client.program import Program
from pyflow_yarn.client.rest import RestClient
from pyflow_yarn.client.shipment import Shipment, shared_files
from pyflow_yarn.client.signals import exit_code, interrupted_by
from pyflow_yarn.configuration.attachment import client_timeout
from pyflow_yarn.configuration.options import (
    EXECUTION_ATTACHED,
    EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT,
)
from pyflow_yarn.deployment.yarn.deployer import YarnDeployer, YarnEdge
from pyflow_yarn.deployment.yarn.lines import say
from pyflow_yarn.deployment.yarn.running import ApplicationEndedError, YarnCluster
from pyflow_yarn.errors import ExternalError, PyflowError
from pyflow_yarn.yarn import ApplicationReport, FinalStatus
from pyflow_yarn.yarn.application_file import ApplicationResult

APPLICATION_NAME = "Flink Application Cluster"
POLL_SECONDS = 0.2
LONGEST_POLL_SECONDS = 2.0
PATIENCE_SECONDS = 300.0
HEARTBEAT_SECONDS = 2.0
CANCEL_SECONDS = 15.0


def run_application(program: Program, configuration: Mapping[str, str]) -> int:
    """Run a program as an application of its own; the client's exit code.

    Attached, its fate is waited for; detached, the client leaves when the application runs.
    """
    attached = EXECUTION_ATTACHED.read(configuration)
    with interrupted_by(signal.SIGTERM), YarnDeployer(configuration, os.environ) as deployer:
        shipment = Shipment(deployer.edge.staging)
        launch = shipment.launch(program, configuration)
        shared = shared_files(deployer.edge.staging, configuration)
        application_id = deployer.deploy(
            APPLICATION_NAME, shared, shipment.files, msgspec.msgpack.encode(launch), attached
        )
        cluster = YarnCluster(application_id, deployer.edge)
        if not attached:
            try:
                cluster.announce()
            except ApplicationEndedError as ended:
                # It was deployed, and its program was short.
                say(str(ended), level="WARN")
            return 0
    return _Attached(cluster, deployer.edge, configuration).wait()


class _Attached:
    """Waits for the end of an application, and tells it the way a client that ran the program would."""

    def __init__(self, cluster: YarnCluster, edge: YarnEdge, configuration: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._edge = edge
        self._configuration = configuration
        self._ends_with_client = EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT.read(configuration)
        self._client: RestClient | None = None
        self._next_heartbeat = 0.0
        self._complained = 0.0

    def wait(self) -> int:
        """The client's exit code."""
        with interrupted_by(signal.SIGTERM):
            try:
                with suppress(ApplicationEndedError):
                    self._cluster.announce()
                return self._await_end()
            except KeyboardInterrupt as interrupt:
                self._interrupted()
                return exit_code(interrupt)

    def _await_end(self) -> int:
        began = answered = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                if (code := self._look()) is not None:
                    return code
                answered = now
            except ExternalError as error:
                # YARN or HDFS may be restarted meanwhile: the application goes on.
                if now - answered > PATIENCE_SECONDS:
                    raise
                if answered >= self._complained:
                    sys.stderr.write(f"WARNING: {error} The application may go on; looking again for a while.\n")
                    self._complained = now
            if self._ends_with_client:
                self._keep_jobs_alive()
            # Who waits for hours does not ask five times a second.
            time.sleep(min(POLL_SECONDS + (now - began) / 60, LONGEST_POLL_SECONDS))

    def _look(self) -> int | None:
        """The client's exit code, if the application has ended."""
        if (result := self._cluster.result()) is not None:
            self._await_report()
            return self._told(result)
        report = self._edge.resource_manager.report(self._cluster.application_id)
        return self._untold(report) if report.ended else None

    def _rest(self) -> RestClient:
        if self._client is None:
            self._client = RestClient(self._cluster.endpoint(), self._configuration, self._cluster.check)
        return self._client

    def _keep_jobs_alive(self) -> None:
        """Jobs of a program that ends with its client want to hear of it."""
        timeout = client_timeout(self._configuration)
        now = time.monotonic()
        if timeout is None or now < self._next_heartbeat:
            return
        self._next_heartbeat = now + HEARTBEAT_SECONDS
        with suppress(PyflowError):
            rest = self._rest()
            until = {"expiredTimestamp": round(time.time() * 1000) + timeout}
            for job in rest.get("/jobs/overview")["jobs"]:
                if job["state"] not in ENDED:
                    rest.send("PATCH", f"/jobs/{job['jid']}/clientHeartbeat", until)

    def _await_report(self) -> None:
        """Until YARN says the same; what the program had to say is known already."""
        with suppress(ExternalError):
            while not self._edge.resource_manager.report(self._cluster.application_id).ended:
                time.sleep(POLL_SECONDS)

    def _told(self, result: ApplicationResult) -> int:
        if result.status != FinalStatus.SUCCEEDED:
            _show(result.text)
            return EXIT_PROGRAM_FAILED
        sys.stdout.write("Program execution finished\n")
        return result.exit_code

    def _untold(self, report: ApplicationReport) -> int:
        """It ended without a word of its program: its master was killed, or could not start it."""
        self._edge.staging.forget(report.id)
        if report.final_status == FinalStatus.SUCCEEDED:
            sys.stdout.write("Program execution finished\n")
            return 0
        _show(
            f"The Yarn application {report.id} ended with the final status {report.final_status}:"
            f" {report.diagnostics or 'YARN says no more; see yarn logs -applicationId ' + report.id}"
        )
        return EXIT_PROGRAM_FAILED

    def _interrupted(self) -> None:
        key = self._cluster.application_id
        sys.stdout.flush()
        if not self._ends_with_client:
            sys.stderr.write(f"The application {key} is still running; end it with: flink cancel {key}\n")
            return
        try:
            if not self._cancel_jobs():
                self._edge.resource_manager.kill(key)
                self._edge.staging.forget(key)
            sys.stderr.write(f"The application {key} was cancelled.\n")
        except PyflowError as error:
            sys.stderr.write(f"The application {key} could not be cancelled: {error}\n")

    def _cancel_jobs(self) -> bool:
        """Ask for the end of the program's jobs, so that the application ends in order; whether it has."""
        with suppress(PyflowError):
            rest = self._rest()
            for job in rest.get("/jobs/overview")["jobs"]:
                if job["state"] not in ENDED:
                    RestJobClient(rest, job["jid"]).request_cancellation()
        deadline = time.monotonic() + CANCEL_SECONDS
        while time.monotonic() < deadline:
            with suppress(PyflowError):
                self._cluster.result()
                if self._edge.resource_manager.report(self._cluster.application_id).ended:
                    return True
            time.sleep(POLL_SECONDS)
        return False


def _show(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(error_block(text))
    sys.stderr.flush()
