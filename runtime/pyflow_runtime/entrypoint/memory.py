"""Memory of the TaskManagers of an embedded cluster, where nobody need have thought about it."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.memory import TaskManagerMemory, task_manager_memory


def memory_is_given(configuration: Mapping[str, str]) -> bool:
    """Whether somebody has said how large a TaskManager may be; if not, its slots have no limit."""
    sizes = (options.TASKMANAGER_MEMORY_PROCESS_SIZE, options.TASKMANAGER_MEMORY_FLINK_SIZE)
    return any(size.is_set(configuration) for size in sizes)


def embedded_memory(configuration: Mapping[str, str], slots: int) -> TaskManagerMemory:
    """The division of the memory; ``ConfigurationError`` if the sizes do not fit together.

    A cluster that grows grows in memory too: each slot has what the only slot of a small one would have.
    """
    if not memory_is_given(configuration):
        size = options.TASKMANAGER_MEMORY_PROCESS_SIZE
        configuration = {**configuration, size.key: size.format(slots * (size.default or 0))}
    return task_manager_memory(configuration, slots)
