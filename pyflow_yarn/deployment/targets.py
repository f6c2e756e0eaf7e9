"""Names of deployment targets: which there are, and which can be used."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_yarn.configuration.options import EXECUTION_TARGET
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError

LOCAL = "local"
REMOTE = "remote"
AVAILABLE = (LOCAL, REMOTE)
YARN = ("yarn-session", "yarn-application", "yarn-per-job")
KUBERNETES = ("kubernetes-session", "kubernetes-application")


def chosen_target(configuration: Mapping[str, str]) -> str:
    """The target of the configuration, ``local`` unless set; an error for names that are wrong or not available yet."""
    name = EXECUTION_TARGET.read(configuration).strip()
    if name.lower() in AVAILABLE:
        return name.lower()
    available = " and ".join(f'"{target}"' for target in AVAILABLE)
    if name.lower() in YARN + KUBERNETES:
        system = "YARN" if name.lower() in YARN else "Kubernetes"
        raise NotYetSupportedError(
            f'The target "{name}" is not available yet: targets on {system} come in a later version.'
            f" Available are {available}."
        )
    valid = ", ".join(f'"{target}"' for target in (*AVAILABLE, *YARN, *KUBERNETES))
    raise ConfigurationError(f'"{name}" is not a valid target. Valid are {valid}; available are {available}.')
