"""Which flavour of the command line is active, and the configuration that its options make."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_yarn.cli.options import (
    ADDRESS,
    DYNAMIC_PROPERTY,
    EXECUTOR,
    NAMESPACE,
    TARGET,
    YARN_FLAVOUR,
)
from pyflow_yarn.cli.parser import ArgumentError, CommandLine
from pyflow_yarn.configuration.options import EXECUTION_TARGET, REST_ADDRESS, REST_PORT
from pyflow_yarn.deployment.targets import REMOTE

YARN_ADDRESS = "yarn-cluster"
_MEMORY = ("yjm", "ytm")  # in MB unless a unit is given
_DYNAMIC_PROPERTY = "yD"


def flavour_configuration(line: CommandLine, configuration: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What the options say on top of ``configuration`` (files and environment), and warnings for those without effect.

    As in Flink: generic if a target is named or configured, else YARN if ``-m yarn-cluster`` or ``-yid`` is given, else
    the default flavour. Options of a flavour that is not active have no effect; here that is said.
    """
    result = line.properties(DYNAMIC_PROPERTY)
    warnings = []
    target = line.value(TARGET) or line.value(EXECUTOR)
    if line.has(EXECUTOR):
        warnings.append("The option -e (--executor) is deprecated: use -t (--target).")
    address = line.value(ADDRESS)
    yarn = {option.name: option for option in YARN_FLAVOUR if line.has(option)}
    if target is not None:
        result[EXECUTION_TARGET.key] = target
    elif not EXECUTION_TARGET.is_set({**configuration, **result}):
        if address == YARN_ADDRESS:
            result[EXECUTION_TARGET.key] = "yarn-application"
        elif "yid" in yarn:
            result[EXECUTION_TARGET.key] = "yarn-session"
        elif address is not None:
            result[EXECUTION_TARGET.key] = REMOTE
    if address is not None and address != YARN_ADDRESS:
        host, port = _host_and_port(address)
        result[REST_ADDRESS.key] = host
        result[REST_PORT.key] = port
    if line.has(NAMESPACE):
        result[NAMESPACE.key] = line.value(NAMESPACE) or ""
    if yarn and not result.get(EXECUTION_TARGET.key, "").startswith("yarn"):
        names = ", ".join(f"-{name}" for name in yarn)
        warnings.append(f"The YARN options {names} have no effect on this target.")
    elif yarn:
        for name, option in yarn.items():
            if option.key:
                value = line.value(option) or ""
                result[option.key] = f"{value}m" if name in _MEMORY and value.isdecimal() else value
            elif name == _DYNAMIC_PROPERTY:
                result.update(line.properties(option))
    return result, warnings


def _host_and_port(address: str) -> tuple[str, str]:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise ArgumentError(f"The given JobManager address '{address}' is not of the form host:port.")
    return host, port
