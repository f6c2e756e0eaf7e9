"""Records that a process function yields with a tag leave the main output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyflow_runtime.operators.failures import OperatorFailure
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream import KeyedProcessFunction, OutputTag, ProcessFunction
from pyflow_yarn.graph.operators import KeyedProcessOperator, MapOperator, PrintOperator, ProcessOperator

ODD: OutputTag[int] = OutputTag("odd", Types.INT())
BIG: OutputTag[Row] = OutputTag("big")


class Split(ProcessFunction[int, Any]):
    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        if value % 2:
            yield ODD, value
        if value > 100:
            yield BIG, Row(value, "big")
        yield value
        yield (value, ODD)  # a pair, but none that begins with a tag


class Timers(KeyedProcessFunction[int, int, Any]):
    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(value)
        yield ODD, value

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield ODD, -timestamp
        yield timestamp


class Plain(ProcessFunction[int, int]):
    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[int]:
        yield value


Plain.__module__ = "__main__"  # it travels by value, as what a program's own file defines


def pairs(*values: int) -> list[Any]:
    return [each for value in values for each in (value, (value, ODD))]


def test_each_tag_has_its_edge() -> None:
    harness = ChainHarness([ProcessOperator(Split())], [Edge(), Edge(tag="odd"), Edge(tag="big")])
    harness.open().process([1, 2, 101])
    assert harness.output(0) == pairs(1, 2, 101)
    assert harness.output(1) == [1, 101]
    assert harness.output(2) == [Row(101, "big")]


def test_two_take_the_same_tag_in_the_chain_and_out_of_it() -> None:
    chain = [ProcessOperator(Split()), MapOperator(lambda v: -v), PrintOperator("", Types.INT())]
    harness = ChainHarness(
        chain, [Edge(operator=1), Edge(operator=0, tag="odd")], inputs=[-1, 0, 0], tags={1: "odd", 2: "odd"}
    )
    harness.open().process([3, 4, 5])
    assert harness.output(0) == [-3, -5]
    assert harness.output(1) == [3, 5]
    assert harness.text == ["3\n", "5\n"]


def test_timestamps_stay_with_tagged_records() -> None:
    harness = (
        ChainHarness([ProcessOperator(Split())], [Edge(), Edge(tag="odd")]).open().process([1, 2, 3], [10, 20, 30])
    )
    harness.chain.flush()
    assert harness.channels[1][0].times == [10, 30]
    assert harness.channels[0][0].times == [10, 10, 20, 20, 30, 30]


@pytest.mark.parametrize("edges", [[Edge()], [Edge(), Edge(tag="other")]])
def test_records_of_a_tag_that_nobody_takes_are_lost(edges: list[Edge]) -> None:
    harness = ChainHarness([ProcessOperator(Split())], edges).open().process([1, 2])
    assert harness.output(0) == pairs(1, 2)
    assert len(edges) == 1 or harness.output(1) == []


def test_a_main_output_that_nobody_takes() -> None:
    harness = ChainHarness([ProcessOperator(Split())], [Edge(tag="odd")]).open().process([1, 2])
    assert harness.output(0) == [1]


def test_timers_yield_tagged_records_too() -> None:
    chain = [KeyedProcessOperator(Timers(), lambda v: v)]
    harness = ChainHarness(chain, [Edge(), Edge(tag="odd")]).open().process([5, 7], [1, 1]).watermark(6)
    assert (harness.output(0), harness.output(1)) == ([5], [5, 7, -5])


def test_without_tags_the_loop_looks_for_none() -> None:
    harness = ChainHarness([ProcessOperator(Plain())], [Edge()]).open().process([1])
    assert "OutputTag" not in harness.chain.source()
    # A class that was imported is taken to know what its module knows.
    harness = ChainHarness([ProcessOperator(Split())], [Edge()]).open()
    assert "OutputTag" in harness.chain.source()


class Closed(ProcessFunction[int, Any]):
    def __init__(self, tag: OutputTag[int]) -> None:
        self.tag = tag

    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        yield self.tag, value


Closed.__module__ = "__main__"


def test_a_function_that_holds_a_tag_is_known_by_its_pickle() -> None:
    harness = ChainHarness([ProcessOperator(Closed(OutputTag("x")))], [Edge()]).open().process([1])
    assert harness.output(0) == []


def test_a_failure_behind_a_side_output_names_its_operator_and_record() -> None:
    chain = [ProcessOperator(Split()), MapOperator(lambda v: 1 // (v - 3))]
    harness = ChainHarness(chain, inputs=[-1, 0], tags={1: "odd"}).open()
    with pytest.raises(OperatorFailure) as raised:
        harness.process([2, 3])
    assert (raised.value.place.operator, raised.value.place.record) == ("Map", 3)
