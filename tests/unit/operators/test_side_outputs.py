"""Records that a process function yields with a tag leave the main output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyflow_runtime.operators.failures import OperatorFailure
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream import KeyedProcessFunction, OutputTag, ProcessFunction
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.graph.operators import KeyedProcessOperator, MapOperator, PrintOperator, ProcessOperator

ODD: OutputTag[int] = OutputTag("odd", Types.INT())
BIG: OutputTag[Row] = OutputTag("big")


class Split(ProcessFunction[int, Any]):
    def process_element(self, value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        if value % 2:
            yield ODD, value
        if value > 100:
            yield BIG, Row(value, "big")
        yield value
        yield (value, ODD)  # a pair, but none that begins with a tag


class Timers(KeyedProcessFunction[int, int, Any]):
    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(value)
        yield ODD, value

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield ODD, -timestamp
        yield timestamp


def pairs(*values: int) -> list[Any]:
    return [each for value in values for each in (value, (value, ODD))]


def test_each_tag_has_its_edge() -> None:
    harness = ChainHarness([ProcessOperator(Split())], [Edge(), Edge(tag="odd"), Edge(tag="big")])
    harness.open().process([1, 2, 101])
    assert harness.output(0) == pairs(1, 2, 101)
    assert harness.output(1) == [1, 101]
    assert harness.output(2) == [Row(101, "big")]


def test_two_take_the_same_tag_in_the_chain_and_out_of_it() -> None:
    chain = [ProcessOperator(Split()), MapOperator(lambda v: -v), PrintOperator("", Types.INT())]
    harness = ChainHarness(
        chain, [Edge(operator=1), Edge(operator=0, tag="odd")], inputs=[-1, 0, 0], tags={1: "odd", 2: "odd"}
    )
    harness.open().process([3, 4, 5])
    assert harness.output(0) == [-3, -5]
    assert harness.output(1) == [3, 5]
    assert harness.text == ["3\n", "5\n"]


def test_timestamps_stay_with_tagged_records() -> None:
    harness = (
        ChainHarness([ProcessOperator(Split())], [Edge(), Edge(tag="odd")]).open().process([1, 2, 3], [10, 20, 30])
    )
    harness.chain.flush()
    assert harness.channels[1][0].times == [10, 30]
    assert harness.channels[0][0].times == [10, 10, 20, 20, 30, 30]


@pytest.mark.parametrize("edges", [[Edge()], [Edge(), Edge(tag="other")]])
def test_records_of_a_tag_that_nobody_takes_are_lost(edges: list[Edge]) -> None:
    harness = ChainHarness([ProcessOperator(Split())], edges).open().process([1, 2])
    assert harness.output(0) == pairs(1, 2)
    assert len(edges) == 1 or harness.output(1) == []


def test_a_main_output_that_nobody_takes() -> None:
    harness = ChainHarness([ProcessOperator(Split())], [Edge(tag="odd")]).open().process([1, 2])
    assert harness.output(0) == [1]


def test_timers_yield_tagged_records_too() -> None:
    chain = [KeyedProcessOperator(Timers(), lambda v: v)]
    harness = ChainHarness(chain, [Edge(), Edge(tag="odd")]).open().process([5, 7], [1, 1]).watermark(6)
    assert (harness.output(0), harness.output(1)) == ([5], [5, 7, -5])


LOOP = """
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_yarn.datastream import ProcessFunction
from pyflow_yarn.graph.operators import ProcessOperator
{imports}
class Program(ProcessFunction):
    def process_element(self, value, ctx):
        yield from {results}
harness = ChainHarness([ProcessOperator(Program())], [Edge()]).open().process([1])
print("OutputTag" in harness.chain.source(), harness.output(0))
"""
TAGS = "from pyflow_yarn.datastream import OutputTag\nODD = OutputTag('odd')\n"
HELPER = "from pyflow_yarn.datastream import OutputTag\ndef helped(value):\n    yield OutputTag('odd'), value\n"


@pytest.mark.parametrize(
    ("imports", "results", "told"),
    [
        ("", "(value,)", "False [1]"),
        ("import tags", "((tags.ODD, value),)", "True []"),
        ("from tags import ODD", "((ODD, value),)", "True []"),
        ("import helper", "helper.helped(value)", "True []"),
        ("import pyflow_yarn.datastream as ds", "((ds.OutputTag('odd'), value),)", "True []"),
    ],
)
def test_a_loop_looks_for_tags_only_where_there_can_be_any(
    tmp_path: Path, imports: str, results: str, told: str
) -> None:
    (tmp_path / "tags.py").write_text(TAGS)
    (tmp_path / "helper.py").write_text(HELPER)
    (tmp_path / "program.py").write_text(LOOP.format(imports=imports, results=results))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(source_roots())}
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (told, "")


def test_a_failure_behind_a_side_output_names_its_operator_and_record() -> None:
    chain = [ProcessOperator(Split()), MapOperator(lambda v: 1 // (v - 3))]
    harness = ChainHarness(chain, inputs=[-1, 0], tags={1: "odd"}).open()
    with pytest.raises(OperatorFailure) as raised:
        harness.process([2, 3])
    assert (raised.value.place.operator, raised.value.place.record) == ("Map", 3)
