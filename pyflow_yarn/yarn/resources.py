"""What a cluster can give, read from the answers of the ResourceManager's REST API: queues and nodes.

The capacity scheduler and the fair scheduler tell their queues in two shapes; the FIFO scheduler has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Resource(NamedTuple):
    """An amount of memory and of virtual cores."""

    memory_mb: int
    vcores: int


@dataclass(frozen=True)
class Queue:
    """A queue; ``names`` are those by which an application may ask for it, its path first.

    ``limit`` bounds all its containers together. What an older Hadoop does not tell is None. ``used`` is a fraction of
    what the queue is meant to have, ``most`` one of what is around it.
    """

    names: tuple[str, ...]
    is_leaf: bool
    is_running: bool
    creates_queues: bool
    largest_container: Resource | None
    limit: Resource | None
    used: float
    most: float
    applications: int

    @property
    def path(self) -> str:
        """Where it is: ``root.etl``."""
        return self.names[0]


@dataclass(frozen=True)
class Node:
    """A node that takes containers; ``address`` is where its NodeManager answers HTTP."""

    id: str
    address: str
    total: Resource
    free: Resource
    labels: frozenset[str]
    containers: int
    health: str


def read_resource(answer: Mapping[str, Any]) -> Resource:
    """An amount as the REST API tells it."""
    return Resource(int(answer["memory"]), int(answer["vCores"]))


def read_queues(answer: Mapping[str, Any]) -> list[Queue]:
    """All queues in the answer to ``/ws/v1/cluster/scheduler``."""
    information = answer["scheduler"]["schedulerInfo"]
    if "rootQueue" in information:
        root = information["rootQueue"]
        return list(_fair_queues(root, _told(root, "fairResources")))
    return list(_capacity_queues(information, "", is_running=True)) if "queueName" in information else []


def read_nodes(answer: Mapping[str, Any]) -> list[Node]:
    """The running nodes in the answer to ``/ws/v1/cluster/nodes``."""
    nodes = (answer["nodes"] or {}).get("node", [])
    return [_node(node) for node in nodes if node["state"] == "RUNNING"]


def _node(answer: Mapping[str, Any]) -> Node:
    free = Resource(int(answer["availMemoryMB"]), int(answer["availableVirtualCores"]))
    used = Resource(int(answer["usedMemoryMB"]), int(answer["usedVirtualCores"]))
    total = Resource(free.memory_mb + used.memory_mb, free.vcores + used.vcores)
    return Node(
        id=answer["id"],
        address=answer["nodeHTTPAddress"],
        total=total,
        free=free,
        labels=frozenset(answer.get("nodeLabels", ())),
        containers=int(answer["numContainers"]),
        health=answer.get("healthReport", ""),
    )


def _capacity_queues(answer: Mapping[str, Any], parent: str, *, is_running: bool) -> Iterator[Queue]:
    name = answer["queueName"]
    path = f"{parent}.{name}" if parent else name
    # Its parent's state holds for a queue, too.
    is_running = is_running and answer.get("state", "RUNNING") == "RUNNING"
    yield Queue(
        names=(path, name),
        is_leaf=answer.get("type") == "capacitySchedulerLeafQueueInfo",
        is_running=is_running,
        creates_queues=answer.get("autoCreationEligibility", "off") != "off"
        or bool(answer.get("autoCreateChildQueueEnabled")),
        largest_container=_told(answer, "maximumAllocation"),
        limit=_told(answer, "maxEffectiveCapacity"),
        used=answer.get("usedCapacity", 0.0) / 100,
        most=answer.get("maxCapacity", 100.0) / 100,
        applications=answer.get("numApplications", 0),
    )
    for child in _children(answer.get("queues")):
        yield from _capacity_queues(child, path, is_running=is_running)


def _fair_queues(answer: Mapping[str, Any], total: Resource | None) -> Iterator[Queue]:
    path = answer["queueName"]
    is_leaf = answer.get("type") == "fairSchedulerLeafQueueInfo"
    yield Queue(
        names=(path, path.removeprefix("root.")),
        is_leaf=is_leaf,
        is_running=True,
        # Unless it is configured not to.
        creates_queues=not is_leaf,
        largest_container=_told(answer, "maxContainerAllocation"),
        limit=_told(answer, "maxResources"),
        used=_part(_told(answer, "usedResources"), _told(answer, "fairResources")),
        most=_part(_told(answer, "maxResources"), total),
        applications=answer.get("numActiveApps", 0) + answer.get("numPendingApps", 0),
    )
    for child in _children(answer.get("childQueues")):
        yield from _fair_queues(child, total)


def _children(answer: Any) -> list[Mapping[str, Any]]:
    children = answer.get("queue") if isinstance(answer, dict) else answer
    return list(children or ())


def _told(answer: Mapping[str, Any], key: str) -> Resource | None:
    return read_resource(answer[key]) if answer.get(key) else None


def _part(of: Resource | None, whole: Resource | None) -> float:
    return of.memory_mb / whole.memory_mb if of and whole and whole.memory_mb else 0.0
