"""The StreamGraph: operators and the edges between them, as declared; nothing is chained yet.

``stream_graph`` translates transformations: partitionings become properties of edges, unions vanish. What was left
open is then decided by the functions of ``REWRITES``, graph to graph, one decision each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import replace

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import OperatorKind
from pyflow_yarn.graph.slot_sharing import slot_sharing_groups
from pyflow_yarn.graph.transformations import (
    ChainingStrategy,
    GraphSettings,
    OperatorTransformation,
    PartitionTransformation,
    Pipeline,
    SideOutputTransformation,
    Transformation,
    UnionTransformation,
)

SINK_KINDS = frozenset({OperatorKind.SINK, OperatorKind.PRINT, OperatorKind.COLLECT})
MIN_MAX_PARALLELISM = 128
MAX_MAX_PARALLELISM = 32768


class StreamNode(msgspec.Struct, frozen=True, kw_only=True):
    """An operator. ``name`` has ``Source: `` or ``Sink: `` in front. Parallelism 0 and group "" are not decided yet."""

    id: int
    name: str
    kind: OperatorKind
    definition: Any
    parallelism: int = 0
    max_parallelism: int = 0
    explicit_max_parallelism: int | None = None
    slot_sharing_group: str = ""
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    buffer_timeout: int | None = None
    output_type: Any = None
    uid: str = ""
    uid_hash: str = ""
    description: str = ""
    declared_at: str = ""

    @property
    def is_source(self) -> bool:
        """Whether it reads from outside."""
        return self.kind is OperatorKind.SOURCE

    @property
    def is_sink(self) -> bool:
        """Whether it hands nothing on."""
        return self.kind in SINK_KINDS


class StreamEdge(msgspec.Struct, frozen=True, kw_only=True):
    """Records flow from ``source`` to ``target``; a partitioning of None is not decided yet.

    With a ``tag_id`` they are those of the source's side output by that name.
    """

    source: int
    target: int
    partitioning: Partitioning | None = None
    key_selector: Callable[[Any], Any] | None = None
    partitioner: Any = None
    key_type: Any = None
    type_info: Any = None
    target_input: int = 0
    tag_id: str = ""


class StreamGraph(msgspec.Struct, frozen=True, dict=True):
    """Nodes in the order of their declaration (it is topological), and edges in the order of their target's inputs."""

    nodes: tuple[StreamNode, ...]
    edges: tuple[StreamEdge, ...]
    settings: GraphSettings

    @cached_property
    def _nodes_by_id(self) -> dict[int, StreamNode]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def _inputs(self) -> dict[int, list[StreamEdge]]:
        inputs: dict[int, list[StreamEdge]] = {node.id: [] for node in self.nodes}
        for edge in self.edges:
            inputs[edge.target].append(edge)
        return inputs

    @cached_property
    def _outputs(self) -> dict[int, list[StreamEdge]]:
        outputs: dict[int, list[StreamEdge]] = {node.id: [] for node in self.nodes}
        for edge in self.edges:
            outputs[edge.source].append(edge)
        return outputs

    def node(self, node_id: int) -> StreamNode:
        """The node of that id."""
        return self._nodes_by_id[node_id]

    def inputs(self, node_id: int) -> list[StreamEdge]:
        """The edges into a node."""
        return self._inputs[node_id]

    def outputs(self, node_id: int) -> list[StreamEdge]:
        """The edges out of a node."""
        return self._outputs[node_id]


def stream_graph(pipeline: Pipeline) -> StreamGraph:
    """The StreamGraph of a program, with every decision taken."""
    graph = translate(pipeline)
    for rewrite in REWRITES:
        graph = rewrite(graph)
    return graph


def translate(pipeline: Pipeline) -> StreamGraph:
    """The operators that ``pipeline.roots`` need, joined by edges; what the program left open stays open."""
    transformations = pipeline.transformations
    operators = sorted(
        (each for each in _reachable(pipeline) if isinstance(each, OperatorTransformation)), key=lambda each: each.id
    )
    if not operators:
        raise UserError("No operators defined in streaming topology. Cannot execute.")
    edges: list[StreamEdge] = []
    for operator in operators:
        for transformation_id in operator.inputs:
            edges.extend(_edges(transformations[transformation_id], StreamEdge(source=0, target=operator.id), pipeline))
    return StreamGraph(tuple(map(_node, operators)), tuple(edges), pipeline.settings)


def _reachable(pipeline: Pipeline) -> Iterable[Transformation]:
    seen: set[int] = set()
    waiting = list(pipeline.roots)
    while waiting:
        transformation_id = waiting.pop()
        if transformation_id not in seen:
            seen.add(transformation_id)
            waiting.extend(pipeline.transformations[transformation_id].inputs)
    return (pipeline.transformations[each] for each in seen)


