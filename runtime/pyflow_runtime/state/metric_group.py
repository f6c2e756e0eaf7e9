"""The metrics that functions register. They are kept in memory of the worker."""

from __future__ import annotations

import time
from collections.abc import Callable


class Counter:
    """Counts."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        """Add ``n``."""
        self._count += n

    def dec(self, n: int = 1) -> None:
        """Subtract ``n``."""
        self._count -= n

    def get_count(self) -> int:
        """The count."""
        return self._count


class Distribution:
    """Count, sum, minimum and maximum of integers."""

    __slots__ = ("count", "maximum", "minimum", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.minimum = 0
        self.maximum = 0

    def update(self, value: int) -> None:
        """Take one more value."""
        self.minimum = min(self.minimum, value) if self.count else value
        self.maximum = max(self.maximum, value) if self.count else value
        self.count += 1
        self.sum += value


class Meter:
    """A rate: events per second over the last ``time_span_in_seconds``."""

    __slots__ = ("_count", "_events", "_span")

    def __init__(self, time_span_in_seconds: int = 60) -> None:
        self._span = max(1, time_span_in_seconds)
        self._events: dict[int, int] = {}
        self._count = 0

    def mark_event(self, value: int = 1) -> None:
        """``value`` events happened now."""
        second = int(time.monotonic())
        self._count += value
        self._events[second] = self._events.get(second, 0) + value
        if len(self._events) > 2 * self._span:
            self._forget(second)

    def get_count(self) -> int:
        """All events so far."""
        return self._count

    def get_rate(self) -> float:
        """Events per second."""
        self._forget(int(time.monotonic()))
        return sum(self._events.values()) / self._span

    def _forget(self, now: int) -> None:
        self._events = {second: count for second, count in self._events.items() if second > now - self._span}


class MetricGroup:
    """A named group of metrics; the same name gives the same metric."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        self.scope = scope
        self.counters: dict[str, Counter] = {}
        self.gauges: dict[str, Callable[[], int]] = {}
        self.meters: dict[str, Meter] = {}
        self.distributions: dict[str, Distribution] = {}
        self.groups: dict[str, MetricGroup] = {}

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        """A group inside this one; with ``extra`` a key-value pair of groups."""
        group = self.groups.setdefault(name, MetricGroup((*self.scope, name)))
        return group if extra is None else group.add_group(extra)

    def counter(self, name: str) -> Counter:
        """A counter."""
        return self.counters.setdefault(name, Counter())

    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        """A value that is asked for."""
        self.gauges[name] = obj

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        """A rate."""
        return self.meters.setdefault(name, Meter(time_span_in_seconds))

    def distribution(self, name: str) -> Distribution:
        """A distribution."""
        return self.distributions.setdefault(name, Distribution())
