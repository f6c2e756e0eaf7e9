"""Records made by a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pyflow_yarn.common.typeinfo import TypeInformation
from pyflow_yarn.datastream.connectors.number_seq import stretch
from pyflow_yarn.datastream.functions import MapFunction
from pyflow_yarn.datastream.source import EndOfInput, ReaderContext, Source, SourceReader

__all__ = ["DataGeneratorSource", "RateLimit"]

T = TypeVar("T")


class DataGeneratorSource(Source[T]):
    """``generator_function(0)``, ``generator_function(1)``, ... ``count`` records in all.

    ``rate_per_second`` limits all subtasks together. Each subtask has one stretch of the numbers.
    """

    def __init__(
        self,
        generator_function: Callable[[int], T] | MapFunction[int, T],
        count: int,
        rate_per_second: float | None = None,
        type_info: TypeInformation | None = None,
    ) -> None:
        if not isinstance(generator_function, MapFunction) and not callable(generator_function):
            raise TypeError("The generator function must be a MapFunction or a callable function.")
        if count < 0:
            raise ValueError(f"The count of a DataGeneratorSource must be at least 0, but was {count}.")
        if rate_per_second is not None and not rate_per_second > 0:
            raise ValueError(
                f"The rate of a DataGeneratorSource must be above 0 per second, but was {rate_per_second}."
            )
        self.generator_function = generator_function
        self.count = count
        self.rate_per_second = rate_per_second
        self.type_info = type_info

    @property
    def produced_type(self) -> TypeInformation | None:
        return self.type_info

    def create_reader(self, context: ReaderContext) -> SourceReader[T]:
        function = self.generator_function
        limit = None if self.rate_per_second is None else RateLimit(self.rate_per_second / context.parallelism)
        return GeneratorReader(
            function.map if isinstance(function, MapFunction) else function,
            stretch(0, self.count, context.subtask, context.parallelism),
            limit,
        )


class RateLimit:
    """How many records may be out at a time since the first one. Pure: the caller brings the time, in seconds."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._start: float | None = None
        self._out = 0

    def allowed(self, now: float, wanted: int) -> int:
        """How many of ``wanted`` records may come now; they count as out."""
        if self._start is None:
            self._start = now
        due = int((now - self._start) * self._per_second) + 1
        granted = max(0, min(wanted, due - self._out))
        self._out += granted
        return granted

    def wait_seconds(self, now: float) -> float:
        """How long until the next record may come."""
        if self._start is None:
            return 0.0
        return max(0.0, self._start + self._out / self._per_second - now)


class GeneratorReader(SourceReader[T], Generic[T]):
    """Calls a function for each number of a range, no faster than a rate limit allows."""

    def __init__(self, function: Callable[[int], Any], numbers: range, limit: RateLimit | None) -> None:
        self._function = function
        self._numbers = numbers
        self._limit = limit

    def read_batch(self, max_records: int) -> Sequence[T] | None:
        numbers = self._numbers
        if not numbers:
            raise EndOfInput
        size = min(max_records, len(numbers))
        if self._limit is not None:
            size = self._limit.allowed(time.monotonic(), size)
            if not size:
                return None
        self._numbers = numbers[size:]
        return list(map(self._function, numbers[:size]))

    def wait_milliseconds(self) -> int:
        if self._limit is None:
            return 0
        return max(1, round(self._limit.wait_seconds(time.monotonic()) * 1000))
