"""The table of nodes and queues is Flink's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyflow_yarn.deployment.yarn.resources_table import resources_table
from pyflow_yarn.yarn.resources import read_nodes, read_queues

ANSWERS = Path(__file__).parents[2] / "yarn" / "answers"


def _answer(name: str) -> Any:
    return json.loads((ANSWERS / f"{name}.json").read_text())


def test_nodes_and_queues() -> None:
    table = resources_table(read_nodes(_answer("nodes")), read_queues(_answer("capacity_scheduler"))).split("\n")
    assert table[:9] == [
        "NodeManagers in the ClusterClient 2|Property         |Value          ",
        "+---------------------------------------+",
        "|NodeID           |192.0.2.2:25715  ",
        "|Memory           |6.000gb (6442450944 bytes) ",
        "|vCores           |16               ",
        "|HealthReport     |                 ",
        "|Containers       |0                ",
        "+---------------------------------------+",
        "|NodeID           |192.0.2.1:25715  ",
    ]
    assert table[14:16] == [
        "Summary: totalMemory 12.000gb (12884901888 bytes) totalCores 32",
        "Queue: default, Current Capacity: 0.0 Max Capacity: 1.0 Applications: 0",
    ]
    assert "Queue: red, Current Capacity: 0.0 Max Capacity: 0.5 Applications: 0" in table


@pytest.mark.parametrize(
    ("megabytes", "shown"),
    [
        (512, "512.000mb (536870912 bytes)"),
        (1536, "1.500gb (1610612736 bytes)"),
        (3 * 1024**2, "3.000tb (3298534883328 bytes)"),
    ],
)
def test_memory(megabytes: int, shown: str) -> None:
    answer = _answer("nodes")
    answer["nodes"]["node"] = [answer["nodes"]["node"][0] | {"availMemoryMB": megabytes}]
    assert resources_table(read_nodes(answer), []).endswith(f"\nSummary: totalMemory {shown} totalCores 16")
