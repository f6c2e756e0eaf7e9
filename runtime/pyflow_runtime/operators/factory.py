"""From operator nodes to the operators of one subtask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle

from pyflow_runtime.operators.failures import unpickling_error
from pyflow_runtime.operators.operator import Operator, TaskContext
from pyflow_runtime.operators.process import KeyedProcess, Process
from pyflow_runtime.operators.rolling import Rolling
from pyflow_runtime.operators.sinks import Collect, Print, Sink
from pyflow_runtime.operators.source import SourceHead
from pyflow_runtime.operators.transforms import Filter, FlatMap, Map
from pyflow_runtime.state.backend import KeyedStateBackend
from pyflow_runtime.state.hashmap import HashMapStateBackend
from pyflow_yarn.errors import NotYetSupportedError
from pyflow_yarn.graph.job_graph import JobVertex, OperatorNode
from pyflow_yarn.graph.operators import EdgeDefinition, OperatorKind


def load(node: OperatorNode) -> Any:
    """The definition of an operator; ``UserFunctionError`` if it cannot be loaded here."""
    return unpickle(node.definition, node.name)


def unpickle(pickled: bytes, name: str) -> Any:
    """What the program pickled for the operator (or edge) of that name."""
    try:
        return cloudpickle.loads(pickled)
    except Exception as error:
        raise unpickling_error(error, name) from error


def load_edge(pickled: bytes, name: str) -> EdgeDefinition:
    """The definition of an edge."""
    definition: EdgeDefinition = unpickle(pickled, name)
    return definition


_PLAIN: dict[str, Callable[[int, OperatorNode, Any, TaskContext], Operator]] = {
    OperatorKind.SOURCE: SourceHead,
    OperatorKind.MAP: Map,
    OperatorKind.FLAT_MAP: FlatMap,
    OperatorKind.FILTER: Filter,
    OperatorKind.PROCESS: Process,
    OperatorKind.SINK: Sink,
    OperatorKind.COLLECT: Collect,
}
_KEYED: dict[str, Callable[[int, OperatorNode, Any, TaskContext, KeyedStateBackend], Operator]] = {
    OperatorKind.KEYED_PROCESS: KeyedProcess,
    OperatorKind.REDUCE: Rolling,
    OperatorKind.AGGREGATION: Rolling,
}


def make_operators(vertex: JobVertex, task: TaskContext, input_type: Any = None) -> list[Operator]:
    """The operators of a chain, wired; ``input_type`` is the declared type of the records that enter it."""
    definitions = [load(node) for node in vertex.operators]
    operators: list[Operator] = []
    for index, (node, definition) in enumerate(zip(vertex.operators, definitions, strict=True)):
        operators.append(_make(index, node, definition, task, vertex.operators, definitions, input_type))
        if node.input >= 0:
            operators[node.input].consumers.append(operators[index])
    return operators


def _make(
    index: int,
    node: OperatorNode,
    definition: Any,
    task: TaskContext,
    nodes: Sequence[OperatorNode],
    definitions: Sequence[Any],
    input_type: Any,
) -> Operator:
    if node.kind == OperatorKind.PRINT:
        return Print(index, node, definition, task, _record_type(node.input, nodes, definitions, input_type))
    if node.kind in _KEYED:
        return _KEYED[node.kind](index, node, definition, task, _backend(task))
    if node.kind in _PLAIN:
        return _PLAIN[node.kind](index, node, definition, task)
    raise NotYetSupportedError(f"The operator '{node.name}' is of the kind '{node.kind}', which is not supported yet.")


def _backend(task: TaskContext) -> KeyedStateBackend:
    name = task.configuration.get("state.backend.type", task.configuration.get("state.backend", "hashmap"))
    if name != "hashmap":
        raise NotYetSupportedError(f"state.backend.type '{name}' is not supported yet: use hashmap.")
    return HashMapStateBackend()


def _record_type(index: int, nodes: Sequence[OperatorNode], definitions: Sequence[Any], input_type: Any) -> Any:
    """The declared type of the records that operator ``index`` emits (-1: that enter the chain)."""
    while index >= 0:
        if nodes[index].kind != OperatorKind.FILTER:
            return getattr(definitions[index], "output_type", None)
        index = nodes[index].input
    return input_type
