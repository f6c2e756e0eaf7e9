"""Target ``yarn-per-job``: ``main()`` runs here, and each job that it executes is an application of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import msgspec

from pyflow_yarn.client.blobs import Blob, bytes_blob
from pyflow_yarn.client.executor import ClusterExecutor, packaged, tell_submitted
from pyflow_yarn.client.job_client import RestJobClient
from pyflow_yarn.client.launch import Launch
from pyflow_yarn.client.program import Program
from pyflow_yarn.client.shipment import shared_files
from pyflow_yarn.datastream.execution import PreparedJob, ResultPage
from pyflow_yarn.deployment.yarn.deployer import YarnDeployer
from pyflow_yarn.deployment.yarn.lines import say, say_how_to_stop
from pyflow_yarn.deployment.yarn.running import YarnCluster
from pyflow_yarn.errors import ClusterError, JobNotFoundError
from pyflow_yarn.graph.job_graph import JobGraph
from pyflow_yarn.yarn import LocalFile
from pyflow_yarn.yarn.application_file import BLOB_PREFIX, GRAPH_NAME

APPLICATION_NAME = "Flink per-job cluster"
POLL_SECONDS = 0.05
DEPRECATED = "Job Clusters are deprecated since Flink 1.15. Please use an Application Cluster/Application Mode instead."


class PerJobExecutor:
    """The executor of a program on this target; it has an executor for the cluster of each job."""

    def __init__(self, configuration: Mapping[str, str]) -> None:
        self._configuration = dict(configuration)
        self._executors: list[ClusterExecutor] = []

    @property
    def configuration(self) -> Mapping[str, str]:
        """The effective configuration before the program."""
        return self._configuration

    @property
    def jobs(self) -> list[RestJobClient]:
        """The jobs that were submitted."""
        return [job for executor in self._executors for job in executor.jobs]

    def execute(self, job: PreparedJob, attached: bool) -> RestJobClient:
        """See ``Executor``: deploys an application that brings the job with it."""
        say(DEPRECATED, level="WARN")
        graph, blobs = packaged(job)
        program = Launch(program=Program(), configuration=self._configuration, graph=GRAPH_NAME)
        with YarnDeployer(self._configuration, os.environ) as deployer:
            files = _staged(deployer, graph, blobs)
            shared = shared_files(deployer.edge.staging, self._configuration)
            application_id = deployer.deploy(APPLICATION_NAME, shared, files, msgspec.msgpack.encode(program), attached)
            cluster = YarnCluster(application_id, deployer.edge)
            cluster.announce()
        if not attached:
            say_how_to_stop(application_id)
        executor = ClusterExecutor(self._configuration, cluster)
        self._executors.append(executor)
        client = executor.follow(graph, attached)
        if attached:
            _await_submission(client, cluster)
            client.when_ended = cluster.take_result
        tell_submitted(graph.job_id)
        return client

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> ResultPage:
        """See ``Executor``."""
        (executor,) = (each for each in self._executors if any(job.job_id == job_id for job in each.jobs))
        return executor.fetch_results(job_id, operator_id, offset)

    def wait_for_unfinished(self) -> None:
        """Each application goes on by itself."""

    def interrupted(self) -> None:
        """See ``ClusterExecutor``."""
        for executor in self._executors:
            executor.interrupted()

    def close(self) -> None:
        """Close the connections to the clusters."""
        for executor in self._executors:
            executor.close()


def _await_submission(job: RestJobClient, cluster: YarnCluster) -> None:
    """Wait until the application has submitted its job; raises what kept it from that."""
    while True:
        try:
            job.status()
        except JobNotFoundError:
            if (result := cluster.result()) is not None:
                raise ClusterError(result.text) from None
            cluster.check()
            time.sleep(POLL_SECONDS)
        else:
            return


def _staged(deployer: YarnDeployer, graph: JobGraph, blobs: Mapping[str, Blob]) -> dict[str, LocalFile]:
    stage = deployer.edge.staging.stage
    files = {GRAPH_NAME: stage(bytes_blob(msgspec.msgpack.encode(graph)), GRAPH_NAME)}
    for key, blob in blobs.items():
        files[f"{BLOB_PREFIX}{key}"] = stage(blob, key)
    return files
