"""JSON: lines of files, and messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, NoReturn

import msgspec

from pyflow_yarn.common.serialization import DeserializationSchema, SerializationSchema
from pyflow_yarn.common.typeinfo import RowTypeInfo, TypeInformation, Types
from pyflow_yarn.datastream.connectors.bad_records import BadRecord, BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import (
    BulkWriter,
    BulkWriterFactory,
    OutputFile,
    SplitRecords,
)
from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.connectors.file_writer import BytesWriter
from pyflow_yarn.datastream.connectors.text_lines import LineBlocks
from pyflow_yarn.datastream.formats.bad_records import RecoveringFormat, described
from pyflow_yarn.datastream.formats.json_types import decoding, encode_other, encoding, list_of, row_maker, struct_maker
from pyflow_yarn.errors import NotYetSupportedError, UserError

__all__ = [
    "JsonLinesBulkWriters",
    "JsonLinesFormat",
    "JsonRowDeserializationSchema",
    "JsonRowSerializationSchema",
]

_BYTE = re.compile(r" \(byte (\d+)\)")
_PATH = re.compile(r" - at `\$\.?(.+)`$")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


# ---- files ----


class JsonLinesFormat(RecoveringFormat):
    """A JSON value on each line of a file, as records of a declared type, or as what JSON says it is.

    With a row type the fields of objects are found by name; further fields are ignored, missing ones are None.
    """

    def __init__(self, type_info: TypeInformation | None, fail_on_missing_field: bool) -> None:
        self.type_info = type_info
        self.fails_on_missing_field = fail_on_missing_field

    @staticmethod
    def for_type_info(type_info: TypeInformation) -> JsonLinesFormat:
        """Records of that type: ``Types.ROW_NAMED(...)`` for objects."""
        if not isinstance(type_info, TypeInformation):
            raise TypeError(f"for_type_info() takes a TypeInformation, not {type(type_info).__name__}.")
        return JsonLinesFormat(type_info, False)

    @staticmethod
    def for_any_values() -> JsonLinesFormat:
        """Dicts, lists, texts, numbers, truth values and None, as they come."""
        return JsonLinesFormat(None, False)

    def fail_on_missing_field(self) -> JsonLinesFormat:
        """This format, to which a record without one of the declared fields is a bad one."""
        changed = copy(self)
        changed.fails_on_missing_field = True
        return changed

    @property
    def produced_type(self) -> TypeInformation:
        return self.type_info or Types.PICKLED_BYTE_ARRAY()

    def opener(self, bad: BadRecordLog) -> Callable[[FileSplit], SplitRecords]:
        decoder = JsonDecoder(self.type_info, self.fails_on_missing_field)
        return lambda split: _JsonLines(split, decoder, bad)


class JsonDecoder:
    """Decodes values of a declared type."""

    def __init__(self, type_info: TypeInformation | None, required: bool) -> None:
        wanted = decoding(type_info or Types.PICKLED_BYTE_ARRAY(), required)
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wanted.type)
        self._decode = decoder.decode
        many: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list_of(wanted.type))
        self._decode_many = many.decode
        self._convert = wanted.convert
        self._convert_all: Callable[[list[Any]], list[Any]] | None = None
        if isinstance(type_info, RowTypeInfo):
            self._convert_all = row_maker(type_info, [decoding(each, required) for each in type_info.get_field_types()])

    def decode(self, text: bytes) -> Any:
        """One value; ``ValueError`` if it is none of the type."""
        value = self._decode(text)
        return value if self._convert is None else self._convert(value)

    def decode_lines(self, text: bytes) -> list[Any]:
        """The values of many lines; ``ValueError`` if one of them is none of the type, or not alone in its line.

        Lines become the elements of one array, since the decoder's own notion of lines lets values go over several ones
        or share one. What still does is one value to few or to many.
        """
        values = self._decode_many(b"[%b]" % text.removesuffix(b"\n").replace(b"\n", b","))
        if len(values) != text.count(b"\n") + (text[-1:] != b"\n"):
            raise ValueError("some lines are not one value each")
        if self._convert_all is not None:
            return self._convert_all(values)
        if self._convert is not None:
            return list(map(self._convert, values))
        return values


class _JsonLines(SplitRecords):
    """The JSON lines of a split."""

    def __init__(self, split: FileSplit, decoder: JsonDecoder, bad: BadRecordLog) -> None:
        self._blocks = LineBlocks(split)
        self._decoder = decoder
        self._bad = bad

    def read(self) -> list[Any] | None:
        block = self._blocks.read()
        if block is None:
            return None
        if self._blocks.offset == 0:
            block = block.removeprefix(_BYTE_ORDER_MARK)
        try:
            return self._decoder.decode_lines(block)
        except (ValueError, RecursionError):
            return self._by_line(block)

    def _by_line(self, block: bytes) -> list[Any]:
        values = []
        for number, line in enumerate(block.split(b"\n")):
            if line and not line.isspace():
                try:
                    values.append(self._decoder.decode(line))
                except (ValueError, RecursionError) as error:
                    self._bad.add(partial(self._described, number, line, error))
        return values

    def _described(self, number: int, line: bytes, error: Exception) -> BadRecord:
        return _bad_line(self._blocks.split.path, self._blocks.first_line() + number, line, error)

    def close(self) -> None:
        self._blocks.close()


def _bad_line(path: str, number: int, line: bytes, error: Exception) -> BadRecord:
    """A line that is no JSON, or none of the declared type."""
    line = line.rstrip(b"\r")
    text = line.decode("utf-8", "backslashreplace")
    if isinstance(error, UnicodeDecodeError):
        return BadRecord(path, number, "", "it is not valid UTF-8", text)
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    if (found := _BYTE.search(reason)) is not None:
        position = len(line[: int(found[1])].decode("utf-8", "replace"))
        reason = _BYTE.sub("", reason)
        return BadRecord(path, number, f"column {position + 1}", reason, text, position)
    if (found := _PATH.search(reason)) is not None:
        return BadRecord(path, number, f"field '{found[1]}'", _PATH.sub("", reason), text)
    if reason == "Input data was truncated":
        return BadRecord(path, number, f"column {len(text) + 1}", "the value does not end", text, len(text))
    return BadRecord(path, number, "", reason, text)


class JsonLinesBulkWriters:
    """Makes writers of files with a JSON value on each line."""

    @staticmethod
    def for_type_info(type_info: TypeInformation) -> BulkWriterFactory:
        """For records of that type, whatever the stream declares."""
        if not isinstance(type_info, TypeInformation):
            raise TypeError(f"for_type_info() takes a TypeInformation, not {type(type_info).__name__}.")
        return _JsonLinesWriters(type_info)

    @staticmethod
    def for_any_values() -> BulkWriterFactory:
        """For records of the stream's type, or if it declares none of whatever JSON has a form for."""
        return _JsonLinesWriters(None)


