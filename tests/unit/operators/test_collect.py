"""Sinks, print and collect: the ends of chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cloudpickle
import msgspec
import pytest

from pyflow_runtime.coordinator.messages import (
    Committables,
    CommittablesReceived,
    FetchResults,
    OperatorPayloadMessage,
    Results,
)
from pyflow_runtime.operators.harness import ChainHarness
from pyflow_runtime.operators.sinks import COLLECT_BUFFER, print_prefix
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.datastream.sink import Sink, SinkWriter, WriterContext
from pyflow_yarn.graph.operators import CollectOperator, FilterOperator, PrintOperator, SinkOperator


@pytest.mark.parametrize(
    ("identifier", "parallelism", "prefix"),
    [("", 1, ""), ("", 4, "2> "), ("out", 1, "out> "), ("out", 4, "out:2> ")],
)
def test_print_prefix(identifier: str, parallelism: int, prefix: str) -> None:
    assert print_prefix(identifier, 1, parallelism) == prefix


def test_print_takes_the_declared_type() -> None:
    pair = Types.TUPLE([Types.STRING(), Types.BOOLEAN()])
    harness = ChainHarness([PrintOperator("", pair)]).open().process([("a", True)])
    assert harness.text == ["(a,true)\n"]
    harness = ChainHarness([PrintOperator()]).open().process([("a", True)])
    assert harness.text == ["('a', True)\n"]
    harness = ChainHarness([PrintOperator("", Types.BOOLEAN())]).open().process([True])
    assert harness.text == ["true\n"]


class Writer(SinkWriter[Any]):
    log: list[Any] = []  # noqa: RUF012

    def write_batch(self, records: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self.log.append((list(records), timestamps))

    def flush(self) -> None:
        self.log.append("flush")

    def prepare_commit(self) -> list[Any]:
        return ["part-0"]

    def close(self) -> None:
        self.log.append("close")


class Parts(Sink[Any]):
    coordinated = True

    def create_writer(self, context: WriterContext) -> SinkWriter[Any]:
        assert (context.subtask, context.parallelism, context.attempt) == (0, 1, 0)
        return Writer()


def test_a_sink_gets_batches_and_waits_for_its_committer() -> None:
    Writer.log.clear()
    harness = ChainHarness([FilterOperator(lambda x: x > 1), SinkOperator(Parts())], pickled=False).open()
    harness.process([1, 2, 3]).process([0]).process([1, 5], [10, 50])
    assert Writer.log == [([2, 3], None), ([5], [50])]
    assert harness.chain.done is True
    harness.finish()
    assert (Writer.log[2:], harness.chain.done) == (["flush"], False)
    ((operator_id, payload),) = harness.events
    message = msgspec.msgpack.decode(payload, type=OperatorPayloadMessage)
    assert isinstance(message, Committables)
    assert cloudpickle.loads(message.pickled) == ["part-0"]
    harness.chain.handle_event(operator_id, msgspec.msgpack.encode(CommittablesReceived()))
    assert harness.chain.done
    assert harness.chain.close() is None
    assert Writer.log[3:] == ["close"]


class Client:
    def __init__(self, limit: int | None = None) -> None:
        self.harness = ChainHarness([CollectOperator(limit)]).open()
        self.operator = self.harness.vertex.operators[0].id
        self.requests = 0

    def fetch(self, offset: int, limit: int = 1000) -> list[Any]:
        self.requests += 1
        request = FetchResults(str(self.requests), offset, limit)
        self.harness.chain.handle_event(self.operator, msgspec.msgpack.encode(request))
        return self.answers()

    def answers(self) -> list[tuple[str, int, list[Any], bool]]:
        messages = [msgspec.msgpack.decode(payload, type=OperatorPayloadMessage) for _, payload in self.harness.events]
        self.harness.events.clear()
        assert all(isinstance(message, Results) for message in messages)
        return [(m.request_id, m.offset, cloudpickle.loads(m.pickled), m.last) for m in messages]


def test_collect_keeps_records_until_they_are_fetched() -> None:
    client = Client()
    client.harness.process([1, 2, 3])
    assert client.fetch(0, 2) == [("1", 0, [1, 2], False)]
    assert client.fetch(0, 2) == [("2", 0, [1, 2], False)]  # the answer was lost: asked again
    assert client.fetch(2) == [("3", 2, [3], False)]
    assert client.fetch(3) == []  # held until there is something
    client.harness.process([4])
    assert client.answers() == [("4", 3, [4], False)]
    client.fetch(4)
    client.harness.chain.tick()
    assert client.answers() == [("5", 4, [], False)]
    client.fetch(4)
    client.harness.finish()
    assert client.answers() == [("6", 4, [], True)]
    assert client.harness.chain.done


def test_collect_finishes_when_the_last_record_was_fetched() -> None:
    client = Client()
    client.harness.process(range(10)).finish()
    assert not client.harness.chain.done
    assert client.fetch(0, 6) == [("1", 0, [0, 1, 2, 3, 4, 5], False)]
    assert client.fetch(6) == [("2", 6, [6, 7, 8, 9], True)]
    assert client.harness.chain.done


def test_collect_respects_the_limit() -> None:
    client = Client(limit=3)
    client.harness.process([1, 2]).process([3, 4]).process([5])
    assert client.fetch(0) == [("1", 0, [1, 2, 3], False)]
    client.harness.process([6]).finish()
    assert client.fetch(3) == [("2", 3, [], True)]


def test_a_full_buffer_stops_the_task() -> None:
    client = Client()
    client.harness.process(range(COLLECT_BUFFER))
    assert not client.harness.chain.available
    client.fetch(0)
    assert not client.harness.chain.available
    client.fetch(1000)
    assert client.harness.chain.available


def test_answers_are_bounded_in_size_too() -> None:
    client = Client()
    client.harness.process([bytes([number]) * 1_000_000 for number in range(10)]).finish()
    records = 0
    while not client.harness.chain.done:
        ((_, offset, part, _),) = client.fetch(records)
        assert offset == records
        assert 1 <= len(part) <= 4
        records += len(part)
    assert records == 10
