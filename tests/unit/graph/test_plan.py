"""Plans as JSON, against snapshots."""

from __future__ import annotations

import json
from pathlib import Path

from pyflow_yarn.graph.generator import job_graph
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.plan import job_plan, stream_plan
from pyflow_yarn.graph.stream_graph import StreamGraph, stream_graph
from tests.unit.graph.graphs import Builder

SNAPSHOTS = Path(__file__).parent / "snapshots"


def program() -> StreamGraph:
    builder = Builder()
    lines = builder.source("lines <1>")
    words = builder.map(lines, "words", description="splits lines & more")
    counts = builder.map(builder.partition(words, Partitioning.HASH, key_selector=len), "counts")
    builder.print(counts, "counts")
    rejects = builder.source("rejects", parallelism=1)
    builder.print(builder.union(lines, rejects), "all")
    builder.print(words, "audit")
    return stream_graph(builder.pipeline(parallelism=2))


def check(name: str, text: str) -> None:
    """Compare with the snapshot of that name; a missing one is a failure, and is written to be looked at."""
    file = SNAPSHOTS / name
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
        raise AssertionError(f"{file} was missing and has been written")
    assert file.read_text(encoding="utf-8") == text + "\n"


def test_the_plan_of_a_stream_graph() -> None:
    check("stream_plan.json", stream_plan(program()))


def test_the_plan_of_a_job_graph() -> None:
    graph = job_graph(program(), job_id="a" * 32, name="plans")
    check("job_plan.json", json.dumps(job_plan(graph), indent=2))
    assert json.loads(graph.plan) == job_plan(graph)


def test_descriptions_on_one_line() -> None:
    graph = job_graph(
        program(), job_id="a" * 32, name="plans", configuration={"pipeline.vertex-description-mode": "CASCADING"}
    )
    description = job_plan(graph)["nodes"][-1]["description"]
    assert description == "Source: lines &lt;1&gt; -> splits lines &amp; more -> Sink: audit"
