"""Rolling reduce and the built-in aggregations of a keyed stream: one value per key, emitted at each record."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from pyflow_runtime.operators.codegen import LoopWriter, Origin, write_outputs
from pyflow_runtime.operators.operator import KeyExpression, Operator, TaskContext, selector_function
from pyflow_runtime.state.backend import KeyedStateBackend
from pyflow_yarn.common.types import Row
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import OperatorNode
from pyflow_yarn.graph.operators import AggregationOperator, ReduceOperator

_STATE = "_op_state"


class Rolling(Operator):
    """Keeps the reduced value of each key and emits the new one for each record."""

    def __init__(
        self,
        index: int,
        node: OperatorNode,
        definition: ReduceOperator | AggregationOperator,
        task: TaskContext,
        backend: KeyedStateBackend,
    ) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._backend = backend
        self._key: KeyExpression
        self._reduce: Callable[[Any, Any], Any]

    def open(self) -> None:
        """As the base class says."""
        selector = selector_function(self, self._definition.key_selector)
        self._key = KeyExpression(f"key_{self.index}", selector)
        if isinstance(self._definition, ReduceOperator):
            self._reduce = self.open_function(self._definition.function, "reduce")
        else:
            self._reduce = aggregation(self._definition.aggregation, self._definition.position)

    def close(self) -> None:
        """As the base class says."""
        try:
            super().close()
        finally:
            self._backend.close()

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        index = self.index
        reduce = writer.bind(f"reduce_{index}", self._reduce)
        table = self._backend.value_table(_STATE)
        values = writer.bind(f"values_{index}", table)
        get = writer.bind(f"get_{index}", table.get)
        key, old, new = f"k{index}", f"v{index}", self.result
        writer.line(f"{key} = {self._key.of(writer, value)}", self.origin(value, inlined=self._key.code))
        writer.line(f"{old} = {get}({key})", self.origin(value, key))  # an unhashable key fails here
        merged = f"{value} if {old} is None else {reduce}({old}, {value})"
        writer.line(f"{values}[{key}] = {new} = {merged}", self.origin(value, key))
        write_outputs(writer, self.consumers, new, new, None)


def aggregation(name: str, position: int | str) -> Callable[[Any, Any], Any]:
    """The reduce function of ``sum``, ``min``, ``max``, ``min_by`` or ``max_by`` of a field.

    Neither argument is changed: both may have been sent on.
    """
    if name == "min_by":
        return lambda old, new: new if _field(new, position) < _field(old, position) else old
    if name == "max_by":
        return lambda old, new: new if _field(new, position) > _field(old, position) else old
    try:
        merge = _MERGES[name]
    except KeyError:
        raise UserError(f"there is no aggregation '{name}'") from None
    if name == "sum" and position == 1:
        return _sum_of_pairs(merge)
    return lambda old, new: _with_field(old, position, merge(_field(old, position), _field(new, position)))


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda old, new: old + new,
    "min": lambda old, new: new if new < old else old,
    "max": lambda old, new: new if new > old else old,
}


def _sum_of_pairs(merge: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def add(old: Any, new: Any) -> Any:
        if old.__class__ is tuple and len(old) == 2:  # word counts, mostly
            return (old[0], old[1] + new[1])
        return _with_field(old, 1, merge(_field(old, 1), _field(new, 1)))

    return add


def _field(record: Any, position: Any) -> Any:
    if isinstance(record, tuple) and isinstance(position, str):
        return getattr(record, position)
    if isinstance(record, tuple | list | Row):
        return record[position]
    if position != 0:
        raise TypeError(
            f"The {position} field selected on a basic type. A field expression on a basic type can only select the 0th"
            " field (which means selecting the entire basic type)."
        )
    return record


def _with_field(record: Any, position: Any, value: Any) -> Any:
    if type(record) is tuple:
        index = position % len(record)
        return (*record[:index], value, *record[index + 1 :])
    if isinstance(record, tuple):  # a named one
        named: Any = record
        name = position if isinstance(position, str) else named._fields[position]
        return named._replace(**{name: value})
    if isinstance(record, list | Row):
        changed = copy.copy(record)
        if isinstance(changed, Row):
            changed._values = changed._values.copy()
        changed[position] = value
        return changed
    return value
