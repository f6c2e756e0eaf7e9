"""The JobGraph: what a client submits and a JobMaster runs.

A JobGraph is data. User functions travel inside ``OperatorNode.definition`` and ``JobEdge.partitioner`` as
cloudpickle bytes, which the JobManager passes on and never reads. The msgpack encoding of these
structs goes over the wire and into the JobStore: a change of meaning raises ``FORMAT_VERSION``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

FORMAT_VERSION = 1


class Partitioning(StrEnum):
    """How an edge spreads the records of one subtask over the subtasks of the next vertex."""

    FORWARD = "FORWARD"
    REBALANCE = "REBALANCE"
    RESCALE = "RESCALE"
    SHUFFLE = "SHUFFLE"
    BROADCAST = "BROADCAST"
    GLOBAL = "GLOBAL"
    HASH = "HASH"
    CUSTOM = "CUSTOM"

    @property
    def pointwise(self) -> bool:
        """Whether a subtask is connected with some subtasks of the next vertex instead of all."""
        return self in (Partitioning.FORWARD, Partitioning.RESCALE)


class ArtifactKind(StrEnum):
    """What a blob shipped with a job is for."""

    PYTHON_FILE = "python_file"
    ARCHIVE = "archive"
    CACHED_FILE = "cached_file"
    REQUIREMENTS = "requirements"
    SOURCES = "sources"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that travels with the job: ``blob`` is the hexadecimal sha256 of its content.

    ``name`` is the file's own name (for ``CACHED_FILE`` the registered name); ``target`` is the
    directory an archive is unpacked into. ``directory`` tells that the content is a zip of a directory
    that the receiver unpacks. ``SOURCES`` is a msgpack map of file name to source text, used for tracebacks.
    """

    kind: ArtifactKind
    name: str
    blob: str
    size: int
    target: str = ""
    directory: bool = False


class OperatorNode(msgspec.Struct, frozen=True, kw_only=True):
    """One operator of a chain.

    ``id``: 32 hexadecimal digits. ``input``: index in the vertex's ``operators`` of the operator that feeds it,
    -1 for the head; ``input_tag``: the side output of that operator which feeds it, "" for the main one.
    ``definition``: cloudpickle of a class of ``pyflow_yarn.graph.operators``. ``declared_at``: ``job.py:9``, where the
    user's program created it. ``coordinated``: it has a counterpart (split
    enumerator, committer) in the job's coordinator process.
    """

    id: str
    name: str
    kind: str
    definition: bytes
    input: int = -1
    input_tag: str = ""
    uid: str = ""
    description: str = ""
    declared_at: str = ""
    coordinated: bool = False


class JobVertex(msgspec.Struct, frozen=True, kw_only=True):
    """A chain of operators that runs as ``parallelism`` subtasks. ``id`` is the id of the chain's head."""

    id: str
    name: str
    parallelism: int
    max_parallelism: int
    operators: list[OperatorNode]
    slot_sharing_group: str = "default"


class JobEdge(msgspec.Struct, frozen=True, kw_only=True):
    """Records of ``source_operator`` (an index in the source vertex's chain) flow to the target's head.

    ``id`` counts from 0 and is the edge's index in ``JobGraph.edges``. ``target_input`` is 0 except for
    the second input of a two-input operator. ``partitioner`` is cloudpickle of a
    ``pyflow_yarn.graph.operators.EdgeDefinition`` (key selector, custom partitioner, declared type).
    ``buffer_timeout`` is milliseconds: -1 flushes full buffers only, 0 flushes after each record.
    ``max_parallelism`` is the target's: the number of key groups that HASH spreads over its subtasks. ``tag``: the side
    output of the source operator whose records these are, "" for the main one.
    """

    id: int
    source: str
    source_operator: int
    target: str
    partitioning: Partitioning
    partitioner: bytes
    target_input: int = 0
    max_parallelism: int = 128
    buffer_timeout: int = 100
    blocking: bool = False
    tag: str = ""


class JobGraph(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is submitted; ``vertices`` are in topological order.

    ``configuration`` is the job's effective configuration (string to string). ``python_executable`` is the
    interpreter of its workers and its coordinator ("" means the cluster's own). ``plan`` is the text of Flink's JSON
    plan.
    """

    job_id: str
    name: str
    vertices: list[JobVertex]
    edges: list[JobEdge]
    configuration: dict[str, str] = {}
    job_parameters: dict[str, str] = {}
    artifacts: list[Artifact] = []
    python_executable: str = ""
    plan: str = ""
    job_type: str = "STREAMING"
    format_version: int = FORMAT_VERSION

    def vertex(self, vertex_id: str) -> JobVertex:
        """The vertex of that id; ``KeyError`` if there is none."""
        for vertex in self.vertices:
            if vertex.id == vertex_id:
                return vertex
        raise KeyError(vertex_id)

    def inputs(self, vertex_id: str) -> list[JobEdge]:
        """The edges into a vertex, by id."""
        return [edge for edge in self.edges if edge.target == vertex_id]

    def outputs(self, vertex_id: str) -> list[JobEdge]:
        """The edges out of a vertex, by id."""
        return [edge for edge in self.edges if edge.source == vertex_id]

    @property
    def coordinated(self) -> bool:
        """Whether the job needs a coordinator process."""
        return any(operator.coordinated for vertex in self.vertices for operator in vertex.operators)
