"""Plans as pictures, against snapshots to be looked at, and what is true of every picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.graph import text_size
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning
from pyflow_yarn.graph.operators import OperatorKind
from pyflow_yarn.graph.svg import job_svg
from tests.unit.graph.plans import PLANS, fifteen, unicode_names, word_count
from tests.unit.graph.test_plan import check

SVG = "{http://www.w3.org/2000/svg}"
CLASS = re.compile(r"\.pyflow-plan \.(\w+)")
FONT_SIZES = {"name": 13.0, "small": 11.0, "strategy": 10.0, "title": 17.0}


@pytest.mark.parametrize("name", PLANS)
def test_pictures(name: str) -> None:
    check(f"{name}.svg", job_svg(PLANS[name]()).removesuffix("\n"))


def test_there_are_fifteen() -> None:
    assert len(fifteen().vertices) == 15


def test_the_picture_says_what_the_plan_says() -> None:
    picture = ElementTree.fromstring(job_svg(word_count()))
    assert picture.findtext(f"{SVG}title") == "Word count"
    assert picture.findtext(f"{SVG}desc") == (
        "Plan of the job: 3 vertices · 4 operators · 5 subtasks."
        " 1: Source: lines, parallelism 1."
        " 2: words, parallelism 2, fed by 1 (REBALANCE)."
        " 3: counts -> Sink: Print to Std. Out, parallelism 2, fed by 2 (HASH)."
    )
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts == [
        "Word count",
        "3 vertices · 4 operators · 5 subtasks",
        "REBALANCE",
        "HASH",
        "parallelism 1",
        "Source: lines",
        "parallelism 2",
        "words",
        "parallelism 2",
        "counts",
        "Sink: Print to Std. Out",
    ]
    labelled = str(picture.get("aria-labelledby")).split()
    assert labelled == [child.get("id") for child in picture[:2]]


def test_nothing_is_loaded_and_nothing_runs() -> None:
    picture = job_svg(fifteen())
    assert picture.count("://") == 1  # the name space
    assert not re.search(r"<script|<image|<use|href|url\(|@import|@font-face|\bon\w+=", picture)


def test_what_has_a_colour_has_one_for_the_dark_too() -> None:
    style = job_svg(word_count()).partition("<style>")[2].partition("</style>")[0]
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    coloured = {name for line in light.splitlines() if "#" in line for name in CLASS.findall(line)}
    assert coloured == set(CLASS.findall(dark))
    assert set(re.findall(r"<\w+ class=\"(\w+)\"", job_svg(fifteen()))) <= coloured


def test_names_are_only_text() -> None:
    picture = ElementTree.fromstring(job_svg(unicode_names()))
    names = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names[3:5] == ["Sink: <b>&amp; ]]> ��[31m", "��turned round"]
    assert "Sink: 👩‍👩‍👧 családi 🎉" in names


def test_a_job_without_edges_or_operators_to_speak_of() -> None:
    empty = JobGraph(job_id="a" * 32, name="", vertices=[], edges=[])
    assert "0 vertices · 0 operators · 0 subtasks" in job_svg(empty)


@st.composite
def jobs(draw: st.DrawFn) -> JobGraph:
    """Any job, with names of any characters."""
    names = st.text(st.characters(), max_size=120)
    vertices: list[JobVertex] = []
    edges: list[JobEdge] = []
    for number in range(draw(st.integers(1, 6))):
        operators = [
            OperatorNode(
                id=f"{number}.{index}",
                name=draw(names),
                kind=draw(st.sampled_from(list(OperatorKind))),
                definition=b"",
                input=draw(st.integers(0, index - 1)) if index else -1,
                declared_at=draw(st.sampled_from(["", "job <1>.py:3"])),
            )
            for index in range(draw(st.integers(1, 4)))
        ]
        vertices.append(
            JobVertex(
                id=str(number),
                name="",
                parallelism=draw(st.integers(1, 1000)),
                max_parallelism=1000,
                operators=operators,
                slot_sharing_group=draw(st.just("default") | names),
            )
        )
        for source in draw(st.lists(st.sampled_from(vertices[:-1]), max_size=3)) if number else ():
            edges.append(
                JobEdge(
                    id=len(edges),
                    source=source.id,
                    source_operator=draw(st.integers(0, len(source.operators) - 1)),
                    target=str(number),
                    partitioning=draw(st.sampled_from(list(Partitioning))),
                    partitioner=b"",
                )
            )
    return JobGraph(job_id="a" * 32, name=draw(names), vertices=vertices, edges=edges)


@given(jobs())
def test_any_job_can_be_drawn(job: JobGraph) -> None:
    text = job_svg(job)
    assert text.encode() and text == job_svg(msgspec.structs.replace(job, job_id="b" * 32))
    picture = ElementTree.fromstring(text)
    width, height = float(str(picture.get("width"))), float(str(picture.get("height")))

    def count(tag: str, name: str) -> int:
        return sum(each.get("class") == name for each in picture.iter(f"{SVG}{tag}"))

    operators = [operator for vertex in job.vertices for operator in vertex.operators]
    assert count("rect", "box") == len(job.vertices)
    assert count("circle", "sink") + count("circle", "source") + count("circle", "operator") == len(operators)
    assert count("path", "chain") == sum(operator.input >= 0 for operator in operators)
    assert count("path", "edge") == count("path", "arrow") == count("text", "strategy") == len(job.edges)
    for group in picture.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect[@class='box']")
        if box is None:
            continue
        for line in group.iter(f"{SVG}text"):
            size = text_size.width(line.text or "", FONT_SIZES[str(line.get("class"))])
            assert float(str(line.get("x"))) + size <= float(str(box.get("width")))
            assert 0 < float(str(line.get("y"))) < float(str(box.get("height")))
    for line in picture.iter(f"{SVG}text"):
        if line.get("class") == "title":
            assert text_size.width(line.text or "", 17.0, bold=True) <= width
    assert height > 0
