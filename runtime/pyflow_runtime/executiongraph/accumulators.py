"""Accumulators of subtasks, merged to those of the job. Their values travel as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyflow_runtime.taskexecutor.messages import Accumulator

_Number = int | float


def merge(accumulators: Iterable[Accumulator]) -> list[Accumulator]:
    """One accumulator a name: counters are added, minima and maxima compared, of others the last value is shown."""
    merged: dict[str, Accumulator] = {}
    for accumulator in accumulators:
        former = merged.get(accumulator.name)
        if former is not None:
            accumulator = Accumulator(name=accumulator.name, type=accumulator.type, value=_combine(former, accumulator))
        merged[accumulator.name] = accumulator
    return list(merged.values())


def _combine(former: Accumulator, latter: Accumulator) -> str:
    operation = _operation(latter.type) if former.type == latter.type else None
    left, right = _number(former.value), _number(latter.value)
    if operation is None or left is None or right is None:
        return latter.value
    return str(operation(left, right))


def _operation(type_name: str) -> Callable[[_Number, _Number], _Number] | None:
    if type_name.endswith("Counter"):
        return lambda left, right: left + right
    if type_name.endswith("Minimum"):
        return min
    if type_name.endswith("Maximum"):
        return max
    return None


def _number(text: str) -> _Number | None:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return None