class _JsonLinesWriters(BulkWriterFactory):
    def __init__(self, type_info: TypeInformation | None) -> None:
        self._type_info = type_info

    def for_records(self, type_info: TypeInformation | None) -> BulkWriterFactory:
        return self if self._type_info is not None else _JsonLinesWriters(type_info)

    def create(self, file: OutputFile) -> BulkWriter:
        return BytesWriter(file, JsonEncoder(self._type_info).encode_lines)


class JsonEncoder:
    """Encodes values of a declared type. Numbers that JSON does not have (NaN, infinities) become null."""

    def __init__(self, type_info: TypeInformation | None) -> None:
        encoder = msgspec.json.Encoder(enc_hook=encode_other, decimal_format="number")
        self._encode = encoder.encode
        self._encode_lines = encoder.encode_lines
        self._ready: Callable[[Sequence[Any]], list[Any]] | None = None
        if isinstance(type_info, RowTypeInfo):
            self._ready = struct_maker(type_info)
        elif (convert := encoding(type_info)) is not None:
            self._ready = lambda values: [None if value is None else convert(value) for value in values]

    def encode(self, value: Any) -> bytes:
        """One value."""
        try:
            return self._encode(value if self._ready is None else self._ready((value,))[0])
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise UserError(f"A record cannot be written as JSON: {error}: {described(value)}.") from None

    def encode_lines(self, values: Sequence[Any]) -> bytes:
        """Many values, each with the end of its line."""
        try:
            return self._encode_lines(values if self._ready is None else self._ready(values))
        except UserError:
            raise
        except (TypeError, ValueError, AttributeError, RecursionError):
            return b"".join(self.encode(value) + b"\n" for value in values)


