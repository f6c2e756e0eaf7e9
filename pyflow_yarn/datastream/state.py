"""Keyed state as functions see it: descriptors, and the interfaces of what they stand for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pyflow_yarn.common.time import Time
    from pyflow_yarn.common.typeinfo import TypeInformation
    from pyflow_yarn.datastream.functions import AggregateFunction, ReduceFunction

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")
ACC = TypeVar("ACC")


class State(ABC):
    """Base of all kinds of state: each access is about the key of the current record."""

    @abstractmethod
    def clear(self) -> None:
        """Remove the value of the current key."""


class ValueState(State, Generic[T]):
    """One value per key."""

    @abstractmethod
    def value(self) -> T | None:
        """The value, or None when there is none."""

    @abstractmethod
    def update(self, value: T) -> None:
        """Set the value; None removes it."""


class AppendingState(State, Generic[IN, OUT]):
    """State that values are added to."""

    @abstractmethod
    def get(self) -> OUT:
        """What the added values amount to."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Add a value."""


class MergingState(AppendingState[IN, OUT]):
    """State that can be merged with others, as session windows need it."""


class ReducingState(MergingState[T, T]):
    """One value per key, combined by a ``ReduceFunction``."""


class AggregatingState(MergingState[IN, OUT]):
    """One accumulator per key, kept by an ``AggregateFunction``."""


class ListState(MergingState[T, Iterable[T]]):
    """A list per key."""

    @abstractmethod
    def update(self, values: list[T]) -> None:
        """Replace the list."""

    @abstractmethod
    def add_all(self, values: list[T]) -> None:
        """Append to the list."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class MapState(State, Generic[K, V]):
    """A map per key."""

    @abstractmethod
    def get(self, key: K) -> V:
        """The value of a map key."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set a value."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Set several values."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove a map key."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether there is such a map key."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """Map keys and values."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """Map keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """Values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is no entry."""

    def __getitem__(self, key: K) -> V:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """The broadcast map, as the side that is not broadcast sees it."""

    @abstractmethod
    def get(self, key: K) -> V:
        """The value of a map key."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether there is such a map key."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """Map keys and values."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """Map keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """Values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is no entry."""


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """The broadcast map, as the broadcast side sees it."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set a value."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Set several values."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove a map key."""


