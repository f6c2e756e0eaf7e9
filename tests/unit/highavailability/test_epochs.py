"""Leader epochs only grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.highavailability.epochs import Epochs, first_attempt


@given(st.lists(st.integers(1, 10)))
def test_the_highest_epoch_counts(seen: list[int]) -> None:
    epochs = Epochs()
    for epoch in seen:
        before = epochs.current
        assert epochs.advance(epoch) == (epoch > before)
        assert epochs.current == max(before, epoch)
    assert epochs.current == max(seen, default=0)
    assert epochs.is_current(epochs.current)
    assert epochs.is_stale(epochs.current - 1)
    assert not epochs.is_stale(epochs.current + 1)


def test_attempts_of_different_leaders_share_no_number() -> None:
    assert [first_attempt(epoch) for epoch in (1, 2, 3)] == [0, 1_000_000, 2_000_000]
