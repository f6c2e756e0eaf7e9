"""``python -m pyflow_runtime.simulation``: run schedules, replay one, or look whether a planted bug is noticed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyflow_runtime.simulation.campaign import Campaign, Figures, run_block, run_seed
from pyflow_runtime.simulation.mutations import MUTATIONS

MOST_TOLD = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m pyflow_runtime.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=range(300), metavar="FIRST..END", help="END is not included")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--verbose", action="store_true", help="with --seed: tell every event")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="remember what is done, and go on from there")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), default="", metavar="NAME", help="plant this bug")
    parser.add_argument("--mutations", action="store_true", help="list the bugs that can be planted")
    parser.add_argument("--json", action="store_true", help="with --seeds: only the figures, for other programs")
    options = parser.parse_args(arguments)
    if options.json:
        figures = run_block(options.seeds.start, options.seeds.stop, options.mutation)
        sys.stdout.buffer.write(msgspec.json.encode(figures))
        return 0
    if options.mutations:
        for mutation in MUTATIONS.values():
            _say(f"{mutation.name:34} without the rule: {mutation.rule}")
        return 0
    started = time.monotonic()
    total = Figures()
    if options.seed is not None:
        total.add(run_seed(options.seed, options.mutation, options.verbose))
        _tell_violations(total)
    else:
        campaign = Campaign(options.seeds, options.mutation, options.processes, options.resume)
        for block, figures in campaign.run():
            _tell_violations(figures)
            total.add(figures)
            if total.schedules % 1000 < len(block):
                _say(f"{total.schedules} schedules, {len(total.violations)} violations, {_since(started)}")
            if len(total.violations) >= MOST_TOLD:
                break
    if total.schedules:
        _say(f"{total.render()}; {_since(started)}")
    else:
        _say("nothing left to do")
    return 1 if total.violations else 0


def _seeds(text: str) -> range:
    first, dots, end = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds: write FIRST..END, such as 0..1000")
    return range(int(first), int(end))


def _tell_violations(figures: Figures) -> None:
    for violation in figures.violations:
        _say(violation.render())


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
