"""map, flat_map and filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyflow_runtime.operators.codegen import LoopWriter, Origin, write_iterable, write_outputs
from pyflow_runtime.operators.operator import Operator, TaskContext
from pyflow_yarn.graph.job_graph import OperatorNode
from pyflow_yarn.graph.operators import FilterOperator, FlatMapOperator, MapOperator


class Map(Operator):
    """One record in, one out."""

    def __init__(self, index: int, node: OperatorNode, definition: MapOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._function: Callable[[Any], Any]

    def open(self) -> None:
        """As the base class says."""
        self._function = self.open_function(self._definition.function, "map")

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        name = writer.bind(f"map_{self.index}", self._function)
        write_outputs(writer, self.consumers, f"{name}({value})", self.result, self.origin(value))


class FlatMap(Operator):
    """One record in, any number out: whatever iterable the function returns, or None."""

    def __init__(self, index: int, node: OperatorNode, definition: FlatMapOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._function: Callable[[Any], Any]

    def open(self) -> None:
        """As the base class says."""
        self._function = self.open_function(self._definition.function, "flat_map")

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        name = writer.bind(f"flat_map_{self.index}", self._function)
        write_iterable(writer, self.consumers, f"{name}({value})", self.result, self.origin(value))


class Filter(Operator):
    """Keeps the records for which the function is true."""

    def __init__(self, index: int, node: OperatorNode, definition: FilterOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._function: Callable[[Any], Any]

    def open(self) -> None:
        """As the base class says."""
        self._function = self.open_function(self._definition.function, "filter")

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        name = writer.bind(f"filter_{self.index}", self._function)
        writer.line(f"if {name}({value}):", self.origin(value))
        with writer.indented():
            if not self.consumers:
                writer.line("pass")
            for consumer in self.consumers:
                writer.hand_on(consumer, value)
