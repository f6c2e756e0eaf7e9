"""Keyed state: what a backend offers to the operators of one subtask.

The current key is an attribute of one object that the backend, its states and the generated loop share: setting a key
is one attribute store per record, without a call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from pyflow_yarn.datastream.functions import AggregateFunction
from pyflow_yarn.datastream.state import AggregatingState, ListState, MapState, ReducingState, ValueState
from pyflow_yarn.errors import UserError


class _NoKey:
    """The current key while no record is being processed."""

    def __repr__(self) -> str:
        return "<no key>"

    def __hash__(self) -> int:
        raise UserError(
            "keyed state was used where there is no current key: read and write it in process_element and on_timer,"
            " not in open or close"
        )


NO_KEY = _NoKey()


class CurrentKey:
    """The key of the record or timer at work."""

    __slots__ = ("key",)

    def __init__(self) -> None:
        self.key: Any = NO_KEY


class KeyedStateBackend(ABC):
    """The keyed state of one operator in one subtask.

    Asking for a state by the same name and kind again gives the same object; by another kind it is a ``UserError``.
    """

    current: CurrentKey

    @abstractmethod
    def value_state(self, name: str) -> ValueState[Any]:
        """One value per key."""

    @abstractmethod
    def list_state(self, name: str) -> ListState[Any]:
        """One list per key."""

    @abstractmethod
    def map_state(self, name: str) -> MapState[Any, Any]:
        """One map per key."""

    @abstractmethod
    def reducing_state(self, name: str, reduce: Callable[[Any, Any], Any]) -> ReducingState[Any]:
        """One value per key, combined by ``reduce``."""

    @abstractmethod
    def aggregating_state(self, name: str, function: AggregateFunction[Any, Any, Any]) -> AggregatingState[Any, Any]:
        """One accumulator per key."""

    @abstractmethod
    def value_table(self, name: str) -> dict[Any, Any]:
        """The key → value mapping behind the value state of that name, for generated loops.

        Only for backends that keep their state as Python objects; absent keys have no value.
        """

    @abstractmethod
    def names(self) -> list[str]:
        """The names of the states that exist."""

    @abstractmethod
    def keys(self, name: str) -> Iterator[Any]:
        """The keys that have a value in the state of that name, in no particular order."""

    @abstractmethod
    def close(self) -> None:
        """Release everything."""
