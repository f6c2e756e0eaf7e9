"""Names of deployment targets: which there are, and which can be used."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_yarn.configuration.options import EXECUTION_TARGET
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError

LOCAL = "local"
REMOTE = "remote"
YARN_SESSION = "yarn-session"
YARN_APPLICATION = "yarn-application"
YARN_PER_JOB = "yarn-per-job"
YARN = (YARN_SESSION, YARN_APPLICATION, YARN_PER_JOB)
AVAILABLE = (LOCAL, REMOTE, *YARN)
KUBERNETES = ("kubernetes-session", "kubernetes-application")


def chosen_target(configuration: Mapping[str, str]) -> str:
    """The target of the configuration, ``local`` unless set; an error for names that are wrong or not available yet."""
    name = EXECUTION_TARGET.read(configuration).strip()
    if name.lower() in AVAILABLE:
        return name.lower()
    available = ", ".join(f'"{target}"' for target in AVAILABLE)
    if name.lower() in KUBERNETES:
        raise NotYetSupportedError(
            f'The target "{name}" is not available yet: targets on Kubernetes come in a later version.'
            f" Available are {available}."
        )
    valid = ", ".join(f'"{target}"' for target in (*AVAILABLE, *KUBERNETES))
    raise ConfigurationError(f'"{name}" is not a valid target. Valid are {valid}; available are {available}.')
