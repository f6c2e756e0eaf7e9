"""Keyed state, timers and rolling aggregations in chains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from pyflow_runtime.operators.failures import OperatorFailure
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_runtime.operators.rolling import aggregation
from pyflow_yarn.common.time import Time
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.functions import KeyedProcessFunction, KeySelector, ReduceFunction, RuntimeContext
from pyflow_yarn.datastream.state import StateTtlConfig, ValueState, ValueStateDescriptor
from pyflow_yarn.datastream.time_domain import TimeDomain
from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.operators import AggregationOperator, KeyedProcessOperator, MapOperator, ReduceOperator


class Count(KeyedProcessFunction[str, Any, Any]):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.count: ValueState[int] = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield ctx.get_current_key(), count


def keyed(function: Any, selector: Any = lambda r: r[0]) -> ChainHarness:
    return ChainHarness([KeyedProcessOperator(function, selector)], [Edge()]).open()


def test_state_belongs_to_the_key() -> None:
    harness = keyed(Count()).process([("a", 1), ("b", 1), ("a", 2)])
    assert harness.output() == [("a", 1), ("b", 1), ("a", 2)]


def test_updating_to_none_and_clearing_remove_the_value() -> None:
    class Toggle(KeyedProcessFunction[str, Any, Any]):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.state: ValueState[Any] = runtime_context.get_state(ValueStateDescriptor("s"))

        def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
            yield self.state.value()
            if value[1] == "clear":
                self.state.clear()
            else:
                self.state.update(value[1])

    harness = keyed(Toggle()).process([("a", 1), ("a", "clear"), ("a", 2), ("a", None), ("a", 3)])
    assert harness.output() == [None, 1, None, 2, None]


def test_a_key_selector_class_is_opened() -> None:
    class Selector(KeySelector[Any, str]):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.field = 0

        def get_key(self, value: Any) -> str:
            return str(value[self.field])

    assert keyed(Count(), Selector()).process([("a", 1), ("a", 2)]).output() == [("a", 1), ("a", 2)]


class Timers(KeyedProcessFunction[str, Any, Any]):
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        action, time = value[1], value[2]
        if action == "event":
            timers.register_event_time_timer(time)
        elif action == "delete":
            timers.delete_event_time_timer(time)
        elif action == "processing":
            timers.register_processing_time_timer(time)
        elif action == "delete processing":
            timers.delete_processing_time_timer(time)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        if timestamp == 15:
            ctx.timer_service().register_event_time_timer(18)
            ctx.timer_service().register_event_time_timer(2)
        yield timestamp, ctx.get_current_key(), ctx.time_domain(), ctx.timestamp()


def test_event_timers_fire_in_order_of_time_before_the_watermark_passes() -> None:
    harness = keyed(Timers())
    harness.process([("a", "event", 20), ("b", "event", 10), ("a", "event", 10), ("a", "event", 10)])
    harness.process([("c", "event", 10), ("c", "delete", 10), ("d", "event", 15)]).watermark(18)
    event = TimeDomain.EVENT_TIME
    fired = harness.output()
    assert [(time, key) for time, key, _, _ in fired] == [(10, "b"), (10, "a"), (15, "d"), (2, "d"), (18, "d")]
    assert all(domain is event and time == stamp for time, _, domain, stamp in fired)
    assert harness.channels[0][0].times == [10, 10, 15, 2, 18]
    assert type(harness.channels[0][0].elements[-1]).__name__ == "Watermark"
    harness.finish()
    assert harness.output()[-1][:2] == (20, "a")


def test_processing_timers_follow_the_clock() -> None:
    harness = keyed(Timers())
    harness.process([("a", "processing", 20), ("b", "processing", 10), ("c", "processing", 5)])
    harness.process([("c", "delete processing", 5)])
    assert harness.chain.next_processing_time() == 10
    harness.at(10)
    assert [(time, key, domain) for time, key, domain, _ in harness.output()] == [(10, "b", TimeDomain.PROCESSING_TIME)]
    assert harness.chain.next_processing_time() == 20


def test_many_timers_fire_in_several_steps() -> None:
    harness = keyed(Timers())
    harness.process([(f"k{number}", "event", 7) for number in range(10_000)])
    harness.chain.advance_watermark(7)
    steps = 0
    while not harness.chain.resume():
        steps += 1
    assert steps == 3
    assert len(harness.output()) == 10_000


def test_time_domain_is_for_timers_only() -> None:
    class Ask(KeyedProcessFunction[str, Any, Any]):
        def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
            ctx.time_domain()  # type: ignore[attr-defined]

    with pytest.raises(OperatorFailure) as raised:
        keyed(Ask()).process([("a",)])
    assert isinstance(raised.value.error, UserError)


def test_state_without_a_key_is_explained() -> None:
    class Early(Count):
        def open(self, runtime_context: RuntimeContext) -> None:
            super().open(runtime_context)
            self.count.update(1)

    with pytest.raises(OperatorFailure) as raised:
        keyed(Early())
    assert "where there is no current key" in str(raised.value.error)


def test_what_is_not_there_yet_says_so() -> None:
    class Expiring(Count):
        def open(self, runtime_context: RuntimeContext) -> None:
            descriptor = ValueStateDescriptor("s")
            descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(1)).build())
            runtime_context.get_state(descriptor)

    with pytest.raises(OperatorFailure) as raised:
        keyed(Expiring())
    assert isinstance(raised.value.error, NotYetSupportedError)


def test_reduce_emits_every_new_value() -> None:
    class Add(ReduceFunction[Any]):
        def reduce(self, value1: Any, value2: Any) -> Any:
            return value1[0], value1[1] + value2[1]

    for function in (Add(), lambda old, new: (old[0], old[1] + new[1])):
        harness = ChainHarness([ReduceOperator(function, lambda r: r[0]), MapOperator(lambda r: r)], [Edge()]).open()
        harness.process([("a", 1), ("b", 5), ("a", 2), ("a", 3)])
        assert harness.output() == [("a", 1), ("b", 5), ("a", 3), ("a", 6)]


class Pair(NamedTuple):
    word: str
    total: int


@pytest.mark.parametrize("make", [lambda *v: v, lambda *v: list(v), lambda *v: Row(*v), lambda *v: Pair(*v)])
def test_aggregations_of_every_kind_of_record(make: Any) -> None:
    records = [make("a", 3), make("a", 1), make("a", 5)]
    copies = [make("a", 3), make("a", 1), make("a", 5)]

    def run(name: str) -> list[Any]:
        harness = ChainHarness([AggregationOperator(name, 1, lambda r: r[0])], [Edge()]).open()
        return harness.process(records).output()

    assert run("sum") == [make("a", 3), make("a", 4), make("a", 9)]
    assert run("min") == [make("a", 3), make("a", 1), make("a", 1)]
    assert run("max") == [make("a", 3), make("a", 3), make("a", 5)]
    assert run("min_by") == [records[0], records[1], records[1]]
    assert run("max_by") == [records[0], records[0], records[2]]
    assert records == copies  # nothing was changed in place
    assert all(type(record) is type(records[0]) for record in run("sum"))


def test_aggregations_by_name_and_of_plain_values() -> None:
    assert aggregation("sum", "total")(Pair("a", 1), Pair("b", 2)) == Pair("a", 3)
    assert aggregation("max", "n")(Row(n=1, w="a"), Row(n=2, w="b")) == Row(n=2, w="a")
    assert aggregation("sum", 0)(1, 2) == 3
    assert aggregation("min_by", 0)((2, "x"), (2, "y")) == (2, "x")
    with pytest.raises(TypeError, match="selected on a basic type"):
        aggregation("sum", 1)(1, 2)
    with pytest.raises(UserError, match="no aggregation 'mean'"):
        aggregation("mean", 0)
