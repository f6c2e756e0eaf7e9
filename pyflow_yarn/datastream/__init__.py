"""The DataStream API: PyFlink's names, classes and signatures."""

from __future__ import annotations

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

__all__ = [
    "AggregateFunction",
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
    "MapFunction",
    "MemorySize",
    "NullByteKeySelector",
    "OutputTag",
    "Partitioner",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "RuntimeContext",
    "RuntimeExecutionMode",
    "SinkFunction",
    "SlotSharingGroup",
    "SourceFunction",
    "StateBackend",
    "StreamExecutionEnvironment",
    "TimeDomain",
    "TimerService",
    "WindowFunction",
]
