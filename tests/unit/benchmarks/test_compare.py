"""What is run against what, with which words, and where an interrupted comparison goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import compare
from lines import line_of
from peers import environments
from peers.report import LATENCIES, OURS, START_UP, Comparison, Sample

SETTINGS: dict[str, Any] = {"runs": 2, "scale": 1.0, "systems": [OURS], "finished": False}


def test_systems_take_turns_and_each_has_the_start_up_that_is_taken_off() -> None:
    steps = [(step[0].name, step[1], step[2]) for step in compare.plan(compare.SYSTEMS, 1.0)]
    assert len(set(steps)) == len(steps)
    for system, workload, parallelism in steps:
        if workload not in LATENCIES:
            assert steps.index((system, START_UP, parallelism)) <= steps.index((system, workload, parallelism))
    assert [step[0] for step in steps if step[1:] == ("word_count", 2)] == [OURS, "bytewax", "pathway"]


def test_the_scale_has_a_floor() -> None:
    steps = compare.plan(compare.SYSTEMS, 0.0)
    assert {step[3] for step in steps if step[1] == "map_chain"} == {1000}


@pytest.mark.parametrize("step", compare.plan(compare.SYSTEMS, 0.01), ids=lambda step: f"{step[0].name}-{step[1]}")
def test_every_program_of_the_plan_exists(step: tuple[compare.System, str, int, int]) -> None:
    system, workload, parallelism, count = step
    command = compare.command_of(system, "python", workload, parallelism, count, "DIR")
    assert all(Path(word).exists() for word in command if word.startswith(str(compare.CHECKOUT)))


def test_a_checksum_is_of_what_the_programs_compute() -> None:
    assert compare.expected("map_chain", 9) == (6, sum(2 * (x + 1) for x in range(9) if (x + 1) % 3))
    assert compare.expected("state_counter", 20_000) == (20_000, 30_000)
    words = [word for k in range(5) for word in line_of(k).split()]
    assert compare.expected("word_count", 5) == (len(set(words)), sum(map(len, words)))


def test_an_unfinished_comparison_of_the_same_settings_is_gone_on_with(tmp_path: Path) -> None:
    path, earlier = compare.results_file(SETTINGS, tmp_path)
    assert earlier is None
    sample = Sample(START_UP, 1, OURS, 0, wall=1.0, cpu=1.0)
    compare.save(path, Comparison(dict(SETTINGS), {sample.key: sample}))
    same, found = compare.results_file(SETTINGS, tmp_path)
    assert same == path
    assert found is not None
    assert list(found.samples) == [sample.key]

    other, found = compare.results_file({**SETTINGS, "runs": 3}, tmp_path)
    assert other.name == f"{path.stem}-2.json"
    assert found is None

    path.write_text(json.dumps(Comparison({**SETTINGS, "finished": True}).as_json()))
    assert compare.results_file(SETTINGS, tmp_path) == (other, None)


def test_a_peer_that_cannot_be_had_is_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(peer: str) -> str:
        raise environments.PeerUnavailableError(f"{peer} is not here.")

    monkeypatch.setattr(compare, "python_of", none)
    failures: dict[str, str] = {}
    assert compare.environments(compare.SYSTEMS, failures) == {}
    assert failures["bytewax"] == "bytewax is not here."
    assert "pathway is not here." in capsys.readouterr().err
