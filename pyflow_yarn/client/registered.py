"""The target when neither options nor configuration name one: a session on YARN that is noted, or else the cluster of
``start-cluster.sh``, if it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from pyflow_yarn.client.configuration import warn
from pyflow_yarn.configuration.options import (
    EXECUTION_TARGET,
    REST_ADDRESS,
    REST_PORT,
    SECURITY_REST_TOKEN_FILE,
    YARN_APPLICATION_ID,
)
from pyflow_yarn.deployment.remote import LOOPBACK
from pyflow_yarn.deployment.state import registered_cluster
from pyflow_yarn.deployment.targets import REMOTE, YARN_SESSION, chosen_target
from pyflow_yarn.deployment.yarn.lines import SESSION_CLI, say
from pyflow_yarn.deployment.yarn.properties_file import properties_file, read_properties_file

BY_OPTION = "-t or -m"
BY_CONFIGURATION = "execution.target"


def on_registered_cluster(
    configuration: Mapping[str, str], given: Mapping[str, str], *, for_program: bool, named_by: str = BY_OPTION
) -> dict[str, str]:
    """The configuration, with the registered cluster as target where no other one is named; says so on stderr.

    ``given`` is the part of the configuration that was given for this start alone, ``named_by`` what the user names
    another target by. The cluster of an application takes no further programs.
    """
    if chosen_target(configuration) == YARN_SESSION or not _names_a_cluster(given, configuration):
        session = _session_on_yarn(configuration, given)
        if session is not None:
            return session
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


def _session_on_yarn(configuration: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str] | None:
    """The session of that id, else the one of the properties file; what that notes is weaker than the command line."""
    if YARN_APPLICATION_ID.is_set(configuration):
        return {EXECUTION_TARGET.key: YARN_SESSION, **configuration}
    path = properties_file(configuration)
    session = read_properties_file(path)
    if session is None:
        return None
    say(f"Found Yarn properties file under {path}.", logger=SESSION_CLI)
    named = {EXECUTION_TARGET.key: YARN_SESSION, YARN_APPLICATION_ID.key: session.application_id}
    return {**configuration, **session.dynamic_properties, **given, **named}


def _names_a_cluster(given: Mapping[str, str], configuration: Mapping[str, str]) -> bool:
    address = REST_ADDRESS.read(configuration)
    return (
        EXECUTION_TARGET.is_set(configuration)
        or REST_ADDRESS.is_set(given)
        or REST_PORT.is_set(given)
        or (address is not None and address not in LOOPBACK)
    )
