"""What type checkers see of a program. mypy checks these functions with the rest of the tests; they run as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from pyflow_yarn.common.types import Row
from pyflow_yarn.common.watermark_strategy import WatermarkStrategy
from pyflow_yarn.datastream import (
    CloseableIterator,
    DataStream,
    DataStreamSink,
    KeyedProcessFunction,
    KeyedStream,
    MapFunction,
    StreamExecutionEnvironment,
)
from pyflow_yarn.datastream.connectors.data_generator import DataGeneratorSource
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.execution import ResultPage
from tests.unit.datastream.programs import RecordingExecutor


class Halves(MapFunction[int, float]):
    def map(self, value: int) -> float:
        return value / 2


class Count(KeyedProcessFunction[str, int, Row]):
    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        yield Row(value)


def letters(word: str) -> Iterator[str]:
    yield from word


def test_types_of_records_are_followed(env: StreamExecutionEnvironment, executor: RecordingExecutor) -> None:
    words = env.from_collection(["to", "be"])
    assert_type(words, DataStream[str])
    assert_type(words.map(len), DataStream[int])
    assert_type(words.map(len).map(Halves()), DataStream[float])
    assert_type(words.flat_map(letters), DataStream[str])
    assert_type(words.filter(lambda word: word != ""), DataStream[str])
    assert_type(words.union(words).rebalance(), DataStream[str])
    keyed = words.map(len).key_by(str)
    assert_type(keyed, KeyedStream[int, str])
    assert_type(keyed.reduce(lambda a, b: a + b), DataStream[int])
    assert_type(keyed.process(Count()), DataStream[Row])
    assert_type(keyed.sum(), DataStream[int])
    assert_type(words.print(), DataStreamSink)

    no_watermarks = WatermarkStrategy.no_watermarks()
    assert_type(env.from_source(NumberSequenceSource(1, 2), no_watermarks, "numbers"), DataStream[int])
    assert_type(env.from_source(DataGeneratorSource(str, 2), no_watermarks, "texts"), DataStream[str])

    executor.pages = [ResultPage(["to"], True), ResultPage([2], True)]
    assert_type(words.execute_and_collect(), CloseableIterator[str])
    assert_type(words.map(len).execute_and_collect(limit=1), list[int])


def test_mistakes_are_found_by_the_type_checker(env: StreamExecutionEnvironment) -> None:
    words = env.from_collection(["to", "be"])
    words.map(len).map(str.upper)  # type: ignore[arg-type]
    words.key_by(len).reduce(lambda a, b: len(a))  # type: ignore[arg-type, return-value]
    words.map(Halves())  # type: ignore[arg-type]
