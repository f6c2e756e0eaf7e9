"""Windows are not supported yet: importing a name of theirs says so."""

from __future__ import annotations

from pyflow_yarn.errors import NotYetSupportedError

_NAMES = frozenset(
    {
        "ContinuousEventTimeTrigger",
        "ContinuousProcessingTimeTrigger",
        "CountSlidingWindowAssigner",
        "CountTrigger",
        "CountTumblingWindowAssigner",
        "CountWindow",
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


def __getattr__(name: str) -> object:
    if name in _NAMES:
        raise NotYetSupportedError(f"Windows ({name}) are not supported yet.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
