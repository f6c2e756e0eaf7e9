"""A cluster that runs as an application on YARN, found by the application's id."""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.yarn.deployer import YarnEdge
from pyflow_yarn.deployment.yarn.lines import say
from pyflow_yarn.errors import ClusterError, ExternalError, PyflowError
from pyflow_yarn.filesystem import file_system, join
from pyflow_yarn.yarn import ApplicationNotFoundError, ApplicationReport
from pyflow_yarn.yarn.application_file import ENDPOINT_NAME, RESULT_NAME, ApplicationEndpoint, ApplicationResult
from pyflow_yarn.yarn.node_manager import NodeManagers
from pyflow_yarn.yarn.start_failures import MASTER_ERRORS, complaint

ENDPOINT_SECONDS = 60.0
RESULT_SECONDS = 10.0
COMPLAINT_SECONDS = 0.5
POLL_SECONDS = 0.1


class ApplicationEndedError(ClusterError):
    """The application has ended, and its REST server with it."""


class YarnCluster:
    """See ``Cluster``; the application goes on when its clients go."""

    ends_with_client = False

    def __init__(self, application_id: str, edge: YarnEdge) -> None:
        self.application_id = application_id
        self._edge = edge

    def endpoint(self) -> Endpoint:
        """Where the REST server is, as the application's folder tells this user; waits until it does."""
        deadline = time.monotonic() + ENDPOINT_SECONDS
        said, next_look = "", 0.0
        while (endpoint := self._published()) is None:
            if time.monotonic() >= next_look:
                said = self._complaint() or said
                next_look = time.monotonic() + COMPLAINT_SECONDS
            # There may be another attempt, on another node.
            self._require_running(said)
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"The application {self.application_id} has not told within {ENDPOINT_SECONDS:.0f} s where its"
                    " JobManager is: it runs for another user, or its master cannot reach HDFS."
                )
            time.sleep(POLL_SECONDS)
        return endpoint

    def _published(self) -> Endpoint | None:
        content = read_file(join(self._edge.staging.application_folder(self.application_id), ENDPOINT_NAME))
        if content is None:
            return None
        found = msgspec.json.decode(content, type=ApplicationEndpoint)
        return Endpoint(found.rest_address, found.token)

    def _complaint(self) -> str:
        """Why the master's container has no Python, as long as it says so."""
        masters = self._edge.resource_manager.masters(self.application_id)
        nodes = NodeManagers(self._edge.hadoop.web_scheme, self._edge.user)
        return complaint(nodes, masters[-1], MASTER_ERRORS) if masters else ""

    def announce(self) -> Endpoint:
        """Say where the REST server is, as Flink does; ``ApplicationEndedError`` if there is none any more."""
        endpoint = self.endpoint()
        say(f"Found Web Interface {endpoint.address} of application '{self.application_id}'.")
        return endpoint

    def find(self) -> None:
        """Look whether it runs, and say where its REST server is; ``ClusterError`` in Flink's words if it does not."""
        key = self.application_id
        try:
            report = self._report()
        except ApplicationNotFoundError:
            raise ClusterError(
                f"Couldn't retrieve Yarn cluster: Application with id '{key}' doesn't exist in RM. Please check that"
                " the job submission was successful."
            ) from None
        if report.ended:
            say(
                f"The application {key} doesn't run anymore. It has previously completed with final status:"
                f" {report.final_status}",
                level="ERROR",
            )
            raise ClusterError(f"Couldn't retrieve Yarn cluster: The Yarn application {key} doesn't run anymore.")
        self.announce()

    def result(self) -> ApplicationResult | None:
        """How the application's program has ended, if it has; who asks has taken it, and the application ends."""
        path = join(self._edge.staging.application_folder(self.application_id), RESULT_NAME)
        if (content := read_file(path)) is None:
            return None
        file_system(path).delete(path)
        return msgspec.json.decode(content, type=ApplicationResult)

    def take_result(self) -> None:
        """Let the application end, which waits for somebody to take its result."""
        deadline = time.monotonic() + RESULT_SECONDS
        with suppress(PyflowError, OSError):
            while self.result() is None and time.monotonic() < deadline:
                self.check()
                time.sleep(POLL_SECONDS)

    def check(self) -> Endpoint | None:
        """See ``Cluster``: another attempt at running the master is somewhere else."""
        self._require_running()
        return self._published()

    def _require_running(self, complaint_of_master: str = "") -> None:
        report = self._report()
        if report.ended and complaint_of_master:
            raise ClusterError(f"The application {self.application_id} has no Python that works: {complaint_of_master}")
        if report.ended:
            why = report.diagnostics.partition("\n")[0]
            raise ApplicationEndedError(
                f"The Yarn application {self.application_id} doesn't run anymore. It has previously completed with"
                f" final status: {report.final_status}{why and f' ({why})'}"
            )

    def _report(self) -> ApplicationReport:
        return self._edge.resource_manager.report(self.application_id)

    def stop(self) -> None:
        """The application goes on."""


def read_file(path: str) -> bytes | None:
    """The content of a file; None if there is none."""
    files = file_system(path)
    try:
        with files.open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExternalError(f"{path} cannot be read: {error.strerror}.") from None
