"""``flink run`` on YARN: the program travels to the cluster with its files, and its end comes back."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import NoReturn

import msgspec

from pyflow_yarn.client.application import PROGRAM_ARCHIVE, PROGRAM_FOLDER
from pyflow_yarn.client.blobs import Blob, directory_blob, file_blob, zip_blob
from pyflow_yarn.client.failures import error_block
from pyflow_yarn.client.launch import EXIT_INTERRUPTED, EXIT_PROGRAM_FAILED, EXIT_TERMINATED, Launch, Terminated
from pyflow_yarn.client.program import Program, local_path
from pyflow_yarn.client.sources import local_modules
from pyflow_yarn.configuration.options import (
    EXECUTION_ATTACHED,
    EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT,
    PYTHON_ARCHIVES,
    PYTHON_FILES,
    PYTHON_REQUIREMENTS,
)
from pyflow_yarn.deployment.yarn.deployer import YarnDeployer, YarnEdge
from pyflow_yarn.deployment.yarn.running import YarnCluster
from pyflow_yarn.deployment.yarn.staging import Staging
from pyflow_yarn.errors import PyflowError, UserError
from pyflow_yarn.yarn import ApplicationReport, FinalStatus, LocalFile
from pyflow_yarn.yarn.application_file import ApplicationResult

APPLICATION_NAME = "Flink Application Cluster"
POLL_SECONDS = 0.2


def run_application(program: Program, configuration: Mapping[str, str]) -> int:
    """Run a program as an application of its own; the client's exit code.

    Attached, its fate is waited for; detached, the client leaves when the application runs.
    """
    attached = EXECUTION_ATTACHED.read(configuration)
    with YarnDeployer(configuration, os.environ) as deployer:
        shipment = Shipment(deployer.edge.staging)
        launch = shipment.launch(program, configuration)
        application_id = deployer.deploy(APPLICATION_NAME, shipment.files, msgspec.msgpack.encode(launch), attached)
        cluster = YarnCluster(application_id, deployer.edge)
        if not attached:
            cluster.announce()
            return 0
    return _Attached(cluster, deployer.edge, EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT.read(configuration)).wait()


class Shipment:
    """The files of a program, staged, and how they are called in the container in which it runs."""

    def __init__(self, staging: Staging) -> None:
        self.files: dict[str, LocalFile] = {}
        self._staging = staging

    def launch(self, program: Program, configuration: Mapping[str, str]) -> Launch:
        """What the program is there: its script with the modules beside it, and what the options name."""
        script = self._script(program.script) if program.script else ""
        files = [self._ship(entry) for entry in program.files]
        return Launch(
            program=Program(script=script, module=program.module, arguments=program.arguments, files=files),
            configuration=self._configuration(configuration),
        )

    def _script(self, script: str) -> str:
        path = os.path.abspath(local_path(script))
        name = os.path.basename(path)
        self.files[PROGRAM_ARCHIVE] = self._stage(zip_blob({name: path, **local_modules(path)}), PROGRAM_ARCHIVE)
        return f"{PROGRAM_FOLDER}/{name}"

    def _configuration(self, configuration: Mapping[str, str]) -> dict[str, str]:
        result = dict(configuration)
        for option in (PYTHON_FILES, PYTHON_ARCHIVES):
            entries = [entry.strip() for entry in (option.read(configuration) or "").split(",")]
            if any(entries):
                result[option.key] = ",".join(self._entry(entry) for entry in entries if entry)
        if requirements := PYTHON_REQUIREMENTS.read(configuration):
            file, separator, packages = requirements.partition("#")
            result[PYTHON_REQUIREMENTS.key] = f"{self._ship(file)}{separator}{packages and self._ship(packages)}"
        return result

    def _entry(self, entry: str) -> str:
        path, separator, name = entry.partition("#")
        return f"{self._ship(path)}{separator}{name}"

    def _ship(self, entry: str) -> str:
        """A file or folder of the user's, by its name in the container."""
        path = local_path(entry).rstrip("/")
        name = os.path.basename(path)
        if "://" in path:
            file = LocalFile(path)
        elif os.path.isdir(path):
            file = replace(self._stage(directory_blob(path), f"{name}.zip"), archive=True)
        else:
            file = self._stage(file_blob(path), name)
        if self.files.setdefault(name, file) != file:
            raise UserError(f"Two different files are called {name}, but they travel to one folder: rename one.")
        return name

    def _stage(self, blob: Blob, name: str) -> LocalFile:
        return self._staging.stage(blob, name)


class _Attached:
    """Waits for the end of an application, and tells it the way a client that ran the program would."""

    def __init__(self, cluster: YarnCluster, edge: YarnEdge, ends_with_client: bool) -> None:
        self._cluster = cluster
        self._edge = edge
        self._ends_with_client = ends_with_client

    def wait(self) -> int:
        """The client's exit code."""
        previous = signal.signal(signal.SIGTERM, _terminate)
        try:
            self._cluster.announce()
            return self._await_end()
        except KeyboardInterrupt as signalled:
            self._interrupted()
            return EXIT_TERMINATED if isinstance(signalled, Terminated) else EXIT_INTERRUPTED
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _await_end(self) -> int:
        while True:
            if (result := self._cluster.result()) is not None:
                self._await_report()
                return self._told(result)
            report = self._edge.resource_manager.report(self._cluster.application_id)
            if report.ended:
                return self._untold(report)
            time.sleep(POLL_SECONDS)

    def _await_report(self) -> None:
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
            self._edge.resource_manager.kill(key)
            sys.stderr.write(f"The application {key} was cancelled.\n")
        except PyflowError as error:
            sys.stderr.write(f"The application {key} could not be cancelled: {error}\n")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _show(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(error_block(text))
    sys.stderr.flush()
