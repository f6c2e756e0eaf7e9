"""How large the containers of an application are."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pyflow_yarn.configuration.memory import task_manager_memory
from pyflow_yarn.configuration.options import (
    JOBMANAGER_MEMORY_PROCESS_SIZE,
    TASKMANAGER_CPU_CORES,
    TASKMANAGER_NUMBER_OF_TASK_SLOTS,
    YARN_APPMASTER_VCORES,
    YARN_CONTAINERS_VCORES,
)
from pyflow_yarn.yarn.resources import Resource


def container_sizes(configuration: Mapping[str, str]) -> tuple[Resource, Resource]:
    """What the JobManager's container has, and what each TaskManager's has."""
    slots = TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
    master = Resource(
        _megabytes(JOBMANAGER_MEMORY_PROCESS_SIZE.read(configuration)), YARN_APPMASTER_VCORES.read(configuration)
    )
    worker = Resource(_megabytes(task_manager_memory(configuration, slots).process), _vcores(configuration, slots))
    return master, worker


def _vcores(configuration: Mapping[str, str], slots: int) -> int:
    cores = TASKMANAGER_CPU_CORES.read(configuration)
    if cores is not None:
        return max(int(cores), 1)
    configured = YARN_CONTAINERS_VCORES.read(configuration)
    return configured if configured > 0 else slots


def _megabytes(size: int) -> int:
    return math.ceil(size / 1024**2)
