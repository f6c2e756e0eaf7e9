"""Cyclic garbage collection at batch boundaries only.

The collector's own schedule costs up to three times the run time of a chain that makes tuples per record. Here it is
off; between batches, the youngest generation is collected after many allocations, and everything after a time that
keeps the cost at about one per cent. What exists after the first batches (modules, functions) is frozen.
"""

from __future__ import annotations

import gc
import time

_YOUNG = 100_000
_YOUNG_PER_MIDDLE = 20
_SHARE_OF_FULL = 0.01
_FIRST_FULL_SECONDS = 10.0
_FREEZE_AFTER_STEPS = 16


class GarbageCollector:
    """Decides, between batches, whether to collect."""

    def __init__(self) -> None:
        self._steps = 0
        self._young = 0
        self._next_full = time.monotonic() + _FIRST_FULL_SECONDS

    def start(self) -> None:
        """Take over from the collector's own schedule."""
        gc.disable()

    def between_batches(self) -> None:
        """Called after each step of a task."""
        if self._steps < _FREEZE_AFTER_STEPS:
            self._steps += 1
            if self._steps == _FREEZE_AFTER_STEPS:
                gc.collect()
                gc.freeze()
            return
        if gc.get_count()[0] < _YOUNG:
            return
        self._young += 1
        if self._young % _YOUNG_PER_MIDDLE:
            gc.collect(0)
            return
        now = time.monotonic()
        if now < self._next_full:
            gc.collect(1)
            return
        gc.collect()
        end = time.monotonic()
        self._next_full = end + max(_FIRST_FULL_SECONDS, (end - now) / _SHARE_OF_FULL)

    def stop(self) -> None:
        """Give back to the collector's own schedule."""
        gc.enable()
