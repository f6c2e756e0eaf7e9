"""Windows are not supported yet: what is imported from here says so when it is used."""

from __future__ import annotations

from typing import Any

from pyflow_yarn.datastream.not_yet import missing

_NAMES = frozenset(
    {
        "ContinuousEventTimeTrigger",
        "ContinuousProcessingTimeTrigger",
        "CountSlidingWindowAssigner",
        "CountTrigger",
        "CountTumblingWindowAssigner",
        "CountWindow",
        "DynamicEventTimeSessionWindows",
        "DynamicProcessingTimeSessionWindows",
        "EventTimeSessionWindows",
        "EventTimeTrigger",
        "GlobalWindow",
        "GlobalWindows",
        "MergingWindowAssigner",
        "NeverTrigger",
        "ProcessingTimeSessionWindows",
        "ProcessingTimeTrigger",
        "PurgingTrigger",
        "SessionWindowTimeGapExtractor",
        "SlidingEventTimeWindows",
        "SlidingProcessingTimeWindows",
        "TimeWindow",
        "Trigger",
        "TriggerResult",
        "TumblingEventTimeWindows",
        "TumblingProcessingTimeWindows",
        "Window",
        "WindowAssigner",
    }
)


def __getattr__(name: str) -> Any:
    return missing(__name__, name, _NAMES, "Windows ({}) are")
