"""How the memory of a TaskManager is divided.

    process = supervisor + flink,   flink = network + managed + heap,   a slot has 1/n of each of the latter three

``supervisor`` is the supervising process and the zygote; ``heap`` the Python objects of user functions. Each of the
sizes may be given; what is not follows from the process size and the fractions.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.config_option import ConfigOption
from pyflow_yarn.configuration.values import format_size
from pyflow_yarn.errors import ConfigurationError

MINIMUM_SLOT_HEAP = 16 * 1024**2


class TaskManagerMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes of one TaskManager with ``slots`` slots."""

    slots: int
    process: int
    supervisor: int
    network: int
    managed: int
    heap: int

    @property
    def flink(self) -> int:
        """All but the supervisor's."""
        return self.network + self.managed + self.heap

    @property
    def slot_heap(self) -> int:
        """What the objects of one slot may take."""
        return self.heap // self.slots

    @property
    def slot_managed(self) -> int:
        """Managed memory of one slot."""
        return self.managed // self.slots

    @property
    def slot_network(self) -> int:
        """Network memory of one slot."""
        return self.network // self.slots

    @property
    def slot_total(self) -> int:
        """What the worker process of one slot may take."""
        return self.flink // self.slots


def task_manager_memory(configuration: Mapping[str, str], slots: int) -> TaskManagerMemory:
    """The division for a TaskManager of so many slots; ``ConfigurationError`` if the sizes do not fit together."""
    process = options.TASKMANAGER_MEMORY_PROCESS_SIZE.read(configuration)
    flink = options.TASKMANAGER_MEMORY_FLINK_SIZE.read(configuration)
    heap = options.TASKMANAGER_MEMORY_TASK_HEAP_SIZE.read(configuration)
    managed = options.TASKMANAGER_MEMORY_MANAGED_SIZE.read(configuration)
    process_given = options.TASKMANAGER_MEMORY_PROCESS_SIZE.is_set(configuration)
    if flink is None and heap is not None and managed is not None and not process_given:
        flink = heap + managed + _network(configuration, _with_share(heap + managed, _network_fraction(configuration)))
    if flink is None:
        assert process is not None
        flink = process - supervisor_size(configuration, process)
    elif process_given:
        assert process is not None
        if process <= flink:
            raise _contradiction(options.TASKMANAGER_MEMORY_FLINK_SIZE, flink, process)
    else:
        overhead = options.TASKMANAGER_MEMORY_JVM_OVERHEAD_FRACTION.read(configuration)
        process = flink + supervisor_size(configuration, _with_share(flink, overhead))
    network = _network(configuration, flink)
    if managed is None:
        managed = int(flink * options.TASKMANAGER_MEMORY_MANAGED_FRACTION.read(configuration))
    rest = flink - network - managed
    if heap is not None and heap > rest:
        raise _contradiction(options.TASKMANAGER_MEMORY_TASK_HEAP_SIZE, heap, max(rest, 0))
    if rest < slots * MINIMUM_SLOT_HEAP:
        raise ConfigurationError(
            f"{_megabytes(max(rest, 0))} are left for the objects of {slots} slot{'s' if slots > 1 else ''}"
            f" (process {_megabytes(process)}, network {_megabytes(network)}, managed {_megabytes(managed)}), but each"
            f" slot needs {_megabytes(MINIMUM_SLOT_HEAP)}: raise taskmanager.memory.process.size or lower"
            " taskmanager.memory.managed.fraction."
        )
    return TaskManagerMemory(
        slots=slots, process=process, supervisor=process - flink, network=network, managed=managed, heap=rest
    )


def _network_fraction(configuration: Mapping[str, str]) -> float:
    return options.TASKMANAGER_MEMORY_NETWORK_FRACTION.read(configuration)


def _with_share(amount: int, fraction: float) -> int:
    """The whole of which ``amount`` is all but ``fraction``."""
    if fraction >= 1:
        raise ConfigurationError("A memory fraction of 1 leaves nothing for the other parts of a TaskManager.")
    return int(amount / (1 - fraction))


def _bounded(
    configuration: Mapping[str, str],
    share: float,
    low: ConfigOption[int],
    high: ConfigOption[int] | ConfigOption[int | None],
) -> int:
    minimum, maximum = low.read(configuration), high.read(configuration)
    if maximum is not None and maximum < minimum:
        raise ConfigurationError(
            f"{high.key} ({format_size(maximum)}) is less than {low.key} ({format_size(minimum)})."
        )
    amount = max(int(share), minimum)
    return amount if maximum is None else min(amount, maximum)


def _network(configuration: Mapping[str, str], flink: int) -> int:
    return _bounded(
        configuration,
        flink * _network_fraction(configuration),
        options.TASKMANAGER_MEMORY_NETWORK_MIN,
        options.TASKMANAGER_MEMORY_NETWORK_MAX,
    )


def supervisor_size(configuration: Mapping[str, str], process: int) -> int:
    """The supervisor's share of a TaskManager of that size, unless ``taskmanager.memory.flink.size`` says otherwise."""
    return _bounded(
        configuration,
        process * options.TASKMANAGER_MEMORY_JVM_OVERHEAD_FRACTION.read(configuration),
        options.TASKMANAGER_MEMORY_JVM_OVERHEAD_MIN,
        options.TASKMANAGER_MEMORY_JVM_OVERHEAD_MAX,
    )


def _contradiction(option: ConfigOption[int | None], value: int, room: int) -> ConfigurationError:
    return ConfigurationError(
        f"{option.key} is {_megabytes(value)}, but the other memory settings leave {_megabytes(room)} for it."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.0f} mb"
