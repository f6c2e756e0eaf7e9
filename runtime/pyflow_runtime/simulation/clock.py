"""Virtual time: what happens next happens at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Action = Callable[..., None]


class Clock:
    """Runs actions in the order of their times, and of their arrival where times are equal."""

    __slots__ = ("_number", "_queue", "events", "now")

    def __init__(self) -> None:
        self.now = 0
        self.events = 0
        self._number = 0
        self._queue: list[tuple[int, int, Action, tuple[Any, ...]]] = []

    def after(self, delay: int, action: Action, *arguments: Any) -> None:
        """Run ``action`` so many milliseconds from now."""
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay, self._number, action, arguments))

    def run_until(self, end: int) -> None:
        """Everything due up to ``end``."""
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, action, arguments = heapq.heappop(queue)
            self.events += 1
            action(*arguments)
        self.now = end


class Timers:
    """Named timers of one process: setting one again replaces it."""

    __slots__ = ("_clock", "_fire", "_tokens")

    def __init__(self, clock: Clock, fire: Callable[[str], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._tokens: dict[str, int] = {}

    def set(self, key: str, at: int) -> None:
        """Fire at that time."""
        token = self._tokens.get(key, 0) + 1
        self._tokens[key] = token
        self._clock.after(max(0, at - self._clock.now), self._due, key, token)

    def cancel(self, key: str) -> None:
        """Do not fire."""
        if key in self._tokens:
            self._tokens[key] += 1

    def _due(self, key: str, token: int) -> None:
        if self._tokens[key] == token:
            self._fire(key)
