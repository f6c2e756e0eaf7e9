"""The fields of CSV: their texts, and the values of declared types that these stand for.

An empty field is null, except in columns of texts, where it is an empty text unless the null value says otherwise.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from pyflow_yarn.common.type_text import java_double, java_float
from pyflow_yarn.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
    _ArrayTypeInfo,
)
from pyflow_yarn.common.types import Row, rows_of
from pyflow_yarn.datastream.formats.bad_records import described
from pyflow_yarn.datastream.formats.json_types import instant_text, naive_timestamp, parse_instant
from pyflow_yarn.errors import ConfigurationError, UserError

Read = Callable[[str], Any]
ReadColumn = Callable[[Sequence[str]], Sequence[Any]]
Write = Callable[[Any], str]
WriteColumn = Callable[[Sequence[Any]], Sequence[Any]]

_TEXTS = frozenset({BasicType.STRING, BasicType.CHAR})
_INTEGER_BITS = {BasicType.BYTE: 8, BasicType.SHORT: 16, BasicType.INT: 32, BasicType.LONG: 64}
_TRUTHS = {"true": True, "false": False}
_PLAIN_FROM, _PLAIN_BELOW = 1e-3, 1e7
"""Numbers in between are written alike by Java and Python."""

# ---- texts to values ----


def read_value(type_info: TypeInformation, separator: str, name: str) -> Read:
    """What reads a field that is not null; it raises ``ValueError`` for texts that say no value of the type.

    ``separator`` stands between elements, ``name`` is the column's, for a sentence about types that fields cannot have.
    """
    match type_info:
        case BasicTypeInfo():
            return _read_basic(type_info.basic_type)
        case DateTypeInfo():
            return lambda text: datetime.date.fromisoformat(text.strip())
        case TimeTypeInfo():
            return lambda text: datetime.time.fromisoformat(text.strip()).replace(tzinfo=None)
        case TimestampTypeInfo():
            return _timestamp
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return lambda text: base64.b64decode(text, validate=True)
        case _ArrayTypeInfo():
            read_element = _nullable(read_value(type_info.element_type, separator, name), type_info.element_type)
            return lambda text: [read_element(part) for part in _parts(text, separator)]
        case RowTypeInfo() | TupleTypeInfo():
            return _read_fields(type_info, separator, name)
        case _:
            raise _impossible(type_info, name)


def read_column(type_info: TypeInformation, separator: str, null_value: str | None, name: str) -> ReadColumn:
    """What reads many fields of a column at once."""
    read = read_value(type_info, separator, name)
    if _is_text(type_info):
        if null_value is None:
            return lambda texts: texts
        return lambda texts: [None if text == null_value else text for text in texts] if null_value in texts else texts
    # An empty list is an empty text, too: where there is another null value, that is what it means.
    holds_nothing = bool(null_value) and isinstance(type_info, _ArrayTypeInfo)
    nulls = {null_value or ""} if holds_nothing else {"", null_value or ""}
    convert: Any = read
    check: Callable[[str], None] = _nothing
    bits = _INTEGER_BITS.get(type_info.basic_type, 0) if isinstance(type_info, BasicTypeInfo) else 0
    if bits:
        convert, check = int, _check_digits
    elif isinstance(type_info, BasicTypeInfo) and type_info.basic_type in (BasicType.FLOAT, BasicType.DOUBLE):
        convert, check = float, _check_digits

    def column(texts: Sequence[str]) -> Sequence[Any]:
        if not nulls.isdisjoint(texts):
            check("".join([text for text in texts if text not in nulls]))
            values = [None if text in nulls else convert(text) for text in texts]
            if bits:
                _check_range([value for value in values if value is not None], bits)
            return values
        check("".join(texts))
        values = list(map(convert, texts))
        if bits:
            _check_range(values, bits)
        return values

    return column


def _is_text(type_info: TypeInformation) -> bool:
    return isinstance(type_info, BasicTypeInfo) and type_info.basic_type in _TEXTS


def _nothing(text: str) -> None:
    pass


def _check_digits(text: str) -> None:
    """Python reads underscores and the digits of every script, which other programs do not."""
    if not text.isascii() or "_" in text:
        raise ValueError("not a number")


def _check_range(values: Sequence[Any], bits: int) -> None:
    bound = 1 << (bits - 1)
    if values and (min(values) < -bound or max(values) >= bound):
        raise ValueError("out of range")


def _read_basic(basic_type: BasicType) -> Read:
    if basic_type in _TEXTS:
        return str
    if bits := _INTEGER_BITS.get(basic_type):

        def integer(text: str) -> int:
            value = _integer(text)
            _check_range((value,), bits)
            return value

        return integer
    match basic_type:
        case BasicType.BOOLEAN:
            return _truth
        case BasicType.BIG_INT:
            return _integer
        case BasicType.BIG_DEC:
            return _decimal
        case BasicType.INSTANT:
            return lambda text: parse_instant(text.strip())
        case _:
            return _float


def _integer(text: str) -> int:
    _check_digits(text)
    return int(text)


def _float(text: str) -> float:
    _check_digits(text)
    return float(text)


def _decimal(text: str) -> Decimal:
    _check_digits(text)
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("not a number") from None


def _truth(text: str) -> bool:
    truth = _TRUTHS.get(text.strip().lower())
    if truth is None:
        raise ValueError("neither true nor false")
    return truth


def _timestamp(text: str) -> datetime.datetime:
    return naive_timestamp(datetime.datetime.fromisoformat(text.strip()))


def _parts(text: str, separator: str) -> list[str]:
    if not text:
        return []
    return text.split(separator) if separator else [text]


def _nullable(read: Read, type_info: TypeInformation) -> Read:
    return read if _is_text(type_info) else lambda text: read(text) if text else None


def _read_fields(type_info: RowTypeInfo | TupleTypeInfo, separator: str, name: str) -> Read:
    types = type_info.get_field_types()
    reads = [_nullable(read_value(field_type, separator, name), field_type) for field_type in types]

    def fields(text: str) -> list[Any]:
        parts = _parts(text, separator)
        if len(parts) != len(reads):
            raise ValueError("another number of fields")
        return [read(part) for read, part in zip(reads, parts, strict=True)]

    if isinstance(type_info, TupleTypeInfo):
        return lambda text: tuple(fields(text))
    names = type_info.get_field_names()
    return lambda text: rows_of(names, (fields(text),))[0]


def _impossible(type_info: TypeInformation, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The CSV column '{name}' cannot be of the type {type_info}: a field holds a basic type, a date or time, bytes,"
        " an array or a row of such, and records without a declared row type cannot be written."
    )


# ---- values to texts ----


def write_value(type_info: TypeInformation, separator: str, null_text: str, name: str) -> Write:
    """What writes a value that is not None; it raises ``TypeError`` or ``AttributeError`` for values of other types."""
    match type_info:
        case BasicTypeInfo():
            return _write_basic(type_info.basic_type)
        case DateTypeInfo() | TimeTypeInfo():
            return _iso_text
        case TimestampTypeInfo():
            return lambda value: str(value.isoformat(sep=" "))
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return lambda value: base64.b64encode(value).decode()
        case _ArrayTypeInfo():
            write = write_value(type_info.element_type, separator, null_text, name)
            return lambda values: _joined(
                [null_text if value is None else write(value) for value in values], separator, name
            )
        case RowTypeInfo() | TupleTypeInfo():
            writes = [write_value(each, separator, null_text, name) for each in type_info.get_field_types()]
            return lambda values: _joined(
                [
                    null_text if value is None else write(value)
                    for write, value in zip(writes, _exactly(values, len(writes)), strict=True)
                ],
                separator,
                name,
            )
        case _:
            raise _impossible(type_info, name)


def write_column(type_info: TypeInformation, separator: str, null_text: str, name: str) -> WriteColumn:
    """What writes many values of a column at once; texts and integers are left to the csv module."""
    write = write_value(type_info, separator, null_text, name)
    as_they_are: frozenset[type] = frozenset()
    if isinstance(type_info, BasicTypeInfo):
        basic_type = type_info.basic_type
        if basic_type in _TEXTS:
            as_they_are = frozenset({str})
        elif basic_type in _INTEGER_BITS or basic_type is BasicType.BIG_INT:
            as_they_are = frozenset({int})

    def column(values: Sequence[Any]) -> Sequence[Any]:
        types = set(map(type, values))
        if types <= as_they_are:
            return values
        texts = []
        for value in values:
            if value is None:
                texts.append(null_text)
                continue
            try:
                texts.append(write(value))
            except (TypeError, ValueError, AttributeError):
                raise UserError(
                    f"The field '{name}' of the type {type_info} has a value that is none: {described(value)}."
                ) from None
        return texts

    return column


def _write_basic(basic_type: BasicType) -> Write:
    if basic_type in _TEXTS:
        return _text
    if basic_type in _INTEGER_BITS or basic_type is BasicType.BIG_INT:
        return _integer_text
    match basic_type:
        case BasicType.BOOLEAN:
            return _truth_text
        case BasicType.BIG_DEC:
            return lambda value: f"{value:f}"
        case BasicType.INSTANT:
            return lambda value: instant_text(value).replace("T", " ")
        case BasicType.FLOAT:
            return lambda value: java_float(_number(value))
        case _:
            return _double_text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _integer_text(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return str(value)


def _truth_text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    raise TypeError


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def _double_text(value: Any) -> str:
    if type(value) is not float:
        value = _number(value)
    return repr(value) if _PLAIN_FROM <= abs(value) < _PLAIN_BELOW else java_double(value)


def _iso_text(value: Any) -> str:
    return str(value.isoformat())


def _exactly(values: Any, count: int) -> Sequence[Any]:
    if not isinstance(values, (Row, tuple, list)) or len(values) != count:
        raise TypeError
    return list(values)


def _joined(texts: list[str], separator: str, name: str) -> str:
    if any(separator in text for text in texts) if separator else len(texts) > 1:
        reason = f"which contains '{separator}'" if separator else "and there is no separator"
        raise UserError(
            f"The elements of the field '{name}' cannot be told apart when they are joined by '{separator}', {reason}:"
            f" {described(texts)}. Choose another separator of elements."
        )
    return separator.join(texts)
