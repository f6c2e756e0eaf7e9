"""The running cluster that a client means: that of an application on YARN, or one by its REST server's address."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pyflow_yarn.configuration.options import YARN_APPLICATION_ID
from pyflow_yarn.deployment.cluster import Cluster
from pyflow_yarn.deployment.remote import RemoteCluster
from pyflow_yarn.deployment.targets import YARN, chosen_target
from pyflow_yarn.errors import ClusterError


def running_cluster(configuration: Mapping[str, str]) -> Cluster:
    """The cluster; on YARN its existence has been looked at, and its address said, as Flink does."""
    if chosen_target(configuration) not in YARN:
        return RemoteCluster(configuration)
    application_id = YARN_APPLICATION_ID.read(configuration)
    if not application_id:
        raise ClusterError(
            "No cluster id was specified. Please specify a cluster to which you would like to connect:"
            f" -D{YARN_APPLICATION_ID.key}=<application id>."
        )
    from pyflow_yarn.deployment.yarn.deployer import YarnEdge
    from pyflow_yarn.deployment.yarn.running import YarnCluster

    cluster = YarnCluster(application_id, YarnEdge(configuration, os.environ))
    cluster.find()
    return cluster
