"""What a real ResourceManager makes of applications that it could not run: refused in seconds, before any upload."""

from __future__ import annotations

import getpass
import os
import time

import pytest

from pyflow_yarn.deployment.yarn.validation import validate
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn import resource_manager
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager
from tests.hadoop.cluster import Hadoop

SIZES = {"jobmanager.memory.process.size": "256m", "taskmanager.memory.process.size": "320m"}


@pytest.fixture(autouse=True)
def edge_node(hadoop: Hadoop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hadoop.exports.items():
        monkeypatch.setenv(name, value)


def _validate(**configuration: str) -> list[str]:
    hadoop = HadoopConfiguration.of_environment(os.environ)
    manager = ResourceManager(hadoop.web_addresses(), getpass.getuser())
    return validate({**SIZES, **configuration}, hadoop, manager)


def test_what_fits_is_accepted() -> None:
    for queue in ("default", "etl", "root.etl"):
        assert _validate(**{"yarn.application.queue": queue}) == []


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'nosuch' does not exist\. Available queues: default, etl;"):
        _validate(**{"yarn.application.queue": "nosuch"})
    with pytest.raises(ConfigurationError, match="JobManager available! Maximum Memory: 4096MB Requested: 5000MB"):
        _validate(**{"jobmanager.memory.process.size": "5000m"})
    with pytest.raises(ConfigurationError, match=r"virtual cores per node 9 exceeds the maximum .* 8 available"):
        _validate(**{"yarn.containers.vcores": "9"})


def test_a_dead_resource_manager_is_told_at_once(hadoop: Hadoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_manager, "REQUEST_SECONDS", 1.0)
    hadoop.stop("resourcemanager")
    begin = time.monotonic()
    with pytest.raises(ExternalError, match=r"YARN's ResourceManager does not answer \(.*: timed out\): is it running"):
        _validate()
    assert time.monotonic() - begin < 10
    hadoop.kill("resourcemanager")
    with pytest.raises(ExternalError, match=r"YARN's ResourceManager does not answer \(.*Connection refused\)"):
        _validate()


def test_no_hadoop_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR")
    monkeypatch.delenv("YARN_CONF_DIR")
    with pytest.raises(ConfigurationError, match="set HADOOP_CONF_DIR to the folder that has the cluster's yarn-site"):
        _validate()
