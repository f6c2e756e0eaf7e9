"""The story of a machine: its last events, told when it is asked for a move that it does not have."""

from __future__ import annotations

from collections import deque

from pyflow_yarn.errors import IllegalTransitionError

STORY_LENGTH = 40


class Story:
    """A bounded ring of what happened lately."""

    __slots__ = ("_about", "_events")

    def __init__(self, about: str) -> None:
        self._about = about
        self._events: deque[tuple[int, str, object]] = deque(maxlen=STORY_LENGTH)

    def add(self, now: int, what: str, detail: object = "") -> None:
        """Remember an event; ``detail`` is turned into text only if the story is told."""
        self._events.append((now, what, detail))

    def tell(self) -> str:
        """The events, oldest first, one a line."""
        return "\n".join(f"  {now} {what} {detail}".rstrip() for now, what, detail in self._events)

    def illegal(self, subject: object, state: str, wanted: str) -> IllegalTransitionError:
        """The error for a move that is not in the table, with the story that led to it."""
        return IllegalTransitionError(f"{self._about}: {subject} cannot go from {state} to {wanted}.\n{self.tell()}")
