"""Which time a program for 1.x counts by."""

from __future__ import annotations

from enum import Enum


class TimeCharacteristic(Enum):
    """Processing time, ingestion time or event time."""

    ProcessingTime = 0
    IngestionTime = 1
    EventTime = 2
