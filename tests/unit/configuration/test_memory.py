"""How a TaskManager's memory is divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.configuration.memory import MINIMUM_SLOT_HEAP, task_manager_memory
from pyflow_yarn.errors import ConfigurationError

MB = 1024**2


def test_defaults() -> None:
    memory = task_manager_memory({}, 2)
    assert memory.process == 1728 * MB
    assert memory.supervisor == int(0.1 * memory.process)
    assert memory.managed == int(0.4 * memory.flink)
    assert memory.network == int(0.1 * memory.flink)
    assert memory.slot_total * 2 <= memory.flink


@given(
    process=st.integers(256, 64 * 1024),
    slots=st.integers(1, 64),
    managed=st.floats(0, 0.8),
    network=st.floats(0, 0.2),
)
def test_the_parts_add_up_or_are_refused(process: int, slots: int, managed: float, network: float) -> None:
    configuration = {
        "taskmanager.memory.process.size": f"{process} mb",
        "taskmanager.memory.managed.fraction": str(managed),
        "taskmanager.memory.network.fraction": str(network),
    }
    try:
        memory = task_manager_memory(configuration, slots)
    except ConfigurationError as error:
        assert "\n" not in str(error)
        return
    assert memory.supervisor + memory.network + memory.managed + memory.heap == memory.process == process * MB
    assert memory.slot_heap >= MINIMUM_SLOT_HEAP
    assert memory.network >= 64 * MB


def test_given_sizes_win_over_fractions() -> None:
    memory = task_manager_memory(
        {"taskmanager.memory.task.heap.size": "512 mb", "taskmanager.memory.managed.size": "256 mb"}, 1
    )
    assert memory.managed == 256 * MB
    assert memory.heap >= 512 * MB
    assert task_manager_memory({"taskmanager.memory.flink.size": "1 gb"}, 1).flink == 1024 * MB
    both = task_manager_memory(
        {"taskmanager.memory.flink.size": "1 gb", "taskmanager.memory.process.size": "1200 mb"}, 1
    )
    assert (both.flink, both.supervisor) == (1024 * MB, 176 * MB)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"taskmanager.memory.process.size": "100 mb"}, "raise taskmanager.memory.process.size"),
        (
            {"taskmanager.memory.flink.size": "2 gb", "taskmanager.memory.process.size": "1 gb"},
            "taskmanager.memory.flink.size is 2048 mb, but the other memory settings leave 1024 mb for it.",
        ),
        ({"taskmanager.memory.task.heap.size": "2 gb"}, "taskmanager.memory.task.heap.size is 2048 mb"),
        ({"taskmanager.memory.network.max": "1 mb"}, "is less than taskmanager.memory.network.min (64 mb)"),
    ],
)
def test_what_does_not_fit_together(configuration: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        task_manager_memory(configuration, 1)
    assert message in str(error.value)
