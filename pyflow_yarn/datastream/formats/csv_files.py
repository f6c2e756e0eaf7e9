"""Reads and writes CSV: text to rows and back, by the csv module, a block of lines at a time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from types import SimpleNamespace
from typing import Any, NamedTuple

from pyflow_yarn.common.typeinfo import RowTypeInfo
from pyflow_yarn.common.types import Row, rows_of
from pyflow_yarn.datastream.connectors.bad_records import BadRecord, BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import BulkWriter, OutputFile, SplitRecords
from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.connectors.text_lines import LineBlocks, undecodable
from pyflow_yarn.datastream.formats.bad_records import described
from pyflow_yarn.datastream.formats.csv_fields import read_column, write_column
from pyflow_yarn.datastream.formats.rows import values_of
from pyflow_yarn.errors import UserError

FIELD_LIMIT = 16 << 20
"""Characters of a field: a quote that is never closed must not take a whole file into memory."""
BATCH_ROWS = 4096
BYTE_ORDER_MARK = "\ufeff"
COMMENT = "#"
_BOTH_ENDS = "\r\n"
_UNDECODED = re.compile("[\udc80-\udcff]")
_REASONS = {
    "unexpected end of data": "a quoted field does not end",
    "new-line character seen in unquoted field": "a carriage return stands in a field without quotes",
    "field larger than field limit": "a field has more than 16 million characters; perhaps its quote does not end",
}


class CsvDialect(NamedTuple):
    """How fields are separated, quoted and escaped; ``separators`` stand between the elements of each column."""

    type_info: RowTypeInfo
    separators: tuple[str, ...]
    column_separator: str = ","
    quote: str | None = '"'
    escape: str | None = None
    line_separator: str = "\n"
    null_value: str | None = None
    comments: bool = False
    header: bool = False
    strict_header: bool = False
    skip_first_row: bool = False

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The fields of each record; ``csv.Error`` for what is no CSV."""
        return csv.reader(
            lines,
            delimiter=self.column_separator,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )

    def writer(self, file: Any, line_end: str, always_quote: bool = False) -> Any:
        """A csv writer of records that end with ``line_end``; it calls ``file.write`` once for each."""
        return csv.writer(
            file,
            delimiter=self.column_separator,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=(csv.QUOTE_ALL if always_quote else csv.QUOTE_MINIMAL) if self.quote else csv.QUOTE_NONE,
            lineterminator=line_end,
        )


def raise_field_limit() -> None:
    """The csv module's own limit is low, and one for the whole process."""
    if csv.field_size_limit() < FIELD_LIMIT:
        csv.field_size_limit(FIELD_LIMIT)


def reason_of(error: csv.Error) -> str:
    """A clause that says what is wrong with a record."""
    text = str(error)
    return next((reason for begin, reason in _REASONS.items() if text.startswith(begin)), text)


# ---- reading ----


class RowReader:
    """Makes rows of the fields of many records."""

    def __init__(self, dialect: CsvDialect) -> None:
        raise_field_limit()
        self.names = dialect.type_info.get_field_names()
        self.types = dialect.type_info.get_field_types()
        columns = list(zip(self.types, dialect.separators, self.names, strict=True))
        self._read_columns = [
            read_column(kind, separator, dialect.null_value, name) for kind, separator, name in columns
        ]

    def rows(self, records: Sequence[Sequence[str]]) -> list[Row]:
        """All of them as rows; ``ValueError`` if one is none, or blank."""
        if set(map(len, records)) != {len(self.names)}:
            raise ValueError("another number of fields")
        columns = zip(*records, strict=True)
        values = [read(column) for read, column in zip(self._read_columns, columns, strict=True)]
        return rows_of(self.names, zip(*values, strict=True))

    def row(self, record: Sequence[str], errors_are_null: bool = False) -> Row:
        """One row; ``BadField`` if a field is none of its type and must be."""
        count = len(self.names)
        if len(record) != count:
            if not errors_are_null:
                raise BadField("", f"it has {len(record)} fields instead of {count}")
            record = [*record, *[""] * count][:count]
        values = []
        for number, text in enumerate(record):
            try:
                [value] = self._read_columns[number]((text,))
                if not text.isascii() and _UNDECODED.search(text):
                    raise BadField(self._column(number), "it is not valid in the character set of the file")
            except ValueError:
                if not errors_are_null:
                    reason = f"{described(text)} is no {self.types[number]}"
                    raise BadField(self._column(number), reason) from None
                value = None
            values.append(value)
        return rows_of(self.names, (values,))[0]

    def _column(self, number: int) -> str:
        return f"column {number + 1} ('{self.names[number]}')"


