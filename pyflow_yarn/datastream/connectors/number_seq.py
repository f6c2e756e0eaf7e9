"""Whole numbers in a row."""

from __future__ import annotations

from collections.abc import Sequence

from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.datastream.source import EndOfInput, ReaderContext, Source, SourceReader

__all__ = ["NumberSequenceSource"]


class NumberSequenceSource(Source[int]):
    """The numbers from ``start`` to ``end``, both included; each subtask has one stretch of them, in order."""

    def __init__(self, start: int, end: int) -> None:
        if start > end:
            raise ValueError("'from' must be <= 'to'")
        self.start = start
        self.end = end

    @property
    def produced_type(self) -> TypeInformation:
        return Types.LONG()

    def create_reader(self, context: ReaderContext) -> SourceReader[int]:
        return RangeReader(stretch(self.start, self.end + 1, context.subtask, context.parallelism))


def stretch(start: int, stop: int, subtask: int, parallelism: int) -> range:
    """The part of ``range(start, stop)`` that belongs to one of several subtasks."""
    count = stop - start
    return range(start + count * subtask // parallelism, start + count * (subtask + 1) // parallelism)


class RangeReader(SourceReader[int]):
    """Reads a range in slices, without making lists of them."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def read_batch(self, max_records: int) -> Sequence[int]:
        numbers = self._numbers
        if not numbers:
            raise EndOfInput
        self._numbers = numbers[max_records:]
        return numbers[:max_records]
