"""The DataStream API: PyFlink's names, classes and signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyflow_yarn.datastream.checkpointing_mode import CheckpointingMode
from pyflow_yarn.datastream.data_stream import CloseableIterator, DataStream, DataStreamSink, KeyedStream
from pyflow_yarn.datastream.execution_mode import RuntimeExecutionMode
from pyflow_yarn.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
from pyflow_yarn.datastream.functions import (
    AggregateFunction,
    AllWindowFunction,
    AsyncFunction,
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    FilterFunction,
    FlatMapFunction,
    Function,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    NullByteKeySelector,
    Partitioner,
    ProcessAllWindowFunction,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RuntimeContext,
    SinkFunction,
    SourceFunction,
    WindowFunction,
)
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.datastream.slot_sharing_group import MemorySize, SlotSharingGroup
from pyflow_yarn.datastream.state_backend import EmbeddedRocksDBStateBackend, HashMapStateBackend, StateBackend
from pyflow_yarn.datastream.stream_execution_environment import StreamExecutionEnvironment
from pyflow_yarn.datastream.time_domain import TimeDomain
from pyflow_yarn.datastream.timerservice import TimerService

if TYPE_CHECKING:
    from pyflow_yarn.datastream.state import (
        AggregatingState,
        AggregatingStateDescriptor,
        ListState,
        ListStateDescriptor,
        MapState,
        MapStateDescriptor,
        ReducingState,
        ReducingStateDescriptor,
        StateTtlConfig,
        ValueState,
        ValueStateDescriptor,
    )
    from pyflow_yarn.datastream.time_characteristic import TimeCharacteristic

__all__ = [
    "AggregateFunction",
    "AggregatingState",
    "AggregatingStateDescriptor",
    "AllWindowFunction",
    "AsyncFunction",
    "BroadcastProcessFunction",
    "CheckpointingMode",
    "CloseableIterator",
    "CoFlatMapFunction",
    "CoMapFunction",
    "CoProcessFunction",
    "DataStream",
    "DataStreamSink",
    "EmbeddedRocksDBStateBackend",
    "ExternalizedCheckpointRetention",
    "FilterFunction",
    "FlatMapFunction",
    "Function",
    "HashMapStateBackend",
    "KeySelector",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "KeyedStream",
    "ListState",
    "ListStateDescriptor",
    "MapFunction",
    "MapState",
    "MapStateDescriptor",
    "MemorySize",
    "NullByteKeySelector",
    "OutputTag",
    "Partitioner",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "ReducingState",
    "ReducingStateDescriptor",
    "RuntimeContext",
    "RuntimeExecutionMode",
    "SinkFunction",
    "SlotSharingGroup",
    "SourceFunction",
    "StateBackend",
    "StateTtlConfig",
    "StreamExecutionEnvironment",
    "TimeCharacteristic",
    "TimeDomain",
    "TimerService",
    "ValueState",
    "ValueStateDescriptor",
    "WindowFunction",
]

_LATE = {
    "pyflow_yarn.datastream.async_data_stream": ("AsyncDataStream",),
    "pyflow_yarn.datastream.checkpoint_config": ("CheckpointConfig",),
    "pyflow_yarn.datastream.checkpoint_storage": (
        "CheckpointStorage",
        "CustomCheckpointStorage",
        "FileSystemCheckpointStorage",
        "JobManagerCheckpointStorage",
    ),
    "pyflow_yarn.datastream.state": (
        "AggregatingState",
        "AggregatingStateDescriptor",
        "ListState",
        "ListStateDescriptor",
        "MapState",
        "MapStateDescriptor",
        "ReducingState",
        "ReducingStateDescriptor",
        "StateTtlConfig",
        "ValueState",
        "ValueStateDescriptor",
    ),
    "pyflow_yarn.datastream.data_stream": (
        "AllWindowedStream",
        "BroadcastConnectedStream",
        "BroadcastStream",
        "ConnectedStreams",
        "WindowedStream",
    ),
    "pyflow_yarn.datastream.time_characteristic": ("TimeCharacteristic",),
    "pyflow_yarn.datastream.window": (
        "CountWindow",
        "GlobalWindow",
        "MergingWindowAssigner",
        "TimeWindow",
        "Trigger",
        "TriggerResult",
        "Window",
        "WindowAssigner",
    ),
}
"""Names that few programs use: their modules are imported when they are."""

if not TYPE_CHECKING:  # a type checker shall see which names there are

    def __getattr__(name: str) -> Any:
        for module, names in _LATE.items():
            if name in names:
                from importlib import import_module

                return getattr(import_module(module), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
