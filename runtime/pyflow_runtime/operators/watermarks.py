"""Event time: watermarks made at sources, and combined where several channels meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflow_runtime.operators.operator import MAX_WATERMARK, MIN_TIMESTAMP
from pyflow_yarn.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflow_yarn.errors import NotYetSupportedError


class WatermarkValve:
    """Combines the watermarks of all input channels of a task.

    The task's watermark is the least of its channels', not counting idle ones. A channel that ended counts as one that
    sent ``MAX_WATERMARK``. When all channels are idle the task is.
    """

    def __init__(self, channels: int) -> None:
        self._watermarks = [MIN_TIMESTAMP] * channels
        self._idle = [False] * channels
        self._ended = [False] * channels
        self._current = MIN_TIMESTAMP
        self.idle = False

    def watermark(self, channel: int, timestamp: int) -> int | None:
        """A channel's watermark has arrived: the task's new one, or None if it stays."""
        if timestamp <= self._watermarks[channel]:
            return None
        self._watermarks[channel] = timestamp
        return None if self._idle[channel] else self._advance()

    def status(self, channel: int, idle: bool) -> int | None:
        """A channel became idle or active: the task's new watermark, or None. ``idle`` may have changed, too."""
        self._idle[channel] = idle
        live = [not ended for ended in self._ended]
        self.idle = any(live) and all(idle for idle, counts in zip(self._idle, live, strict=True) if counts)
        return self._advance()

    def end(self, channel: int) -> int | None:
        """A channel has ended: the task's new watermark, or None."""
        self._ended[channel] = True
        self._watermarks[channel] = MAX_WATERMARK
        return self.status(channel, False)

    @property
    def ended(self) -> bool:
        """Whether every channel has ended."""
        return all(self._ended)

    def _advance(self) -> int | None:
        active = [watermark for watermark, idle in zip(self._watermarks, self._idle, strict=True) if not idle]
        if not active:
            return None
        lowest = min(active)
        # An idle channel may come back with records: the end of the others does not make those late.
        if lowest <= self._current or (lowest == MAX_WATERMARK and any(self._idle)):
            return None
        self._current = lowest
        return lowest


class WatermarkGenerator:
    """Timestamps and watermarks of one source reader; None from ``for_strategy`` means that it makes neither.

    Times of ``due`` are epoch milliseconds of processing time.
    """

    def __init__(self, strategy: WatermarkStrategy, interval: int, now: int) -> None:
        self._assign: TimestampAssigner | None = strategy.timestamp_assigner
        self._lag = strategy.max_out_of_orderness
        self._idle_timeout = strategy.idle_timeout
        self._interval = interval
        self._highest = MIN_TIMESTAMP
        self._emitted = MIN_TIMESTAMP
        self._next = now + interval
        self._last_record = now
        self.idle = False

    @classmethod
    def for_strategy(cls, strategy: WatermarkStrategy | None, interval: int, now: int) -> WatermarkGenerator | None:
        """The generator of a strategy."""
        if strategy is None:
            return None
        if strategy.alignment is not None:
            raise NotYetSupportedError("Watermark alignment is not supported yet: remove with_watermark_alignment.")
        if strategy.timestamp_assigner is None and strategy.max_out_of_orderness is None:
            return None
        return cls(strategy, interval, now)

    def stamp(self, values: Sequence[Any], now: int) -> list[int] | None:
        """The timestamps of a batch of records; None if the strategy assigns none."""
        self._last_record = now
        if self._assign is None:
            return None
        extract = self._assign.extract_timestamp
        times = [extract(value, MIN_TIMESTAMP) for value in values]
        if times:
            self._highest = max(self._highest, max(times))
        return times

    def due(self, now: int) -> int | None:
        """The watermark to send now, if it is time for one and it has advanced."""
        if now < self._next:
            return None
        self._next = now + self._interval
        if self._lag is None or self._highest == MIN_TIMESTAMP:
            return None
        watermark = self._highest - self._lag - 1
        if watermark <= self._emitted:
            return None
        self._emitted = watermark
        return watermark

    def idleness_changed(self, now: int) -> bool:
        """Whether the source has just become idle or active (then ``idle`` tells which)."""
        if self._idle_timeout is None:
            return False
        idle = now - self._last_record >= self._idle_timeout
        if idle == self.idle:
            return False
        self.idle = idle
        return True

    @property
    def next_time(self) -> int:
        """When ``due`` is to be asked again."""
        return self._next
