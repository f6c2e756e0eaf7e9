"""What ``yarn-session.sh -q`` shows: nodes and queues, in Flink's table."""

from __future__ import annotations

from collections.abc import Sequence

from pyflow_yarn.yarn.resources import Node, Queue

_HEADER = "|Property         |Value          "
_RULE = "+---------------------------------------+"
_UNITS = (("tb", 1024**2), ("gb", 1024), ("mb", 1))


def resources_table(nodes: Sequence[Node], queues: Sequence[Queue]) -> str:
    """The running nodes with what each has, all of it together, and the queues."""
    lines = [f"NodeManagers in the ClusterClient {len(nodes)}{_HEADER}", _RULE]
    for node in nodes:
        lines += [
            _row("NodeID", node.id),
            _row("Memory", _memory(node.total.memory_mb)),
            _row("vCores", node.total.vcores),
            _row("HealthReport", node.health),
            _row("Containers", node.containers),
            _RULE,
        ]
    memory = _memory(sum(node.total.memory_mb for node in nodes))
    lines.append(f"Summary: totalMemory {memory} totalCores {sum(node.total.vcores for node in nodes)}")
    lines += [
        f"Queue: {queue.path.rpartition('.')[2]}, Current Capacity: {_fraction(queue.used)} Max Capacity:"
        f" {_fraction(queue.most)} Applications: {queue.applications}"
        for queue in queues
        if queue.path != "root"
    ]
    return "\n".join(lines)


def _row(name: str, value: object) -> str:
    return f"|{name:<16} |{value!s:<16} "


def _memory(megabytes: int) -> str:
    unit, size = next((unit for unit in _UNITS if megabytes >= unit[1]), _UNITS[-1])
    return f"{megabytes / size:.3f}{unit} ({megabytes * 1024**2} bytes)"


def _fraction(value: float) -> str:
    return f"{value:.6f}".rstrip("0").ljust(3, "0")
