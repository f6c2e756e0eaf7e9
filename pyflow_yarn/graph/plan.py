"""Plans as JSON, in Flink's two shapes: of a StreamGraph (``flink info``) and of a JobGraph (REST)."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from pyflow_yarn.configuration.options import PIPELINE_VERTEX_DESCRIPTION_MODE
from pyflow_yarn.graph.job_graph import JobGraph, JobVertex
from pyflow_yarn.graph.stream_graph import StreamGraph, StreamNode


def stream_plan(graph: StreamGraph) -> str:
    """The plan that ``get_execution_plan()`` and ``flink info`` show: operators, not yet chained; sinks come last."""
    nodes = sorted(graph.nodes, key=lambda node: (node.is_sink, node.id))
    return json.dumps({"nodes": [_stream_node(graph, node) for node in nodes]}, indent=2, ensure_ascii=False)


def _stream_node(graph: StreamGraph, node: StreamNode) -> dict[str, Any]:
    result: dict[str, Any] = {
        "id": node.id,
        "type": node.name,
        "pact": "Data Source" if node.is_source else "Data Sink" if node.is_sink else "Operator",
        "contents": node.description or node.name,
        "parallelism": node.parallelism,
    }
    predecessors = [
        {"id": edge.source, "ship_strategy": edge.partitioning, "side": "second"} for edge in graph.inputs(node.id)
    ]
    if predecessors:
        result["predecessors"] = predecessors
    return result


def job_plan(graph: JobGraph) -> dict[str, Any]:
    """The plan that the REST interface shows: vertices, each with its chain as a tree."""
    mode = PIPELINE_VERTEX_DESCRIPTION_MODE.read(graph.configuration)
    return {
        "jid": graph.job_id,
        "name": graph.name,
        "type": graph.job_type,
        "nodes": [_vertex(graph, vertex, mode) for vertex in reversed(graph.vertices)],
    }


def _vertex(graph: JobGraph, vertex: JobVertex, mode: str) -> dict[str, Any]:
    node: dict[str, Any] = {
        "id": vertex.id,
        "parallelism": vertex.parallelism,
        "operator": "",
        "operator_strategy": "",
        "description": chain_text(vertex, described=True) if mode == "CASCADING" else chain_tree(vertex),
        "optimizer_properties": {},
    }
    inputs = [
        {"num": number, "id": edge.source, "ship_strategy": edge.partitioning, "exchange": "pipelined_bounded"}
        for number, edge in enumerate(graph.inputs(vertex.id))
    ]
    if inputs:
        node["inputs"] = inputs
    return node


def chain_text(vertex: JobVertex, described: bool = False) -> str:
    """The chain on one line: ``Source: a -> b -> (c, Sink: d)``; descriptions (as HTML) instead of names if wanted."""
    children = _children(vertex)
    texts = [escape(each.description or each.name) if described else each.name for each in vertex.operators]
    for index in reversed(range(len(texts))):  # an operator stands behind the one that feeds it
        below = [texts[child] for child in children[index]]
        if below:
            texts[index] += f" -> ({', '.join(below)})" if len(below) > 1 else f" -> {below[0]}"
    return texts[0]


def chain_tree(vertex: JobVertex) -> str:
    """The chain as a tree in HTML: ``Source: a<br/>+- b<br/>   +- Sink: c<br/>``."""
    children = _children(vertex)
    lines: list[str] = []
    waiting = [(0, "", "")]
    while waiting:
        index, own_prefix, prefix = waiting.pop()
        operator = vertex.operators[index]
        lines.append(f"{own_prefix}{escape(operator.description or operator.name)}<br/>")
        for position, child in enumerate(reversed(children[index])):
            branch, rest = ("+- ", "   ") if position == 0 else (":- ", ":  ")
            waiting.append((child, prefix + branch, prefix + rest))
    return "".join(lines)


def _children(vertex: JobVertex) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in vertex.operators]
    for index, operator in enumerate(vertex.operators):
        if operator.input >= 0:
            children[operator.input].append(index)
    return children
