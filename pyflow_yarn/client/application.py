"""The program of an application on YARN: ``main()`` in a process of its own beside the JobManager.

python -m pyflow_yarn.client.application <application file> <REST address> <application id> <result file>
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pyflow_yarn.client.blobs import file_blob
from pyflow_yarn.client.configuration import with_absolute_paths
from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.failures import describe, headline
from pyflow_yarn.client.job_client import JobCancelledError
from pyflow_yarn.client.launch import Ending, Launch, run_program
from pyflow_yarn.common.job_status import JobStatus
from pyflow_yarn.datastream.execution import set_executor
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.process import die_with_parent
from pyflow_yarn.errors import PyflowError
from pyflow_yarn.graph.job_graph import JobGraph
from pyflow_yarn.yarn import FinalStatus
from pyflow_yarn.yarn.application_file import BLOB_PREFIX, ApplicationResult, read_application_file

PROGRAM_ARCHIVE = "program.zip"
PROGRAM_FOLDER = "program"


class OwnCluster:
    """The cluster of the application that this program is: it ends with the program."""

    ends_with_client = True

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def endpoint(self) -> Endpoint:
        """See ``Cluster``."""
        return self._endpoint

    def check(self) -> None:
        """Nothing to look at: a JobManager that has died is started anew."""

    def stop(self) -> None:
        """The master of the application sees to it."""


def job_ids(application_id: str) -> Iterator[str]:
    """The ids of an application's jobs in their order, the same at each attempt: 32 hexadecimal digits.

    The first 128 bits of the SHA-256 of ``<application id>/<ordinal>``, the ordinal in decimal digits from 0.
    """
    for ordinal in itertools.count():
        yield hashlib.sha256(f"{application_id}/{ordinal}".encode()).hexdigest()[:32]


def main() -> int:
    """The program; the result is in the result file."""
    die_with_parent()
    # Sent to the whole container: the master decides what the end of the application is.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    file, address, application_id, result_file = sys.argv[1:]
    application = read_application_file(Path(file))
    launch = msgspec.msgpack.decode(application.program, type=Launch)
    if os.path.exists(PROGRAM_ARCHIVE):
        with zipfile.ZipFile(PROGRAM_ARCHIVE) as archive:
            archive.extractall(PROGRAM_FOLDER)
    cluster = OwnCluster(Endpoint(address, application.token))
    # The program may change its directory.
    configuration = with_absolute_paths(launch.configuration)
    executor = ClusterExecutor(configuration, cluster, job_ids=job_ids(application_id))
    set_executor(executor)
    ending = _run_graph(launch.graph, executor) if launch.graph else run_program(launch.program, executor)
    ending.show()
    result = _result(ending, executor)
    executor.close()
    temporary = f"{result_file}.new"
    Path(temporary).write_bytes(msgspec.json.encode(result))
    os.replace(temporary, result_file)
    return ending.code


def _run_graph(file: str, executor: ClusterExecutor) -> Ending:
    """Submit the job that came with the application, under the id that its client knows, and wait for its end."""
    graph = msgspec.msgpack.decode(Path(file).read_bytes(), type=JobGraph)
    blobs = {artifact.blob: file_blob(f"{BLOB_PREFIX}{artifact.blob}") for artifact in graph.artifacts}
    try:
        executor.submit(graph, blobs, attached=False).get_job_execution_result().result()
    except Exception as error:
        return Ending(error)
    return Ending()


def _result(ending: Ending, executor: ClusterExecutor) -> ApplicationResult:
    jobs = [job.job_id for job in executor.jobs]
    if ending.error is not None:
        cancelled = isinstance(ending.error, JobCancelledError)
        return ApplicationResult(
            status=FinalStatus.KILLED if cancelled else FinalStatus.FAILED,
            headline=headline(ending.error),
            text=describe(ending.error),
            exit_code=ending.code,
            jobs=jobs,
        )
    # The program may have gone on after a job's end: the worst of them is the application's.
    for status, final in ((JobStatus.FAILED, FinalStatus.FAILED), (JobStatus.CANCELED, FinalStatus.KILLED)):
        for job in executor.jobs:
            if _status(job) is status:
                text = f"Job {job.job_id} {'failed' if status is JobStatus.FAILED else 'was cancelled'}."
                return ApplicationResult(status=final, headline=text, text=text, jobs=jobs)
    return ApplicationResult(status=FinalStatus.SUCCEEDED, jobs=jobs)


def _status(job: object) -> JobStatus | None:
    from pyflow_yarn.client.job_client import RestJobClient

    assert isinstance(job, RestJobClient)
    try:
        return job.status()
    except PyflowError:
        return None
