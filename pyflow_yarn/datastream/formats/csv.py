"""CSV: files and messages."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, NamedTuple, NoReturn, Self

from pyflow_yarn.common.serialization import DeserializationSchema, SerializationSchema
from pyflow_yarn.common.typeinfo import RowTypeInfo, TypeInformation, Types
from pyflow_yarn.datastream.connectors.bad_records import BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import (
    BulkWriter,
    BulkWriterFactory,
    OutputFile,
    SplitRecords,
)
from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.connectors.text_lines import splits_by_bytes
from pyflow_yarn.datastream.formats.bad_records import RecoveringFormat, described
from pyflow_yarn.datastream.formats.csv_fields import read_value
from pyflow_yarn.datastream.formats.csv_files import (
    BadField,
    CsvDialect,
    CsvEncoder,
    CsvWriter,
    RowReader,
    SingleLines,
    WholeFile,
    reason_of,
)
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError, UserError

__all__ = [
    "CsvBulkWriters",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]

DEFAULT_ELEMENT_SEPARATOR = ";"

# ---- schema ----


class _Column(NamedTuple):
    name: str
    type_info: TypeInformation
    separator: str = ""


class CsvSchema:
    """The columns of CSV files, and how these are written."""

    def __init__(self, columns: Sequence[_Column], dialect: CsvDialect) -> None:
        self._columns = tuple(columns)
        self._dialect = dialect

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        """A builder of a schema without columns, separated by commas, quoted by ``\"``."""
        return CsvSchemaBuilder()

    def get_type_info(self) -> RowTypeInfo:
        """The type of the rows."""
        return self._dialect.type_info

    def size(self) -> int:
        """How many columns there are."""
        return len(self._columns)

    def __len__(self) -> int:
        return self.size()

    def __repr__(self) -> str:
        columns = ", ".join(f"{column.name}: {column.type_info}" for column in self._columns)
        return f"CsvSchema({columns})"


class CsvSchemaBuilder:
    """Collects columns and settings of a ``CsvSchema``."""

    def __init__(self) -> None:
        self._columns: list[_Column] = []
        self._element_separator = DEFAULT_ELEMENT_SEPARATOR
        self._dialect = CsvDialect(Types.ROW([]), ())

    def build(self) -> CsvSchema:
        """The schema."""
        if not self._columns:
            raise ConfigurationError("A CSV schema needs at least one column.")
        names = [column.name for column in self._columns]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(f"A CSV schema has two columns of the name {', '.join(duplicates)}.")
        dialect = self._dialect
        special = [each for each in (dialect.column_separator, dialect.quote, dialect.escape) if each]
        if len(set(special)) < len(special):
            raise ConfigurationError(
                "Column separator, quote character and escape character of a CSV schema must differ from each other:"
                f" {', '.join(map(repr, special))}."
            )
        return CsvSchema(
            self._columns,
            dialect._replace(
                type_info=Types.ROW_NAMED(names, [column.type_info for column in self._columns]),
                separators=tuple(column.separator or self._element_separator for column in self._columns),
            ),
        )

    # columns

    def add_array_column(
        self, name: str, separator: str = DEFAULT_ELEMENT_SEPARATOR, element_type: TypeInformation | None = None
    ) -> Self:
        """A column of lists whose elements, texts by default, stand between ``separator``."""
        return self._add(name, Types.LIST(element_type or Types.STRING()), separator)

    def add_boolean_column(self, name: str) -> Self:
        """A column of truth values, ``true`` and ``false``."""
        return self._add(name, Types.BOOLEAN())

    def add_number_column(self, name: str, number_type: TypeInformation | None = None) -> Self:
        """A column of numbers, ``Types.LONG()`` by default."""
        return self._add(name, number_type or Types.LONG())

    def add_string_column(self, name: str) -> Self:
        """A column of texts."""
        return self._add(name, Types.STRING())

    def add_column(self, name: str, type_info: TypeInformation) -> Self:
        """A column of any type that a field can hold: dates and times, too."""
        return self._add(name, type_info)

    def add_columns_from(self, schema: CsvSchema) -> Self:
        """All columns of another schema."""
        self._columns += schema._columns
        return self

    def add_columns_of(self, type_info: RowTypeInfo) -> Self:
        """A column for each field of a row type, such as ``infer_schema`` gives."""
        for name, field_type in zip(type_info.get_field_names(), type_info.get_field_types(), strict=True):
            self._add(name, field_type)
        return self

    def clear_columns(self) -> Self:
        """Remove all columns."""
        self._columns.clear()
        return self

    def _add(self, name: str, type_info: TypeInformation, separator: str = "") -> Self:
        if not isinstance(type_info, TypeInformation):
            raise TypeError(
                f"The type of the CSV column '{name}' must be one of Types, such as Types.INT(),"
                f" not {type(type_info).__name__}."
            )
        read_value(type_info, separator, name)  # refuses types that a field cannot hold
        self._columns.append(_Column(name, type_info, separator))
        return self

    # settings

    def set_allow_comments(self, allow: bool = True) -> Self:
        """Lines that begin with ``#`` are comments."""
        return self._set(comments=allow)

    def set_any_property_name(self, name: str) -> NoReturn:
        """Not supported yet."""
        raise NotYetSupportedError("CSV records with further columns (set_any_property_name) are not supported yet.")

    def disable_array_element_separator(self) -> Self:
        """Elements of arrays are not separated, where their column has no separator of its own."""
        self._element_separator = ""
        return self

    def remove_array_element_separator(self, index: int) -> Self:
        """The column at ``index`` has no separator of elements of its own."""
        self._columns[index] = self._columns[index]._replace(separator="")
        return self

    def set_array_element_separator(self, separator: str) -> Self:
        """What stands between elements in columns without a separator of their own; ``;`` by default."""
        self._element_separator = separator
        return self

    def set_column_separator(self, char: str) -> Self:
        """What stands between columns; ``,`` by default."""
        return self._set(column_separator=_character("Column separator", char))

    def disable_escape_char(self) -> Self:
        """There is no escape character. This is the default."""
        return self._set(escape=None)

    def set_escape_char(self, char: str) -> Self:
        """A character that takes their meaning from those behind it."""
        return self._set(escape=_character("Escape char", char))

    def set_line_separator(self, separator: str) -> Self:
        """What lines end with where they are written, ``\\n`` by default; ``\\n`` and ``\\r\\n`` are read."""
        return self._set(line_separator=_line_end(separator))

    def set_null_value(self, null_value: str) -> Self:
        """The text of a field that is null; by default an empty one, which columns of texts read as an empty text."""
        return self._set(null_value=null_value)

    def disable_quote_char(self) -> Self:
        """Fields are never quoted."""
        return self._set(quote=None)

    def set_quote_char(self, char: str) -> Self:
        """What stands around fields that need it; ``\"`` by default."""
        return self._set(quote=_character("Quote char", char))

    def set_skip_first_data_row(self, skip: bool = True) -> Self:
        """The first record of each file is left out."""
        return self._set(skip_first_row=skip)

    def set_strict_headers(self, strict: bool = True) -> Self:
        """The header must name the columns, in their order."""
        return self._set(strict_header=strict)

    def set_use_header(self, use: bool = True) -> Self:
        """Files begin with a header: it is left out where they are read, and written where they are written."""
        return self._set(header=use)

    def _set(self, **settings: Any) -> Self:
        self._dialect = self._dialect._replace(**settings)
        return self

    def size(self) -> int:
        """How many columns there are."""
        return len(self._columns)

    def __len__(self) -> int:
        return self.size()


