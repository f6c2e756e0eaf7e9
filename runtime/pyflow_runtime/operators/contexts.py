"""What process functions are given as ``ctx``: timestamp, current key, timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyflow_runtime.operators.operator import MIN_TIMESTAMP
from pyflow_runtime.state.backend import CurrentKey
from pyflow_runtime.state.timers import TimerQueue
from pyflow_yarn.datastream.functions import KeyedProcessFunction, ProcessFunction
from pyflow_yarn.datastream.time_domain import TimeDomain
from pyflow_yarn.datastream.timerservice import TimerService
from pyflow_yarn.errors import UserError


class UnkeyedTimerService(TimerService):
    """The timer service of a stream without keys: it tells the time and refuses timers."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.watermark = MIN_TIMESTAMP

    def current_processing_time(self) -> int:
        """As the interface says."""
        return self._clock()

    def current_watermark(self) -> int:
        """As the interface says."""
        return self.watermark

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Refused."""
        raise _no_keys()

    def register_event_time_timer(self, timestamp: int) -> None:
        """Refused."""
        raise _no_keys()

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Refused."""
        raise _no_keys()

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Refused."""
        raise _no_keys()


def _no_keys() -> UserError:
    return UserError("Setting timers is only supported on a keyed streams: call key_by before process.")


class KeyedTimerService(TimerService):
    """The timer service of the current key."""

    __slots__ = ("_clock", "_current", "_event", "_processing", "watermark")

    def __init__(
        self, clock: Callable[[], int], current: CurrentKey, event: TimerQueue, processing: TimerQueue
    ) -> None:
        self._clock = clock
        self._current = current
        self._event = event
        self._processing = processing
        self.watermark = MIN_TIMESTAMP

    def current_processing_time(self) -> int:
        """As the interface says."""
        return self._clock()

    def current_watermark(self) -> int:
        """As the interface says."""
        return self.watermark

    def register_processing_time_timer(self, timestamp: int) -> None:
        """As the interface says."""
        self._processing.register(timestamp, self._current.key)

    def register_event_time_timer(self, timestamp: int) -> None:
        """As the interface says."""
        self._event.register(timestamp, self._current.key)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """As the interface says."""
        self._processing.delete(timestamp, self._current.key)

    def delete_event_time_timer(self, timestamp: int) -> None:
        """As the interface says."""
        self._event.delete(timestamp, self._current.key)


class ProcessContext(ProcessFunction.Context):
    """``ctx`` of a ``ProcessFunction``; generated loops set ``time``."""

    def __init__(self, timers: UnkeyedTimerService) -> None:
        self.time: int | None = None
        self._timers = timers

    def timestamp(self) -> int | None:
        """As the interface says."""
        return self.time

    def timer_service(self) -> TimerService:
        """As the interface says."""
        return self._timers


class KeyedContext(KeyedProcessFunction.OnTimerContext):
    """``ctx`` of ``process_element`` and of ``on_timer``; generated loops set ``time``."""

    def __init__(self, timers: KeyedTimerService, current: CurrentKey) -> None:
        self.time: int | None = None
        self.domain: TimeDomain | None = None
        self._timers = timers
        self._current = current

    def timestamp(self) -> int | None:
        """As the interface says."""
        return self.time

    def timer_service(self) -> TimerService:
        """As the interface says."""
        return self._timers

    def get_current_key(self) -> Any:
        """As the interface says."""
        return self._current.key

    def time_domain(self) -> TimeDomain:
        """As the interface says."""
        if self.domain is None:
            raise UserError("time_domain() tells about a timer: call it in on_timer only.")
        return self.domain