class StateDescriptor:
    """Name and type of a state; the name is what ties it to a savepoint."""

    def __init__(self, name: str, type_info: TypeInformation | None) -> None:
        if not name:
            raise ValueError("The name of a state must not be empty.")
        self.name = name
        self.type_info = type_info
        self._ttl_config: StateTtlConfig | None = None

    def get_name(self) -> str:
        """The name of the state."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Let values expire."""
        self._ttl_config = ttl_config

    @property
    def ttl_config(self) -> StateTtlConfig | None:
        """How values expire, or None if they do not."""
        return self._ttl_config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class ValueStateDescriptor(StateDescriptor):
    """Descriptor of a ``ValueState``."""

    def __init__(self, name: str, value_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """Descriptor of a ``ListState``."""

    def __init__(self, name: str, elem_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, elem_type_info)


class MapStateDescriptor(StateDescriptor):
    """Descriptor of a ``MapState``."""

    def __init__(
        self, name: str, key_type_info: TypeInformation | None = None, value_type_info: TypeInformation | None = None
    ) -> None:
        super().__init__(name, None)
        self.key_type_info = key_type_info
        self.value_type_info = value_type_info


class ReducingStateDescriptor(StateDescriptor):
    """Descriptor of a ``ReducingState``."""

    def __init__(
        self,
        name: str,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction[Any],
        type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(name, type_info)
        if not callable(reduce_function) and not hasattr(reduce_function, "reduce"):
            raise TypeError("The input must be a ReduceFunction or a callable function!")
        self.reduce_function = reduce_function

    def get_reduce_function(self) -> Callable[[Any, Any], Any] | ReduceFunction[Any]:
        """What combines two values."""
        return self.reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """Descriptor of an ``AggregatingState``."""

    def __init__(
        self,
        name: str,
        agg_function: AggregateFunction[Any, Any, Any],
        state_type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(name, state_type_info)
        if not hasattr(agg_function, "create_accumulator"):
            raise TypeError("The input must be an AggregateFunction!")
        self.agg_function = agg_function

    def get_agg_function(self) -> AggregateFunction[Any, Any, Any]:
        """What keeps the accumulator."""
        return self.agg_function


class StateTtlConfig:
    """How long values live without access, and who still sees them afterwards."""

    class UpdateType(Enum):
        """What renews a value's life."""

        Disabled = 0
        OnCreateAndWrite = 1
        OnReadAndWrite = 2

    class StateVisibility(Enum):
        """Whether an expired value that has not been removed yet is still returned."""

        ReturnExpiredIfNotCleanedUp = 0
        NeverReturnExpired = 1

    class TtlTimeCharacteristic(Enum):
        """The clock that counts."""

        ProcessingTime = 0

    def __init__(
        self,
        update_type: StateTtlConfig.UpdateType,
        state_visibility: StateTtlConfig.StateVisibility,
        ttl_time_characteristic: StateTtlConfig.TtlTimeCharacteristic,
        ttl: Time,
    ) -> None:
        self._update_type = update_type
        self._state_visibility = state_visibility
        self._ttl_time_characteristic = ttl_time_characteristic
        self._ttl = ttl

    @staticmethod
    def new_builder(ttl: Time) -> StateTtlConfig.Builder:
        """A builder for values that live for ``ttl``."""
        return StateTtlConfig.Builder(ttl)

    def get_update_type(self) -> StateTtlConfig.UpdateType:
        """What renews a value's life."""
        return self._update_type

    def get_state_visibility(self) -> StateTtlConfig.StateVisibility:
        """Whether expired values are still returned."""
        return self._state_visibility

    def get_ttl(self) -> Time:
        """How long values live."""
        return self._ttl

    def get_ttl_time_characteristic(self) -> StateTtlConfig.TtlTimeCharacteristic:
        """The clock that counts."""
        return self._ttl_time_characteristic

    def is_enabled(self) -> bool:
        """Whether values expire at all."""
        return self._update_type is not StateTtlConfig.UpdateType.Disabled

    class Builder:
        """Collects the settings of a ``StateTtlConfig``."""

        def __init__(self, ttl: Time) -> None:
            self._ttl = ttl
            self._update_type = StateTtlConfig.UpdateType.OnCreateAndWrite
            self._state_visibility = StateTtlConfig.StateVisibility.NeverReturnExpired
            self._ttl_time_characteristic = StateTtlConfig.TtlTimeCharacteristic.ProcessingTime

        def set_update_type(self, update_type: StateTtlConfig.UpdateType) -> StateTtlConfig.Builder:
            """What renews a value's life."""
            self._update_type = update_type
            return self

        def update_ttl_on_create_and_write(self) -> StateTtlConfig.Builder:
            """Writing renews a value's life."""
            return self.set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)

        def update_ttl_on_read_and_write(self) -> StateTtlConfig.Builder:
            """Reading and writing renew a value's life."""
            return self.set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)

        def set_state_visibility(self, state_visibility: StateTtlConfig.StateVisibility) -> StateTtlConfig.Builder:
            """Whether expired values are still returned."""
            self._state_visibility = state_visibility
            return self

        def return_expired_if_not_cleaned_up(self) -> StateTtlConfig.Builder:
            """Expired values are returned until they are removed."""
            return self.set_state_visibility(StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp)

        def never_return_expired(self) -> StateTtlConfig.Builder:
            """Expired values are never returned."""
            return self.set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)

        def set_ttl_time_characteristic(
            self, ttl_time_characteristic: StateTtlConfig.TtlTimeCharacteristic
        ) -> StateTtlConfig.Builder:
            """The clock that counts."""
            self._ttl_time_characteristic = ttl_time_characteristic
            return self

        def use_processing_time(self) -> StateTtlConfig.Builder:
            """Processing time counts."""
            return self.set_ttl_time_characteristic(StateTtlConfig.TtlTimeCharacteristic.ProcessingTime)

        def build(self) -> StateTtlConfig:
            """The configuration."""
            return StateTtlConfig(self._update_type, self._state_visibility, self._ttl_time_characteristic, self._ttl)
