"""What happens to records that cannot be read."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

from pyflow_yarn.datastream.connectors.bad_records import SHOWN_CHARACTERS, BadRecords
from pyflow_yarn.datastream.connectors.file_formats import StreamFormat
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.errors import UserError

__all__ = ["BadRecords"]


class RecoveringFormat(StreamFormat):
    """A format that can go on behind a bad record."""

    def with_bad_records(self, bad_records: BadRecords | str | OutputTag[Any]) -> Self:
        """This format with something to do about bad records: ``'fail'`` (the default), ``'skip'`` or an ``OutputTag``.

        With a tag they become rows of ``BadRecords.row_type()``: the stream of the source gives them by
        ``get_side_output(tag)``.
        """
        changed = copy(self)
        if isinstance(bad_records, OutputTag):
            if bad_records.type_info not in (None, BadRecords.row_type()):
                raise UserError(
                    f"A side output of bad records has the type {BadRecords.row_type()}, not {bad_records.type_info}:"
                    " make its tag with BadRecords.row_type(), or without a type."
                )
            changed.bad_records = bad_records
            return changed
        try:
            changed.bad_records = BadRecords(bad_records)
        except ValueError:
            raise ValueError(f"with_bad_records() takes 'fail', 'skip' or an OutputTag, not {bad_records!r}.") from None
        return changed


def described(value: Any) -> str:
    """A value in a sentence, shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
