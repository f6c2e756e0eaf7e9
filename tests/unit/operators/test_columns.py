"""Columns in a chain: they pass whole to sinks and edges, and become rows for functions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pyflow_runtime.network.batch import Batch, Element
from pyflow_runtime.network.errors import ChannelBroken
from pyflow_runtime.operators.failures import OperatorFailure
from pyflow_runtime.operators.harness import ChainHarness, Edge, ListChannel
from pyflow_yarn.datastream.columns import Columns
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import EdgeDefinition, MapOperator, SourceOperator

SOURCE = SourceOperator(None)


def numbers(count: int, rows: Any = None) -> Columns:
    make_rows: Any = rows or (lambda batch: batch.column(0).to_pylist())
    return Columns(pa.record_batch([pa.array(range(count))], ["n"]), make_rows)


def refused(batch: Any) -> Any:
    raise AssertionError("rows were made")


def sent(harness: ChainHarness, edge: int = 0) -> list[list[Any]]:
    """The batches on each channel."""
    harness.chain.flush()
    return [[each.values for each in channel.elements if isinstance(each, Batch)] for channel in harness.channels[edge]]


@pytest.mark.parametrize(
    "partitioning",
    [Partitioning.FORWARD, Partitioning.REBALANCE, Partitioning.RESCALE, Partitioning.BROADCAST, Partitioning.GLOBAL],
)
def test_edges_pass_columns_on(partitioning: Partitioning) -> None:
    width = 1 if partitioning in (Partitioning.FORWARD, Partitioning.GLOBAL) else 3
    harness = ChainHarness([SOURCE], [Edge(partitioning, width, rows=40)]).open().process(numbers(100, refused))
    channels = sent(harness)
    assert all(type(values) is Columns for channel in channels for values in channel)
    found = sorted(n for channel in channels for values in channel for n in values.batch.column(0).to_pylist())
    expected = list(range(100)) * (3 if partitioning is Partitioning.BROADCAST else 1)
    assert found == sorted(expected)
    assert all(channels)
    if partitioning is Partitioning.REBALANCE:
        assert {sum(map(len, channel)) for channel in channels} == {33, 34}


@pytest.mark.parametrize("partitioning", [Partitioning.REBALANCE, Partitioning.RESCALE])
@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 11])
def test_none_is_lost_where_there_are_fewer_rows_than_channels(
    partitioning: Partitioning, width: int, count: int
) -> None:
    harness = ChainHarness([SOURCE], [Edge(partitioning, width)]).open().process(numbers(count, refused))
    batches = [values for channel in sent(harness) for values in channel]
    assert sorted(n for values in batches for n in values.batch.column(0).to_pylist()) == list(range(count))
    assert len(batches) == min(width, count)


@pytest.mark.parametrize("partitioning", [Partitioning.FORWARD, Partitioning.REBALANCE, Partitioning.BROADCAST])
def test_a_broken_channel_is_no_failure_of_the_program(
    partitioning: Partitioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(self: ListChannel, element: Element) -> None:
        raise error

    monkeypatch.setattr(ListChannel, "send", send)
    error: Exception = ChannelBroken("w-2", "the consumer has stopped")
    harness = ChainHarness([SOURCE], [Edge(partitioning, 2)]).open()
    with pytest.raises(ChannelBroken):
        harness.process(numbers(10, refused))
    error = UserError("A record does not fit.")
    with pytest.raises(OperatorFailure) as failure:
        harness.process(numbers(10, refused))
    assert failure.value.error is error
    assert failure.value.place.operator == harness.chain.outputs[0].source != ""


def test_timestamps_stay_with_their_rows() -> None:
    harness = (
        ChainHarness([SOURCE], [Edge(Partitioning.REBALANCE, 2)])
        .open()
        .process(numbers(5, refused), [10, 11, 12, 13, 14])
    )
    harness.chain.flush()
    pairs = [
        (number, time)
        for channel in harness.channels[0]
        for each in channel.elements
        if isinstance(each, Batch) and isinstance(each.values, Columns) and each.timestamps is not None
        for number, time in zip(each.values.batch.column(0).to_pylist(), each.timestamps, strict=True)
    ]
    assert sorted(pairs) == [(number, 10 + number) for number in range(5)]


@pytest.mark.parametrize("partitioning", [Partitioning.HASH, Partitioning.SHUFFLE])
def test_other_edges_take_rows(partitioning: Partitioning) -> None:
    edge = Edge(partitioning, 2, definition=EdgeDefinition(key_selector=lambda n: n))
    harness = ChainHarness([SOURCE], [edge]).open().process(numbers(100))
    assert sorted(harness.output()) == list(range(100))
    assert all(type(values) is list for channel in sent(harness) for values in channel)


def test_functions_get_rows_and_what_follows_columns_stays_behind_them() -> None:
    harness = ChainHarness([SOURCE, MapOperator(lambda n: -n)], [Edge(), Edge(operator=0)]).open()
    harness.process([7]).process(numbers(3)).process([8])
    assert harness.output(0) == [-7, 0, -1, -2, -8]
    assert [list(values) for values in sent(harness, 1)[0]] == [[7], [0, 1, 2], [8]]
