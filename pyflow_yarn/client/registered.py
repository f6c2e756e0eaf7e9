"""The target when neither options nor configuration name one: the cluster of ``start-cluster.sh``, if it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyflow_yarn.client.configuration import warn
from pyflow_yarn.configuration.options import EXECUTION_TARGET, REST_ADDRESS, REST_PORT, SECURITY_REST_TOKEN_FILE
from pyflow_yarn.deployment.remote import LOOPBACK
from pyflow_yarn.deployment.state import registered_cluster
from pyflow_yarn.deployment.targets import REMOTE

BY_OPTION = "-t or -m"
BY_CONFIGURATION = "execution.target"


def on_registered_cluster(
    configuration: Mapping[str, str], given: Mapping[str, str], *, for_program: bool, named_by: str = BY_OPTION
) -> dict[str, str]:
    """The configuration, with the registered cluster as target where no other one is named; says so on stderr.

    ``given`` is the part of the configuration that was given for this start alone, ``named_by`` what the user names
    another target by. The cluster of an application takes no further programs.
    """
    if _names_a_cluster(given, configuration):
        return dict(configuration)
    cluster = registered_cluster(os.environ)
    if cluster is None or (for_program and cluster.application):
        return dict(configuration)
    if not cluster.alive:
        warn(
            f"The standalone cluster at {cluster.endpoint.address} has ended without being stopped, so it is not used:"
            " start it again (bin/start-cluster.sh), or forget it and its jobs (bin/stop-cluster.sh)."
        )
        return dict(configuration)
    host, _, port = cluster.endpoint.address.rpartition(":")
    sys.stderr.write(f"Using the standalone cluster at {cluster.endpoint.address} (another one: {named_by}).\n")
    named = {
        EXECUTION_TARGET.key: REMOTE,
        REST_ADDRESS.key: "localhost" if host in ("0.0.0.0", "[::]") else host,
        REST_PORT.key: port,
    }
    if not SECURITY_REST_TOKEN_FILE.is_set(configuration) and cluster.endpoint.token:
        named[SECURITY_REST_TOKEN_FILE.key] = cluster.token_file
    return {**configuration, **named}


def _names_a_cluster(given: Mapping[str, str], configuration: Mapping[str, str]) -> bool:
    address = REST_ADDRESS.read(configuration)
    return (
        EXECUTION_TARGET.is_set(configuration)
        or REST_ADDRESS.is_set(given)
        or REST_PORT.is_set(given)
        or (address is not None and address not in LOOPBACK)
    )
