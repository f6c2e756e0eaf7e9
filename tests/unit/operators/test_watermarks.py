"""Combining and making watermarks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.operators.operator import MAX_WATERMARK, MIN_TIMESTAMP
from pyflow_runtime.operators.watermarks import WatermarkGenerator, WatermarkValve
from pyflow_yarn.common.time import Duration
from pyflow_yarn.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflow_yarn.errors import NotYetSupportedError


def test_the_least_channel_counts() -> None:
    valve = WatermarkValve(2)
    assert valve.watermark(0, 10) is None
    assert valve.watermark(1, 5) == 5
    assert valve.watermark(1, 20) == 10
    assert valve.watermark(1, 15) is None


def test_idle_channels_do_not_count() -> None:
    valve = WatermarkValve(2)
    valve.watermark(0, 10)
    assert valve.status(1, True) == 10
    assert (valve.idle, valve.status(0, True)) == (False, None)
    assert (valve.idle, valve.status(1, False)) == (True, None)
    assert valve.idle is False
    assert valve.watermark(1, 12) == 12
    assert valve.status(0, False) is None  # it is behind, but time does not go back


def test_ended_channels() -> None:
    valve = WatermarkValve(2)
    valve.watermark(0, 3)
    assert valve.end(1) == 3
    assert (valve.ended, valve.status(0, True)) == (False, None)  # it may come back: not the end of time
    assert (valve.idle, valve.end(0)) == (True, MAX_WATERMARK)
    assert (valve.ended, valve.idle) == (True, False)


_EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 100), st.booleans(), st.just("end"))), max_size=40
)


@given(_EVENTS)
def test_time_only_advances_and_never_beyond_an_active_channel(events: list[tuple[int, Any]]) -> None:
    valve = WatermarkValve(3)
    latest, idle, ended = [MIN_TIMESTAMP] * 3, [False] * 3, [False] * 3
    current = MIN_TIMESTAMP
    for channel, event in events:
        if ended[channel]:
            continue
        if event == "end":
            ended[channel], latest[channel], idle[channel] = True, MAX_WATERMARK, False
            result = valve.end(channel)
        elif isinstance(event, bool):
            idle[channel] = event
            result = valve.status(channel, event)
        else:
            latest[channel] = max(latest[channel], event)
            result = valve.watermark(channel, event)
        if result is not None:
            assert result > current
            current = result
            assert all(result <= latest[other] or idle[other] for other in range(3))
    assert valve.ended == all(ended)


class _Second(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


def test_bounded_out_of_orderness() -> None:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(5))
    generator = WatermarkGenerator.for_strategy(strategy.with_timestamp_assigner(_Second()), 200, 1000)
    assert generator is not None
    assert generator.due(1200) is None
    assert generator.stamp([("a", 10), ("b", 30), ("c", 20)], 1250) == [10, 30, 20]
    assert generator.due(1300) is None
    assert generator.due(1400) == 24
    assert generator.due(1700) is None
    generator.stamp([("d", 1)], 1800)
    assert generator.due(2000) is None


def test_idleness() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_Second())
    generator = WatermarkGenerator.for_strategy(strategy.with_idleness(Duration.of_seconds(1)), 200, 0)
    assert generator is not None
    assert not generator.idleness_changed(999)
    assert generator.idleness_changed(1000) and generator.idle
    generator.stamp([("a", 1)], 1500)
    assert generator.idleness_changed(1500) and not generator.idle


def test_strategies_without_anything_to_do() -> None:
    assert WatermarkGenerator.for_strategy(None, 200, 0) is None
    assert WatermarkGenerator.for_strategy(WatermarkStrategy.no_watermarks(), 200, 0) is None
    aligned = WatermarkStrategy.for_monotonous_timestamps().with_watermark_alignment("g", Duration.of_millis(1))
    with pytest.raises(NotYetSupportedError):
        WatermarkGenerator.for_strategy(aligned, 200, 0)
