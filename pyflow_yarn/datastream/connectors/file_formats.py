"""The contract of file formats: how records are found in the files of a source and put into those of a sink.

A format is part of the program and travels pickled. What it needs for its work (decoders, libraries) it makes in the
worker, once for each reader or part file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pyflow_yarn.datastream.connectors.bad_records import BadRecordLog, BadRecords
from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.datastream.source import EndOfInput, SideRecords, SourceReader

if TYPE_CHECKING:
    from pyflow_yarn.common.typeinfo import TypeInformation

BAD_RECORDS = "numRecordsInErrors"
"""The accumulator that counts bad records that did not end the job; the reference system's name of the metric."""

# ---- reading ----


class SplitRecords(ABC):
    """The records of an open split."""

    @abstractmethod
    def read(self) -> Sequence[Any] | None:
        """Some more records, perhaps none; None at the end of the split."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class RecordFormat(ABC):
    """How records are found in files."""

    splittable = True
    """Whether ``FileSplit`` ranges of a file can be read one without the other."""
    bad_records: BadRecords | OutputTag[Any] = BadRecords.FAIL

    @property
    @abstractmethod
    def produced_type(self) -> TypeInformation:
        """The type of the records."""

    @abstractmethod
    def opener(self, bad: BadRecordLog) -> Callable[[FileSplit], SplitRecords]:
        """Called once in each reader: what opens the splits there."""


class StreamFormat(RecordFormat):
    """A format whose records follow each other, such as lines of text."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Each line is a record, without its end."""
        from pyflow_yarn.datastream.connectors.text_lines import TextLineFormat

        return TextLineFormat(charset_name)


class BulkFormat(RecordFormat):
    """A format that holds records in blocks, such as the row groups of Parquet."""


class FileRecordReader(SourceReader[Any]):
    """Reads the records of the splits it is given."""

    blocking = True
    needs_splits = True

    def __init__(self, record_format: RecordFormat) -> None:
        self._format = record_format
        self._bad = BadRecordLog(record_format.bad_records)
        self._open: Callable[[FileSplit], SplitRecords] | None = None
        self._splits: deque[FileSplit] = deque()
        self._no_more = False
        self._current: SplitRecords | None = None
        self._records: Sequence[Any] = ()
        self._position = 0

    def add_split(self, split: FileSplit) -> None:
        self._splits.append(split)

    def no_more_splits(self) -> None:
        self._no_more = True

    def read_batch(self, max_records: int) -> Sequence[Any] | None:
        while self._position >= len(self._records):
            if self._bad.rows and self._bad.tag is not None:
                rows, self._bad.rows = self._bad.rows, []
                return SideRecords(self._bad.tag.tag_id, rows)
            if self._current is None:
                if not self._splits:
                    if self._no_more:
                        raise EndOfInput
                    return None
                if self._open is None:
                    self._open = self._format.opener(self._bad)
                self._current = self._open(self._splits.popleft())
            records = self._current.read()
            if records is None:
                self._current.close()
                self._current = None
                records = ()
            self._records = records
            self._position = 0
        position = self._position
        self._position = position + max_records
        if position == 0 and len(self._records) <= max_records:
            return self._records
        return self._records[position : self._position]

    def counters(self) -> Mapping[str, int]:
        return {} if self._bad.fails else {BAD_RECORDS: self._bad.count}

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None


# ---- writing ----


class OutputFile(Protocol):
    """Where a writer puts its bytes: an open part file, which is not the writer's to close."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or whatever has the buffer protocol."""


class BulkWriter(ABC):
    """Writes the records of one part file."""

    @abstractmethod
    def write(self, records: Sequence[Any]) -> None:
        """Take a batch of records; they may reach the file later."""

    def finish(self) -> None:
        """Write what is left, the end of the file included. Not called for files that are abandoned."""


class BulkWriterFactory(ABC):
    """How records are put into files; picklable."""

    @abstractmethod
    def create(self, file: OutputFile) -> BulkWriter:
        """A writer for one part file."""

    def for_records(self, type_info: TypeInformation | None) -> BulkWriterFactory:
        """The same for a stream of that declared type; factories that do not care are their own."""
        return self
