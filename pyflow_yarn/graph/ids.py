"""Operator ids: what ties an operator to its state across submissions. They are Flink's.

With a uid: murmur3-128 of it. Without: a hash of the operator's position in a breadth-first walk from the sources and
of its chained outputs, mixed with the ids of its inputs. The same program gives the same ids, at any parallelism that
does not change what is chained.
"""

from __future__ import annotations

from collections import deque

import mmh3

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.chaining import is_chainable
from pyflow_yarn.graph.stream_graph import StreamGraph, StreamNode

ID_BYTES = 16


def id_of_uid(uid: str) -> str:
    """The operator id that a uid stands for, 32 hexadecimal digits."""
    return bytes(mmh3.hash_bytes(uid.encode())).hex()


def operator_ids(graph: StreamGraph) -> dict[int, str]:
    """The id of every node; ``UserError`` if two come out equal or a demanded uid is missing."""
    generated = _generated_ids(graph)
    ids: dict[int, str] = {}
    owners: dict[str, StreamNode] = {}
    for node in graph.nodes:
        operator_id = node.uid_hash or generated[node.id].hex()
        other = owners.setdefault(operator_id, node)
        if other is not node:
            raise UserError(
                f"Operators '{other.name}' ({other.declared_at}) and '{node.name}' ({node.declared_at}) have the same"
                f" {'uid hash' if node.uid_hash else 'uid'} '{node.uid_hash or node.uid}':"
                " give each a uid that is unique in the job."
            )
        ids[node.id] = operator_id
    return ids


def _generated_ids(graph: StreamGraph) -> dict[int, bytes]:
    hashes: dict[int, bytes] = {}
    waiting = deque(node.id for node in graph.nodes if not graph.inputs(node.id))
    visited = set(waiting)
    while waiting:
        node = graph.node(waiting.popleft())
        if any(edge.source not in hashes for edge in graph.inputs(node.id)):
            visited.discard(node.id)
            continue
        hashes[node.id] = _hash(graph, node, hashes)
        for edge in graph.outputs(node.id):
            if edge.target not in visited:
                visited.add(edge.target)
                waiting.append(edge.target)
    return hashes


def _hash(graph: StreamGraph, node: StreamNode, hashes: dict[int, bytes]) -> bytes:
    if node.uid:
        return bytes(mmh3.hash_bytes(node.uid.encode()))
    if not graph.settings.auto_generate_uids and not node.uid_hash:
        raise UserError(
            "Auto generated UIDs have been disabled, but no uid or uid hash has been assigned to operator"
            f" '{node.name}' ({node.declared_at}): call uid() on it, or set pipeline.auto-generate-uids to true."
        )
    position = len(hashes).to_bytes(4, "little")
    chained_outputs = sum(is_chainable(graph, edge) for edge in graph.outputs(node.id))
    result = bytearray(mmh3.hash_bytes(position * (1 + chained_outputs)))
    for edge in graph.inputs(node.id):
        other = hashes[edge.source]
        for index in range(ID_BYTES):
            result[index] = (result[index] * 37 ^ other[index]) & 0xFF
    return bytes(result)
