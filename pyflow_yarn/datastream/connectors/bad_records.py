"""Records of files that cannot be read: what is done about them, and the sentence that says where they are."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from pyflow_yarn.common.typeinfo import RowTypeInfo, Types
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.errors import UserError

SHOWN_CHARACTERS = 120
_FIELDS = ["file", "line", "reason", "text"]


class BadRecords(Enum):
    """What a file source does with a record that cannot be read; the third way is an ``OutputTag``."""

    FAIL = "fail"
    """Fail the job, naming file, line and column. The default."""
    SKIP = "skip"
    """Go on with the next record, and count it in the accumulator ``numRecordsInErrors``."""

    @staticmethod
    def row_type() -> RowTypeInfo:
        """The type of the rows in a side output of bad records: file, line (from 1), reason and text."""
        return Types.ROW_NAMED(_FIELDS, [Types.STRING(), Types.LONG(), Types.STRING(), Types.STRING()])


class BadRecord(NamedTuple):
    """A record that cannot be read; ``column`` is a clause or empty, ``position`` what must be seen of ``text``."""

    path: str
    line: int
    column: str
    reason: str
    text: str
    position: int = 0

    def error(self) -> UserError:
        """The sentence that ends a job."""
        text = self.text
        begin = max(0, min(self.position - SHOWN_CHARACTERS // 2, len(text) - SHOWN_CHARACTERS))
        shown = text[begin : begin + SHOWN_CHARACTERS]
        place = f"line {self.line}{', ' if self.column else ''}{self.column}"
        before, after = "..." if begin else "", "..." if begin + len(shown) < len(text) else ""
        return UserError(
            f"The input file '{self.path}' has a bad record at {place}: {self.reason}. The text is"
            f" {before}{shown!r}{after}. Repair the file, or have bad records skipped and counted:"
            " with_bad_records('skip')."
        )

    def row(self) -> Row:
        """The record in a side output, with its whole text."""
        reason = f"{self.column}: {self.reason}" if self.column else self.reason
        return Row(file=self.path, line=self.line, reason=reason, text=self.text)


class BadRecordLog:
    """The bad records of one reader: ``count`` of all that did not end the job, and ``rows`` for the side output."""

    def __init__(self, choice: BadRecords | OutputTag[Any] = BadRecords.FAIL) -> None:
        self._choice = choice
        self.count = 0
        self.rows: list[Row] = []

    @property
    def fails(self) -> bool:
        """Whether the first one ends the job."""
        return self._choice is BadRecords.FAIL

    @property
    def tag(self) -> OutputTag[Any] | None:
        """The side output that takes them, if there is one: then each must be known in full."""
        return self._choice if isinstance(self._choice, OutputTag) else None

    def add(self, describe: Callable[[], BadRecord]) -> None:
        """One more, described only if somebody wants to know; raises ``UserError`` if it ends the job."""
        if self._choice is not BadRecords.SKIP:
            record = describe()
            if self.fails:
                raise record.error() from None
            self.rows.append(record.row())
        self.count += 1
