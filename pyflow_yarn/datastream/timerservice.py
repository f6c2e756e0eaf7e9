"""What functions see of time."""

from __future__ import annotations

from abc import ABC, abstractmethod


class TimerService(ABC):
    """Time and timers of the current key. Times are epoch milliseconds; a timer fires once per key and time."""

    @abstractmethod
    def current_processing_time(self) -> int:
        """The clock of the machine."""

    @abstractmethod
    def current_watermark(self) -> int:
        """The watermark that has arrived last."""

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` when processing time passes ``timestamp``."""

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` when the watermark passes ``timestamp``."""

    @abstractmethod
    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Forget that processing-time timer; nothing happens if there is none."""

    @abstractmethod
    def delete_event_time_timer(self, timestamp: int) -> None:
        """Forget that event-time timer; nothing happens if there is none."""
