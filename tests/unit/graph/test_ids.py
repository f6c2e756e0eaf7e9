"""Operator ids are Flink's, and stay what they are: state is found by them."""

from __future__ import annotations

import pytest

from pyflow_yarn.errors import UserError
from pyflow_yarn.graph.ids import id_of_uid, operator_ids
from pyflow_yarn.graph.stream_graph import stream_graph
from tests.unit.graph.graphs import Builder

FLINKS_FIRST_SOURCE = "bc764cd8ddf7a0cff126f51c16239658"
"""What Flink calls a source that comes first and is chained to nothing: it stands in countless logs."""


FLINKS_CHAINED_SOURCE = "cbc357ccb763df2852fee8c4fc7d55f2"
"""The same with one chained output."""


def test_generated_ids_are_flinks() -> None:
    builder = Builder()
    builder.print(builder.source())
    assert operator_ids(stream_graph(builder.pipeline(chaining=False)))[1] == FLINKS_FIRST_SOURCE
    assert operator_ids(stream_graph(builder.pipeline()))[1] == FLINKS_CHAINED_SOURCE


def test_golden_ids() -> None:
    builder = Builder()
    source = builder.source()
    mapped = builder.map(source)
    builder.print(mapped)
    builder.print(builder.map(source, uid="second"))
    assert operator_ids(stream_graph(builder.pipeline())) == GOLDEN
    assert id_of_uid("second") == GOLDEN[4]


def test_ids_do_not_depend_on_names_and_parallelism() -> None:
    def ids(name: str, parallelism: int) -> dict[int, str]:
        builder = Builder()
        builder.print(builder.map(builder.source(name), name))
        return operator_ids(stream_graph(builder.pipeline(parallelism=parallelism)))

    assert ids("a", 1) == ids("b", 7)


def test_a_uid_hash_is_taken_literally() -> None:
    builder = Builder()
    builder.print(builder.source(uid_hash="0123456789abcdef0123456789abcdef"))
    assert operator_ids(stream_graph(builder.pipeline()))[1] == "0123456789abcdef0123456789abcdef"


def test_equal_uids_are_refused() -> None:
    builder = Builder()
    source = builder.source()
    builder.print(builder.map(source, "a", uid="same"))
    builder.print(builder.map(source, "b", uid="same"))
    with pytest.raises(UserError, match=r"'a' \(job.py:2\) and 'b' \(job.py:4\) have the same uid 'same'"):
        operator_ids(stream_graph(builder.pipeline()))


def test_uids_can_be_demanded() -> None:
    builder = Builder()
    builder.print(builder.source("named", uid="one"))
    with pytest.raises(UserError, match=r"no uid or uid hash has been assigned to operator 'Sink: out' \(job.py:2\)"):
        operator_ids(stream_graph(builder.pipeline(auto_generate_uids=False)))


GOLDEN = {
    1: "e3dfc0d7e9ecd8a43f85f0b68ebf3b80",
    2: "7f13e76acd6ff9be99a3757408784a49",
    3: "f856bdad967991d6d1452b389438cb6b",
    4: "6730ef7375fb60f9d9bbdfdfd174d803",
    5: "d7a3007e8c564ff52b3755f71f7da714",
}
