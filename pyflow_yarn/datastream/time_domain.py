"""Which clock a timer follows."""

from __future__ import annotations

from enum import Enum


class TimeDomain(Enum):
    """Whether a timer fires by event time (watermarks) or by processing time (the machine's clock)."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1
