"""What an operator does, as the program declared it: the content of ``OperatorNode.definition``.

These are specifications, never run-time objects. A ``function`` is what the user passed: a plain
callable or an instance of a function class of ``pyflow_yarn.datastream.functions``; workers take
``function.map`` and the like from it once. They are pickled with cloudpickle, and unpickled by workers and
coordinators only.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec


class OperatorKind(StrEnum):
    """The value of ``OperatorNode.kind``, one for each class below."""

    SOURCE = "source"
    MAP = "map"
    FLAT_MAP = "flat_map"
    FILTER = "filter"
    PROCESS = "process"
    KEYED_PROCESS = "keyed_process"
    REDUCE = "reduce"
    AGGREGATION = "aggregation"
    SINK = "sink"
    PRINT = "print"
    COLLECT = "collect"


class SourceOperator(msgspec.Struct, frozen=True):
    """``source``: a ``pyflow_yarn.datastream.source.Source``; ``watermark_strategy``: a ``WatermarkStrategy``."""

    source: Any
    watermark_strategy: Any = None
    output_type: Any = None


class MapOperator(msgspec.Struct, frozen=True):
    """One record in, one record out: a callable or a ``MapFunction``."""

    function: Any
    output_type: Any = None


class FlatMapOperator(msgspec.Struct, frozen=True):
    """One record in, any number out: a callable or a ``FlatMapFunction``."""

    function: Any
    output_type: Any = None


class FilterOperator(msgspec.Struct, frozen=True):
    """Keeps the records for which ``function`` is true: a callable or a ``FilterFunction``."""

    function: Any


class ProcessOperator(msgspec.Struct, frozen=True):
    """A ``ProcessFunction`` on a stream that is not keyed."""

    function: Any
    output_type: Any = None


class KeyedProcessOperator(msgspec.Struct, frozen=True):
    """A ``KeyedProcessFunction`` (or ``ProcessFunction``); ``key_selector(record)`` gives the current key."""

    function: Any
    key_selector: Callable[[Any], Any]
    key_type: Any = None
    output_type: Any = None


class ReduceOperator(msgspec.Struct, frozen=True):
    """Rolling reduce per key: emits the new value for each record."""

    function: Any
    key_selector: Callable[[Any], Any]
    key_type: Any = None
    output_type: Any = None


class AggregationOperator(msgspec.Struct, frozen=True):
    """Rolling ``sum``, ``min``, ``max``, ``min_by`` or ``max_by`` of the field at ``position`` (index or name)."""

    aggregation: str
    position: int | str
    key_selector: Callable[[Any], Any]
    key_type: Any = None
    output_type: Any = None


class SinkOperator(msgspec.Struct, frozen=True):
    """``sink``: a ``pyflow_yarn.datastream.sink.Sink``."""

    sink: Any


class PrintOperator(msgspec.Struct, frozen=True):
    """``print()``: Flink's text of each record on the TaskManager's standard output, ``identifier:n> `` in front."""

    identifier: str = ""
    type_info: Any = None


class CollectOperator(msgspec.Struct, frozen=True):
    """``execute_and_collect()``: keeps records until the client fetches them; at most ``limit`` if not None."""

    limit: int | None = None


class EdgeDefinition(msgspec.Struct, frozen=True):
    """What an edge needs at run time.

    ``key_selector`` for HASH and CUSTOM; ``partitioner(key, number_of_channels) -> channel`` for CUSTOM (a callable
    or a ``Partitioner``); ``type_info``: the declared type of the records (None: pickled); ``key_type`` as declared.
    """

    key_selector: Callable[[Any], Any] | None = None
    partitioner: Any = None
    type_info: Any = None
    key_type: Any = None
