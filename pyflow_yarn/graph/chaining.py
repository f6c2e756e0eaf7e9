"""Chaining: which operators are fused into one vertex, by Flink's rules."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.stream_graph import StreamEdge, StreamGraph
from pyflow_yarn.graph.transformations import ChainingStrategy


class Chain(msgspec.Struct, frozen=True):
    """Node ids of one vertex, the head first, each after the one that feeds it; ``inputs`` are positions (head: -1)."""

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]


def is_chainable(graph: StreamGraph, edge: StreamEdge) -> bool:
    """Whether the target of an edge may run in the same loop as its source."""
    source, target = graph.node(edge.source), graph.node(edge.target)
    settings = graph.settings
    return (
        settings.chaining
        and len(graph.inputs(edge.target)) == 1
        and edge.partitioning is Partitioning.FORWARD
        and source.parallelism == target.parallelism
        and source.slot_sharing_group == target.slot_sharing_group
        and source.chaining is not ChainingStrategy.NEVER
        and target.chaining is ChainingStrategy.ALWAYS
        and (settings.chain_different_max_parallelism or source.max_parallelism == target.max_parallelism)
    )


def chains(graph: StreamGraph) -> list[Chain]:
    """All chains, ordered by their head; every node is in exactly one."""
    chained = {edge.target: edge.source for edge in graph.edges if is_chainable(graph, edge)}
    return [_chain(graph, node.id, chained) for node in graph.nodes if node.id not in chained]


def _chain(graph: StreamGraph, head: int, chained: dict[int, int]) -> Chain:
    nodes: list[int] = []
    inputs: list[int] = []
    waiting = [(head, -1)]
    while waiting:
        node, fed_by = waiting.pop()
        position = len(nodes)
        nodes.append(node)
        inputs.append(fed_by)
        waiting.extend((child, position) for child in reversed(list(_children(graph, node, chained))))
    return Chain(tuple(nodes), tuple(inputs))


def _children(graph: StreamGraph, node: int, chained: dict[int, int]) -> Iterator[int]:
    return (edge.target for edge in graph.outputs(node) if chained.get(edge.target) == node)
