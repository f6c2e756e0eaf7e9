"""How values of declared types stand in JSON, and back: what msgspec decodes at once, and what is converted after it.

Fields may be null or missing. Integers must fit their type. Dates and times are as the reference system writes them, in
the forms of RFC 3339: ``2020-12-31``, ``23:59:59Z``, ``2020-12-31T23:59:59Z``; bytes are base64.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, Optional

import msgspec

from pyflow_yarn.common.time import Instant
from pyflow_yarn.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    MapTypeInfo,
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
from pyflow_yarn.datastream.formats.rows import values_of
from pyflow_yarn.errors import UserError

Convert = Callable[[Any], Any]

# Types are made at run time here, which type checkers cannot follow.
_list: Any = list
_tuple: Any = tuple
_dict: Any = dict

_UTC = datetime.UTC
_INTEGER_BITS = {BasicType.BYTE: 8, BasicType.SHORT: 16, BasicType.INT: 32, BasicType.LONG: 64}
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


class Decoding(NamedTuple):
    """A type that msgspec decodes to, and what makes the value of it, if it is not the value."""

    type: Any
    convert: Convert | None = None


def decoding(type_info: TypeInformation, required: bool = False) -> Decoding:
    """How to decode values of a type; ``required``: fields of rows must not be missing."""
    match type_info:
        case BasicTypeInfo():
            return _basic_decoding(type_info.basic_type)
        case RowTypeInfo():
            return _row_decoding(type_info, required)
        case TupleTypeInfo():
            return _tuple_decoding(type_info, required)
        case MapTypeInfo():
            return _map_decoding(type_info, required)
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return Decoding(bytes)
        case _ArrayTypeInfo():
            element = decoding(type_info.element_type, required)
            convert = None if element.convert is None else _for_each(element.convert)
            return Decoding(_list[_optional(element.type)], convert)
        case DateTypeInfo():
            return Decoding(datetime.date)
        case TimeTypeInfo():
            return Decoding(datetime.time, _naive_time)
        case TimestampTypeInfo():
            return Decoding(datetime.datetime, naive_timestamp)
        case _:
            return Decoding(Any)


def _basic_decoding(basic_type: BasicType) -> Decoding:
    if bits := _INTEGER_BITS.get(basic_type):
        bound = 1 << (bits - 1)
        return Decoding(Annotated[int, msgspec.Meta(ge=-bound, le=bound - 1)])
    match basic_type:
        case BasicType.STRING | BasicType.CHAR:
            return Decoding(str)
        case BasicType.BOOLEAN:
            return Decoding(bool)
        case BasicType.BIG_INT:
            return Decoding(int)
        case BasicType.BIG_DEC:
            return Decoding(Decimal)
        case BasicType.INSTANT:
            return Decoding(str, parse_instant)
        case _:
            return Decoding(float)


def row_struct(type_info: RowTypeInfo, types: Sequence[Any], required: bool = False) -> Any:
    """A struct whose fields are encoded under the names of the row's."""
    names = type_info.get_field_names()
    fields: list[Any] = []
    for number, field_type in enumerate(types):
        field = (f"f{number}", _optional(field_type))
        fields.append(field if required else (*field, None))
    try:
        rename = {f"f{number}": name for number, name in enumerate(names)}
        return msgspec.defstruct("Record", fields, rename=rename, gc=False)
    except ValueError as error:
        raise UserError(f"These fields cannot stand in a JSON object: {', '.join(names)}: {error}.") from None


def _row_decoding(type_info: RowTypeInfo, required: bool) -> Decoding:
    fields = [decoding(field_type, required) for field_type in type_info.get_field_types()]
    make = row_maker(type_info, fields)
    return Decoding(row_struct(type_info, [field.type for field in fields], required), lambda value: make((value,))[0])


def row_maker(type_info: RowTypeInfo, fields: Sequence[Decoding]) -> Callable[[Iterable[Any]], list[Row]]:
    """A function that makes rows of decoded structs."""
    names = type_info.get_field_names()
    astuple = msgspec.structs.astuple
    conversions = [(index, field.convert) for index, field in enumerate(fields) if field.convert is not None]
    if not conversions:
        return lambda structs: rows_of(names, map(astuple, structs))

    def converted(struct: Any) -> list[Any]:
        values = list(astuple(struct))
        for index, convert in conversions:
            if values[index] is not None:
                values[index] = convert(values[index])
        return values

    return lambda structs: rows_of(names, map(converted, structs))


def _tuple_decoding(type_info: TupleTypeInfo, required: bool) -> Decoding:
    fields = [decoding(field_type, required) for field_type in type_info.get_field_types()]
    converts = [field.convert or _same for field in fields]
    tuple_type = _tuple[tuple(_optional(field.type) for field in fields)]
    if all(field.convert is None for field in fields):
        return Decoding(tuple_type)
    return Decoding(
        tuple_type,
        lambda values: tuple(
            None if value is None else convert(value) for convert, value in zip(converts, values, strict=True)
        ),
    )


