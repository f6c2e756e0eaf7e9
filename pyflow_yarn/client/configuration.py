"""The effective configuration of a client: where its files are, what a client adds, what it warns about."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pyflow_yarn.configuration.distribution import conf_directory
from pyflow_yarn.configuration.loading import check_keys, find_conf_dir
from pyflow_yarn.configuration.options import EXECUTION_ATTACHED


def configuration_directory() -> Path | None:
    """``FLINK_CONF_DIR``, else the one that ships with the installation."""
    return find_conf_dir(conf_directory().parent)


def with_defaults(configuration: Mapping[str, str]) -> dict[str, str]:
    """A client waits for its jobs unless told otherwise."""
    return {EXECUTION_ATTACHED.key: "true", **configuration}


def warn(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"WARNING: {sentence}\n")


def warn_about(configuration: Mapping[str, str]) -> None:
    """Warn about keys that nobody knows."""
    for sentence in check_keys(configuration):
        warn(sentence)
