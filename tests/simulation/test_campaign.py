"""Campaigns: resumable, in several processes, and a violation comes with the command that replays it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyflow_runtime.simulation.__main__ import main
from pyflow_runtime.simulation.campaign import Campaign


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    record = tmp_path / "done"
    campaign = Campaign(range(0, 300), record=record)
    steps = campaign.run()
    block, figures = next(steps)
    assert (block, figures.schedules) == (range(100), 100)
    steps = Campaign(range(0, 300), record=record).run()
    assert [block.start for block, _ in steps] == [100, 200]
    assert list(Campaign(range(0, 300), record=record).run()) == []


def test_blocks_with_a_violation_are_run_again(tmp_path: Path) -> None:
    record = tmp_path / "done"
    campaign = Campaign(range(0, 10), "commit-before-all-finished", record=record)
    ((_, figures),) = campaign.run()
    assert figures.violations
    assert not record.exists()


def test_the_command_line_runs_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0..10"]) == 0
    assert "10 schedules, 0 violations" in capsys.readouterr().out


def test_the_command_line_tells_a_violation_and_how_to_replay_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0..50", "--mutation", "commit-before-all-finished"]) == 1
    told = capsys.readouterr().out
    violated = re.search(r"^seed (\d+) violates: exactly once$", told, re.MULTILINE)
    assert violated is not None
    command = f"pyflow_runtime.simulation --seed {violated[1]} --verbose --mutation commit-before-all-finished"
    assert command in told
    assert main(command.split()[1:]) == 1
    replayed = capsys.readouterr().out
    assert "t1#1 Started()" in replayed
    assert violated[0] in replayed


def test_the_command_line_lists_what_can_be_planted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mutations"]) == 0
    assert "accept-stale-epoch" in capsys.readouterr().out


def test_a_range_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--seeds", "10"])
    assert "write FIRST..END" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_come_to_the_same_figures() -> None:
    def total(processes: int) -> list[tuple[int, int]]:
        done = Campaign(range(0, 200), processes=processes).run()
        return sorted((block.start, figures.events) for block, figures in done)

    assert total(2) == total(1)
