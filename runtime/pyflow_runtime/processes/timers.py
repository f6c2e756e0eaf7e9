"""Timers by key, on the heap of the event loop; used by every shell around a machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def now() -> int:
    """Epoch milliseconds."""
    return int(time.time() * 1000)


class Timers:
    """One timer per key; ``fired(key)`` is called when it is due."""

    def __init__(self, fired: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fired = fired
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def set(self, key: str, at: int) -> None:
        """Fire at that time (epoch milliseconds) instead of when it was set to before."""
        self.cancel(key)
        self._handles[key] = self._loop.call_later(max(0, at - now()) / 1000, self._due, key)

    def cancel(self, key: str) -> None:
        """Do not fire."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def clear(self) -> None:
        """Cancel all."""
        for key in list(self._handles):
            self.cancel(key)

    def _due(self, key: str) -> None:
        del self._handles[key]
        self._fired(key)
