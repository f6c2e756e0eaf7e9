"""What chains do with batches, without processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflow_runtime.network.batch import Batch, EndOfInput, Watermark
from pyflow_runtime.operators.failures import OperatorFailure
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_yarn.datastream.functions import FilterFunction, FlatMapFunction, MapFunction, ProcessFunction
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import (
    EdgeDefinition,
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)


def test_map_filter_map_in_one_loop() -> None:
    chain = [MapOperator(lambda x: x + 1), FilterOperator(lambda x: x % 3), MapOperator(lambda x: x * 2)]
    harness = ChainHarness(chain, [Edge()]).open().process(range(10))
    assert harness.output() == [x * 2 for x in range(1, 11) if x % 3]
    assert harness.chain.source().count("for ") == 1


def test_a_range_stays_a_range_until_a_function_sees_it() -> None:
    seen: list[Any] = []

    class Look(ProcessFunction[int, int]):
        def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[int]:
            seen.append(value)
            yield value

    harness = ChainHarness([ProcessOperator(Look())], [Edge()], pickled=False).open()
    harness.process(range(3))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    "function",
    [
        lambda line: line.split(),
        lambda line: (word for word in line.split()),
        lambda line: tuple(line.split()) or None,
        lambda line: iter(line.split()),
    ],
    ids=["list", "generator", "tuple or None", "iterator"],
)
def test_flat_map_takes_any_iterable_and_none(function: Any) -> None:
    harness = ChainHarness([FlatMapOperator(function)], [Edge()]).open().process(["a b", "", "c"])
    assert harness.output() == ["a", "b", "c"]
    timed = ChainHarness([FlatMapOperator(function)], [Edge()]).open().process(["a b", "", "c"], [1, 2, 3])
    assert timed.output() == ["a", "b", "c"]
    assert timed.channels[0][0].times == [1, 1, 3]


def test_filter_goes_by_truth_not_by_type() -> None:
    harness = ChainHarness([FilterOperator(lambda x: x)], [Edge()]).open().process([0, 1, "", "a", None, [], [0]])
    assert harness.output() == [1, "a", [0]]


def test_function_classes_are_opened_before_and_closed_after() -> None:
    log: list[str] = []

    class Logged(MapFunction[int, int], FlatMapFunction[int, int], FilterFunction[int]):
        def __init__(self, name: str) -> None:
            self.name = name

        def open(self, runtime_context: Any) -> None:
            log.append(f"open {self.name}")

        def close(self) -> None:
            log.append(f"close {self.name}")

        def map(self, value: int) -> int:
            return value + 1

        def flat_map(self, value: int) -> list[int]:
            return [value, value]

        def filter(self, value: int) -> bool:
            return value > 1

    chain = [MapOperator(Logged("map")), FlatMapOperator(Logged("flat")), FilterOperator(Logged("filter"))]
    harness = ChainHarness(chain, [Edge()], pickled=False).open().process([0, 1])
    harness.finish()
    assert harness.chain.close() is None
    assert harness.output() == [2, 2]
    assert log == ["open filter", "open flat", "open map", "close map", "close flat", "close filter"]


def test_a_tree_of_operators_and_several_edges() -> None:
    chain = [MapOperator(lambda x: x + 1), MapOperator(lambda x: -x), FilterOperator(lambda x: x > 1)]
    edges = [Edge(operator=1), Edge(operator=2), Edge(operator=0)]
    harness = ChainHarness(chain, edges, inputs=[-1, 0, 0]).open().process([0, 1, 2])
    assert harness.output(0) == [-1, -2, -3]
    assert harness.output(1) == [2, 3]
    assert harness.output(2) == [1, 2, 3]


def test_timestamps_follow_their_records() -> None:
    chain = [FilterOperator(lambda x: x != 2), FlatMapOperator(lambda x: [x] * x), MapOperator(str)]
    harness = ChainHarness(chain, [Edge()]).open().process([1, 2, 3], [10, 20, 30])
    assert harness.output() == ["1", "3", "3", "3"]
    assert harness.channels[0][0].times == [10, 30, 30, 30]


def test_batches_with_and_without_timestamps_are_not_mixed() -> None:
    harness = ChainHarness([MapOperator(str)], [Edge()]).open()
    harness.process([1, 2]).process([3], [30]).process([4])
    assert harness.output() == ["1", "2", "3", "4"]
    assert harness.channels[0][0].times == [None, None, 30, None]


def test_process_function_sees_timestamps_and_time() -> None:
    class Tell(ProcessFunction[int, Any]):
        def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
            timers = ctx.timer_service()
            yield value, ctx.timestamp(), timers.current_watermark(), timers.current_processing_time()

    harness = ChainHarness([ProcessOperator(Tell())], [Edge()]).open()
    harness.now = 99
    harness.process([1], [5]).watermark(7).process([2])
    assert harness.output() == [(1, 5, -(2**63), 99), (2, None, 7, 99)]


def test_records_wait_until_a_batch_is_full() -> None:
    harness = ChainHarness([MapOperator(lambda x: x)], [Edge(rows=10)]).open()
    harness.process(range(4)).process(range(4))
    assert harness.channels[0][0].elements == []
    assert harness.chain.pending
    harness.process(range(4))
    assert [len(batch) for batch in harness.channels[0][0].elements] == [12]  # type: ignore[arg-type]
    harness.process(range(35))
    assert [len(batch) for batch in harness.channels[0][0].elements] == [12, 10, 10, 10, 5]  # type: ignore[arg-type]
    assert not harness.chain.pending


def test_watermark_and_end_come_behind_the_records() -> None:
    harness = ChainHarness([MapOperator(lambda x: x)], [Edge(Partitioning.BROADCAST, 2)]).open()
    harness.process([1]).watermark(5).process([2]).finish()
    expected = [Batch([1]), Watermark(5), Batch([2]), Watermark(2**63 - 1), EndOfInput()]
    assert [channel.elements for channel in harness.channels[0]] == [expected, expected]


def test_available_is_that_of_the_slowest_channel() -> None:
    harness = ChainHarness([MapOperator(lambda x: x)], [Edge(Partitioning.REBALANCE, 2)]).open()
    assert harness.chain.available
    harness.channels[0][1].open = False
    assert not harness.chain.available


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-50, 50), max_size=60),
    st.sampled_from(list(Partitioning)),
    st.integers(1, 4),
    st.booleans(),
    st.integers(1, 8),
)
def test_every_partitioning_keeps_every_record(
    values: list[int], partitioning: Partitioning, channels: int, timed: bool, rows: int
) -> None:
    if partitioning is Partitioning.FORWARD:
        channels = 1
    definition = EdgeDefinition(key_selector=lambda x: x, partitioner=lambda key, n: key % n)
    harness = ChainHarness([MapOperator(lambda x: x)], [Edge(partitioning, channels, definition=definition, rows=rows)])
    harness.open()
    times = [value * 1000 for value in values] if timed else None
    for start in range(0, len(values), 7):
        harness.process(values[start : start + 7], times[start : start + 7] if times else None)
    harness.chain.flush()
    parts = harness.channels[0]
    if partitioning is Partitioning.BROADCAST:
        assert all(channel.values == values for channel in parts)
    elif partitioning is Partitioning.GLOBAL:
        assert parts[0].values == values
    else:
        assert sorted(value for channel in parts for value in channel.values) == sorted(values)
    for channel in parts:
        assert channel.times == [value * 1000 if timed else None for value in channel.values]
    if partitioning in (Partitioning.REBALANCE, Partitioning.RESCALE):
        sizes = [len(channel.values) for channel in parts]
        assert max(sizes) - min(sizes) <= 1
    if partitioning in (Partitioning.HASH, Partitioning.CUSTOM):
        owners = [set(channel.values) for channel in parts]
        assert sum(map(len, owners)) == len(set(values))
    if partitioning is Partitioning.CUSTOM:
        assert all(value % channels == number for number, channel in enumerate(parts) for value in channel.values)


@pytest.mark.parametrize("selector", [lambda r: r[0], lambda r: r["k"] if isinstance(r, dict) else r[0]])
def test_hash_goes_where_keyed_state_is(selector: Any) -> None:
    from pyflow_runtime.state.key_groups import key_group, operator_index

    definition = EdgeDefinition(key_selector=selector)
    harness = ChainHarness([MapOperator(lambda x: x)], [Edge(Partitioning.HASH, 3, definition=definition)]).open()
    keys = ["a", "ü", "", 1, -7, 2**70, 1.5, None, (1, "x"), b"b", True]
    harness.process([(key, 0) for key in keys])
    harness.chain.flush()
    for number, channel in enumerate(harness.channels[0]):
        for key, _ in channel.values:
            assert operator_index(key_group(key, 128), 128, 3) == number


@pytest.mark.parametrize("timed", [False, True])
def test_chains_may_be_deeper_than_loops_can_be_nested(timed: bool) -> None:
    doubling = [FlatMapOperator(lambda x: [x, x] if x == 7 else [x]) for _ in range(40)]
    filters = [FilterOperator(lambda x: x != 3) for _ in range(150)]
    maps = [MapOperator(lambda x: x + 1) for _ in range(150)]
    harness = ChainHarness([*doubling, *filters, *maps], [Edge()]).open()
    harness.process([1, 3, 5], [10, 30, 50] if timed else None)
    assert harness.output() == [151, 155]
    assert harness.channels[0][0].times == ([10, 50] if timed else [None, None])


def test_a_failure_deep_in_a_chain_names_its_operator() -> None:
    same = [FlatMapOperator(lambda x: [x]) for _ in range(30)]
    harness = ChainHarness([*same, MapOperator(lambda x: 1 // x)], [Edge()]).open()
    with pytest.raises(OperatorFailure) as raised:
        harness.process([1, 0])
    assert (raised.value.place.declared_at, raised.value.place.record) == ("job.py:31", 0)