def _map_decoding(type_info: MapTypeInfo, required: bool) -> Decoding:
    key, value = decoding(type_info.key_type, required), decoding(type_info.value_type, required)
    map_type = _dict[key.type, _optional(value.type)]
    if key.convert is None and value.convert is None:
        return Decoding(map_type)
    convert_key, convert_value = key.convert or _same, value.convert or _same
    return Decoding(
        map_type,
        lambda entries: {
            convert_key(each): None if entry is None else convert_value(entry) for each, entry in entries.items()
        },
    )


def _optional(kind: Any) -> Any:
    return Optional[kind]  # noqa: UP045 - a type of msgspec need not know the operator


def list_of(kind: Any) -> Any:
    """The type of lists of a type."""
    return _list[kind]


def _same(value: Any) -> Any:
    return value


def _for_each(convert: Convert) -> Convert:
    return lambda values: [None if value is None else convert(value) for value in values]


def _naive_time(value: datetime.time) -> datetime.time:
    if value.tzinfo is not None and value.utcoffset():
        raise ValueError(f"'{value}' is not in UTC")
    return value.replace(tzinfo=None)


def naive_timestamp(value: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC, without a time zone; ``ValueError`` if there is no such year."""
    try:
        return value if value.tzinfo is None else value.astimezone(_UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"'{value}' is in no year of UTC") from None


def parse_instant(text: str) -> Instant:
    """The moment that a text such as ``2020-12-31T23:59:59.123Z`` says; ``ValueError`` if it says none."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no moment such as 2020-12-31T23:59:59Z")
    moment = datetime.datetime.fromisoformat(match[1] + (match[3] or "Z"))
    return Instant(int(moment.timestamp()), int((match[2] or "0").ljust(9, "0")))


def instant_text(value: Instant) -> str:
    """The text that ``parse_instant`` reads."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=value.seconds)  # noqa: DTZ001
    fraction = f".{value.nanos:09d}".rstrip("0") if value.nanos else ""
    return f"{moment.isoformat()}{fraction}Z"


# ---- the other way ----


def encoding(type_info: TypeInformation | None) -> Convert | None:
    """What makes values of a type ready for msgspec; None if they are as they are."""
    match type_info:
        case RowTypeInfo():
            make = struct_maker(type_info)
            return lambda value: make((value,))[0]
        case TupleTypeInfo():
            return _encode_sequence([encoding(each) or _same for each in type_info.get_field_types()])
        case MapTypeInfo():
            convert = encoding(type_info.value_type) or _same
            convert_key = encoding(type_info.key_type) or _same
            return lambda value: {
                convert_key(each): None if entry is None else convert(entry) for each, entry in value.items()
            }
        case PrimitiveArrayTypeInfo():
            return None
        case _ArrayTypeInfo():
            element = encoding(type_info.element_type)
            return None if element is None else _for_each(element)
        case TimeTypeInfo() | TimestampTypeInfo():
            return lambda value: f"{value.isoformat()}Z" if value.tzinfo is None else value
        case BasicTypeInfo() if type_info.basic_type is BasicType.BIG_DEC:
            return _finite_decimal
        case _:
            return None


def struct_maker(type_info: RowTypeInfo) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that makes structs of rows (or tuples, lists, dicts), ready to be encoded."""
    field_types = type_info.get_field_types()
    names = type_info.get_field_names()
    struct = row_struct(type_info, [Any for _ in field_types])
    conversions = [(index, convert) for index, convert in enumerate(map(encoding, field_types)) if convert is not None]

    def converted(values: Sequence[Any]) -> Any:
        changed = list(values)
        for index, convert in conversions:
            if changed[index] is not None:
                try:
                    changed[index] = convert(changed[index])
                except (AttributeError, TypeError, ValueError):
                    raise UserError(
                        f"The field '{names[index]}' of the type {field_types[index]} has a value that is none:"
                        f" {described(changed[index])}."
                    ) from None
        return struct(*changed)

    if conversions:
        return lambda records: list(map(converted, values_of(records, names)))
    return lambda records: [struct(*values) for values in values_of(records, names)]


def _encode_sequence(converts: Sequence[Convert]) -> Convert:
    return lambda values: [
        None if value is None else convert(value) for convert, value in zip(converts, values, strict=True)
    ]


def _finite_decimal(value: Any) -> Any:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("not finite")
    return value


def encode_other(value: Any) -> Any:
    """For values of types that msgspec does not know."""
    if isinstance(value, Row):
        return list(value) if value._fields is None else value.as_dict()
    if isinstance(value, Instant):
        return instant_text(value)
    raise UserError(f"A value of the type {type(value).__name__} cannot be written as JSON: {described(value)}.")
