"""Map, flat-map and filter functions on a keyed stream: as process functions, they have keyed state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyflow_yarn.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    Function,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
)


class _KeyedFunction(KeyedProcessFunction[Any, Any, Any]):
    def __init__(self, function: Function) -> None:
        self.function = function

    def open(self, runtime_context: RuntimeContext) -> None:
        self.function.open(runtime_context)

    def close(self) -> None:
        self.function.close()


class KeyedMap(_KeyedFunction):
    """A ``MapFunction`` with keyed state."""

    function: MapFunction[Any, Any]

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        return (self.function.map(value),)


class KeyedFlatMap(_KeyedFunction):
    """A ``FlatMapFunction`` with keyed state."""

    function: FlatMapFunction[Any, Any]

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        return self.function.flat_map(value)


class KeyedFilter(_KeyedFunction):
    """A ``FilterFunction`` with keyed state."""

    function: FilterFunction[Any]

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        return (value,) if self.function.filter(value) else ()
