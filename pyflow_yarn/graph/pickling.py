"""Pickling what the user's program passed in; when that fails, finding out which variable is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.operators import EdgeDefinition, SinkOperator, SourceOperator

MAX_DEPTH = 6
PROTOCOL = 5

FUNCTION_CLASSES = {
    "MapOperator": "MapFunction",
    "FlatMapOperator": "FlatMapFunction",
    "FilterOperator": "FilterFunction",
    "ProcessOperator": "ProcessFunction",
    "KeyedProcessOperator": "KeyedProcessFunction",
    "ReduceOperator": "ReduceFunction",
}


def dumps(definition: Any, operator: str, declared_at: str) -> bytes:
    """Cloudpickle of a definition; ``UserError`` names the operator and the variable that cannot be pickled."""
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(definition, protocol=PROTOCOL))
    except Exception as error:
        raise UserError(_explanation(definition, operator, declared_at, error)) from None


def _explanation(definition: Any, operator: str, declared_at: str, error: Exception) -> str:
    where = f"operator '{operator}' ({declared_at})" if declared_at else f"operator '{operator}'"
    role, culprit = _culprit(definition)
    subject = f"The {role} of {where}"
    if culprit is None:
        return f"{subject} cannot be sent to workers: {error}."
    name, value, is_attribute = culprit
    verb = "holds" if is_attribute else "captures"
    return (
        f"{subject} {verb} '{name}', {_a(value)}, which cannot be sent to workers: {_advice(definition, role, value)}."
    )


def _advice(definition: Any, role: str, value: Any) -> str:
    if type(value).__module__.startswith("pyflow_yarn."):
        return "it belongs to the program, keep it out of functions"
    if role in ("function", "key selector", "partitioner"):
        owner = {"key selector": "KeySelector", "partitioner": "Partitioner"}.get(
            role, FUNCTION_CLASSES.get(type(definition).__name__, "function class")
        )
        if hasattr(value, "__next__"):
            return f"make it a list, or create it in open() of a {owner}"
        return f"open it in open() of a {owner}"
    return "create it where it is used, not in the program"


def _a(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _culprit(definition: Any) -> tuple[str, tuple[str, Any, bool] | None]:
    """What part of the definition fails, as a user calls it, and the variable in it: name, value, whether of self."""
    for name in definition.__struct_fields__:
        part = getattr(definition, name)
        if part is not None and not _pickles(part):
            if isinstance(definition, SourceOperator | SinkOperator):
                role = "source" if isinstance(definition, SourceOperator) else "sink"
            elif isinstance(definition, EdgeDefinition) and name == "partitioner":
                role = "partitioner"
            else:
                role = name.replace("_", " ")
            return role, _search(part, "self", 0, set())
    return "definition", None


def _search(value: Any, name: str, depth: int, seen: set[int]) -> tuple[str, Any, bool] | None:
    """The innermost named variable below ``value`` that cannot be pickled; ``value`` is called ``name``."""
    if depth > MAX_DEPTH or id(value) in seen:
        return None
    seen.add(id(value))
    for part_name, part, is_attribute in _parts(value, name):
        if not _pickles(part):
            return _search(part, part_name, depth + 1, seen) or (part_name, part, is_attribute)
    return None


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any, bool]]:
    """The variables that travel with ``value``: closure, referenced globals, defaults, attributes, elements."""
    if isinstance(value, MethodType):
        yield from _parts(value.__func__, name)
        yield from _attributes(value.__self__, "self")
    elif isinstance(value, FunctionType):
        yield from _variables_of(value)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield f"{name}[{index}]", part, name.startswith("self.")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"{name}[{key!r}]", part, name.startswith("self.")
    elif _has_plain_state(value):
        yield from _attributes(value, name)
        for attribute in vars(type(value)).values():
            if isinstance(attribute, FunctionType) and type(value).__module__ == "__main__":
                yield from _variables_of(attribute)


def _has_plain_state(value: Any) -> bool:
    """Whether it is pickled by its attributes, and not by a method of its own."""
    plain: object = object.__reduce__
    return not isinstance(value, type | ModuleType | BuiltinFunctionType) and type(value).__reduce__ is plain


def _variables_of(function: FunctionType) -> Iterator[tuple[str, Any, bool]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents, False
        except ValueError:  # the variable is not bound yet
            continue
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name], False
    for part in function.__defaults__ or ():
        yield "default value", part, False
    for name, part in (function.__kwdefaults__ or {}).items():
        yield name, part, False


def _names(code: CodeType) -> set[str]:
    """The globals that a function's code loads, also in functions inside it."""
    import dis

    names = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def _attributes(value: Any, name: str) -> Iterator[tuple[str, Any, bool]]:
    for attribute, part in getattr(value, "__dict__", {}).items():
        yield f"{name}.{attribute}", part, name == "self"


def _pickles(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value, protocol=PROTOCOL)
    except Exception:
        return False
    return True
