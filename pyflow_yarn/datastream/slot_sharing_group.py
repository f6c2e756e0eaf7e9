"""Slot-sharing groups, and the resources their slots ask for."""

from __future__ import annotations

import msgspec

_UNITS = ("bytes", "kb", "mb", "gb", "tb")


class MemorySize(msgspec.Struct, frozen=True, order=True):
    """A number of bytes."""

    bytes_size: int

    def __post_init__(self) -> None:
        if self.bytes_size < 0:
            raise ValueError("bytes must be >= 0")

    @staticmethod
    def of_mebi_bytes(mebi_bytes: int) -> MemorySize:
        """So many mebibytes."""
        return MemorySize(mebi_bytes << 20)

    def get_bytes(self) -> int:
        """In bytes."""
        return self.bytes_size

    def get_kibi_bytes(self) -> int:
        """In whole kibibytes."""
        return self.bytes_size >> 10

    def get_mebi_bytes(self) -> int:
        """In whole mebibytes."""
        return self.bytes_size >> 20

    def get_gibi_bytes(self) -> int:
        """In whole gibibytes."""
        return self.bytes_size >> 30

    def get_tebi_bytes(self) -> int:
        """In whole tebibytes."""
        return self.bytes_size >> 40

    def __str__(self) -> str:
        unit, size = 0, self.bytes_size
        while size and size % 1024 == 0 and unit < len(_UNITS) - 1:
            unit, size = unit + 1, size // 1024
        return f"{size} {_UNITS[unit]}"


class SlotSharingGroup(msgspec.Struct, frozen=True):
    """Name of a slot-sharing group and, if stated, the resources of its slots."""

    name: str
    cpu_cores: float | None = None
    task_heap_memory: MemorySize | None = None
    task_off_heap_memory: MemorySize | None = None
    managed_memory: MemorySize | None = None
    external_resources: tuple[tuple[str, float], ...] = ()

    def get_name(self) -> str:
        """Its name."""
        return self.name

    def get_cpu_cores(self) -> float | None:
        """CPU cores of a slot, or None if not stated."""
        return self.cpu_cores

    def get_task_heap_memory(self) -> MemorySize | None:
        """Task heap memory of a slot, or None if not stated."""
        return self.task_heap_memory

    def get_task_off_heap_memory(self) -> MemorySize | None:
        """Task off-heap memory of a slot, or None if not stated."""
        return self.task_off_heap_memory

    def get_managed_memory(self) -> MemorySize | None:
        """Managed memory of a slot, or None if not stated."""
        return self.managed_memory

    def get_external_resources(self) -> dict[str, float]:
        """External resources of a slot by name."""
        return dict(self.external_resources)

    @property
    def has_resources(self) -> bool:
        """Whether any resource is stated."""
        return self != SlotSharingGroup(self.name)

    @staticmethod
    def builder(name: str) -> SlotSharingGroup.Builder:
        """A builder of the group of that name."""
        return SlotSharingGroup.Builder(name)

    class Builder:
        """Collects the resources of a group; CPU cores and task heap memory come together or not at all."""

        def __init__(self, name: str) -> None:
            self._name = name
            self._cpu_cores: float | None = None
            self._task_heap: MemorySize | None = None
            self._task_off_heap: MemorySize | None = None
            self._managed: MemorySize | None = None
            self._external: dict[str, float] = {}

        def set_cpu_cores(self, cpu_cores: float) -> SlotSharingGroup.Builder:
            """CPU cores of a slot."""
            if cpu_cores <= 0:
                raise ValueError("The cpu cores should be positive.")
            self._cpu_cores = cpu_cores
            return self

        def set_task_heap_memory(self, task_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Task heap memory of a slot."""
            if not task_heap_memory.bytes_size:
                raise ValueError("The task heap memory should be positive.")
            self._task_heap = task_heap_memory
            return self

        def set_task_heap_memory_mb(self, task_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            """Task heap memory of a slot in MB."""
            return self.set_task_heap_memory(MemorySize.of_mebi_bytes(task_heap_memory_mb))

        def set_task_off_heap_memory(self, task_off_heap_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Task off-heap memory of a slot."""
            self._task_off_heap = task_off_heap_memory
            return self

        def set_task_off_heap_memory_mb(self, task_off_heap_memory_mb: int) -> SlotSharingGroup.Builder:
            """Task off-heap memory of a slot in MB."""
            return self.set_task_off_heap_memory(MemorySize.of_mebi_bytes(task_off_heap_memory_mb))

        def set_managed_memory(self, managed_memory: MemorySize) -> SlotSharingGroup.Builder:
            """Managed memory of a slot."""
            self._managed = managed_memory
            return self

        def set_managed_memory_mb(self, managed_memory_mb: int) -> SlotSharingGroup.Builder:
            """Managed memory of a slot in MB."""
            return self.set_managed_memory(MemorySize.of_mebi_bytes(managed_memory_mb))

        def set_external_resource(self, name: str, value: float) -> SlotSharingGroup.Builder:
            """An external resource of a slot, such as ``gpu``."""
            self._external[name] = value
            return self

        def build(self) -> SlotSharingGroup:
            """The group; resources need both CPU cores and task heap memory."""
            if self._cpu_cores is not None and self._task_heap is not None:
                zero = MemorySize(0)
                return SlotSharingGroup(
                    self._name,
                    self._cpu_cores,
                    self._task_heap,
                    self._task_off_heap or zero,
                    self._managed or zero,
                    tuple(sorted(self._external.items())),
                )
            if any((self._cpu_cores, self._task_heap, self._task_off_heap, self._managed, self._external)):
                raise ValueError(
                    "The cpu cores and task heap memory are required when specifying the resource of a slot sharing"
                    " group."
                )
            return SlotSharingGroup(self._name)
