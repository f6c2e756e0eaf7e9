"""The classes that programs derive their functions from, and the contexts those are called with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyflow_yarn.datastream.time_domain import TimeDomain
from pyflow_yarn.datastream.timerservice import TimerService

if TYPE_CHECKING:
    from pyflow_yarn.datastream.state import (
        AggregatingState,
        AggregatingStateDescriptor,
        BroadcastState,
        ListState,
        ListStateDescriptor,
        MapState,
        MapStateDescriptor,
        ReadOnlyBroadcastState,
        ReducingState,
        ReducingStateDescriptor,
        ValueState,
        ValueStateDescriptor,
    )

T = TypeVar("T")
IN = TypeVar("IN")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")
OUT = TypeVar("OUT")
ACC = TypeVar("ACC")
KEY = TypeVar("KEY")
W = TypeVar("W")


class KeyedStateStore(ABC):
    """Where functions on a keyed stream get their state from, usually in ``open``."""

    @abstractmethod
    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """One value per key."""

    @abstractmethod
    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list per key."""

    @abstractmethod
    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """A map per key."""

    @abstractmethod
    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """One value per key, combined by a ``ReduceFunction``."""

    @abstractmethod
    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """One accumulator per key, kept by an ``AggregateFunction``."""


class RuntimeContext(KeyedStateStore):
    """Where a function runs: its subtask, the job's parameters, state and metrics."""

    @abstractmethod
    def get_task_name(self) -> str:
        """Name of the task, as the plan has it."""

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int:
        """Parallelism of the task."""

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int:
        """Maximum parallelism of the task."""

    @abstractmethod
    def get_index_of_this_subtask(self) -> int:
        """Which subtask this is, counted from 0."""

    @abstractmethod
    def get_attempt_number(self) -> int:
        """Which attempt of the subtask this is; the first is 0."""

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """Name, subtask counted from 1 and parallelism: ``MyTask (3/6)``."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str:
        """A global job parameter."""

    @abstractmethod
    def get_metrics_group(self) -> Any:
        """Where the function registers its metrics."""


class Function(ABC):  # noqa: B024 - PyFlink's is one as well
    """Base of all functions. ``open`` comes before the first record, ``close`` after the last."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Called once in the worker, before the first record."""

    def close(self) -> None:
        """Called once in the worker, after the last record or a failure."""


class MapFunction(Function, Generic[IN, OUT]):
    """One record in, one record out."""

    @abstractmethod
    def map(self, value: IN) -> OUT:
        """The record that takes the place of ``value``."""


class FlatMapFunction(Function, Generic[IN, OUT]):
    """One record in, any number out."""

    @abstractmethod
    def flat_map(self, value: IN) -> Iterable[OUT]:
        """The records that take the place of ``value``: a generator or any iterable."""


class FilterFunction(Function, Generic[T]):
    """Keeps some records."""

    @abstractmethod
    def filter(self, value: T) -> bool:
        """Whether to keep ``value``."""


class ReduceFunction(Function, Generic[T]):
    """Combines two values into one of the same type."""

    @abstractmethod
    def reduce(self, value1: T, value2: T) -> T:
        """The combined value; ``value1`` is what earlier records gave."""


class AggregateFunction(Function, Generic[IN, ACC, OUT]):
    """Aggregates records in an accumulator."""

    @abstractmethod
    def create_accumulator(self) -> ACC:
        """An accumulator of nothing."""

    @abstractmethod
    def add(self, value: IN, accumulator: ACC) -> ACC:
        """The accumulator with one more record; it may be the same object, changed."""

    @abstractmethod
    def get_result(self, accumulator: ACC) -> OUT:
        """The result."""

    @abstractmethod
    def merge(self, acc_a: ACC, acc_b: ACC) -> ACC:
        """One accumulator of both."""


class KeySelector(Function, Generic[IN, KEY]):
    """Gives the key of a record, always the same one for the same record."""

    @abstractmethod
    def get_key(self, value: IN) -> KEY:
        """The key."""

    def __call__(self, value: IN) -> KEY:
        return self.get_key(value)


class NullByteKeySelector(KeySelector[Any, int]):
    """The same key for every record."""

    def get_key(self, value: Any) -> int:
        """Always 0."""
        return 0


class Partitioner(Function, Generic[KEY]):
    """Chooses the subtask that a record goes to."""

    @abstractmethod
    def partition(self, key: KEY, num_partitions: int) -> int:
        """A number from 0 to ``num_partitions`` - 1."""

    def __call__(self, key: KEY, num_partitions: int) -> int:
        return self.partition(key, num_partitions)


class SourceFunction:
    """A source written in Java; there is no JVM here: use a ``Source`` with ``from_source``."""

    def __init__(self, source_func: Any) -> None:
        self.source_func = source_func


class SinkFunction:
    """A sink written in Java; there is no JVM here: use a ``Sink`` with ``sink_to``."""

    def __init__(self, sink_func: Any) -> None:
        self.sink_func = sink_func


class _Context(ABC):
    @abstractmethod
    def timer_service(self) -> TimerService:
        """Time and timers."""

    @abstractmethod
    def timestamp(self) -> int | None:
        """Timestamp of the current record or timer in epoch milliseconds, or None."""


class _KeyedContext(_Context):
    @abstractmethod
    def get_current_key(self) -> Any:
        """The key of the current record or timer."""


class _OnTimerContext(_KeyedContext):
    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Which clock the timer followed."""


class ProcessFunction(Function, Generic[IN, OUT]):
    """One record in, any number out, with access to its timestamp."""

    class Context(_Context):
        """What is known about the current record; valid only during the call."""

    @abstractmethod
    def process_element(self, value: IN, ctx: ProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit: a generator, any iterable, or None."""


