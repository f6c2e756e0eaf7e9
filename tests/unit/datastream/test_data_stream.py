"""What the calls of a program declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import cloudpickle
import pytest

from pyflow_yarn.common.serialization import Encoder
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflow_yarn.datastream import (
    DataStream,
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    OutputTag,
    Partitioner,
    ProcessFunction,
    ReduceFunction,
    SlotSharingGroup,
    StreamExecutionEnvironment,
)
from pyflow_yarn.datastream.connectors.file_system import FileSink
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.execution import ResultPage
from pyflow_yarn.datastream.keyed_functions import KeyedMap
from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import (
    AggregationOperator,
    CollectOperator,
    KeyedProcessOperator,
    MapOperator,
    PrintOperator,
    ReduceOperator,
)
from tests.unit.datastream.programs import RecordingExecutor, definitions


class Lengths(MapFunction[str, int]):
    def map(self, value: str) -> int:
        return len(value)


class Letters(FlatMapFunction[str, str]):
    def flat_map(self, value: str) -> Iterator[str]:
        yield from value


class Long(FilterFunction[str]):
    def filter(self, value: str) -> bool:
        return len(value) > 3


class Join(ReduceFunction[str]):
    def reduce(self, value1: str, value2: str) -> str:
        return value1 + value2


class First(KeySelector[str, str]):
    def get_key(self, value: str) -> str:
        return value[0]


class ByLetter(Partitioner[str]):
    def partition(self, key: str, num_partitions: int) -> int:
        return ord(key) % num_partitions


class Echo(ProcessFunction[str, str]):
    def process_element(self, value: str, ctx: ProcessFunction.Context) -> Iterator[str]:
        yield value


class KeyedEcho(KeyedProcessFunction[str, str, str]):
    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Iterator[str]:
        yield value


@pytest.fixture
def words(env: StreamExecutionEnvironment) -> DataStream[str]:
    """A stream of texts."""
    return env.from_collection(["to", "be", "or"], Types.STRING())


def test_a_program_and_its_vertices(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    lengths = words.map(Lengths(), Types.INT()).filter(lambda n: n > 1)
    lengths.key_by(lambda n: n).reduce(lambda a, b: a + b).print()
    graph = env.prepare("lengths").graph
    assert [(vertex.name, vertex.parallelism) for vertex in graph.vertices] == [
        ("Source: Collection Source", 1),
        ("Map -> Filter", 2),
        ("Reduce -> Sink: Print to Std. Out", 2),
    ]
    assert [edge.partitioning for edge in graph.edges] == [Partitioning.REBALANCE, Partitioning.HASH]
    assert (graph.name, graph.job_type) == ("lengths", "STREAMING")


def test_operators_know_their_line(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    words.map(len).print()  # the line that counts
    with open(__file__, encoding="utf-8") as file:
        line = next(number for number, text in enumerate(file, 1) if "the line that counts" in text)
    operators = [operator for vertex in env.prepare().graph.vertices for operator in vertex.operators]
    assert {operator.declared_at for operator in operators if operator.kind != "source"} == {
        f"test_data_stream.py:{line}"
    }


@pytest.mark.parametrize(
    ("declare", "name"),
    [
        (lambda s: s.map(len), "Map"),
        (lambda s: s.map(Lengths()), "Map"),
        (lambda s: s.flat_map(Letters()), "FlatMap"),
        (lambda s: s.filter(Long()), "Filter"),
        (lambda s: s.process(Echo()), "PROCESS"),
        (lambda s: s.key_by(First()).process(KeyedEcho()), "KEYED PROCESS"),
        (lambda s: s.key_by(First()).reduce(Join()), "Reduce"),
        (lambda s: s.key_by(First()).sum(), "Reduce"),
        (lambda s: s.key_by(First()).map(Lengths()), "Map"),
        (lambda s: s.print(), "Sink: Print to Std. Out"),
    ],
)
def test_names_are_pyflinks(
    env: StreamExecutionEnvironment, words: DataStream[str], declare: Callable[[DataStream[str]], Any], name: str
) -> None:
    declare(words)
    assert name in definitions(env.prepare().graph)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda s: s.map(1), "The input must be a MapFunction or a callable function"),
        (lambda s: s.map(Long()), "The input must be a MapFunction or a callable function"),
        (lambda s: s.map(Lengths), r"not a class: pass an instance, Lengths\(\)"),
        (lambda s: s.flat_map("x"), "The input must be a FlatMapFunction or a callable function"),
        (lambda s: s.filter(None), "The input must be a FilterFunction or a callable function"),
        (lambda s: s.process(len), "ProcessFunction is required for DataStream"),
        (lambda s: s.key_by("name"), "Parameter key_selector should be type of KeySelector or a callable function"),
        (lambda s: s.key_by(len).reduce(3), "The input must be a ReduceFunction or a callable function"),
        (lambda s: s.key_by(len).process(Echo()), "KeyedProcessFunction is required for KeyedStream"),
        (lambda s: s.key_by(len).sum(1.5), "The field position must be of int or str type"),
        (lambda s: s.partition_custom(3, len), "Parameter partitioner should be type of Partitioner or a callable"),
        (lambda s: s.sink_to("file"), r"sink_to\(\) takes a Sink, not str"),
        (lambda s: s.union(3), r"union\(\) takes DataStreams"),
    ],
)
def test_wrong_arguments_are_refused_where_they_are_given(
    words: DataStream[str], declare: Callable[[Any], Any], sentence: str
) -> None:
    with pytest.raises(TypeError, match=sentence):
        declare(words)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.connect(s),
        lambda s: s.assign_timestamps_and_watermarks(WatermarkStrategy.no_watermarks()),
        lambda s: s.window_all(None),
        lambda s: s.key_by(len).window(None),
        lambda s: s.key_by(len).count_window(3),
        lambda s: s.cache(),
        lambda s: s.add_sink(None),
        lambda s: s.broadcast("descriptor"),
    ],
)
def test_what_is_not_there_yet_says_so(words: DataStream[str], call: Callable[[Any], Any]) -> None:
    with pytest.raises(NotYetSupportedError, match=r"not supported yet.*\.$"):
        call(words)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.rebalance(),
        lambda s: s.rescale(),
        lambda s: s.shuffle(),
        lambda s: s.forward(),
        lambda s: s.global_(),
        lambda s: s.broadcast(),
        lambda s: s.partition_custom(ByLetter(), First()),
        lambda s: s.name("x"),
        lambda s: s.get_name(),
        lambda s: s.uid("x"),
        lambda s: s.set_uid_hash("x"),
        lambda s: s.set_description("x"),
        lambda s: s.set_parallelism(1),
        lambda s: s.set_max_parallelism(1),
        lambda s: s.force_non_parallel(),
        lambda s: s.set_buffer_timeout(1),
        lambda s: s.start_new_chain(),
        lambda s: s.disable_chaining(),
        lambda s: s.slot_sharing_group("x"),
    ],
)
def test_a_keyed_stream_is_no_operator(words: DataStream[str], call: Callable[[Any], Any]) -> None:
    with pytest.raises(UserError, match="KeyedStream"):
        call(words.key_by(len))


def test_settings_apply_also_after_more_was_declared(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    mapped = words.map(len)
    mapped.print().name("numbers").uid("numbers-1").set_description("all numbers").disable_chaining()
    mapped.name("lengths").uid("lengths-1").set_parallelism(3).set_max_parallelism(12).set_buffer_timeout(7)
    graph = env.prepare().graph
    [lengths, numbers] = graph.vertices[1:]
    assert (lengths.name, lengths.parallelism, lengths.max_parallelism) == ("lengths", 3, 12)
    assert (lengths.operators[0].uid, numbers.operators[0].uid) == ("lengths-1", "numbers-1")
    assert (numbers.name, numbers.operators[0].description) == ("Sink: numbers", "all numbers")
    assert graph.outputs(lengths.id)[0].buffer_timeout == 7


def test_chaining_controls(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    stream = words.map(len).set_parallelism(1)
    stream.map(abs).set_parallelism(1).start_new_chain().map(abs).set_parallelism(1).print().set_parallelism(1)
    assert [vertex.name for vertex in env.prepare().graph.vertices] == [
        "Source: Collection Source -> Map",
        "Map -> Map -> Sink: Print to Std. Out",
    ]


def test_slot_sharing_groups(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    words.map(len).slot_sharing_group(SlotSharingGroup.builder("own").build()).print().slot_sharing_group("default")
    assert [vertex.slot_sharing_group for vertex in env.prepare().graph.vertices] == ["default", "own", "default"]
    sized = SlotSharingGroup.builder("sized").set_cpu_cores(1).set_task_heap_memory_mb(100).build()
    with pytest.raises(NotYetSupportedError, match="Resources of slot-sharing group 'sized'"):
        words.slot_sharing_group(sized)


@pytest.mark.parametrize("parallelism", [0, -1, 32769, True, 1.5, "2"])
def test_impossible_parallelism_is_refused(words: DataStream[str], parallelism: Any) -> None:
    with pytest.raises(ValueError, match="parallelism must be from 1 to 32768"):
        words.map(len).set_parallelism(parallelism)
    with pytest.raises(ValueError, match="parallelism must be from 1 to 32768"):
        words.map(len).set_max_parallelism(parallelism)


def test_collections_are_read_by_one_subtask(words: DataStream[str]) -> None:
    with pytest.raises(ValueError, match="The parallelism of non parallel operator must be 1"):
        words.set_parallelism(2)
    words.set_parallelism(1)


def test_settings_of_partitionings_and_unions_are_refused(words: DataStream[str]) -> None:
    for stream in (words.rebalance(), words.union(words)):
        with pytest.raises(UserError, match=r"name\(\) applies to an operator"):
            stream.name("x")


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        (lambda s: s.rebalance(), Partitioning.REBALANCE),
        (lambda s: s.rescale(), Partitioning.RESCALE),
        (lambda s: s.shuffle(), Partitioning.SHUFFLE),
        (lambda s: s.broadcast(), Partitioning.BROADCAST),
        (lambda s: s.global_(), Partitioning.GLOBAL),
        (lambda s: s.partition_custom(ByLetter(), First()), Partitioning.CUSTOM),
        (lambda s: s.key_by(First(), Types.STRING()), Partitioning.HASH),
    ],
)
def test_partitionings(
    env: StreamExecutionEnvironment,
    words: DataStream[str],
    partition: Callable[[DataStream[str]], DataStream[str]],
    expected: Partitioning,
) -> None:
    partition(words).print()
    [edge] = env.prepare().graph.edges
    definition = cloudpickle.loads(edge.partitioner)
    assert edge.partitioning is expected
    assert definition.type_info == Types.STRING()
    if expected is Partitioning.HASH:
        assert definition.key_selector("abc") == "a"
        assert definition.key_type == Types.STRING()
    if expected is Partitioning.CUSTOM:
        assert (definition.key_selector("abc"), definition.partitioner("a", 2)) == ("a", 1)


def test_definitions_of_keyed_operators(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    keyed = words.key_by(First(), Types.STRING())
    keyed.reduce(Join()).name("reduce").print()
    keyed.max_by(2).name("max_by").print()
    keyed.map(Lengths()).name("stateful").print()
    keyed.map(len).name("plain").print()
    found = definitions(env.prepare().graph)
    assert isinstance(found["reduce"], ReduceOperator)
    assert (found["reduce"].key_type, found["reduce"].output_type) == (Types.STRING(), Types.STRING())
    assert isinstance(found["max_by"], AggregationOperator)
    assert (found["max_by"].aggregation, found["max_by"].position) == ("max_by", 2)
    assert isinstance(found["stateful"], KeyedProcessOperator)
    assert isinstance(found["stateful"].function, KeyedMap)
    assert list(found["stateful"].function.process_element("four", ANY)) == [4]
    assert isinstance(found["plain"], MapOperator)


def test_keying_a_keyed_stream_keys_its_origin(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    words.key_by(First()).key_by(len).print()
    [edge] = env.prepare().graph.edges
    assert cloudpickle.loads(edge.partitioner).key_selector is len


def test_types(words: DataStream[str]) -> None:
    assert words.get_type() == Types.STRING()
    assert words.map(len).get_type() == Types.PICKLED_BYTE_ARRAY()
    assert words.map(len, Types.INT()).filter(bool).rebalance().get_type() == Types.INT()
    assert words.key_by(len).sum().get_type() == Types.STRING()


def test_projection(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    pairs = env.from_collection([("a", 1, True)], Types.TUPLE([Types.STRING(), Types.INT(), Types.BOOLEAN()]))
    projected = pairs.project(2, 0)
    assert projected.get_type() == Types.TUPLE([Types.BOOLEAN(), Types.STRING()])
    projected.print()
    assert definitions(env.prepare().graph)["Projection"].function(("a", 1, True)) == (True, "a")
    with pytest.raises(UserError, match="Only Tuple DataStreams can be projected"):
        words.project(0)
    with pytest.raises(UserError, match="positions from 0 to 2"):
        pairs.project(3)


def test_print_identifier(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    words.print("words")
    assert definitions(env.prepare().graph)["Sink: Print to Std. Out"] == PrintOperator("words", words.get_type())


def test_print_knows_the_declared_type(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    pair = Types.TUPLE([Types.STRING(), Types.BOOLEAN()])
    words.map(lambda w: (w, True), output_type=pair).filter(lambda p: True).print()
    assert definitions(env.prepare().graph)["Sink: Print to Std. Out"].type_info == pair


class Tagging(ProcessFunction[str, str]):
    def process_element(self, value: str, ctx: ProcessFunction.Context) -> Iterator[Any]:
        yield OutputTag("side"), value


def test_side_outputs_are_edges(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    main = words.process(Tagging(), Types.STRING())
    side: DataStream[str] = main.get_side_output(OutputTag("side", Types.LONG()))
    assert side.get_type() == Types.LONG()
    main.print()
    side.map(lambda v: v).name("chained").print()
    side.rebalance().map(lambda v: v).name("away").print()
    main.union(main.get_side_output(OutputTag("other"))).map(lambda v: v).name("both").print()
    main.name("Tags")
    graph = env.prepare().graph
    tags = {operator.name: operator.input_tag for vertex in graph.vertices for operator in vertex.operators}
    assert (tags["chained"], tags["away"], tags["Sink: Print to Std. Out"]) == ("side", "", "")
    heads = {vertex.id: vertex.operators[0].name for vertex in graph.vertices}
    edges = sorted((heads[edge.target], edge.partitioning.value, edge.tag) for edge in graph.edges)
    assert edges == [
        ("Tags", "REBALANCE", ""),
        ("away", "REBALANCE", "side"),
        ("both", "FORWARD", ""),
        ("both", "FORWARD", "other"),
    ]


def test_wrong_side_outputs_are_refused(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    main = words.process(Tagging())
    main.get_side_output(OutputTag("side", Types.LONG()))
    main.get_side_output(OutputTag("side", Types.LONG()))
    words.map(len).get_side_output(OutputTag("side", Types.STRING()))
    with pytest.raises(UserError, match=r"'side' was requested before .* with the type .*, and now with .* of its own"):
        main.get_side_output(OutputTag("side", Types.STRING()))
    with pytest.raises(UserError, match="union or side output is none"):
        main.get_side_output(OutputTag("a")).get_side_output(OutputTag("b"))
    with pytest.raises(TypeError, match="takes an OutputTag, not str"):
        main.get_side_output("side")  # type: ignore[arg-type]


def test_sinks_learn_the_type_of_the_records(
    env: StreamExecutionEnvironment, words: DataStream[str], tmp_path: Path
) -> None:
    words.sink_to(FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build())
    graph = env.prepare().graph
    assert definitions(graph)["Sink: Writer"].sink.writer_factory.type_info == Types.STRING()
    assert graph.coordinated


def test_watermark_strategies(env: StreamExecutionEnvironment) -> None:
    numbers = NumberSequenceSource(1, 3)
    for strategy in (WatermarkStrategy.no_watermarks(), WatermarkStrategy.for_monotonous_timestamps()):
        env.from_source(numbers, strategy, "numbers").print()
    env.prepare()

    class Assigner(TimestampAssigner):
        def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
            return 0

    with pytest.raises(NotYetSupportedError, match="Timestamp assigners"):
        env.from_source(
            numbers, WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Assigner()), "numbers"
        )


def test_streams_cannot_be_captured(env: StreamExecutionEnvironment, words: DataStream[str]) -> None:
    words.map(lambda word: (word, words)).print()
    with pytest.raises(UserError, match=r"captures 'words', a pyflow_yarn\.datastream\.data_stream\.DataStream"):
        env.prepare()


def test_execute_and_collect_pages_through_the_results(
    env: StreamExecutionEnvironment, words: DataStream[str], executor: RecordingExecutor
) -> None:
    executor.pages = [ResultPage([], False), ResultPage([1, 2], False), ResultPage([3], True)]
    with words.map(len).execute_and_collect("lengths") as results:
        assert list(results) == [1, 2, 3]
    job, attached = executor.submitted[0]
    assert job.graph.vertices[-1].parallelism == 1, "results come from one place"
    operator = next(
        operator for vertex in job.graph.vertices for operator in vertex.operators if operator.kind == "collect"
    )
    assert (job.graph.name, attached, operator.name) == ("lengths", False, "Sink: Data stream collect sink")
    assert executor.fetched == [(operator.id, 0), (operator.id, 0), (operator.id, 2)]
    assert not executor.clients[0].cancelled


def test_execute_and_collect_with_a_limit_cancels_the_rest(
    env: StreamExecutionEnvironment, words: DataStream[str], executor: RecordingExecutor
) -> None:
    executor.pages = [ResultPage([1, 2, 3], False)]
    assert words.map(len).execute_and_collect(limit=2) == [1, 2]
    assert executor.clients[0].cancelled
    assert CollectOperator(2) in definitions(executor.submitted[0][0].graph).values()
    with pytest.raises(ValueError, match="at least 1"):
        words.execute_and_collect(limit=0)
