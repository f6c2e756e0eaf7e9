"""What cannot be sent to workers is named, with operator, line and variable."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.operators import EdgeDefinition, MapOperator, ReduceOperator, SourceOperator
from pyflow_yarn.graph.pickling import dumps

LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """Functions of this module travel as those of a program's main module do."""
    import sys

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def message(definition: Any) -> str:
    with pytest.raises(UserError) as raised:
        dumps(definition, "Map", "job.py:12")
    return str(raised.value)


def test_a_captured_connection() -> None:
    conn = sqlite3.connect(":memory:")
    try:
        assert message(MapOperator(lambda x: conn.execute(x))) == (
            "The function of operator 'Map' (job.py:12) captures 'conn', a sqlite3.Connection,"
            " which cannot be sent to workers: open it in open() of a MapFunction."
        )
    finally:
        conn.close()


def test_a_global_lock() -> None:
    def locked(x: int) -> int:
        with LOCK:
            return x

    assert "captures 'LOCK', a _thread.lock" in message(MapOperator(locked))


def test_a_generator() -> None:
    numbers = (x for x in range(3))
    text = message(ReduceOperator(lambda a, b: next(numbers), len))
    assert "captures 'numbers', a generator" in text
    assert text.endswith("make it a list, or create it in open() of a ReduceFunction.")


def test_an_attribute_of_a_function_object() -> None:
    class Mapper:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __call__(self, x: int) -> int:
            return x

    assert "holds 'self.lock', a _thread.lock" in message(MapOperator(Mapper()))
    assert "holds 'self.lock', a _thread.lock" in message(MapOperator(Mapper().__call__))


def test_a_function_inside_the_function() -> None:
    lock = threading.Lock()

    def inner(x: int) -> int:
        with lock:
            return x

    assert "captures 'lock', a _thread.lock" in message(MapOperator(lambda x: inner(x)))


def test_a_default_value() -> None:
    def function(x: int, lock: Any = threading.Lock()) -> int:  # noqa: B008
        return x

    assert "captures 'default value', a _thread.lock" in message(MapOperator(function))


def test_elements_of_a_source() -> None:
    class Elements:
        def __init__(self) -> None:
            self.elements = [1, threading.Lock()]

    text = message(SourceOperator(Elements()))
    assert text.startswith("The source of operator 'Map' (job.py:12) holds 'self.elements[1]', a _thread.lock")


def test_a_variable_deep_inside() -> None:
    class Settings:
        def __init__(self) -> None:
            self.locks = {"a": threading.Lock()}

    settings = Settings()
    assert "captures 'settings.locks['a']', a _thread.lock" in message(MapOperator(lambda x: settings))


def test_a_key_selector_and_a_partitioner() -> None:
    lock = threading.Lock()
    selector = EdgeDefinition(key_selector=lambda x: (x, lock))
    assert message(selector).startswith("The key selector of operator 'Map'")
    partitioner = EdgeDefinition(partitioner=lambda key, n: bool(lock))
    assert message(partitioner).startswith("The partitioner of operator 'Map'")


def test_what_is_not_found_is_still_told() -> None:
    class Stubborn:
        def __reduce__(self) -> Any:
            raise RuntimeError("never")

        def __call__(self, x: int) -> int:
            return x

    assert message(MapOperator(Stubborn())) == (
        "The function of operator 'Map' (job.py:12) cannot be sent to workers: never."
    )


def test_functions_of_the_main_module_travel_by_value() -> None:
    offset = 5
    restored = cloudpickle.loads(dumps(MapOperator(lambda x: x + offset), "Map", ""))
    assert restored.function(1) == 6