def _node(operator: OperatorTransformation) -> StreamNode:
    prefix = "Source: " if operator.kind is OperatorKind.SOURCE else "Sink: " if operator.kind in SINK_KINDS else ""
    return StreamNode(
        id=operator.id,
        name=prefix + operator.name,
        kind=operator.kind,
        definition=operator.definition,
        parallelism=operator.parallelism or 0,
        explicit_max_parallelism=operator.max_parallelism,
        slot_sharing_group=operator.slot_sharing_group or "",
        chaining=operator.chaining,
        buffer_timeout=operator.buffer_timeout,
        output_type=operator.output_type,
        uid=operator.uid,
        uid_hash=operator.uid_hash,
        description=operator.description,
        declared_at=operator.declared_at,
    )


def _edges(source: Transformation, edge: StreamEdge, pipeline: Pipeline) -> Iterable[StreamEdge]:
    """Edges from all operators behind ``source``; of partitionings in a row, the one next to the target counts."""
    if isinstance(source, UnionTransformation):
        for transformation_id in source.inputs:
            yield from _edges(pipeline.transformations[transformation_id], edge, pipeline)
    elif isinstance(source, PartitionTransformation):
        if edge.partitioning is None:
            edge = replace(
                edge,
                partitioning=source.partitioning,
                key_selector=source.key_selector,
                partitioner=source.partitioner,
                key_type=source.key_type,
            )
        yield from _edges(pipeline.transformations[source.inputs[0]], edge, pipeline)
    elif isinstance(source, SideOutputTransformation):
        yield replace(edge, source=source.inputs[0], type_info=source.output_type, tag_id=source.tag_id)
    else:
        yield replace(edge, source=source.id, type_info=source.output_type)


def inherit_parallelism(graph: StreamGraph) -> StreamGraph:
    """Operators without a parallelism of their own take the program's."""
    return _each_node(
        graph, lambda node: node if node.parallelism else replace(node, parallelism=graph.settings.parallelism)
    )


def decide_max_parallelism(graph: StreamGraph) -> StreamGraph:
    """The operator's own maximum, else the program's, else one derived from the operator's parallelism."""

    def decide(node: StreamNode) -> StreamNode:
        maximum = (
            node.explicit_max_parallelism or graph.settings.max_parallelism or derived_max_parallelism(node.parallelism)
        )
        if node.parallelism > maximum:
            raise UserError(
                f"Operator '{node.name}' ({node.declared_at}) has parallelism {node.parallelism}, above its maximum"
                f" parallelism {maximum}: lower the one or raise the other."
            )
        return replace(node, max_parallelism=maximum)

    return _each_node(graph, decide)


def derived_max_parallelism(parallelism: int) -> int:
    """The next power of two of 1.5 times the parallelism, from 128 to 32768."""
    wanted = parallelism + parallelism // 2
    return min(max(1 << (wanted - 1).bit_length(), MIN_MAX_PARALLELISM), MAX_MAX_PARALLELISM)


def decide_partitioning(graph: StreamGraph) -> StreamGraph:
    """Forward between operators of equal parallelism, else rebalance; forward between unequal ones is refused."""

    def decide(edge: StreamEdge) -> StreamEdge:
        source, target = graph.node(edge.source), graph.node(edge.target)
        equal = source.parallelism == target.parallelism
        if edge.partitioning is Partitioning.FORWARD and not equal:
            raise UserError(
                "Forward partitioning does not allow change of parallelism."
                f" Upstream operation: '{source.name}' parallelism: {source.parallelism},"
                f" downstream operation: '{target.name}' parallelism: {target.parallelism}."
                " You must use another partitioning strategy, such as broadcast, rebalance, shuffle or global."
            )
        if edge.partitioning is None:
            return replace(edge, partitioning=Partitioning.FORWARD if equal else Partitioning.REBALANCE)
        return edge

    return replace(graph, edges=tuple(map(decide, graph.edges)))


def decide_slot_sharing(graph: StreamGraph) -> StreamGraph:
    """Operators without a slot-sharing group inherit that of their inputs."""
    groups = slot_sharing_groups(
        (node.id, node.slot_sharing_group, [edge.source for edge in graph.inputs(node.id)]) for node in graph.nodes
    )
    return _each_node(graph, lambda node: replace(node, slot_sharing_group=groups[node.id]))


def _each_node(graph: StreamGraph, change: Callable[[StreamNode], StreamNode]) -> StreamGraph:
    return replace(graph, nodes=tuple(map(change, graph.nodes)))


REWRITES: tuple[Callable[[StreamGraph], StreamGraph], ...] = (
    inherit_parallelism,
    decide_max_parallelism,
    decide_partitioning,
    decide_slot_sharing,
)
