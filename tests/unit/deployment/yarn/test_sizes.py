"""Sizes of containers, from Flink's keys."""

from __future__ import annotations

import pytest

from pyflow_yarn.deployment.yarn.sizes import container_sizes
from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn.resources import Resource


def test_as_shipped_they_are_flinks() -> None:
    assert container_sizes({}) == (Resource(1600, 1), Resource(1728, 1))


@pytest.mark.parametrize(
    ("configuration", "vcores"),
    [
        ({"taskmanager.numberOfTaskSlots": "3"}, 3),
        ({"taskmanager.numberOfTaskSlots": "3", "yarn.containers.vcores": "2"}, 2),
        ({"taskmanager.numberOfTaskSlots": "3", "yarn.containers.vcores": "0"}, 3),
        ({"yarn.containers.vcores": "2", "taskmanager.cpu.cores": "4.9"}, 4),
        ({"taskmanager.cpu.cores": "0.5"}, 1),
    ],
)
def test_virtual_cores_of_a_task_manager(configuration: dict[str, str], vcores: int) -> None:
    assert container_sizes({"taskmanager.memory.process.size": "4g", **configuration})[1] == Resource(4096, vcores)


def test_parts_of_a_megabyte_count() -> None:
    sizes = {"jobmanager.memory.process.size": "1048577b", "taskmanager.memory.process.size": "1073741825b"}
    assert container_sizes({**sizes, "yarn.appmaster.vcores": "2"}) == (Resource(2, 2), Resource(1025, 1))


def test_memory_of_a_task_manager_may_follow_from_its_parts() -> None:
    _, worker = container_sizes({"taskmanager.memory.flink.size": "1g"})
    assert worker.memory_mb == 1024 + 114


def test_sizes_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"raise taskmanager\.memory\.process\.size"):
        container_sizes({"taskmanager.memory.process.size": "200m", "taskmanager.numberOfTaskSlots": "16"})
