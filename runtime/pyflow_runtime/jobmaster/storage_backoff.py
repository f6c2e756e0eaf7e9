"""When to ask a JobStore again that could not do what it should."""

from __future__ import annotations

FIRST_PAUSE = 500
LONGEST_PAUSE = 10_000


class StorageBackoff:
    """Pauses that double, up to a limit."""

    __slots__ = ("_pause",)

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def next(self, now: int) -> int:
        """The time of the next try."""
        at = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return at
