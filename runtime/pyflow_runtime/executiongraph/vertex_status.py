"""The state of a vertex, made of the states of its subtasks."""

from __future__ import annotations

from collections.abc import Iterable

from pyflow_runtime.executiongraph.states import ExecutionState

_FIRST_OF = (
    ExecutionState.FAILED,
    ExecutionState.CANCELING,
    ExecutionState.CANCELED,
    ExecutionState.INITIALIZING,
    ExecutionState.RUNNING,
)


def vertex_status(states: Iterable[ExecutionState]) -> ExecutionState:
    """The first that occurs of the list above; FINISHED if all are, RUNNING if some are, else CREATED."""
    occurring = set(states)
    for state in _FIRST_OF:
        if state in occurring:
            return state
    if ExecutionState.FINISHED not in occurring:
        return ExecutionState.CREATED
    return ExecutionState.FINISHED if len(occurring) == 1 else ExecutionState.RUNNING
