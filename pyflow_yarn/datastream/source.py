"""The contract of a source: an enumerator that hands out splits, and readers that read them.

After FLIP-27. The enumerator runs once per job in the coordinator process; readers run in workers. A
source without an enumerator (``create_enumerator`` returns None) divides its data by subtask on its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from pyflow_yarn.common.typeinfo import TypeInformation

T_co = TypeVar("T_co", covariant=True)


class EndOfInput(Exception):
    """Raised by ``SourceReader.read_batch`` when nothing more will ever come."""


class ReaderContext(msgspec.Struct, frozen=True):
    """Where a reader runs. ``subtask`` counts from 0."""

    subtask: int
    parallelism: int
    attempt: int = 0


class SplitEnumerator(ABC):
    """Hands out splits to readers that ask for them. Splits are picklable values.

    The coordinator calls it from one thread. ``open`` may look at the outside world (list files); an error there is
    the job's.
    """

    def open(self) -> None:
        """Find the splits."""

    @abstractmethod
    def next_split(self, subtask: int, host: str) -> Any | None:
        """A split for that reader, or None when there are none left (for bounded sources: for ever)."""

    @abstractmethod
    def add_splits_back(self, splits: Sequence[Any], subtask: int) -> None:
        """A reader failed: its splits must be read again, from their beginning."""

    def close(self) -> None:
        """Release what ``open`` took."""


class SideRecords(list[Any]):
    """Records for a side output of the source, in the place of a batch."""

    def __init__(self, tag_id: str, records: Sequence[Any]) -> None:
        super().__init__(records)
        self.tag_id = tag_id


class SourceReader(ABC, Generic[T_co]):
    """Reads records in batches, in a worker.

    A reader whose ``read_batch`` may block (disk, network) sets ``blocking``; the worker then calls it from a
    thread of its own. Readers that need splits set ``needs_splits``: the worker asks for one whenever
    ``read_batch`` returned None and none is pending, and calls ``add_split`` or ``no_more_splits``.
    """

    blocking = False
    needs_splits = False

    def open(self) -> None:
        """Called once in the worker, before anything else."""

    @abstractmethod
    def read_batch(self, max_records: int) -> Sequence[T_co] | None:
        """Up to about ``max_records`` records (any sequence, a ``range`` too); None: nothing just now.

        ``SideRecords`` go to a side output instead.

        Raises ``EndOfInput`` at the end of a bounded source.
        """

    def wait_milliseconds(self) -> int:
        """After ``read_batch`` returned None: how long to wait before the next call (rate limits)."""
        return 10

    def add_split(self, split: Any) -> None:
        """One more split to read."""
        raise NotImplementedError(f"{type(self).__name__} reads no splits")

    def no_more_splits(self) -> None:
        """The enumerator has nothing left for this reader."""

    def counters(self) -> Mapping[str, int]:
        """What was counted so far, by name: shown as accumulators of the job. May be called from another thread."""
        return {}

    def close(self) -> None:
        """Called once, also after a failure."""


class Source(ABC, Generic[T_co]):
    """A source as the program declares it: picklable, without open resources."""

    bounded = True

    @abstractmethod
    def create_reader(self, context: ReaderContext) -> SourceReader[T_co]:
        """A reader for one subtask."""

    def create_enumerator(self, parallelism: int) -> SplitEnumerator | None:
        """The enumerator, or None for sources that divide their data by subtask."""
        return None

    @property
    def coordinated(self) -> bool:
        """Whether ``create_enumerator`` gives an enumerator; must not touch the outside world."""
        return False

    @property
    def produced_type(self) -> TypeInformation | None:
        """The type of the records, if the source knows it."""
        return None
