"""Queues and nodes as ResourceManagers of Hadoop 3.4 told them, and as older ones do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyflow_yarn.yarn.resources import Resource, read_nodes, read_queues

ANSWERS = Path(__file__).parent / "answers"


def _answer(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.json").read_text())


def test_queues_of_the_capacity_scheduler() -> None:
    queues = {queue.path: queue for queue in read_queues(_answer("capacity_scheduler"))}
    assert [path for path, queue in queues.items() if queue.is_leaf] == [
        "root.default",
        "root.etl",
        "root.old",
        "root.teams.red",
        "root.teams.etl",
    ]
    assert [path for path, queue in queues.items() if not queue.is_running] == ["root.old"]
    assert [path for path, queue in queues.items() if queue.creates_queues] == ["root.auto"]
    assert queues["root.etl"].names == ("root.etl", "etl")
    assert queues["root.etl"].largest_container == Resource(1024, 2)
    assert queues["root.teams.red"].limit == Resource(614, 1)
    assert (queues["root.teams"].used, queues["root.teams"].most, queues["root.teams"].applications) == (0.0, 0.2, 0)


def test_a_queue_in_a_stopped_one_is_stopped() -> None:
    answer = _answer("capacity_scheduler")
    for queue in answer["scheduler"]["schedulerInfo"]["queues"]["queue"]:
        queue["state"] = "STOPPED" if queue["queueName"] == "teams" else queue["state"]
    assert {queue.path for queue in read_queues(answer) if not queue.is_running} == {
        "root.old",
        "root.teams",
        "root.teams.red",
        "root.teams.etl",
    }


def test_queues_of_hadoop_2() -> None:
    leaf = {"type": "capacitySchedulerLeafQueueInfo", "queueName": "etl", "state": "RUNNING", "users": None}
    root = {"type": "capacityScheduler", "queueName": "root", "queues": {"queue": [leaf]}}
    _, etl = read_queues({"scheduler": {"schedulerInfo": root}})
    assert (etl.names, etl.is_leaf, etl.is_running) == (("root.etl", "etl"), True, True)
    assert etl.largest_container is etl.limit is None


def test_queues_of_the_fair_scheduler() -> None:
    queues = {queue.path: queue for queue in read_queues(_answer("fair_scheduler"))}
    assert [path for path, queue in queues.items() if queue.is_leaf] == ["root.teams.red", "root.default", "root.etl"]
    assert [path for path, queue in queues.items() if queue.creates_queues] == ["root", "root.teams"]
    assert queues["root.teams.red"].names == ("root.teams.red", "teams.red")
    assert queues["root.etl"].largest_container == Resource(1024, 2)
    assert queues["root.etl"].limit == Resource(2048, 4)
    assert (queues["root.etl"].used, queues["root.etl"].most, queues["root.etl"].applications) == (0.0, 1 / 6, 0)


def test_the_fair_scheduler_of_hadoop_2_lists_children_without_a_name() -> None:
    leaf = {"type": "fairSchedulerLeafQueueInfo", "queueName": "root.etl", "maxResources": {"memory": 1, "vCores": 2}}
    root = {"queueName": "root", "childQueues": [leaf]}
    _, etl = read_queues({"scheduler": {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}})
    assert (etl.path, etl.largest_container, etl.limit) == ("root.etl", None, Resource(1, 2))


def test_the_fifo_scheduler_has_no_queues() -> None:
    assert read_queues({"scheduler": {"schedulerInfo": {"type": "fifoScheduler", "qstate": "RUNNING"}}}) == []


def test_nodes() -> None:
    answer = _answer("nodes")
    first, second = read_nodes(answer)
    assert (first.address, second.address) == ("192.0.2.2:22840", "192.0.2.1:22840")
    assert (first.total, first.free, first.labels) == (Resource(6144, 16), Resource(6144, 16), {"gpu"})
    assert not second.labels
    assert (second.id, second.containers, second.health) == ("192.0.2.1:25715", 0, "")
    answer["nodes"]["node"][0]["state"] = "DECOMMISSIONED"
    answer["nodes"]["node"][1] |= {"usedMemoryMB": 144, "availMemoryMB": 6000}
    (only,) = read_nodes(answer)
    assert (only.total, only.free) == (Resource(6144, 16), Resource(6000, 16))
    assert read_nodes({"nodes": None}) == []