def _character(what: str, char: str) -> str:
    if len(char) != 1:
        raise ValueError(f"{what} must be a single char, got {char}")
    if char in "\r\n":
        raise ValueError(f"{what} must not be the end of a line.")
    return char


def _line_end(separator: str) -> str:
    if separator not in ("\n", "\r\n", "\r", ""):
        raise ValueError(f"Lines end with '\\n', '\\r\\n', '\\r' or nothing, not with {separator!r}.")
    return separator


# ---- files ----


class CsvReaderFormat(RecoveringFormat):
    """Rows from the records of CSV files.

    Quoted fields may hold line ends, hence each file is read by one subtask, unless the schema has no quote
    character, or ``with_single_line_records`` promises that they do not.
    """

    def __init__(self, schema: CsvSchema) -> None:
        self._dialect = schema._dialect
        self._charset = "utf-8"
        self.splittable = self._dialect.quote is None and self._dialect.escape is None

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        """The format of files with that schema."""
        if not isinstance(schema, CsvSchema):
            raise TypeError(f"for_schema() takes a CsvSchema, not {type(schema).__name__}.")
        return CsvReaderFormat(schema)

    def with_single_line_records(self) -> CsvReaderFormat:
        """This format with the promise that no field holds a line end: files are read in parts by several subtasks."""
        changed = copy(self)
        changed.splittable = True
        return changed

    def with_charset(self, charset_name: str) -> CsvReaderFormat:
        """This format for files in another character set than UTF-8."""
        changed = copy(self)
        try:
            changed._charset = codecs.lookup(charset_name).name
        except LookupError:
            raise ConfigurationError(f"'{charset_name}' is not a known character set.") from None
        if not splits_by_bytes(changed._charset):
            raise NotYetSupportedError(f"CSV files in the character set {changed._charset} are not supported yet.")
        return changed

    @property
    def produced_type(self) -> TypeInformation:
        return self._dialect.type_info

    def opener(self, bad: BadRecordLog) -> Callable[[FileSplit], SplitRecords]:
        kind = SingleLines if self.splittable else WholeFile
        dialect, charset = self._dialect, self._charset
        return lambda split: kind(split, dialect, charset, bad)


