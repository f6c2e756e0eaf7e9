"""Which Hadoop configuration holds: the edge node's, with what keys of Flink's configuration say on top of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from pyflow_yarn.configuration.options import ENV_HADOOP_CONF_DIR, ENV_YARN_CONF_DIR, FLINK_HADOOP, FLINK_YARN
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration

COMMON_FOLDER = "/etc/hadoop/conf"


def hadoop_configuration(
    configuration: Mapping[str, str], environment: MutableMapping[str, str], folder: Path
) -> HadoopConfiguration:
    """The configuration; ``environment`` is made to lead to it, for whatever reads Hadoop's files by itself.

    Changed files are written into ``folder``, which is made then, and has to stay as long as they are wanted.
    """
    _lead_to_configuration(configuration, environment)
    hadoop = HadoopConfiguration.of_environment(environment)
    changes = {
        **{f"yarn.{key}": value for key, value in (FLINK_YARN.read(configuration) or {}).items()},
        **(FLINK_HADOOP.read(configuration) or {}),
    }
    if changes:
        hadoop = hadoop.changed(folder, changes)
        environment["HADOOP_CONF_DIR"] = environment["YARN_CONF_DIR"] = str(folder)
    return hadoop


def _lead_to_configuration(configuration: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
    """Look where Flink's scripts look for what the environment does not name."""
    for variable, option in (("HADOOP_CONF_DIR", ENV_HADOOP_CONF_DIR), ("YARN_CONF_DIR", ENV_YARN_CONF_DIR)):
        if not environment.get(variable) and (named := option.read(configuration)):
            environment[variable] = named
    if environment.get("HADOOP_CONF_DIR") or environment.get("YARN_CONF_DIR"):
        return
    home = environment.get("HADOOP_HOME", "")
    if home and os.path.isdir(folder := os.path.join(home, "etc", "hadoop")):
        environment["HADOOP_CONF_DIR"] = folder
    elif "HADOOP_CLASSPATH" not in environment and os.path.isdir(COMMON_FOLDER):
        environment["HADOOP_CONF_DIR"] = COMMON_FOLDER
        sys.stdout.write(
            f"Setting HADOOP_CONF_DIR={COMMON_FOLDER} because no HADOOP_CONF_DIR or HADOOP_CLASSPATH was set.\n"
        )
