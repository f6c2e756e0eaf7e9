"""Finds out the type of the rows in files, by looking at the first of them.

This happens where the program runs, when it calls; the same files give the same type.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from pyflow_yarn.common.typeinfo import (
    ListTypeInfo,
    PickledBytesTypeInfo,
    RowTypeInfo,
    TypeInformation,
    Types,
)
from pyflow_yarn.datastream.connectors.bad_records import BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import RecordFormat
from pyflow_yarn.datastream.connectors.file_splits import COMPRESSIONS, FileSplit, list_files
from pyflow_yarn.datastream.connectors.text_lines import LineBlocks
from pyflow_yarn.datastream.formats.arrow import import_pyarrow, type_of_schema
from pyflow_yarn.datastream.formats.csv import CsvReaderFormat, CsvSchema
from pyflow_yarn.datastream.formats.csv_fields import read_value
from pyflow_yarn.datastream.formats.csv_files import reason_of
from pyflow_yarn.datastream.formats.json import JsonLinesFormat
from pyflow_yarn.datastream.local_paths import local_path
from pyflow_yarn.errors import UserError

__all__ = ["infer_schema"]

FORMATS = ("csv", "json", "parquet")


def infer_schema(
    path: str,
    format: str,
    sample_rows: int = 1000,
    *,
    column_separator: str = ",",
    quote_char: str = '"',
    use_header: bool = True,
    null_value: str = "",
) -> RowTypeInfo:
    """The type of the rows in a file, in all files of a folder, or in all that match a pattern.

    ``format`` is ``csv``, ``json`` (lines) or ``parquet``. Of CSV and JSON the first ``sample_rows`` records are
    looked at; Parquet files say what they hold, and all must say the same. Columns of CSV without a header are called
    ``f0``, ``f1``... A field is a number, a truth value, a date or a timestamp if all records of the sample say so, and
    a text otherwise; JSON fields of several kinds may hold anything.
    """
    if format not in FORMATS:
        raise ValueError(f"infer_schema() knows the formats {', '.join(FORMATS)}, not {format!r}.")
    if sample_rows < 1:
        raise ValueError(f"infer_schema() needs at least 1 row, not {sample_rows}.")
    files = list_files([local_path(path, "infer_schema()")])
    if not files:
        raise UserError(f"There are no files in '{path}' whose schema could be inferred.")
    if format == "parquet":
        return _of_parquet(files)
    if format == "json":
        return _of_json(path, files, sample_rows)
    return _of_csv(path, files, sample_rows, column_separator, quote_char, use_header, null_value)


def _records(files: list[str], record_format: RecordFormat) -> Iterator[Any]:
    opener = record_format.opener(BadRecordLog())
    for file in files:
        records = opener(_whole(file))
        try:
            while (batch := records.read()) is not None:
                yield from batch
        finally:
            records.close()


def _whole(file: str) -> FileSplit:
    suffix = file[file.rfind(".") :].lower() if "." in file else ""
    return FileSplit(file, 0, -1, COMPRESSIONS.get(suffix, ""))


# ---- Parquet ----


def _of_parquet(files: list[str]) -> RowTypeInfo:
    pa = import_pyarrow("Inferring the schema of Parquet files")
    found: RowTypeInfo | None = None
    for file in files:
        try:
            schema = pa.parquet.read_schema(file)
        except pa.ArrowInvalid as error:
            raise UserError(f"The input file '{file}' cannot be read as Parquet: {error}.") from None
        row_type = type_of_schema(pa, schema)
        if found is not None and (found != row_type or found.get_field_names() != row_type.get_field_names()):
            raise UserError(
                f"The Parquet files '{files[0]}' and '{file}' have different columns, {found} and {row_type}: name the"
                " row type in the program."
            )
        found = row_type
    assert found is not None
    return found


# ---- JSON ----


def _of_json(path: str, files: list[str], sample_rows: int) -> RowTypeInfo:
    seen = _Fields()
    count = 0
    for count, record in enumerate(islice(_records(files, JsonLinesFormat.for_any_values()), sample_rows), 1):
        if not isinstance(record, dict):
            raise UserError(f"Record {count} of '{path}' is no JSON object: {record!r:.100}.")
        seen.add(record)
    if not count:
        raise UserError(f"There are no records in '{path}' whose schema could be inferred.")
    return seen.row_type()


class _Fields:
    """The fields of objects, in the order in which they came."""

    def __init__(self) -> None:
        self._values: dict[str, _Kinds] = {}

    def add(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            self._values.setdefault(name, _Kinds()).add(value)

    def row_type(self) -> RowTypeInfo:
        return Types.ROW_NAMED(list(self._values), [kinds.type_info() for kinds in self._values.values()])


class _Kinds:
    """What kinds of values a field has had."""

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._large = False
        self._fields = _Fields()
        self._elements: _Kinds | None = None

    def add(self, value: Any) -> None:
        if value is None:
            return
        self._kinds.add(type(value))
        if isinstance(value, dict):
            self._fields.add(value)
        elif isinstance(value, list):
            self._elements = self._elements or _Kinds()
            for element in value:
                self._elements.add(element)
        elif isinstance(value, int):
            self._large = self._large or not -(2**63) <= value < 2**63

    def type_info(self) -> TypeInformation:
        if self._kinds == {int}:
            return Types.BIG_INT() if self._large else Types.LONG()
        if self._kinds and self._kinds <= {int, float}:
            return Types.DOUBLE()
        if self._kinds == {bool}:
            return Types.BOOLEAN()
        if self._kinds == {dict}:
            row_type = self._fields.row_type()
            return row_type if row_type.get_field_types() else PickledBytesTypeInfo()
        if self._kinds == {list} and self._elements is not None:
            return ListTypeInfo(self._elements.type_info())
        return Types.STRING() if self._kinds <= {str} else PickledBytesTypeInfo()


# ---- CSV ----


def _of_csv(
    path: str,
    files: list[str],
    sample_rows: int,
    column_separator: str,
    quote_char: str,
    use_header: bool,
    null_value: str,
) -> RowTypeInfo:
    names = _first_record(files, column_separator, quote_char)
    if names is None:
        raise UserError(f"There are no records in '{path}' whose schema could be inferred.")
    if not use_header:
        names = [f"f{number}" for number in range(len(names))]
    builder = CsvSchema.builder().set_column_separator(column_separator).set_quote_char(quote_char)
    for name in names:
        builder.add_string_column(name)
    schema = builder.set_use_header(use_header).build()
    sample = list(islice(_records(files, CsvReaderFormat.for_schema(schema)), sample_rows))
    columns = [{row[number] for row in sample} - {"", null_value} for number in range(len(names))]
    return Types.ROW_NAMED(names, [_type_of_texts(texts) for texts in columns])


def _first_record(files: list[str], column_separator: str, quote_char: str) -> list[str] | None:
    builder = CsvSchema.builder().add_string_column("first")
    dialect = builder.set_column_separator(column_separator).set_quote_char(quote_char).build()._dialect
    for file in files:
        blocks = LineBlocks(_whole(file))
        try:
            block = blocks.read() or b""
            lines = io.StringIO(block.decode("utf-8-sig", "replace"), newline="\n")
            if record := next(filter(None, dialect.reader(lines)), None):
                return record
        except csv.Error as error:
            raise UserError(f"The input file '{file}' does not begin with a CSV record: {reason_of(error)}.") from None
        finally:
            blocks.close()
    return None


def _whole_number(text: str) -> bool:
    """Digits that begin with 0 are an identifier, such as a postal code."""
    digits = text.strip().lstrip("+-")
    return not (len(digits) > 1 and digits[0] == "0")


def _fraction(text: str) -> bool:
    return _whole_number(text.split(".", 1)[0])


def _date(text: str) -> bool:
    return len(text.strip()) == len("2020-12-31") and text.strip()[4:5] == "-"


def _any(text: str) -> bool:
    return True


_CANDIDATES: tuple[tuple[Callable[[], TypeInformation], Callable[[str], bool]], ...] = (
    (Types.BOOLEAN, _any),
    (Types.LONG, _whole_number),
    (Types.BIG_INT, _whole_number),
    (Types.DOUBLE, _fraction),
    (Types.SQL_DATE, _date),
    (Types.SQL_TIMESTAMP, lambda text: len(text.strip()) > len("2020-12-31")),
)


def _type_of_texts(texts: set[str]) -> TypeInformation:
    """The first type that all of the texts say values of; ``Types.STRING()`` for none."""
    if not texts:
        return Types.STRING()
    for make, plausible in _CANDIDATES:
        type_info = make()
        read = read_value(type_info, "", "")
        try:
            for text in texts:
                if not plausible(text):
                    raise ValueError
                read(text)
        except ValueError:
            continue
        return type_info
    return Types.STRING()
