"""The effective configuration of a client: where its files are, what a client adds, what it warns about."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyflow_yarn.client.program import local_path
from pyflow_yarn.configuration.distribution import conf_directory
from pyflow_yarn.configuration.loading import check_keys, find_conf_dir
from pyflow_yarn.configuration.options import EXECUTION_ATTACHED, PYTHON_ARCHIVES, PYTHON_FILES, PYTHON_REQUIREMENTS


def configuration_directory() -> Path | None:
    """``FLINK_CONF_DIR``, else the one that ships with the installation."""
    return find_conf_dir(conf_directory().parent)


def with_defaults(configuration: Mapping[str, str]) -> dict[str, str]:
    """A client waits for its jobs unless told otherwise."""
    return {EXECUTION_ATTACHED.key: "true", **configuration}


def with_absolute_paths(configuration: Mapping[str, str]) -> dict[str, str]:
    """The files that ``-pyfs`` and the like name, where they are now: the program may change its directory."""
    result = dict(configuration)
    for option in (PYTHON_FILES, PYTHON_ARCHIVES):
        entries = [entry.strip() for entry in (option.read(configuration) or "").split(",")]
        if any(entries):
            result[option.key] = ",".join(_absolute(*entry.partition("#")) for entry in entries if entry)
    requirements = PYTHON_REQUIREMENTS.read(configuration)
    if requirements:
        file, separator, packages = requirements.partition("#")
        result[PYTHON_REQUIREMENTS.key] = _absolute(file, separator, packages and _absolute(packages))
    return result


def _absolute(path: str, separator: str = "", rest: str = "") -> str:
    place = path if "://" in local_path(path) else os.path.abspath(local_path(path))
    return f"{place}{separator}{rest}"


def warn(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"WARNING: {sentence}\n")


def warn_about(configuration: Mapping[str, str]) -> None:
    """Warn about keys that nobody knows."""
    for sentence in check_keys(configuration):
        warn(sentence)
