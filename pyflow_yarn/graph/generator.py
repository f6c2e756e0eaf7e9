"""StreamGraph → JobGraph: chains become vertices, definitions become bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pyflow_yarn.configuration.options import PIPELINE_VERTEX_NAME_INCLUDE_INDEX_PREFIX
from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.chaining import Chain, chains
from pyflow_yarn.graph.ids import operator_ids
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning
from pyflow_yarn.graph.operators import EdgeDefinition, SinkOperator, SourceOperator
from pyflow_yarn.graph.pickling import dumps
from pyflow_yarn.graph.plan import chain_text, job_plan
from pyflow_yarn.graph.stream_graph import StreamEdge, StreamGraph

JOB_ID = re.compile(r"[0-9a-fA-F]{32}")
KEYED = (Partitioning.HASH, Partitioning.CUSTOM)


def job_graph(
    graph: StreamGraph,
    *,
    job_id: str,
    name: str,
    configuration: Mapping[str, str] | None = None,
    job_parameters: Mapping[str, str] | None = None,
    python_executable: str = "",
) -> JobGraph:
    """The job that a StreamGraph stands for, complete but for its artifacts.

    ``UserError`` when functions cannot be pickled or ids are not unique.
    """
    if not JOB_ID.fullmatch(job_id):
        raise UserError(f"'{job_id}' is not a job id: it must be 32 hexadecimal digits.")
    ids = operator_ids(graph)
    vertex_of: dict[int, str] = {}
    position_of: dict[int, int] = {}
    vertices: list[JobVertex] = []
    for chain in chains(graph):
        vertices.append(_vertex(graph, chain, ids))
        for position, node in enumerate(chain.nodes):
            vertex_of[node] = vertices[-1].id
            position_of[node] = position
    order = {vertex.id: number for number, vertex in enumerate(vertices)}
    crossing = [edge for edge in graph.edges if vertex_of[edge.source] != vertex_of[edge.target]]
    crossing.sort(key=lambda edge: order[vertex_of[edge.target]])
    edges = [_edge(graph, edge, number, vertex_of, position_of[edge.source]) for number, edge in enumerate(crossing)]
    settings = dict(configuration or {})
    if PIPELINE_VERTEX_NAME_INCLUDE_INDEX_PREFIX.read(settings):
        vertices = [
            msgspec.structs.replace(vertex, name=f"[vertex-{number}]{vertex.name}")
            for number, vertex in enumerate(vertices)
        ]
    result = JobGraph(
        job_id=job_id.lower(),
        name=name,
        vertices=vertices,
        edges=edges,
        configuration=settings,
        job_parameters=dict(job_parameters or {}),
        python_executable=python_executable,
    )
    return msgspec.structs.replace(result, plan=json.dumps(job_plan(result), ensure_ascii=False))


def _vertex(graph: StreamGraph, chain: Chain, ids: Mapping[int, str]) -> JobVertex:
    head = graph.node(chain.nodes[0])
    operators = [
        _operator(graph, node, ids[node], fed_by) for node, fed_by in zip(chain.nodes, chain.inputs, strict=True)
    ]
    vertex = JobVertex(
        id=ids[head.id],
        name="",
        parallelism=head.parallelism,
        max_parallelism=head.max_parallelism,
        operators=operators,
        slot_sharing_group=head.slot_sharing_group,
    )
    return msgspec.structs.replace(vertex, name=chain_text(vertex))


def _operator(graph: StreamGraph, node_id: int, operator_id: str, fed_by: int) -> OperatorNode:
    node = graph.node(node_id)
    if node.uid_hash and fed_by >= 0:
        raise UserError(
            f"Cannot assign user-specified hash to intermediate node in chain: '{node.name}' ({node.declared_at})."
            " Call start_new_chain() on it, or use uid()."
        )
    return OperatorNode(
        id=operator_id,
        name=node.name,
        kind=node.kind,
        definition=dumps(node.definition, node.name, node.declared_at),
        input=fed_by,
        input_tag=graph.inputs(node_id)[0].tag_id if fed_by >= 0 else "",
        uid=node.uid,
        description=node.description,
        declared_at=node.declared_at,
        coordinated=_coordinated(node.definition),
    )


def _coordinated(definition: Any) -> bool:
    if isinstance(definition, SourceOperator):
        return bool(definition.source.coordinated)
    return isinstance(definition, SinkOperator) and bool(definition.sink.coordinated)


def _edge(
    graph: StreamGraph, edge: StreamEdge, number: int, vertex_of: Mapping[int, str], source_operator: int
) -> JobEdge:
    source, target = graph.node(edge.source), graph.node(edge.target)
    partitioning = edge.partitioning
    if partitioning is None:
        raise ValueError("the partitioning of an edge is not decided yet: use stream_graph()")
    keyed = partitioning in KEYED
    definition = EdgeDefinition(
        key_selector=edge.key_selector if keyed else None,
        partitioner=edge.partitioner if keyed else None,
        type_info=edge.type_info,
        key_type=edge.key_type,
    )
    own_timeout = source.buffer_timeout
    return JobEdge(
        id=number,
        source=vertex_of[edge.source],
        source_operator=source_operator,
        target=vertex_of[edge.target],
        partitioning=partitioning,
        partitioner=dumps(definition, target.name, target.declared_at),
        target_input=edge.target_input,
        max_parallelism=target.max_parallelism,
        buffer_timeout=graph.settings.buffer_timeout if own_timeout is None else own_timeout,
        tag=edge.tag_id,
    )