class CsvBulkWriters:
    """Makes writers of CSV files."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """For rows of that schema."""
        if not isinstance(schema, CsvSchema):
            raise TypeError(f"for_schema() takes a CsvSchema, not {type(schema).__name__}.")
        return _CsvWriters(schema._dialect)


class _CsvWriters(BulkWriterFactory):
    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect

    def create(self, file: OutputFile) -> BulkWriter:
        return CsvWriter(file, self._dialect)


# ---- messages ----


class _SchemaBuilder:
    """Settings that both directions have."""

    def __init__(self, type_info: TypeInformation) -> None:
        if type_info is None:
            raise TypeError("Type information must not be None")
        if not isinstance(type_info, RowTypeInfo):
            raise TypeError(f"Row type information expected, got {type_info}.")
        self._element_separator = DEFAULT_ELEMENT_SEPARATOR
        self._dialect = CsvDialect(type_info, ())

    def _set(self, **settings: Any) -> Self:
        self._dialect = self._dialect._replace(**settings)
        return self

    def set_field_delimiter(self, delimiter: str) -> Self:
        """What stands between fields; ``,`` by default."""
        return self._set(column_separator=_character("Field delimiter", delimiter))

    def set_array_element_delimiter(self, delimiter: str) -> Self:
        """What stands between the elements of arrays and nested rows; ``;`` by default."""
        self._element_separator = delimiter
        return self

    def set_quote_character(self, c: str) -> Self:
        """What stands around fields that need it; ``\"`` by default."""
        return self._set(quote=_character("Quote character", c))

    def set_escape_character(self, c: str) -> Self:
        """A character that takes their meaning from those behind it; none by default."""
        return self._set(escape=_character("Escape character", c))

    def set_null_literal(self, null_literal: str) -> Self:
        """The text of a field that is null."""
        return self._set(null_value=null_literal)

    def _built(self) -> CsvDialect:
        names, types = self._dialect.type_info.get_field_names(), self._dialect.type_info.get_field_types()
        for name, field_type in zip(names, types, strict=True):
            read_value(field_type, self._element_separator, name)
        return self._dialect._replace(separators=(self._element_separator,) * len(names))


class CsvRowDeserializationSchema(DeserializationSchema):
    """Rows from messages that are records of CSV."""

    def __init__(self, dialect: CsvDialect, ignore_parse_errors: bool) -> None:
        self._dialect = dialect
        self._ignore_parse_errors = ignore_parse_errors
        self._rows: RowReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def get_produced_type(self) -> TypeInformation:
        return self._dialect.type_info

    def deserialize(self, message: bytes) -> Any:
        """The row of a message.

        If errors are ignored, fields that cannot be read are None, and so is a message that is no CSV.
        """
        if self._rows is None:
            self._rows = RowReader(self._dialect)
        try:
            lines = io.StringIO(message.decode("utf-8"), newline="\n")
            kept = (line for line in lines if not (self._dialect.comments and line.startswith("#")))
            records = [record for record in self._dialect.reader(kept) if record]
            if len(records) == 1:
                return self._rows.row(records[0], self._ignore_parse_errors)
            reason = f"it has {len(records)} records"
        except csv.Error as error:
            reason = reason_of(error)
        except UnicodeDecodeError:
            reason = "it is not valid UTF-8"
        except BadField as bad:
            reason = f"{bad.column}{': ' if bad.column else ''}{bad.reason}"
        if self._ignore_parse_errors:
            return None
        raise UserError(f"A message is no CSV record of the declared type: {reason}: {described(message)}.")

    class Builder(_SchemaBuilder):
        """Collects the settings of a ``CsvRowDeserializationSchema``."""

        def __init__(self, type_info: TypeInformation) -> None:
            super().__init__(type_info)
            self._ignore_parse_errors = False

        def set_allow_comments(self, allow_comments: bool) -> Self:
            """Lines that begin with ``#`` are comments."""
            return self._set(comments=allow_comments)

        def set_ignore_parse_errors(self, ignore_parse_errors: bool) -> Self:
            """What cannot be read is None, instead of an error."""
            self._ignore_parse_errors = ignore_parse_errors
            return self

        def build(self) -> CsvRowDeserializationSchema:
            """The schema."""
            return CsvRowDeserializationSchema(self._built(), self._ignore_parse_errors)


class CsvRowSerializationSchema(SerializationSchema):
    """Records of CSV from rows."""

    def __init__(self, dialect: CsvDialect) -> None:
        self._dialect = dialect
        self._encoder: CsvEncoder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None}

    def serialize(self, element: Any) -> bytes:
        """The record of a row, with its line end."""
        if self._encoder is None:
            self._encoder = CsvEncoder(self._dialect)
        return self._encoder.encode((element,))

    class Builder(_SchemaBuilder):
        """Collects the settings of a ``CsvRowSerializationSchema``."""

        def set_line_delimiter(self, delimiter: str) -> Self:
            """What records end with: ``\\n`` by default, ``\\r\\n``, ``\\r``, or nothing."""
            return self._set(line_separator=_line_end(delimiter))

        def disable_quote_character(self) -> Self:
            """Fields are never quoted."""
            return self._set(quote=None)

        def build(self) -> CsvRowSerializationSchema:
            """The schema."""
            return CsvRowSerializationSchema(self._built())