# ---- messages ----


class JsonRowDeserializationSchema(DeserializationSchema):
    """Rows from messages that are JSON objects."""

    def __init__(self, type_info: TypeInformation, fail_on_missing_field: bool, ignore_parse_errors: bool) -> None:
        self._type_info = type_info
        self._fail_on_missing_field = fail_on_missing_field
        self._ignore_parse_errors = ignore_parse_errors
        self._decoder: JsonDecoder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoder": None}

    def get_produced_type(self) -> TypeInformation:
        return self._type_info

    def deserialize(self, message: bytes) -> Any:
        """The row of a message; None for one that cannot be read if such errors are ignored."""
        if self._decoder is None:
            self._decoder = JsonDecoder(self._type_info, self._fail_on_missing_field)
        try:
            return self._decoder.decode(message)
        except (ValueError, RecursionError) as error:
            if self._ignore_parse_errors:
                return None
            raise UserError(f"A message is no JSON of the declared type: {error}: {described(message)}.") from None

    @staticmethod
    def builder() -> JsonRowDeserializationSchema.Builder:
        """A builder."""
        return JsonRowDeserializationSchema.Builder()

    class Builder:
        """Collects the settings of a ``JsonRowDeserializationSchema``."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None
            self._fail_on_missing_field = False
            self._ignore_parse_errors = False

        def type_info(self, type_info: TypeInformation) -> JsonRowDeserializationSchema.Builder:
            """The type of the rows; fields are found by their names."""
            self._type_info = type_info
            return self

        def json_schema(self, json_schema: str) -> NoReturn:
            """Not supported yet."""
            raise NotYetSupportedError("Types from a JSON schema are not supported yet: declare them by type_info().")

        def fail_on_missing_field(self) -> JsonRowDeserializationSchema.Builder:
            """A message without one of the fields is an error; otherwise the field is None."""
            if self._ignore_parse_errors:
                raise ValueError("JSON format doesn't support failOnMissingField and ignoreParseErrors are both true.")
            self._fail_on_missing_field = True
            return self

        def ignore_parse_errors(self) -> JsonRowDeserializationSchema.Builder:
            """Messages that cannot be read become None; otherwise they are an error."""
            if self._fail_on_missing_field:
                raise ValueError("JSON format doesn't support failOnMissingField and ignoreParseErrors are both true.")
            self._ignore_parse_errors = True
            return self

        def build(self) -> JsonRowDeserializationSchema:
            """The schema."""
            if self._type_info is None:
                raise TypeError("The type of the rows is missing: call type_info().")
            return JsonRowDeserializationSchema(self._type_info, self._fail_on_missing_field, self._ignore_parse_errors)


class JsonRowSerializationSchema(SerializationSchema):
    """JSON objects from rows."""

    def __init__(self, type_info: TypeInformation) -> None:
        self._type_info = type_info
        self._encoder: JsonEncoder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None}

    def serialize(self, element: Any) -> bytes:
        """The object of a row."""
        if self._encoder is None:
            self._encoder = JsonEncoder(self._type_info)
        return self._encoder.encode(element)

    @staticmethod
    def builder() -> JsonRowSerializationSchema.Builder:
        """A builder."""
        return JsonRowSerializationSchema.Builder()

    class Builder:
        """Collects the settings of a ``JsonRowSerializationSchema``."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None

        def with_type_info(self, type_info: TypeInformation) -> JsonRowSerializationSchema.Builder:
            """The type of the rows; their fields have its names in the objects."""
            self._type_info = type_info
            return self

        def build(self) -> JsonRowSerializationSchema:
            """The schema."""
            if self._type_info is None:
                raise TypeError("Typeinfo should be set.")
            return JsonRowSerializationSchema(self._type_info)
