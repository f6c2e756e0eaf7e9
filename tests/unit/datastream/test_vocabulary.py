"""Slot-sharing groups, memory sizes, state descriptors, tags, functions."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import pyflow_yarn.datastream
from pyflow_yarn.common.time import Time
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.datastream import (
    EmbeddedRocksDBStateBackend,
    Function,
    KeyedProcessFunction,
    KeySelector,
    MemorySize,
    OutputTag,
    Partitioner,
    SlotSharingGroup,
)
from pyflow_yarn.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from pyflow_yarn.errors import NotYetSupportedError


def test_every_exported_name_exists() -> None:
    assert all(getattr(pyflow_yarn.datastream, name) is not None for name in pyflow_yarn.datastream.__all__)


def test_memory_sizes() -> None:
    size = MemorySize.of_mebi_bytes(2048)
    assert (size.get_bytes(), size.get_kibi_bytes(), size.get_mebi_bytes()) == (2 << 30, 2 << 20, 2048)
    assert (size.get_gibi_bytes(), size.get_tebi_bytes(), str(size)) == (2, 0, "2 gb")
    assert MemorySize(1) < MemorySize(bytes_size=2) == MemorySize(2)
    assert str(MemorySize(1025)) == "1025 bytes"
    with pytest.raises(ValueError, match="bytes must be >= 0"):
        MemorySize(-1)


def test_slot_sharing_groups_with_resources() -> None:
    group = (
        SlotSharingGroup.builder("big")
        .set_cpu_cores(1.5)
        .set_task_heap_memory_mb(100)
        .set_task_off_heap_memory_mb(200)
        .set_managed_memory_mb(300)
        .set_external_resource("gpu", 1.0)
        .build()
    )
    assert (group.get_name(), group.get_cpu_cores(), group.get_external_resources()) == ("big", 1.5, {"gpu": 1.0})
    assert group.get_task_heap_memory() == MemorySize.of_mebi_bytes(100)
    assert group.get_task_off_heap_memory() == MemorySize.of_mebi_bytes(200)
    assert group.get_managed_memory() == MemorySize.of_mebi_bytes(300)
    assert group.has_resources
    assert hash(group) == hash(pickle.loads(pickle.dumps(group)))


def test_slot_sharing_groups_without_or_with_half_the_resources() -> None:
    plain = SlotSharingGroup.builder("plain").build()
    assert not plain.has_resources
    assert plain.get_managed_memory() is None
    with pytest.raises(ValueError, match="cpu cores and task heap memory are required"):
        SlotSharingGroup.builder("half").set_managed_memory_mb(1).build()
    with pytest.raises(ValueError, match="cpu cores should be positive"):
        SlotSharingGroup.builder("none").set_cpu_cores(0)
    with pytest.raises(ValueError, match="heap memory should be positive"):
        SlotSharingGroup.builder("none").set_task_heap_memory_mb(0)


def test_output_tags() -> None:
    assert OutputTag("late") == OutputTag("late", Types.INT())
    assert len({OutputTag("late"), OutputTag("late"), OutputTag("other")}) == 2
    assert repr(OutputTag("late")) == "OutputTag('late')"
    with pytest.raises(ValueError, match="cannot be None or empty"):
        OutputTag("")


class Total:
    """Has the methods of an aggregate function, as far as a descriptor asks."""

    def create_accumulator(self) -> int:
        return 0


def test_descriptors_travel() -> None:
    for descriptor in (
        ValueStateDescriptor("value", Types.LONG()),
        ListStateDescriptor("list", Types.STRING()),
        MapStateDescriptor("map", Types.STRING(), Types.INT()),
        ReducingStateDescriptor("reducing", max, Types.INT()),
        AggregatingStateDescriptor("aggregating", Total(), Types.INT()),  # type: ignore[arg-type]
    ):
        restored = pickle.loads(pickle.dumps(descriptor))
        assert (restored.get_name(), restored.type_info) == (descriptor.get_name(), descriptor.type_info)
        assert restored.ttl_config is None


@pytest.mark.parametrize(
    ("descriptor", "arguments"), [(ReducingStateDescriptor, ("a", 3)), (AggregatingStateDescriptor, ("a", 3))]
)
def test_descriptors_check_their_functions(descriptor: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="The input must be"):
        descriptor(*arguments)
    with pytest.raises(ValueError, match="name of a state must not be empty"):
        ValueStateDescriptor("")


def test_time_to_live() -> None:
    config = (
        StateTtlConfig.new_builder(Time.seconds(3))
        .update_ttl_on_read_and_write()
        .return_expired_if_not_cleaned_up()
        .use_processing_time()
        .build()
    )
    assert config.get_ttl() == Time.seconds(3)
    assert config.get_update_type() is StateTtlConfig.UpdateType.OnReadAndWrite
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp
    assert config.get_ttl_time_characteristic() is StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
    assert config.is_enabled()
    descriptor = ValueStateDescriptor("value")
    descriptor.enable_time_to_live(config)
    assert descriptor.ttl_config is config
    disabled = StateTtlConfig.new_builder(Time.seconds(3)).set_update_type(StateTtlConfig.UpdateType.Disabled).build()
    assert not disabled.is_enabled()


def test_functions_can_be_called_where_a_callable_is_wanted() -> None:
    class Modulo(Partitioner[int]):
        def partition(self, key: int, num_partitions: int) -> int:
            return key % num_partitions

    class Itself(KeySelector[int, int]):
        def get_key(self, value: int) -> int:
            return value

    assert (Modulo()(7, 4), Itself()(3)) == (3, 3)


def test_contexts_are_found_inside_their_functions() -> None:
    assert issubclass(KeyedProcessFunction.OnTimerContext, KeyedProcessFunction.Context)
    assert issubclass(KeyedProcessFunction, Function)


def test_rocksdb_is_refused() -> None:
    with pytest.raises(NotYetSupportedError, match="RocksDB"):
        EmbeddedRocksDBStateBackend()
