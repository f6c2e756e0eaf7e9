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
    Option,
)
from pyflow_yarn.cli.parser import ArgumentError, CommandLine
from pyflow_yarn.configuration.options import EXECUTION_TARGET, REST_ADDRESS, REST_PORT
from pyflow_yarn.deployment.targets import REMOTE

YARN_ADDRESS = "yarn-cluster"
_MEMORY = ("yjm", "ytm")  # in MB unless a unit is given
_DYNAMIC_PROPERTY = "yD"


def flavour_configuration(line: CommandLine, configuration: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What the options say on top of ``configuration`` (files and environment), and warnings about some of them.

    As in Flink: generic if a target is named or configured, else YARN if ``-m yarn-cluster`` or ``-yid`` is given, else
    the default flavour. Options of a flavour that is not active have no effect in Flink, which schedulers overlook:
    those of YARN count here wherever the target is on YARN, and it is said what they do.
    """
    result = line.properties(DYNAMIC_PROPERTY)
    warnings = []
    target = line.value(TARGET) or line.value(EXECUTOR)
    if line.has(EXECUTOR):
        warnings.append("The option -e (--executor) is deprecated: use -t (--target).")
    address = line.value(ADDRESS)
    yarn = {option.name: option for option in YARN_FLAVOUR if line.has(option)}
    generic = target is not None or EXECUTION_TARGET.is_set({**configuration, **result})
    if target is not None:
        result[EXECUTION_TARGET.key] = target
    elif not generic:
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
    if yarn:
        names = ", ".join(f"-{name}" for name in yarn)
        if not EXECUTION_TARGET.read({**configuration, **result}).lower().startswith("yarn"):
            warnings.append(f"The YARN options {names} have no effect on this target.")
        else:
            keys = _yarn_configuration(line, yarn)
            if generic and keys:
                warnings.append(f"Flink ignores {names} where a target is named; here this sets {', '.join(keys)}.")
            result = {**keys, **result}
    return result, warnings


def _yarn_configuration(line: CommandLine, options: Mapping[str, Option]) -> dict[str, str]:
    result = {}
    for name, option in options.items():
        if option.key:
            value = line.value(option) or ""
            result[option.key] = f"{value}m" if name in _MEMORY and value.isdecimal() else value
        elif name == _DYNAMIC_PROPERTY:
            result.update(line.properties(option))
    return result


def _host_and_port(address: str) -> tuple[str, str]:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise ArgumentError(f"The given JobManager address '{address}' is not of the form host:port.")
    return host, port