class KeyedProcessFunction(Function, Generic[KEY, IN, OUT]):
    """One record of a keyed stream in, any number out, with keyed state and timers."""

    class Context(_KeyedContext):
        """What is known about the current record; valid only during the call."""

    class OnTimerContext(_OnTimerContext, Context):
        """What is known about the timer that fires; valid only during the call."""

    @abstractmethod
    def process_element(self, value: IN, ctx: KeyedProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit: a generator, any iterable, or None."""

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[OUT] | None:
        """The records to emit when a timer fires."""
        return None


class CoMapFunction(Function, Generic[IN1, IN2, OUT]):
    """One record of either of two streams in, one out."""

    @abstractmethod
    def map1(self, value: IN1) -> OUT:
        """The record for one of the first stream."""

    @abstractmethod
    def map2(self, value: IN2) -> OUT:
        """The record for one of the second stream."""


class CoFlatMapFunction(Function, Generic[IN1, IN2, OUT]):
    """One record of either of two streams in, any number out."""

    @abstractmethod
    def flat_map1(self, value: IN1) -> Iterable[OUT]:
        """The records for one of the first stream."""

    @abstractmethod
    def flat_map2(self, value: IN2) -> Iterable[OUT]:
        """The records for one of the second stream."""


class CoProcessFunction(Function, Generic[IN1, IN2, OUT]):
    """One record of either of two streams in, any number out, with access to its timestamp."""

    class Context(_Context):
        """What is known about the current record; valid only during the call."""

    @abstractmethod
    def process_element1(self, value: IN1, ctx: CoProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for one of the first stream."""

    @abstractmethod
    def process_element2(self, value: IN2, ctx: CoProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for one of the second stream."""


class KeyedCoProcessFunction(Function, Generic[KEY, IN1, IN2, OUT]):
    """As ``CoProcessFunction``, on keyed streams, with state and timers."""

    class Context(_KeyedContext):
        """What is known about the current record; valid only during the call."""

    class OnTimerContext(_OnTimerContext, Context):
        """What is known about the timer that fires; valid only during the call."""

    @abstractmethod
    def process_element1(self, value: IN1, ctx: KeyedCoProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for one of the first stream."""

    @abstractmethod
    def process_element2(self, value: IN2, ctx: KeyedCoProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for one of the second stream."""

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterable[OUT] | None:
        """The records to emit when a timer fires."""
        return None


class _BroadcastReader(_Context):
    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]:
        """The broadcast map, to read."""


class _BroadcastWriter(_Context):
    @abstractmethod
    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """The broadcast map, to read and write."""


class BroadcastProcessFunction(Function, Generic[IN1, IN2, OUT]):
    """Joins a stream with a broadcast one."""

    class Context(_BroadcastWriter):
        """What is known about the current broadcast record."""

    class ReadOnlyContext(_BroadcastReader):
        """What is known about the current record."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterable[OUT] | None:
        """The records to emit for one that is not broadcast."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: BroadcastProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for a broadcast one."""


class KeyedBroadcastProcessFunction(Function, Generic[KEY, IN1, IN2, OUT]):
    """Joins a keyed stream with a broadcast one."""

    class Context(_BroadcastWriter):
        """What is known about the current broadcast record."""

    class ReadOnlyContext(_BroadcastReader, _KeyedContext):
        """What is known about the current record."""

    class OnTimerContext(_OnTimerContext, ReadOnlyContext):
        """What is known about the timer that fires."""

    @abstractmethod
    def process_element(self, value: IN1, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterable[OUT] | None:
        """The records to emit for one that is not broadcast."""

    @abstractmethod
    def process_broadcast_element(self, value: IN2, ctx: KeyedBroadcastProcessFunction.Context) -> Iterable[OUT] | None:
        """The records to emit for a broadcast one."""

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterable[OUT] | None:
        """The records to emit when a timer fires."""
        return None


class AsyncFunction(Function, Generic[IN, OUT]):
    """One record in, any number out, without waiting for one before the next."""

    @abstractmethod
    async def async_invoke(self, value: IN) -> list[OUT]:
        """The records that take the place of ``value``."""

    def timeout(self, value: IN) -> list[OUT]:
        """The records when ``async_invoke`` took too long."""
        raise TimeoutError("Async function call has timed out")


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Evaluates the records of a window."""

    @abstractmethod
    def apply(self, key: KEY, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The records to emit for a window of one key."""


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """Evaluates the records of a window of a stream without keys."""

    @abstractmethod
    def apply(self, window: W, inputs: Iterable[IN]) -> Iterable[OUT]:
        """The records to emit for a window."""


class _WindowContext(ABC):
    @abstractmethod
    def window(self) -> Any:
        """The window."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """The clock of the machine."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The watermark that has arrived last."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """State of this key and window."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """State of this key."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """Evaluates the records of a window, with state."""

    class Context(_WindowContext):
        """What is known about the window."""

    @abstractmethod
    def process(self, key: KEY, context: ProcessWindowFunction.Context, elements: Iterable[IN]) -> Iterable[OUT]:
        """The records to emit for a window of one key."""

    def clear(self, context: ProcessWindowFunction.Context) -> None:
        """Remove the window's state when the window is removed."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """Evaluates the records of a window of a stream without keys, with state."""

    class Context(_WindowContext):
        """What is known about the window."""

    @abstractmethod
    def process(self, context: ProcessAllWindowFunction.Context, elements: Iterable[IN]) -> Iterable[OUT]:
        """The records to emit for a window."""

    def clear(self, context: ProcessAllWindowFunction.Context) -> None:
        """Remove the window's state when the window is removed."""
