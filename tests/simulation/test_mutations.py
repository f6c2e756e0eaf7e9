"""Planted bugs: the simulation notices each rule that is taken out of the protocol."""

from __future__ import annotations

import pytest

from pyflow_runtime.highavailability.epochs import Epochs
from pyflow_runtime.simulation.campaign import first_violation
from pyflow_runtime.simulation.mutations import MUTATIONS

SEEDS = range(300)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_noticed(name: str) -> None:
    violation = first_violation(name, SEEDS)
    assert violation is not None, f"no seed of {SEEDS} notices the loss of the rule: {MUTATIONS[name].rule}"
    told = violation.render()
    assert f"--seed {violation.seed} --verbose --mutation {name}" in told
    assert violation.invariant in told
    assert violation.story


def test_a_mutation_leaves_no_trace() -> None:
    stale = Epochs.__dict__["is_stale"]
    with MUTATIONS["accept-stale-epoch"].applied():
        assert Epochs(5).is_stale(1) is False
    assert Epochs.__dict__["is_stale"] is stale
    assert Epochs(5).is_stale(1) is True


def test_there_are_enough_of_them() -> None:
    assert len(MUTATIONS) >= 8
