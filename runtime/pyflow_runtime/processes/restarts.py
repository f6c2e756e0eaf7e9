"""How often a JobManager may die before its supervisor gives up."""

from __future__ import annotations

from collections import deque

DEATHS = 5
WINDOW_SECONDS = 60.0


class RestartLimit:
    """Counts the deaths of one process; no clock of its own."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque(maxlen=DEATHS)

    def died(self, now: float, how: str) -> str:
        """Note a death; "" if it may be started again, else why not."""
        self._deaths.append(now)
        if len(self._deaths) < DEATHS or now - self._deaths[0] >= WINDOW_SECONDS:
            return ""
        return f"The JobManager died {DEATHS} times within {WINDOW_SECONDS:g} s ({how})"
