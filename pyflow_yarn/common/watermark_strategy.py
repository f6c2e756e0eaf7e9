"""How records get their event time, and when watermarks follow."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from pyflow_yarn.common.time import Duration

__all__ = ["TimestampAssigner", "WatermarkAlignment", "WatermarkStrategy"]


class TimestampAssigner(ABC):
    """Gives each record its event time."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Milliseconds since 1970; ``record_timestamp`` is what the record had before, negative if nothing."""


@dataclass(frozen=True)
class WatermarkAlignment:
    """Sources of one ``group`` keep within ``max_drift`` of each other; times in milliseconds."""

    group: str
    max_drift: int
    update_interval: int


class WatermarkStrategy:
    """Where event time comes from.

    ``max_out_of_orderness`` (milliseconds) is None when there are no watermarks; ``idle_timeout`` likewise None or
    milliseconds.
    """

    def __init__(self, max_out_of_orderness: int | None = None) -> None:
        self.max_out_of_orderness = max_out_of_orderness
        self.timestamp_assigner: TimestampAssigner | None = None
        self.idle_timeout: int | None = None
        self.alignment: WatermarkAlignment | None = None

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Event times never decrease: watermarks follow the latest one closely."""
        return WatermarkStrategy(0)

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """Records come at most so much too late: watermarks stay that far behind the latest event time."""
        return WatermarkStrategy(max_out_of_orderness.to_millis())

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """No watermarks at all."""
        return WatermarkStrategy()

    def with_timestamp_assigner(self, timestamp_assigner: TimestampAssigner) -> WatermarkStrategy:
        """Take event times from this assigner. Changes the strategy itself, as PyFlink does."""
        self.timestamp_assigner = timestamp_assigner
        return self

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """A strategy for which a source without records for so long no longer holds watermarks back."""
        if idle_timeout.to_millis() <= 0:
            raise ValueError("The idle timeout must be longer than 0 ms.")
        changed = copy.copy(self)
        changed.idle_timeout = idle_timeout.to_millis()
        return changed

    def with_watermark_alignment(
        self, watermark_group: str, max_allowed_watermark_drift: Duration, update_interval: Duration | None = None
    ) -> WatermarkStrategy:
        """A strategy whose sources pause when they run ahead of others of the group."""
        changed = copy.copy(self)
        changed.alignment = WatermarkAlignment(
            watermark_group,
            max_allowed_watermark_drift.to_millis(),
            1000 if update_interval is None else update_interval.to_millis(),
        )
        return changed
