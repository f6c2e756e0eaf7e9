"""What is fused, and how many slots that needs."""

from __future__ import annotations

import pytest

from pyflow_yarn.graph.chaining import chains
from pyflow_yarn.graph.generator import job_graph
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.slot_sharing import slots_needed, slots_per_group
from pyflow_yarn.graph.stream_graph import stream_graph
from pyflow_yarn.graph.transformations import ChainingStrategy
from tests.unit.graph.graphs import Builder


def chained(builder: Builder, **settings: object) -> list[tuple[int, ...]]:
    return [chain.nodes for chain in chains(stream_graph(builder.pipeline(**settings)))]


def line(**second: object) -> Builder:
    builder = Builder()
    builder.print(builder.map(builder.map(builder.source()), "second", **second))
    return builder


def test_a_line_of_forward_edges_is_one_chain() -> None:
    assert chained(line()) == [(1, 2, 3, 4)]


def test_chaining_can_be_turned_off() -> None:
    assert chained(line(), chaining=False) == [(1,), (2,), (3,), (4,)]


def test_head_starts_a_chain_and_never_stays_alone() -> None:
    assert chained(line(chaining=ChainingStrategy.HEAD)) == [(1, 2), (3, 4)]
    assert chained(line(chaining=ChainingStrategy.NEVER)) == [(1, 2), (3,), (4,)]


@pytest.mark.parametrize(
    "change", [{"parallelism": 2}, {"slot_sharing_group": "other"}], ids=["parallelism", "slot-sharing group"]
)
def test_operators_that_differ_are_not_fused(change: dict[str, object]) -> None:
    assert chained(line(**change))[0] == (1, 2)


def test_different_maximum_parallelism_is_fused_unless_forbidden() -> None:
    assert chained(line(max_parallelism=7)) == [(1, 2, 3, 4)]
    assert chained(line(max_parallelism=7), chain_different_max_parallelism=False) == [(1, 2), (3,), (4,)]


def test_only_forward_edges_are_fused() -> None:
    for partitioning in set(Partitioning) - {Partitioning.FORWARD}:
        builder = Builder()
        builder.print(builder.partition(builder.source(), partitioning))
        assert len(chained(builder)) == 2
    builder = Builder()
    builder.print(builder.partition(builder.source(), Partitioning.FORWARD))
    assert len(chained(builder)) == 1


def test_a_union_is_not_fused_not_even_with_itself() -> None:
    builder = Builder()
    source = builder.source()
    builder.print(builder.union(source, source))
    assert chained(builder) == [(1,), (3,)]


def test_an_output_read_twice_is_fused_with_both_readers() -> None:
    builder = Builder()
    source = builder.source()
    first = builder.map(source, "a")
    builder.print(source, "b")
    builder.print(first, "c")
    graph = stream_graph(builder.pipeline())
    [chain] = chains(graph)
    assert (chain.nodes, chain.inputs) == ((1, 2, 4, 3), (-1, 0, 1, 0))
    [vertex] = job_graph(graph, job_id="0" * 32, name="fork").vertices
    assert vertex.name == "Source: in -> (a -> Sink: c, Sink: b)"


def test_slots_are_counted_per_group() -> None:
    builder = Builder()
    source = builder.source(parallelism=2)
    wide = builder.map(source, parallelism=5)
    builder.print(builder.map(wide, parallelism=3, slot_sharing_group="own"), parallelism=3)
    graph = job_graph(stream_graph(builder.pipeline()), job_id="0" * 32, name="slots")
    assert slots_per_group(graph) == {"default": 5, "own": 3}
    assert slots_needed(graph) == 8
