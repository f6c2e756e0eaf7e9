"""Streams: each call declares a transformation, and nothing runs before ``execute()``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from pyflow_yarn.common.typeinfo import TupleTypeInfo, TypeInformation, Types
from pyflow_yarn.datastream.call_site import declared_at
from pyflow_yarn.datastream.collect import CloseableIterator
from pyflow_yarn.datastream.data_stream_sink import DataStreamSink
from pyflow_yarn.datastream.function_checks import check_function, check_key_selector
from pyflow_yarn.datastream.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    Partitioner,
    ProcessFunction,
    ReduceFunction,
)
from pyflow_yarn.datastream.keyed_functions import KeyedFilter, KeyedFlatMap, KeyedMap
from pyflow_yarn.datastream.not_yet import missing, not_yet
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.datastream.program import OperatorSettings
from pyflow_yarn.datastream.sink import Sink
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import (
    AggregationOperator,
    CollectOperator,
    FilterOperator,
    FlatMapOperator,
    KeyedProcessOperator,
    MapOperator,
    OperatorKind,
    PrintOperator,
    ProcessOperator,
    ReduceOperator,
    SinkOperator,
)
from pyflow_yarn.graph.transformations import (
    ChainingStrategy,
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    UnionTransformation,
)

if TYPE_CHECKING:
    from pyflow_yarn.common.execution_config import ExecutionConfig
    from pyflow_yarn.datastream.slot_sharing_group import SlotSharingGroup
    from pyflow_yarn.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["CloseableIterator", "DataStream", "DataStreamSink", "KeyedStream"]

_NOT_YET = frozenset(
    {"AllWindowedStream", "BroadcastConnectedStream", "BroadcastStream", "ConnectedStreams", "WindowedStream"}
)


if not TYPE_CHECKING:  # a type checker shall see which names there are

    def __getattr__(name: str) -> Any:
        return missing(__name__, name, _NOT_YET, "Streams of the kind {} are")


T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")
K2 = TypeVar("K2")


class _Projection:
    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions

    def __call__(self, record: Any) -> tuple[Any, ...]:
        return tuple([record[position] for position in self.positions])


class DataStream(OperatorSettings, Generic[T]):
    """A stream of records of type ``T``."""

    def __init__(self, environment: StreamExecutionEnvironment, transformation_id: int) -> None:
        super().__init__(environment.program, transformation_id)
        self._environment = environment

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DataStream belongs to the program and cannot be sent to workers")

    # ---- what it is ----

    def get_name(self) -> str:
        """Name of the operator that makes this stream."""
        return self._program.operator(self._id, "get_name()").name

    def get_type(self) -> TypeInformation:
        """Declared type of the records; without one they are pickled."""
        return self._type() or Types.PICKLED_BYTE_ARRAY()

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment it was made in."""
        return self._environment

    def get_execution_config(self) -> ExecutionConfig:
        """The configuration of that environment."""
        return self._environment.get_config()

    def _type(self) -> TypeInformation | None:
        output_type: TypeInformation | None = self._program.transformations[self._id].output_type
        return output_type

    # ---- settings of the operator that makes it ----

    def name(self, name: str) -> DataStream[T]:
        """Name the operator, for plan, web interface, logs and metrics."""
        self._set_name(name)
        return self

    def uid(self, uid: str) -> DataStream[T]:
        """Tie the operator's state to a text that is unique in the job, so that a changed program finds it again."""
        self._set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStream[T]:
        """Give the operator's id literally: 32 hexadecimal digits."""
        self._set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStream[T]:
        """Run the operator as so many subtasks."""
        self._set_parallelism(parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStream[T]:
        """Number of key groups, hence the largest parallelism the operator's state can be scaled to."""
        self._set_max_parallelism(max_parallelism)
        return self

    def force_non_parallel(self) -> DataStream[T]:
        """Fix parallelism and maximum parallelism at 1."""
        self._change("force_non_parallel", parallelism=1, max_parallelism=1, non_parallel=True)
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> DataStream[T]:
        """Longest time a record waits in this operator's output buffers; 0: none, -1: as the environment says."""
        self._change("set_buffer_timeout", buffer_timeout=timeout_millis if timeout_millis >= 0 else None)
        return self

    def set_description(self, description: str) -> DataStream[T]:
        """Describe the operator, for plan and web interface."""
        self._set_description(description)
        return self

    def start_new_chain(self) -> DataStream[T]:
        """Do not fuse the operator with the one before it."""
        self._change("start_new_chain", chaining=ChainingStrategy.HEAD)
        return self

    def disable_chaining(self) -> DataStream[T]:
        """Do not fuse the operator with any other."""
        self._disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStream[T]:
        """Let the operator share slots with those of the same group only."""
        self._set_slot_sharing_group(slot_sharing_group)
        return self

    # ---- transformations ----

    def _operator(
        self,
        kind: OperatorKind,
        name: str,
        definition: object,
        output_type: TypeInformation | None = None,
        parallelism: int | None = None,
    ) -> int:
        call = declared_at()
        return self._program.add(
            lambda transformation_id: OperatorTransformation(
                id=transformation_id,
                inputs=(self._id,),
                output_type=output_type,
                declared_at=call,
                kind=kind,
                name=name,
                definition=definition,
                parallelism=parallelism,
            ),
            pending=True,
        )

    def _stream(
        self, kind: OperatorKind, name: str, definition: object, output_type: TypeInformation | None
    ) -> DataStream[Any]:
        return DataStream(self._environment, self._operator(kind, name, definition, output_type))

    def map(
        self, func: Callable[[T], R] | MapFunction[T, R], output_type: TypeInformation | None = None
    ) -> DataStream[R]:
        """One record out for each record in."""
        check_function(func, MapFunction, "The input must be a MapFunction or a callable function")
        return self._stream(OperatorKind.MAP, "Map", MapOperator(func, output_type), output_type)

    def flat_map(
        self, func: Callable[[T], Iterable[R]] | FlatMapFunction[T, R], output_type: TypeInformation | None = None
    ) -> DataStream[R]:
        """Any number of records out for each record in: the function returns an iterable or yields."""
        check_function(func, FlatMapFunction, "The input must be a FlatMapFunction or a callable function")
        return self._stream(OperatorKind.FLAT_MAP, "FlatMap", FlatMapOperator(func, output_type), output_type)

    def filter(self, func: Callable[[T], object] | FilterFunction[T]) -> DataStream[T]:
        """The records for which the function returns a true value."""
        check_function(func, FilterFunction, "The input must be a FilterFunction or a callable function")
        return self._stream(OperatorKind.FILTER, "Filter", FilterOperator(func), self._type())

    def process(self, func: ProcessFunction[T, R], output_type: TypeInformation | None = None) -> DataStream[R]:
        """Any number of records out for each record in, with access to timestamps."""
        if not isinstance(func, ProcessFunction):
            raise TypeError("ProcessFunction is required for DataStream.")
        return self._stream(OperatorKind.PROCESS, "PROCESS", ProcessOperator(func, output_type), output_type)

    def project(self, *field_indexes: int) -> DataStream[tuple[Any, ...]]:
        """Tuples of the fields at these positions; the stream must be of a declared tuple type."""
        own_type = self._type()
        if not isinstance(own_type, TupleTypeInfo):
            raise UserError("Only Tuple DataStreams can be projected.")
        field_types = own_type.get_field_types()
        if not field_indexes or not all(0 <= index < len(field_types) for index in field_indexes):
            raise UserError(f"project() takes positions from 0 to {len(field_types) - 1}, not {field_indexes}.")
        output_type = TupleTypeInfo([field_types[index] for index in field_indexes])
        return self._stream(
            OperatorKind.MAP, "Projection", MapOperator(_Projection(field_indexes), output_type), output_type
        )

    def key_by(
        self, key_selector: Callable[[T], K] | KeySelector[T, K], key_type: TypeInformation | None = None
    ) -> KeyedStream[T, K]:
        """The stream partitioned by key: records of equal keys meet in the same subtask, with state of their own."""
        check_key_selector(key_selector)
        return KeyedStream(self, key_selector, key_type)

    def union(self, *streams: DataStream[T]) -> DataStream[T]:
        """All records of this stream and of ``streams``."""
        if not all(isinstance(each, DataStream) for each in streams):
            raise TypeError("union() takes DataStreams.")
        if any(each._environment is not self._environment for each in streams):
            raise UserError("union() takes streams of one StreamExecutionEnvironment.")
        call = declared_at()
        inputs = (self._id, *(each._id for each in streams))
        return DataStream(
            self._environment,
            self._program.add(
                lambda transformation_id: UnionTransformation(
                    id=transformation_id, inputs=inputs, output_type=self._type(), declared_at=call
                ),
                pending=False,
            ),
        )

    def get_side_output(self, output_tag: OutputTag[R]) -> DataStream[R]:
        """The records that this stream's operator emits with that tag: ``yield tag, value`` in a process function."""
        if not isinstance(output_tag, OutputTag):
            raise TypeError(f"get_side_output() takes an OutputTag, not {type(output_tag).__name__}.")
        self._program.operator(self._id, "get_side_output()")
        for other in self._program.transformations.values():
            if (
                isinstance(other, SideOutputTransformation)
                and (other.inputs[0], other.tag_id) == (self._id, output_tag.tag_id)
                and other.output_type != output_tag.type_info
            ):
                raise UserError(
                    f"The side output '{output_tag.tag_id}' was requested before ({other.declared_at}) with the type"
                    f" {other.output_type}, and now with {output_tag.type_info}: give each side output a name of its"
                    " own."
                )
        call = declared_at()
        return DataStream(
            self._environment,
            self._program.add(
                lambda transformation_id: SideOutputTransformation(
                    id=transformation_id,
                    inputs=(self._id,),
                    output_type=output_tag.type_info,
                    declared_at=call,
                    tag_id=output_tag.tag_id,
                ),
                pending=False,
            ),
        )

    # ---- partitioning ----

    def _partition(self, partitioning: Partitioning, **details: Any) -> int:
        call = declared_at()
        return self._program.add(
            lambda transformation_id: PartitionTransformation(
                id=transformation_id,
                inputs=(self._id,),
                output_type=self._type(),
                declared_at=call,
                partitioning=partitioning,
                **details,
            ),
            pending=False,
        )

    def _partitioned(self, partitioning: Partitioning) -> DataStream[T]:
        return DataStream(self._environment, self._partition(partitioning))

    def shuffle(self) -> DataStream[T]:
        """Each record goes to a random subtask."""
        return self._partitioned(Partitioning.SHUFFLE)

    def rebalance(self) -> DataStream[T]:
        """Records go to all subtasks in turn."""
        return self._partitioned(Partitioning.REBALANCE)

    def rescale(self) -> DataStream[T]:
        """Records go in turn to some of the subtasks: those near to this one."""
        return self._partitioned(Partitioning.RESCALE)

    def forward(self) -> DataStream[T]:
        """Records stay in their subtask; parallelism must not change."""
        return self._partitioned(Partitioning.FORWARD)

    def global_(self) -> DataStream[T]:
        """All records go to the first subtask."""
        return self._partitioned(Partitioning.GLOBAL)

    def broadcast(self, broadcast_state_descriptor: object = None, *others: object) -> DataStream[T]:
        """Each record goes to all subtasks."""
        if broadcast_state_descriptor is not None or others:
            not_yet("Broadcast state is", "use broadcast() without descriptors")
        return self._partitioned(Partitioning.BROADCAST)

    def partition_custom(
        self,
        partitioner: Callable[[K, int], int] | Partitioner[K],
        key_selector: Callable[[T], K] | KeySelector[T, K],
    ) -> DataStream[T]:
        """``partitioner(key, number_of_subtasks)`` chooses the subtask of each record."""
        check_function(
            partitioner, Partitioner, "Parameter partitioner should be type of Partitioner or a callable function."
        )
        check_key_selector(key_selector)
        return DataStream(
            self._environment,
            self._partition(Partitioning.CUSTOM, key_selector=key_selector, partitioner=partitioner),
        )

    # ---- ends ----

    def _sink(self, kind: OperatorKind, name: str, definition: object) -> DataStreamSink:
        return DataStreamSink(self._environment, self._operator(kind, name, definition))

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Print each record on the standard output of the worker."""
        definition = PrintOperator(sink_identifier or "", self._type())
        return self._sink(OperatorKind.PRINT, "Print to Std. Out", definition)

    def sink_to(self, sink: Sink[T]) -> DataStreamSink:
        """Hand each record to a sink."""
        if not isinstance(sink, Sink):
            raise TypeError(f"sink_to() takes a Sink, not {type(sink).__name__}.")
        return self._sink(OperatorKind.SINK, "Writer", SinkOperator(sink.for_records(self._type())))

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None) -> CloseableIterator[T]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None = None, *, limit: int) -> list[T]: ...

    @overload
    def execute_and_collect(self, job_execution_name: str | None, limit: int) -> list[T]: ...

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator[T] | list[T]:
        """Run the program and give the records of this stream: an iterator, or a list of at most ``limit``."""
        if limit is not None and limit < 1:
            raise ValueError(f"The limit of execute_and_collect() must be at least 1, but was {limit!r}.")
        definition = CollectOperator(limit)
        operator = self._operator(OperatorKind.COLLECT, "Data stream collect sink", definition, parallelism=1)
        results: CloseableIterator[T] = self._environment.collect(operator, job_execution_name)
        if limit is None:
            return results
        records: list[T] = []
        with results:
            for record in results:
                records.append(record)
                if len(records) == limit:
                    break
        return records

    # ---- what the reference system has beyond this version ----

    def connect(self, ds: object) -> NoReturn:
        """Not supported yet."""
        not_yet("Connected streams are", "union() joins streams of one type")

    def assign_timestamps_and_watermarks(self, watermark_strategy: object) -> NoReturn:
        """Not supported yet."""
        not_yet("Event time (assign_timestamps_and_watermarks) is")

    def window_all(self, window_assigner: object) -> NoReturn:
        """Not supported yet."""
        not_yet("Windows (window_all) are")

    def cache(self) -> NoReturn:
        """Not supported yet."""
        not_yet("Cached streams (cache) are")

    def add_sink(self, sink_func: object) -> NoReturn:
        """Not supported: sink functions are Java objects."""
        not_yet("Sink functions (add_sink) are", "use sink_to() with a Sink")


class KeyedStream(DataStream[T], Generic[T, K]):
    """A stream partitioned by key. It is no operator: it can neither be named nor partitioned again."""

    def __init__(
        self,
        origin: DataStream[T],
        key_selector: Callable[[T], K] | KeySelector[T, K],
        key_type: TypeInformation | None,
    ) -> None:
        partition = origin._partition(Partitioning.HASH, key_selector=key_selector, key_type=key_type)
        super().__init__(origin._environment, partition)
        self._origin = origin
        self._key_selector: Any = key_selector
        self._key_type = key_type

    # ---- transformations ----

    def _keyed_process(
        self, name: str, func: KeyedProcessFunction[Any, Any, Any], output_type: TypeInformation | None
    ) -> DataStream[Any]:
        definition = KeyedProcessOperator(func, self._key_selector, self._key_type, output_type)
        return self._stream(OperatorKind.KEYED_PROCESS, name, definition, output_type)

    def map(
        self, func: Callable[[T], R] | MapFunction[T, R], output_type: TypeInformation | None = None
    ) -> DataStream[R]:
        if isinstance(func, MapFunction):
            return self._keyed_process("Map", KeyedMap(func), output_type)
        return super().map(func, output_type)

    def flat_map(
        self, func: Callable[[T], Iterable[R]] | FlatMapFunction[T, R], output_type: TypeInformation | None = None
    ) -> DataStream[R]:
        if isinstance(func, FlatMapFunction):
            return self._keyed_process("FlatMap", KeyedFlatMap(func), output_type)
        return super().flat_map(func, output_type)

    def filter(self, func: Callable[[T], object] | FilterFunction[T]) -> DataStream[T]:
        if isinstance(func, FilterFunction):
            return self._keyed_process("Filter", KeyedFilter(func), self._type())
        return super().filter(func)

    def process(  # type: ignore[override]
        self, func: KeyedProcessFunction[K, T, R], output_type: TypeInformation | None = None
    ) -> DataStream[R]:
        """Any number of records out for each record in, with keyed state and timers."""
        if not isinstance(func, KeyedProcessFunction):
            raise TypeError("KeyedProcessFunction is required for KeyedStream.")
        return self._keyed_process("KEYED PROCESS", func, output_type)

    def reduce(self, func: Callable[[T, T], T] | ReduceFunction[T]) -> DataStream[T]:
        """Combine the records of each key, one by one; each record in gives the value so far."""
        check_function(func, ReduceFunction, "The input must be a ReduceFunction or a callable function")
        definition = ReduceOperator(func, self._key_selector, self._key_type, self._type())
        return self._stream(OperatorKind.REDUCE, "Reduce", definition, self._type())

    def _aggregate(self, aggregation: str, position: int | str) -> DataStream[T]:
        if type(position) not in (int, str):
            raise TypeError(
                "The field position must be of int or str type to locate the value to calculate for min, max, min_by,"
                f" max_by and sum. The given type is: {type(position)}"
            )
        definition = AggregationOperator(aggregation, position, self._key_selector, self._key_type, self._type())
        return self._stream(OperatorKind.AGGREGATION, "Reduce", definition, self._type())

    def sum(self, position_to_sum: int | str = 0) -> DataStream[T]:
        """The sum so far of a field, per key; records without fields are summed themselves."""
        return self._aggregate("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream[T]:
        """The least value so far of a field, per key, in the key's first record."""
        return self._aggregate("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream[T]:
        """The greatest value so far of a field, per key, in the key's first record."""
        return self._aggregate("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream[T]:
        """The record so far with the least value of a field, per key."""
        return self._aggregate("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream[T]:
        """The record so far with the greatest value of a field, per key."""
        return self._aggregate("max_by", position_to_max_by)

    def key_by(
        self, key_selector: Callable[[T], K2] | KeySelector[T, K2], key_type: TypeInformation | None = None
    ) -> KeyedStream[T, K2]:
        return self._origin.key_by(key_selector, key_type)

    # ---- refused, as the reference system refuses it ----

    def _partitioned(self, partitioning: Partitioning) -> NoReturn:
        raise UserError("Cannot override partitioning for KeyedStream.")

    def broadcast(self, broadcast_state_descriptor: object = None, *others: object) -> NoReturn:
        self._partitioned(Partitioning.BROADCAST)

    def partition_custom(self, partitioner: object, key_selector: object) -> NoReturn:
        self._partitioned(Partitioning.CUSTOM)

    def get_name(self) -> NoReturn:
        raise UserError("Get name of KeyedStream is not supported.")

    def name(self, name: str) -> NoReturn:
        raise UserError("Set name for KeyedStream is not supported.")

    def uid(self, uid: str) -> NoReturn:
        raise UserError("Set uid for KeyedStream is not supported.")

    def set_uid_hash(self, uid_hash: str) -> NoReturn:
        raise UserError("Set uid hash for KeyedStream is not supported.")

    def set_description(self, description: str) -> NoReturn:
        raise UserError("Set description for KeyedStream is not supported.")

    def set_parallelism(self, parallelism: int) -> NoReturn:
        raise UserError("Set parallelism for KeyedStream is not supported.")

    def set_max_parallelism(self, max_parallelism: int) -> NoReturn:
        raise UserError("Set max parallelism for KeyedStream is not supported.")

    def force_non_parallel(self) -> NoReturn:
        raise UserError("Set force non-parallel for KeyedStream is not supported.")

    def set_buffer_timeout(self, timeout_millis: int) -> NoReturn:
        raise UserError("Set buffer timeout for KeyedStream is not supported.")

    def start_new_chain(self) -> NoReturn:
        raise UserError("Start new chain for KeyedStream is not supported.")

    def disable_chaining(self) -> NoReturn:
        raise UserError("Disable chaining for KeyedStream is not supported.")

    def slot_sharing_group(self, slot_sharing_group: object) -> NoReturn:
        raise UserError("Setting slot sharing group for KeyedStream is not supported.")

    # ---- what the reference system has beyond this version ----

    def window(self, window_assigner: object) -> NoReturn:
        """Not supported yet."""
        not_yet("Windows (window) are")

    def count_window(self, size: int, slide: int = 0) -> NoReturn:
        """Not supported yet."""
        not_yet("Windows (count_window) are")
