"""The actions on jobs of a running cluster: ``list``, ``cancel``, and those that wait for savepoints to exist."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from typing import NamedTuple

from pyflow_yarn.cli.flavours import flavour_configuration
from pyflow_yarn.cli.options import DYNAMIC_PROPERTY, SAVEPOINT_DETACHED, SAVEPOINT_TYPE
from pyflow_yarn.cli.parser import ArgumentError, CommandLine
from pyflow_yarn.client.clusters import running_cluster
from pyflow_yarn.client.configuration import configuration_directory, warn, warn_about
from pyflow_yarn.client.job_client import ENDED
from pyflow_yarn.client.registered import on_registered_cluster
from pyflow_yarn.client.rest import Conflict, RestClient
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import EXECUTION_TARGET, YARN_APPLICATION_ID
from pyflow_yarn.deployment.targets import LOCAL, YARN_APPLICATION, chosen_target
from pyflow_yarn.errors import ClusterError, ConfigurationError, NotYetSupportedError, PyflowError
from pyflow_yarn.yarn import APPLICATION_ID

JOB_ID = re.compile(r"[0-9a-fA-F]{32}")
EXIT_OK = 0
EXIT_ERROR = 1
SCHEDULED_STATES = ("CREATED", "INITIALIZING")
RUNNING_HEADER = "------------------ Running/Restarting Jobs -------------------"
SCHEDULED_HEADER = "----------------------- Scheduled Jobs -----------------------"
TERMINATED_HEADER = "---------------------- Terminated Jobs -----------------------"
FOOTER = "-" * 62
WAITING = "Waiting for response..."
NO_SAVEPOINTS = "this version has no savepoints. Use flink cancel to end a job."
NO_CHECKPOINTS = "this version has no checkpoints."


class _Row(NamedTuple):
    start_time: int
    job_id: str
    name: str
    state: str

    def __str__(self) -> str:
        start = time.strftime("%d.%m.%Y %H:%M:%S", time.localtime(self.start_time / 1000))
        return f"{start} : {self.job_id} : {self.name} ({self.state})"


class _Locator(NamedTuple):
    """A job: by its id, or as the only one of an application on YARN."""

    application_id: str
    job_id: str


def list_jobs(line: CommandLine) -> int:
    """``flink list``."""

    def act() -> None:
        every, running, scheduled = (name in line.values for name in ("a", "r", "s"))
        neither = not (every or running or scheduled)
        with _cluster(line) as rest:
            print(WAITING, flush=True)
            rows = _rows(rest)
        if running or every or neither:
            shown = [row for row in rows if row.state not in (*SCHEDULED_STATES, *ENDED)]
            _block(RUNNING_HEADER, shown, "No running jobs.")
        if scheduled or every or neither:
            _block(SCHEDULED_HEADER, [row for row in rows if row.state in SCHEDULED_STATES], "No scheduled jobs.")
        if every:
            _block(TERMINATED_HEADER, [row for row in rows if row.state in ENDED], "")

    return _cluster_action(act)


def _rows(rest: RestClient) -> list[_Row]:
    try:
        jobs = rest.get("/jobs/overview")["jobs"]
        return sorted(_Row(int(job["start-time"]), job["jid"], job["name"], job["state"]) for job in jobs)
    except (KeyError, TypeError, ValueError):
        raise ClusterError("Failed to retrieve job list: what answers is no REST server of a cluster.") from None


def _block(header: str, rows: list[_Row], none: str) -> None:
    if rows:
        print("\n".join([header, *map(str, rows), FOOTER]))
    elif none:
        print(none)


def cancel(line: CommandLine) -> int:
    """``flink cancel``."""
    if "s" in line.values:
        return _cancel_with_savepoint(line)
    locators = _locators(line, "Missing JobID. Specify a JobID to cancel a job.")
    return max([_cancel(line, locator) for locator in locators])


def _cancel(line: CommandLine, locator: _Locator) -> int:
    def tell(job_id: str) -> None:
        print(f"Cancelling job {job_id}.", flush=True)

    def act() -> None:
        with _cluster(line, locator.application_id) as rest:
            job_id = _job_id(rest, locator)
            if not locator.job_id:
                tell(job_id)
            try:
                _request_cancellation(rest, job_id)
            except PyflowError as error:
                raise ClusterError(f"Could not cancel job {job_id}. {error}") from None
        print(f"Cancelled job {job_id}.", flush=True)

    if locator.job_id:
        tell(locator.job_id)
    return _cluster_action(act)


def _request_cancellation(rest: RestClient, job_id: str) -> None:
    try:
        rest.send("PATCH", f"/jobs/{job_id}?mode=cancel")
    except Conflict:
        # Cancelling what is cancelled already has the wished-for outcome.
        if rest.get(f"/jobs/{job_id}/status").get("status") != "CANCELED":
            raise


def _cancel_with_savepoint(line: CommandLine) -> int:
    print('DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.', flush=True)
    job_id, directory = _job_id_and_directory(line, "s")
    place = f"to {directory}" if directory else "to default savepoint directory"
    print(f"Cancelling job {job_id} with {_savepoint_type(line)} savepoint {place}.", flush=True)
    return _missing(line, (), "Cancelling with a savepoint", NO_SAVEPOINTS)


def stop(line: CommandLine) -> int:
    """``flink stop``: needs savepoints."""
    job_id, _ = _job_id_and_directory(line, "p")
    verb = "Draining" if "d" in line.values else "Suspending"
    print(f'{verb} job "{job_id}" with a {_savepoint_type(line)} savepoint.', flush=True)
    if line.has(SAVEPOINT_DETACHED):
        lines = [f"Triggering stop-with-savepoint in detached mode for job {job_id}."]
    else:
        lines = [f"Triggering stop-with-savepoint for job {job_id}.", WAITING]
    return _missing(line, lines, "Stopping with a savepoint", NO_SAVEPOINTS)


def savepoint(line: CommandLine) -> int:
    """``flink savepoint``: not there yet."""
    if "d" in line.values:
        lines = [f"Disposing savepoint '{line.values['d'][0]}'.", WAITING]
        return _missing(line, lines, "The action savepoint", NO_SAVEPOINTS)
    locators = _locators(line, "Missing JobID. Specify a Job ID to trigger a savepoint.")
    if len(line.arguments) > 2:
        print("Provided more arguments than required. Ignoring not needed arguments.", flush=True)
    if line.has(SAVEPOINT_DETACHED):
        lines = ["Triggering savepoint in detached mode for job {}."]
    else:
        lines = ["Triggering savepoint for job {}.", WAITING]
    return max([_missing(line, lines, "The action savepoint", NO_SAVEPOINTS, locator) for locator in locators])


def checkpoint(line: CommandLine) -> int:
    """``flink checkpoint``: not there yet."""
    job_id = _required_job_id(line, "Missing JobID. Specify a Job ID to manipulate a checkpoint.")
    return _missing(
        line, (f"Triggering checkpoint for job {job_id}.", WAITING), "The action checkpoint", NO_CHECKPOINTS
    )


def _locators(line: CommandLine, missing: str) -> list[_Locator]:
    """The jobs that are meant: one by its id, or those of applications whose ids schedulers found in our output."""
    words = line.arguments[0].split(",") if line.arguments else []
    if words and all(map(APPLICATION_ID.fullmatch, words)):
        return [_Locator(application_id, "") for application_id in words]
    return [_Locator("", _required_job_id(line, missing))]


def _job_id(rest: RestClient, locator: _Locator) -> str:
    if locator.job_id:
        return locator.job_id
    application_id = locator.application_id
    found = [row.job_id for row in _rows(rest) if row.state not in ENDED]
    if not found:
        raise ClusterError(f"The application {application_id} runs no job.")
    if len(found) > 1:
        raise ClusterError(
            f"The application {application_id} runs several jobs: give the id of one, with"
            f" -D{YARN_APPLICATION_ID.key}={application_id}: {', '.join(found)}."
        )
    return found[0]


def _required_job_id(line: CommandLine, missing: str) -> str:
    if not line.arguments:
        raise ArgumentError(missing)
    return parse_job_id(line.arguments[0])


def _job_id_and_directory(line: CommandLine, option: str) -> tuple[str, str | None]:
    """Without another word, what follows the option is not the directory but the job: ``stop -p <job id>``."""
    value = next(iter(line.values.get(option, ())), None)
    if line.arguments:
        return parse_job_id(line.arguments[0]), value
    if value is None:
        raise ArgumentError("Missing JobId")
    return parse_job_id(value), None


def _savepoint_type(line: CommandLine) -> str:
    return (line.value(SAVEPOINT_TYPE) or "canonical").upper()


def _missing(line: CommandLine, lines: Iterable[str], what: str, why: str, locator: _Locator | None = None) -> int:
    """Refuse where the cluster would be asked, after what the action says until then."""

    def act() -> None:
        with _cluster(line, locator.application_id if locator else "") as rest:
            for text in lines:
                print(text.replace("{}", _job_id(rest, locator)) if locator else text, flush=True)
            raise NotYetSupportedError(f"{what} is not supported yet: {why}")

    return _cluster_action(act)


def parse_job_id(text: str) -> str:
    """The id in lower case, as it is shown everywhere."""
    if not JOB_ID.fullmatch(text):
        raise ArgumentError(
            f'Cannot parse JobID from "{text}". The expected format is [0-9a-fA-F]{{32}},'
            " e.g. fd72014d4c864993a2e5a9287b4a9c5d."
        )
    return text.lower()


def _cluster(line: CommandLine, application_id: str = "") -> AbstractContextManager[RestClient]:
    files = load(configuration_directory(), {})
    flavoured, warnings = flavour_configuration(line, files)
    if application_id:
        flavoured |= {EXECUTION_TARGET.key: YARN_APPLICATION, YARN_APPLICATION_ID.key: application_id}
    configuration: Mapping[str, str] = load(configuration_directory(), flavoured)
    for sentence in warnings:
        warn(sentence)
    warn_about(configuration)
    if chosen_target(configuration) == LOCAL and EXECUTION_TARGET.is_set(configuration):
        raise ConfigurationError(
            'The target "local" has no cluster to connect to: it lives inside the client that runs its program. Name'
            " the address of its REST server with -m host:port."
        )
    configuration = on_registered_cluster(configuration, line.properties(DYNAMIC_PROPERTY), for_program=False)
    cluster = running_cluster(configuration)
    return closing(RestClient(cluster.endpoint(), configuration, cluster.check))


def _cluster_action(act: Callable[[], None]) -> int:
    try:
        act()
    except PyflowError as error:
        from pyflow_yarn.client.failures import show_error_block

        show_error_block(error)
        return EXIT_ERROR
    return EXIT_OK


HANDLERS: dict[str, Callable[[CommandLine], int]] = {
    "list": list_jobs,
    "cancel": cancel,
    "stop": stop,
    "savepoint": savepoint,
    "checkpoint": checkpoint,
}
