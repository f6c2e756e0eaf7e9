"""What every keyed state backend must do; run for each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.state.backend import NO_KEY, KeyedStateBackend
from pyflow_runtime.state.hashmap import HashMapStateBackend
from pyflow_yarn.datastream.functions import AggregateFunction
from pyflow_yarn.errors import UserError

BACKENDS: list[Callable[[], KeyedStateBackend]] = [HashMapStateBackend]


@pytest.fixture(params=BACKENDS, ids=lambda make: make.__name__)
def backend(request: pytest.FixtureRequest) -> KeyedStateBackend:
    made: KeyedStateBackend = request.param()
    return made


def test_values_belong_to_keys(backend: KeyedStateBackend) -> None:
    state = backend.value_state("s")
    backend.current.key = "a"
    assert state.value() is None
    state.update(1)
    backend.current.key = "b"
    assert state.value() is None
    state.update([2])
    assert sorted(backend.keys("s")) == ["a", "b"]
    backend.current.key = "a"
    assert state.value() == 1
    state.clear()
    state.clear()
    assert state.value() is None
    backend.current.key = "b"
    state.update(None)
    assert list(backend.keys("s")) == []


def test_states_are_told_apart_by_name(backend: KeyedStateBackend) -> None:
    one, two = backend.value_state("one"), backend.value_state("two")
    assert backend.value_state("one") is one
    backend.current.key = 5
    one.update("x")
    assert two.value() is None
    assert backend.names() == ["one", "two"]


def test_equal_keys_are_one_key(backend: KeyedStateBackend) -> None:
    state = backend.value_state("s")
    for key in (1, 1.0, True):
        backend.current.key = key
        state.update((state.value() or 0) + 1)
    assert state.value() == 3


def test_there_must_be_a_key(backend: KeyedStateBackend) -> None:
    state = backend.value_state("s")
    assert backend.current.key is NO_KEY
    for use in (state.value, lambda: state.update(1)):
        with pytest.raises(UserError, match="no current key"):
            use()


def test_lists(backend: KeyedStateBackend) -> None:
    state = backend.list_state("s")
    backend.current.key = "a"
    assert list(state.get()) == []
    state.add(1)
    state.add_all([2, 3])
    state.add_all([])
    backend.current.key = "b"
    state.update([9])
    backend.current.key = "a"
    taken = state.get()
    state.add(4)
    assert (list(taken), list(state)) == ([1, 2, 3], [1, 2, 3, 4])
    given = [5]
    state.update(given)
    given.append(6)
    assert list(state.get()) == [5]
    state.update([])
    assert list(backend.keys("s")) == ["b"]
    backend.current.key = "b"
    state.clear()
    assert list(state.get()) == []


def test_maps(backend: KeyedStateBackend) -> None:
    state = backend.map_state("s")
    backend.current.key = "a"
    assert state.is_empty()
    assert (state.get("x"), state.contains("x"), list(state.items())) == (None, False, [])
    state.put("x", 1)
    state["y"] = 2
    state.put_all({"z": 3})
    state.put_all({})
    backend.current.key = "b"
    assert "x" not in state
    backend.current.key = "a"
    assert (state["x"], "y" in state, sorted(state), sorted(state.values())) == (1, True, ["x", "y", "z"], [1, 2, 3])
    for key, _ in state.items():  # what was handed out does not change
        state.remove(key)
    state.remove("x")
    assert state.is_empty()
    assert list(backend.keys("s")) == []
    state.put("x", None)
    assert state.contains("x")
    state.clear()
    assert not state.contains("x")


def test_reducing_and_aggregating(backend: KeyedStateBackend) -> None:
    class Mean(AggregateFunction[int, tuple[int, int], float]):
        def create_accumulator(self) -> tuple[int, int]:
            return 0, 0

        def add(self, value: int, accumulator: tuple[int, int]) -> tuple[int, int]:
            return accumulator[0] + value, accumulator[1] + 1

        def get_result(self, accumulator: tuple[int, int]) -> float:
            return accumulator[0] / accumulator[1]

        def merge(self, acc_a: tuple[int, int], acc_b: tuple[int, int]) -> tuple[int, int]:
            return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]

    total = backend.reducing_state("total", lambda old, new: old + new)
    mean = backend.aggregating_state("mean", Mean())
    backend.current.key = "a"
    assert (total.get(), mean.get()) == (None, None)
    for value in (1, 2, 6):
        total.add(value)
        mean.add(value)
    assert (total.get(), mean.get()) == (9, 3.0)
    backend.current.key = "b"
    assert (total.get(), mean.get()) == (None, None)
    backend.current.key = "a"
    total.clear()
    mean.clear()
    assert (total.get(), mean.get()) == (None, None)


def test_one_name_is_one_kind(backend: KeyedStateBackend) -> None:
    backend.value_state("s")
    with pytest.raises(UserError, match="another kind"):
        backend.map_state("s")


def test_the_table_is_the_state(backend: KeyedStateBackend) -> None:
    table = backend.value_table("s")
    table["k"] = 7
    backend.current.key = "k"
    assert backend.value_state("s").value() == 7


def test_close_forgets(backend: KeyedStateBackend) -> None:
    backend.current.key = "k"
    backend.value_state("s").update(1)
    backend.close()
    assert backend.names() == []
    assert backend.current.key is NO_KEY


@pytest.mark.parametrize("make", BACKENDS, ids=lambda make: make.__name__)
@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers()))))
def test_behaves_as_a_dict(make: Callable[[], KeyedStateBackend], updates: list[tuple[int, int | None]]) -> None:
    backend = make()
    state = backend.value_state("s")
    model: dict[int, int] = {}
    for key, value in updates:
        backend.current.key = key
        assert state.value() == model.get(key)
        state.update(value)
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
    assert sorted(backend.keys("s")) == sorted(model)
