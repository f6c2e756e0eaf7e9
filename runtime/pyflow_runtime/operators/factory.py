"""From operator nodes to the operators of one subtask."""

from __future__ import annotations

from collections.abc import Callable
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
    OperatorKind.PRINT: Print,
    OperatorKind.COLLECT: Collect,
}
_KEYED: dict[str, Callable[[int, OperatorNode, Any, TaskContext, KeyedStateBackend], Operator]] = {
    OperatorKind.KEYED_PROCESS: KeyedProcess,
    OperatorKind.REDUCE: Rolling,
    OperatorKind.AGGREGATION: Rolling,
}


def make_operators(vertex: JobVertex, task: TaskContext) -> list[Operator]:
    """The operators of a chain, wired."""
    operators: list[Operator] = []
    for index, node in enumerate(vertex.operators):
        operators.append(_make(index, node, load(node), task))
        if node.input >= 0:
            operators[node.input].add_consumer(operators[index], node.input_tag)
    return operators


def _make(index: int, node: OperatorNode, definition: Any, task: TaskContext) -> Operator:
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
