"""StreamGraph → JobGraph, by examples and by chance."""

from __future__ import annotations

import cloudpickle
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.generator import job_graph
from pyflow_yarn.graph.job_graph import JobGraph, Partitioning
from pyflow_yarn.graph.operators import EdgeDefinition, MapOperator, OperatorKind
from pyflow_yarn.graph.stream_graph import StreamGraph, stream_graph
from pyflow_yarn.graph.transformations import ChainingStrategy
from tests.unit.graph.graphs import Builder

JOB_ID = "0123456789abcdef0123456789abcdef"


def generate(builder: Builder, **settings: object) -> JobGraph:
    return job_graph(stream_graph(builder.pipeline(**settings)), job_id=JOB_ID, name="job")


def test_edges_leave_from_the_operator_that_feeds_them() -> None:
    builder = Builder()
    mapped = builder.map(builder.source(), "a")
    builder.print(mapped, "b")
    builder.print(builder.partition(mapped, Partitioning.HASH, key_selector=len, key_type="text"), "c")
    graph = generate(builder)
    first, second = graph.vertices
    [edge] = graph.edges
    assert (edge.source, edge.source_operator, edge.target) == (first.id, 1, second.id)
    definition = cloudpickle.loads(edge.partitioner)
    assert definition == EdgeDefinition(key_selector=len, key_type="text")
    assert graph.inputs(second.id) == graph.outputs(first.id) == [edge]


def test_operators_carry_what_the_program_said() -> None:
    builder = Builder()
    builder.print(builder.map(builder.source(), "a", uid="u", description="does it", parallelism=2, max_parallelism=9))
    graph = generate(builder)
    operator = graph.vertices[1].operators[0]
    assert (operator.name, operator.kind, operator.uid, operator.description, operator.declared_at, operator.input) == (
        "a",
        OperatorKind.MAP,
        "u",
        "does it",
        "job.py:2",
        -1,
    )
    assert cloudpickle.loads(operator.definition) == MapOperator(len)
    assert (graph.vertices[1].parallelism, graph.vertices[1].max_parallelism) == (2, 9)


def test_buffer_timeout_of_the_operator_wins() -> None:
    builder = Builder()
    slow, fast = builder.source(), builder.source(buffer_timeout=0)
    builder.print(builder.union(slow, fast))
    assert [edge.buffer_timeout for edge in generate(builder, buffer_timeout=250).edges] == [250, 0]


def test_job_ids_are_checked() -> None:
    builder = Builder()
    builder.print(builder.source())
    with pytest.raises(UserError, match="'xyz' is not a job id"):
        job_graph(stream_graph(builder.pipeline()), job_id="xyz", name="job")


def test_a_uid_hash_inside_a_chain_is_refused() -> None:
    builder = Builder()
    builder.print(builder.map(builder.source(), "a", uid_hash="f" * 32))
    with pytest.raises(UserError, match="Cannot assign user-specified hash to intermediate node in chain: 'a'"):
        generate(builder)
    assert generate(builder, chaining=False).vertices[1].id == "f" * 32


def test_vertices_can_be_numbered() -> None:
    builder = Builder()
    builder.print(builder.source())
    graph = job_graph(
        stream_graph(builder.pipeline(chaining=False)),
        job_id=JOB_ID,
        name="job",
        configuration={"pipeline.vertex-name-include-index-prefix": "true"},
    )
    assert [vertex.name for vertex in graph.vertices] == ["[vertex-0]Source: in", "[vertex-1]Sink: out"]


def test_a_long_chain_is_no_problem() -> None:
    builder = Builder()
    stream = builder.source()
    for _ in range(1500):
        stream = builder.map(stream)
    builder.print(stream)
    [vertex] = generate(builder).vertices
    assert len(vertex.operators) == 1502


@st.composite
def programs(draw: st.DrawFn) -> StreamGraph:
    """Programs of any shape."""
    builder = Builder()
    streams = [builder.source(parallelism=draw(st.sampled_from([None, 1, 2])))]
    for _ in range(draw(st.integers(1, 12))):
        upstream = draw(st.sampled_from(streams))
        settings = {
            "parallelism": draw(st.sampled_from([None, None, 1, 3])),
            "chaining": draw(st.sampled_from(ChainingStrategy)),
            "slot_sharing_group": draw(st.sampled_from([None, None, "x"])),
        }
        match draw(st.sampled_from(["source", "map", "map", "filter", "print", "partition", "union"])):
            case "source":
                streams.append(builder.source(parallelism=settings["parallelism"]))
            case "map":
                streams.append(builder.map(upstream, **settings))
            case "filter":
                streams.append(builder.operator(OperatorKind.FILTER, (upstream,), "Filter", **settings))
            case "print":
                builder.print(upstream, **settings)
            case "partition":
                kinds = sorted(set(Partitioning) - {Partitioning.FORWARD})
                streams.append(builder.partition(upstream, draw(st.sampled_from(kinds))))
            case "union":
                streams.append(builder.union(upstream, draw(st.sampled_from(streams))))
    builder.print(streams[-1])
    return stream_graph(builder.pipeline(parallelism=draw(st.sampled_from([1, 2])), chaining=draw(st.booleans())))


@settings(deadline=None)
@given(programs())
def test_every_program_becomes_a_consistent_job(program: StreamGraph) -> None:
    graph = job_graph(program, job_id=JOB_ID, name="job")
    operators = [operator for vertex in graph.vertices for operator in vertex.operators]
    assert sorted(operator.declared_at for operator in operators) == sorted(node.declared_at for node in program.nodes)
    assert len({operator.id for operator in operators}) == len(operators)

    place = {vertex.id: number for number, vertex in enumerate(graph.vertices)}
    assert [edge.id for edge in graph.edges] == list(range(len(graph.edges)))
    for edge in graph.edges:
        assert place[edge.source] < place[edge.target], "vertices are in topological order"
        assert 0 <= edge.source_operator < len(graph.vertex(edge.source).operators)
        if edge.partitioning is Partitioning.FORWARD:
            assert graph.vertex(edge.source).parallelism == graph.vertex(edge.target).parallelism
    fused = sum(operator.input >= 0 for operator in operators)
    assert fused + len(graph.edges) == len(program.edges), "every edge is inside a chain or between two"

    for vertex in graph.vertices:
        assert vertex.id == vertex.operators[0].id
        assert all(operator.input < index for index, operator in enumerate(vertex.operators))
        nodes = [node for node in program.nodes if node.declared_at in {each.declared_at for each in vertex.operators}]
        assert {node.parallelism for node in nodes} == {vertex.parallelism}
        assert {node.slot_sharing_group for node in nodes} == {vertex.slot_sharing_group}
        assert vertex.parallelism <= vertex.max_parallelism
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(graph), type=JobGraph) == graph
