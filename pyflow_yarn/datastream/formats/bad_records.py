"""What happens to records that cannot be read."""

from __future__ import annotations

from copy import copy
from enum import Enum
from typing import Any, Self

from pyflow_yarn.datastream.connectors.file_formats import StreamFormat
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.errors import NotYetSupportedError, UserError

__all__ = ["BadRecords"]

SHOWN_CHARACTERS = 120


class BadRecords(Enum):
    """What a file source does with a record that cannot be read."""

    FAIL = "fail"
    """Fail the job, naming file, line and column. The default."""
    SKIP = "skip"
    """Go on with the next record, and count it in the accumulator ``numRecordsInErrors``."""


class RecoveringFormat(StreamFormat):
    """A format that can go on behind a bad record."""

    def with_bad_records(self, bad_records: BadRecords | str) -> Self:
        """This format with something to do about bad records: ``'fail'`` (the default) or ``'skip'``."""
        if isinstance(bad_records, OutputTag):
            raise NotYetSupportedError(
                "Bad records to a side output are not supported yet: let them fail the job, or be skipped and counted."
            )
        try:
            choice = BadRecords(bad_records)
        except ValueError:
            raise ValueError(f"with_bad_records() takes 'fail' or 'skip', not {bad_records!r}.") from None
        changed = copy(self)
        changed.skips_bad_records = choice is BadRecords.SKIP
        return changed


def bad_record(path: str, line: int, column: str, reason: str, text: str, position: int = 0) -> UserError:
    """The sentence for a record; ``column`` is a clause or empty, ``position`` what must be seen of ``text``."""
    begin = max(0, min(position - SHOWN_CHARACTERS // 2, len(text) - SHOWN_CHARACTERS))
    shown = text[begin : begin + SHOWN_CHARACTERS]
    place = f"line {line}{', ' if column else ''}{column}"
    before, after = "..." if begin else "", "..." if begin + len(shown) < len(text) else ""
    return UserError(
        f"The input file '{path}' has a bad record at {place}: {reason}. The text is {before}{shown!r}{after}."
        " Repair the file, or have bad records skipped and counted: with_bad_records('skip')."
    )


def described(value: Any) -> str:
    """A value in a sentence, shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
