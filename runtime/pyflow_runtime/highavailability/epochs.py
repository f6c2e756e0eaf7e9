"""Leader epochs: the fencing token that every message, record and attempt carries.

A leader's epoch is durable before it acts, and greater than any epoch before. Whoever has seen an epoch never obeys a
smaller one.
"""

from __future__ import annotations

ATTEMPTS_PER_EPOCH = 1_000_000


class Epochs:
    """The highest epoch seen so far; it only grows."""

    __slots__ = ("current",)

    def __init__(self, current: int = 0) -> None:
        self.current = current

    def is_stale(self, epoch: int) -> bool:
        """Whether it belongs to a deposed leader."""
        return epoch < self.current

    def is_current(self, epoch: int) -> bool:
        """Whether it belongs to the leader in office, as far as known here."""
        return epoch == self.current

    def advance(self, epoch: int) -> bool:
        """Take note of an epoch that is not stale; True if it is a new one."""
        if epoch <= self.current:
            return False
        self.current = epoch
        return True


def first_attempt(epoch: int) -> int:
    """The number of a subtask's first attempt under a leader: attempts of different leaders never share a number.

    Files, data channels and reports carry attempt numbers but no epochs, and a deposed leader's attempts may outlive
    it.
    """
    return (epoch - 1) * ATTEMPTS_PER_EPOCH