class BadField(Exception):
    """A record that is no row: in which column (a clause, or empty), and why."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(column, reason)
        self.column = column
        self.reason = reason


class _CsvRecords(SplitRecords):
    """The records of a split; subclasses find them in blocks of lines."""

    def __init__(self, split: FileSplit, dialect: CsvDialect, charset: str, bad: BadRecordLog) -> None:
        self._split = split
        self._dialect = dialect
        self._charset = charset
        self._log = bad
        self._rows = RowReader(dialect)
        self._blocks = LineBlocks(split)
        self._to_skip = (dialect.header + dialect.skip_first_row) if split.start == 0 else 0
        self._header_due = dialect.header and dialect.strict_header and split.start == 0
        self._undecodable = False
        """Whether there were bytes that are none in the character set: rows must be looked at one by one."""

    def close(self) -> None:
        self._blocks.close()

    def _decoded(self, blocks: LineBlocks) -> str | None:
        block = blocks.read()
        if block is None:
            return None
        try:
            text = block.decode(self._charset)
        except UnicodeDecodeError as error:
            if self._log.fails:
                advice = "with_charset('ISO-8859-1')"
                raise undecodable(self._split, self._charset, error, blocks.offset, advice) from None
            text = block.decode(self._charset, "surrogateescape")
            self._undecodable = True
        return text.removeprefix(BYTE_ORDER_MARK) if blocks.offset == 0 else text

    def _described(self, line: int, column: str, reason: str, text: str) -> BadRecord:
        """A bad record; bytes of its text that are none in the character set are shown as such."""
        if _UNDECODED.search(text):
            text = text.encode(self._charset, "surrogateescape").decode(self._charset, "backslashreplace")
        return BadRecord(self._split.path, line, column, reason, text.rstrip("\r\n"))

    def _without_header(self, records: list[list[str]]) -> list[list[str]]:
        """Records without the first ones of the file, where these are a header or to be skipped."""
        while self._to_skip and records:
            first = records.pop(0)
            if first:
                self._to_skip -= 1
                if self._header_due:
                    self._header_due = False
                    self._check_header(first)
        return records

    def _check_header(self, header: list[str]) -> None:
        names = self._rows.names
        if header != names:
            raise UserError(
                f"The header of the input file '{self._split.path}' names the columns {', '.join(header)}, but the"
                f" schema {', '.join(names)}."
            )


class WholeFile(_CsvRecords):
    """A file whose quoted fields may hold line ends: it is read by one reader, from the beginning to the end."""

    def __init__(self, split: FileSplit, dialect: CsvDialect, charset: str, bad: BadRecordLog) -> None:
        super().__init__(split, dialect, charset, bad)
        lines = self._lines(self._blocks)
        self._tracked = _TrackedReader(dialect, lines) if dialect.comments or bad.tag else None
        self._reader = self._tracked or dialect.reader(lines)
        self._places: list[tuple[int, str]] = []
        """Line and text of each record of the batch, if all bad ones must be known."""
        self._before = 0
        """How many records came before the batch, blank ones and the header included."""

    def _lines(self, blocks: LineBlocks) -> Iterator[str]:
        texts = iter(lambda: self._decoded(blocks), None)
        return chain.from_iterable(io.StringIO(text, newline="\n") for text in texts)

    def read(self) -> list[Row] | None:
        records: list[list[str]] = []
        error: csv.Error | None = None
        self._places.clear()
        try:
            if self._log.tag is None:
                records.extend(islice(self._reader, BATCH_ROWS))
            else:
                self._read_places(records)
        except csv.Error as raised:  # what was read before it is kept
            error = raised
        if not records and error is None:
            return None
        count = len(records)
        if self._to_skip:
            records = self._without_header(records)
        rows = self._made(records, count - len(records))
        if error is not None:
            self._bad(count, "", reason_of(error))
        self._before += count
        return rows

    def _read_places(self, records: list[list[str]]) -> None:
        tracked = self._tracked
        assert tracked is not None
        try:
            for record in islice(tracked, BATCH_ROWS):
                records.append(record)
                self._places.append(tracked.place())
        except csv.Error:
            self._places.append(tracked.place())
            raise

    def _made(self, records: list[list[str]], first: int) -> list[Row]:
        if not self._undecodable:
            try:
                return self._rows.rows(records)
            except ValueError:
                pass
        rows = []
        for number, record in enumerate(records):
            if record:
                try:
                    rows.append(self._rows.row(record))
                except BadField as bad:
                    self._bad(first + number, bad.column, bad.reason)
        return rows

    def _bad(self, number: int, column: str, reason: str) -> None:
        """Record ``number`` of the batch is a bad one."""

        def describe() -> BadRecord:
            line, text = self._places[number] if self._places else self._find(self._before + number)
            return self._described(line, column, reason, text)

        self._log.add(describe)

    def _find(self, number: int) -> tuple[int, str]:
        """Line and text of a record, found by reading the file once more: the csv module does not tell them."""
        blocks = LineBlocks(self._split)
        try:
            reader = _TrackedReader(self._dialect, self._lines(blocks))
            with suppress(csv.Error):
                for _ in islice(reader, number + 1):
                    pass
        finally:
            blocks.close()
        return reader.place()


class _TrackedReader:
    """A csv reader that knows where its record begins, and takes lines of comments between records for none."""

    def __init__(self, dialect: CsvDialect, lines: Iterable[str]) -> None:
        self.first_line = 0
        self.lines: list[str] = []
        self._numbered = enumerate(lines, 1)
        self._comments = dialect.comments
        self._reader = dialect.reader(iter(self._next_line, None))

    def _next_line(self) -> str | None:
        for number, line in self._numbered:
            if not self.lines:
                if self._comments and line.startswith(COMMENT):
                    continue
                self.first_line = number
            self.lines.append(line)
            return line
        return None

    def place(self) -> tuple[int, str]:
        """Line and text of the record that was read last."""
        return self.first_line, "".join(self.lines)

    def __iter__(self) -> _TrackedReader:
        return self

    def __next__(self) -> list[str]:
        self.lines = []
        return next(self._reader)


class SingleLines(_CsvRecords):
    """A split of a file each of whose lines is a record."""

    def read(self) -> list[Row] | None:
        self._undecodable = False
        text = self._decoded(self._blocks)
        if text is None:
            return None
        if not (self._undecodable or self._to_skip or self._dialect.comments):
            lines = text.count("\n") + (text[-1:] != "\n")
            try:
                records = list(self._dialect.reader(io.StringIO(text, newline="\n")))
                if len(records) == lines:
                    return self._rows.rows(records)
            except (csv.Error, ValueError):
                pass
        return self._by_line(text)

    def _by_line(self, text: str) -> list[Row]:
        rows = []
        for number, line in enumerate(io.StringIO(text, newline="\n")):
            if self._dialect.comments and line.startswith(COMMENT):
                continue
            try:
                records = list(self._dialect.reader((line,)))
                if self._to_skip:
                    records = self._without_header(records)
                rows += [self._rows.row(record) for record in records if record]
            except csv.Error as error:
                reason = reason_of(error)
                if reason == _REASONS["unexpected end of data"]:
                    reason += " in its line, although with_single_line_records() says that all do"
                self._bad(number, line, "", reason)
            except BadField as bad:
                self._bad(number, line, bad.column, bad.reason)
        return rows

    def _bad(self, number: int, line: str, column: str, reason: str) -> None:
        self._log.add(lambda: self._described(self._blocks.first_line() + number, column, reason, line))


# ---- writing ----


class CsvEncoder:
    """Makes CSV of rows (or tuples, lists, dicts)."""

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._names = dialect.type_info.get_field_names()
        null_text = dialect.null_value or ""
        self._write_columns = [
            write_column(kind, separator, null_text, name)
            for kind, separator, name in zip(
                dialect.type_info.get_field_types(), dialect.separators, self._names, strict=True
            )
        ]

    def header(self) -> bytes:
        """The line of the columns' names."""
        return self._lines([self._names])

    def encode(self, records: Sequence[Any]) -> bytes:
        """The lines of many records."""
        values = values_of(records, self._names)
        columns = zip(*values, strict=True)
        texts = [write(column) for write, column in zip(self._write_columns, columns, strict=True)]
        return self._lines(list(zip(*texts, strict=True)))

    def _lines(self, records: Sequence[Sequence[Any]]) -> bytes:
        try:
            return self._text(records).encode()
        except csv.Error as error:
            raise UserError(f"A record cannot be written as CSV in this dialect: {error}.") from None
        except UnicodeEncodeError as error:
            raise UserError(f"A record cannot be written in UTF-8: {described(error.object)}.") from None

    def _text(self, records: Sequence[Sequence[Any]]) -> str:
        dialect = self._dialect
        if dialect.line_separator == "\n" and not dialect.comments:
            file = io.StringIO(newline="\n")
            dialect.writer(file, "\n").writerows(records)
            text = file.getvalue()
            if "\r" not in text and BYTE_ORDER_MARK not in text:
                return text
        return "".join(map(self._careful_line, records))

    def _careful_line(self, record: Sequence[Any]) -> str:
        """A record that is taken for one where it is read: fields with either character of a line end are quoted, and
        so are those that look like a comment, or like the mark of a file's beginning.
        """
        dialect = self._dialect
        lines: list[str] = []
        file = SimpleNamespace(write=lines.append)
        dialect.writer(file, _BOTH_ENDS).writerow(record)
        if dialect.quote and (lines[0][0] == BYTE_ORDER_MARK or (dialect.comments and lines[0][0] == COMMENT)):
            lines.clear()
            dialect.writer(file, _BOTH_ENDS, always_quote=True).writerow(record)
        return lines[0].removesuffix(_BOTH_ENDS) + dialect.line_separator


class CsvWriter(BulkWriter):
    """Writes a file of CSV."""

    def __init__(self, file: OutputFile, dialect: CsvDialect) -> None:
        self._file = file
        self._encoder = CsvEncoder(dialect)
        if dialect.header:
            file.write(self._encoder.header())

    def write(self, records: Sequence[Any]) -> None:
        self._file.write(self._encoder.encode(records))
