"""A promise that was broken."""

from __future__ import annotations


class InvariantViolated(Exception):
    """Raised where it is noticed; ends the schedule."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail
