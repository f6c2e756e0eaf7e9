"""Translation of transformations, and the decisions that follow."""

from __future__ import annotations

import pytest

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.stream_graph import derived_max_parallelism, stream_graph
from tests.unit.graph.graphs import Builder


def edges(builder: Builder, **settings: object) -> list[tuple[int, int, Partitioning | None]]:
    graph = stream_graph(builder.pipeline(**settings))
    return [(edge.source, edge.target, edge.partitioning) for edge in graph.edges]


def test_equal_parallelism_forwards_and_unequal_rebalances() -> None:
    builder = Builder()
    source = builder.source(parallelism=1)
    mapped = builder.map(source)
    builder.print(mapped)
    assert edges(builder, parallelism=4) == [(1, 2, Partitioning.REBALANCE), (2, 3, Partitioning.FORWARD)]


def test_the_partitioning_next_to_the_target_counts() -> None:
    builder = Builder()
    source = builder.source()
    shuffled = builder.partition(source, Partitioning.SHUFFLE)
    rescaled = builder.partition(shuffled, Partitioning.RESCALE)
    builder.print(rescaled)
    assert edges(builder) == [(1, 4, Partitioning.RESCALE)]


def test_a_union_keeps_the_partitionings_of_its_inputs_unless_it_is_partitioned_itself() -> None:
    builder = Builder()
    first, second = builder.source(), builder.source()
    union = builder.union(builder.partition(first, Partitioning.BROADCAST), second)
    kept = builder.print(union)
    again = builder.print(builder.partition(union, Partitioning.SHUFFLE))
    assert edges(builder) == [
        (first, kept, Partitioning.BROADCAST),
        (second, kept, Partitioning.FORWARD),
        (first, again, Partitioning.SHUFFLE),
        (second, again, Partitioning.SHUFFLE),
    ]


def test_forward_between_unequal_parallelism_is_refused() -> None:
    builder = Builder()
    forwarded = builder.partition(builder.source("numbers", parallelism=1), Partitioning.FORWARD)
    builder.print(forwarded)
    with pytest.raises(UserError, match="Forward partitioning does not allow change of parallelism") as raised:
        stream_graph(builder.pipeline(parallelism=3))
    assert "'Source: numbers' parallelism: 1" in str(raised.value)
    assert "'Sink: out' parallelism: 3" in str(raised.value)


def test_sources_nobody_reads_are_left_out() -> None:
    builder = Builder()
    builder.source("idle")
    builder.print(builder.source("busy"))
    assert [node.name for node in stream_graph(builder.pipeline()).nodes] == ["Source: busy", "Sink: out"]


def test_a_program_without_operators_is_refused() -> None:
    builder = Builder()
    builder.source()
    with pytest.raises(UserError, match="No operators defined in streaming topology"):
        stream_graph(builder.pipeline())


@pytest.mark.parametrize(
    ("parallelism", "expected"), [(1, 128), (85, 128), (86, 256), (100, 256), (171, 256), (1000, 2048), (32768, 32768)]
)
def test_derived_max_parallelism_is_flinks(parallelism: int, expected: int) -> None:
    assert derived_max_parallelism(parallelism) == expected


def test_the_operators_own_maximum_wins_over_the_programs() -> None:
    builder = Builder()
    source = builder.source()
    builder.print(builder.map(source, max_parallelism=16))
    graph = stream_graph(builder.pipeline(max_parallelism=64))
    assert [node.max_parallelism for node in graph.nodes] == [64, 16, 64]


def test_parallelism_above_the_maximum_is_refused() -> None:
    builder = Builder()
    builder.print(builder.map(builder.source(), "heavy", parallelism=8, max_parallelism=4))
    with pytest.raises(UserError, match=r"'heavy' \(job.py:2\) has parallelism 8, above its maximum parallelism 4"):
        stream_graph(builder.pipeline())


def test_slot_sharing_groups_are_inherited_when_all_inputs_agree() -> None:
    builder = Builder()
    red, blue = builder.source(slot_sharing_group="red"), builder.source(slot_sharing_group="blue")
    builder.print(builder.map(red))
    builder.print(builder.union(red, blue))
    groups = {node.id: node.slot_sharing_group for node in stream_graph(builder.pipeline()).nodes}
    assert groups == {1: "red", 2: "blue", 3: "red", 4: "red", 6: "default"}
