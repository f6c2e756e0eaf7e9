"""What is refused, and what is warned of, before anything goes to YARN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from pyflow_yarn.deployment.yarn.validation import validate
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.resource_manager import ResourceManager
from pyflow_yarn.yarn.resources import Node, Queue, Resource, read_nodes, read_queues

ANSWERS = Path(__file__).parents[2] / "yarn" / "answers"
SMALL = {"jobmanager.memory.process.size": "256m", "taskmanager.memory.process.size": "320m"}
AVAILABLE = "Available queues: default, root.etl, red, root.teams.etl"


class Cluster:
    """Stands in for the ResourceManager: what it says is set."""

    def __init__(self, scheduler: str = "capacity_scheduler") -> None:
        self.nodes_answer = _answer("nodes")
        self.scheduler = _answer(scheduler)
        self.maximum = Resource(4096, 8)

    def nodes(self) -> list[Node]:
        return read_nodes(self.nodes_answer)

    def queues(self) -> list[Queue]:
        return read_queues(self.scheduler)

    def largest_container(self) -> Resource:
        return self.maximum

    def say(self, **values: object) -> None:
        """Set something in what it says of each node."""
        for node in self.nodes_answer["nodes"]["node"]:
            node.update(values)


def _answer(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.json").read_text())


@pytest.fixture
def hadoop(tmp_path: Path) -> HadoopConfiguration:
    name, value = "yarn.scheduler.minimum-allocation-mb", "64"
    properties = f"<property><name>{name}</name><value>{value}</value></property>"
    (tmp_path / "yarn-site.xml").write_text(f"<configuration>{properties}</configuration>")
    return HadoopConfiguration(tmp_path)


def _validate(cluster: Cluster, hadoop: HadoopConfiguration, **configuration: str) -> list[str]:
    keys = {key.replace("__", "-").replace("_", "."): value for key, value in configuration.items()}
    return validate(SMALL | keys, hadoop, cast(ResourceManager, cluster))


def _refusal(cluster: Cluster, hadoop: HadoopConfiguration, **configuration: str) -> str:
    with pytest.raises((ConfigurationError, ExternalError)) as refusal:
        _validate(cluster, hadoop, **configuration)
    return str(refusal.value)


@pytest.mark.parametrize("queue", ["default", "root.etl", "red", "root.teams.red", "root.teams.etl"])
def test_what_fits_is_accepted_without_a_word(queue: str, hadoop: HadoopConfiguration) -> None:
    assert _validate(Cluster(), hadoop, yarn_application_queue=queue) == []


def test_the_default_queue_is_checked_too(hadoop: HadoopConfiguration) -> None:
    cluster = Cluster()
    assert _validate(cluster, hadoop) == []
    del cluster.scheduler["scheduler"]["schedulerInfo"]["queues"]["queue"][0]
    # A rule of the cluster may place what asks for it.
    (warning,) = _validate(cluster, hadoop)
    assert warning.startswith("The specified queue 'default' does not exist. Available queues: root.etl, red")


@pytest.mark.parametrize(
    ("queue", "sentence"),
    [
        ("nosuch", f"The specified queue 'nosuch' does not exist. {AVAILABLE}; choose one by yarn.application.queue."),
        (
            "teams.red",
            f"The specified queue 'teams.red' does not exist. {AVAILABLE}; choose one by yarn.application.queue.",
        ),
        (
            "old",
            "The queue 'old' is stopped and takes no applications: have it started, or set yarn.application.queue to"
            " one of default, root.etl, red, root.teams.etl.",
        ),
        (
            "root.teams",
            "The queue 'root.teams' holds other queues and takes no applications: set yarn.application.queue to one of"
            " root.teams.red, root.teams.etl.",
        ),
        (
            "etl",
            "There are several queues 'etl': set yarn.application.queue to one of root.etl, root.teams.etl.",
        ),
    ],
)
def test_a_queue_that_takes_no_applications(queue: str, sentence: str, hadoop: HadoopConfiguration) -> None:
    assert _refusal(Cluster(), hadoop, yarn_application_queue=queue) == sentence


def test_a_queue_that_the_scheduler_may_make_is_warned_of(hadoop: HadoopConfiguration) -> None:
    warning = [f"The specified queue 'root.auto.ann' does not exist. {AVAILABLE}."]
    assert _validate(Cluster(), hadoop, yarn_application_queue="root.auto.ann") == warning
    fair = Cluster("fair_scheduler")
    warning = ["The specified queue 'new' does not exist. Available queues: teams.red, default, etl."]
    assert _validate(fair, hadoop, yarn_application_queue="new") == warning
    assert _validate(fair, hadoop, yarn_application_queue="teams.red") == []
    assert "holds other queues" in _refusal(fair, hadoop, yarn_application_queue="teams")


def test_a_scheduler_without_queues(hadoop: HadoopConfiguration) -> None:
    cluster = Cluster()
    cluster.scheduler = {"scheduler": {"schedulerInfo": {"type": "fifoScheduler"}}}
    assert _validate(cluster, hadoop, yarn_application_queue="any") == []
    cluster.maximum = Resource(300, 8)
    assert "for the TaskManagers available" in _refusal(cluster, hadoop)


@pytest.mark.parametrize(
    ("process", "plural", "queue", "size", "most"),
    [
        ("jobmanager", "JobManager", "default", 5000, 4096),
        ("taskmanager", "TaskManagers", "default", 5000, 4096),
        ("taskmanager", "TaskManagers", "root.etl", 1025, 1024),
    ],
)
def test_more_memory_than_a_container_may_have(
    process: str, plural: str, queue: str, size: int, most: int, hadoop: HadoopConfiguration
) -> None:
    key = f"{process}.memory.process.size"
    refusal = _refusal(Cluster(), hadoop, **{key: f"{size}m", "yarn.application.queue": queue})
    assert refusal == (
        f"The cluster does not have the requested resources for the {plural} available! Maximum Memory: {most}MB"
        f" Requested: {size}MB. Please check the 'yarn.scheduler.maximum-allocation-mb' and the"
        f" 'yarn.nodemanager.resource.memory-mb' configuration values, or lower {key}."
    )


def test_more_than_the_largest_node_has(hadoop: HadoopConfiguration) -> None:
    cluster = Cluster()
    cluster.say(availMemoryMB=300, availableVirtualCores=4)
    assert "Maximum Memory: 300MB Requested: 320MB" in _refusal(cluster, hadoop)
    cluster.say(availMemoryMB=3000)
    assert _refusal(cluster, hadoop, taskmanager_cpu_cores="5") == (
        "The number of requested virtual cores per node 5 exceeds the maximum number of virtual cores 4 available in"
        " the Yarn Cluster. Please note that the number of virtual cores is set to the number of task slots by default"
        " unless configured in the Flink config with 'yarn.containers.vcores'."
    )
    assert _refusal(cluster, hadoop, yarn_appmaster_vcores="99") == (
        "The number of requested virtual cores for application master 99 exceeds the maximum number of virtual cores 4"
        " available in the Yarn Cluster: lower yarn.appmaster.vcores."
    )


def test_a_cluster_without_nodes(hadoop: HadoopConfiguration) -> None:
    cluster = Cluster()
    cluster.say(state="LOST")
    assert _refusal(cluster, hadoop).startswith("YARN has no running node: start its NodeManagers")


def test_labels_of_nodes(hadoop: HadoopConfiguration) -> None:
    label = "yarn.application.node-label"
    assert _refusal(Cluster(), hadoop, **{label: "ssd"}) == (
        "No running node has the label 'ssd', there are: gpu; look at yarn.application.node-label and"
        " yarn.taskmanager.node-label."
    )
    cluster = Cluster()
    cluster.nodes_answer["nodes"]["node"][0]["availableVirtualCores"] = 2
    assert "virtual cores 2 available" in _refusal(cluster, hadoop, **{label: "gpu", "yarn.containers.vcores": "3"})
    assert _validate(cluster, hadoop, **{"yarn.taskmanager.node-label": "gpu", "yarn.appmaster.vcores": "3"}) == []
    # Where a label has a node to itself, nothing without it runs there.
    cluster.nodes_answer["nodes"]["node"][1]["availMemoryMB"] = 300
    assert "Maximum Memory: 300MB" in _refusal(cluster, hadoop)


def test_what_yarn_rounds_up_is_told(hadoop: HadoopConfiguration) -> None:
    warnings = _validate(Cluster(), hadoop, jobmanager_memory_process_size="300m")
    assert warnings == [
        "The configured JobManager memory is 300 MB. YARN will allocate 320 MB to make up an integer multiple of its"
        " minimum allocation memory (64 MB, configured via 'yarn.scheduler.minimum-allocation-mb'). The extra 20 MB may"
        " not be used by Flink."
    ]


def test_a_queue_that_never_has_room_for_both(hadoop: HadoopConfiguration) -> None:
    sizes = {"taskmanager.memory.process.size": "384m", "yarn.application.queue": "red"}
    assert _validate(Cluster(), hadoop, **sizes) == [
        "JobManager and TaskManager need 640MB, but the queue root.teams.red may use 614MB at most: the job will wait"
        " for its TaskManager."
    ]


def test_a_cluster_that_is_full_at_the_moment(hadoop: HadoopConfiguration) -> None:
    cluster = Cluster()
    cluster.say(availMemoryMB=300, usedMemoryMB=5844)
    assert _validate(cluster, hadoop) == [
        "No node has 320MB and 1 virtual core free for the TaskManager at the moment: it starts when there is room."
    ]
