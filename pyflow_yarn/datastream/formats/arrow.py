"""Columns of Arrow and the rows they stand for. The library is imported by whoever reads or writes, not before."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

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
    Types,
    _ArrayTypeInfo,
)
from pyflow_yarn.common.types import Row, rows_of
from pyflow_yarn.datastream.formats.bad_records import described
from pyflow_yarn.datastream.formats.rows import values_of
from pyflow_yarn.errors import UserError

ConvertColumn = Callable[[Sequence[Any]], Sequence[Any]]

DECIMAL_DIGITS, DECIMAL_SCALE = 38, 18
_MICROS, _NANOS_PER_MICRO = 1_000_000, 1000
_NONE = type(None)
_ARROW_NAMES = {
    BasicType.STRING: "string",
    BasicType.CHAR: "string",
    BasicType.BOOLEAN: "bool_",
    BasicType.BYTE: "int8",
    BasicType.SHORT: "int16",
    BasicType.INT: "int32",
    BasicType.LONG: "int64",
    BasicType.FLOAT: "float32",
    BasicType.DOUBLE: "float64",
}
_INTEGERS = frozenset({int})
_PYTHON_TYPES: dict[BasicType, frozenset[type]] = {
    BasicType.STRING: frozenset({str}),
    BasicType.CHAR: frozenset({str}),
    BasicType.BOOLEAN: frozenset({bool}),
    BasicType.BYTE: _INTEGERS,
    BasicType.SHORT: _INTEGERS,
    BasicType.INT: _INTEGERS,
    BasicType.LONG: _INTEGERS,
    BasicType.BIG_INT: _INTEGERS,
    BasicType.FLOAT: frozenset({float, int}),
    BasicType.DOUBLE: frozenset({float, int}),
    BasicType.BIG_DEC: frozenset({Decimal, int}),
    BasicType.INSTANT: frozenset({Instant}),
}


def import_pyarrow(purpose: str) -> Any:
    """The library with its Parquet part; ``purpose`` begins a sentence for when it is not there."""
    # A worker is one of many on its machine: no threads for the memory that the library gives back.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{purpose} needs pyarrow, which the Python {sys.executable} lacks: run"
            f" {sys.executable} -m pip install pyarrow."
        ) from None
    return pyarrow


# ---- types ----


def arrow_schema(pa: Any, row_type: RowTypeInfo) -> Any:
    """The schema of files with such rows."""
    names, types = row_type.get_field_names(), row_type.get_field_types()
    return pa.schema([(name, arrow_type(pa, field)) for name, field in zip(names, types, strict=True)])


def arrow_type(pa: Any, type_info: TypeInformation) -> Any:
    """The type of columns with values of a declared type."""
    match type_info:
        case BasicTypeInfo() if type_info.basic_type in _ARROW_NAMES:
            return getattr(pa, _ARROW_NAMES[type_info.basic_type])()
        case BasicTypeInfo() if type_info.basic_type is BasicType.INSTANT:
            return pa.timestamp("us", tz="UTC")
        case BasicTypeInfo():
            return pa.decimal128(DECIMAL_DIGITS, 0 if type_info.basic_type is BasicType.BIG_INT else DECIMAL_SCALE)
        case DateTypeInfo():
            return pa.date32()
        case TimeTypeInfo():
            return pa.time64("us")
        case TimestampTypeInfo():
            return pa.timestamp("us")
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return pa.binary()
        case _ArrayTypeInfo():
            return pa.list_(arrow_type(pa, type_info.element_type))
        case MapTypeInfo():
            return pa.map_(arrow_type(pa, type_info.key_type), arrow_type(pa, type_info.value_type))
        case RowTypeInfo() | TupleTypeInfo():
            return pa.struct(list(arrow_schema(pa, _as_row_type(type_info))))
        case _:
            raise UserError(f"Columns cannot hold values of the type {type_info}: declare what they are.")


def _as_row_type(type_info: RowTypeInfo | TupleTypeInfo) -> RowTypeInfo:
    return type_info if isinstance(type_info, RowTypeInfo) else RowTypeInfo(type_info.get_field_types())


def type_of_schema(pa: Any, schema: Any) -> RowTypeInfo:
    """The type of the rows that columns of this schema stand for."""
    return Types.ROW_NAMED(list(schema.names), [type_of_arrow(pa, kind) for kind in schema.types])


def type_of_arrow(pa: Any, kind: Any) -> TypeInformation:
    """The declared type that fits a column's best."""
    is_ = pa.types
    simple = (
        (is_.is_boolean, Types.BOOLEAN),
        (is_.is_int8, Types.BYTE),
        (lambda each: is_.is_int16(each) or is_.is_uint8(each), Types.SHORT),
        (lambda each: is_.is_int32(each) or is_.is_uint16(each), Types.INT),
        (lambda each: is_.is_int64(each) or is_.is_uint32(each), Types.LONG),
        (is_.is_uint64, Types.BIG_INT),
        (is_.is_float64, Types.DOUBLE),
        (is_.is_floating, Types.FLOAT),
        (is_.is_decimal, Types.BIG_DEC),
        (is_.is_date, Types.SQL_DATE),
        (is_.is_time, Types.SQL_TIME),
        (is_.is_timestamp, lambda: Types.SQL_TIMESTAMP() if kind.tz is None else Types.INSTANT()),
        (lambda each: is_.is_string(each) or is_.is_large_string(each) or is_.is_null(each), Types.STRING),
        (
            lambda each: is_.is_binary(each) or is_.is_large_binary(each) or is_.is_fixed_size_binary(each),
            lambda: Types.PRIMITIVE_ARRAY(Types.BYTE()),
        ),
    )
    for fits, make in simple:
        if fits(kind):
            return make()
    if is_.is_dictionary(kind):
        return type_of_arrow(pa, kind.value_type)
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return Types.LIST(type_of_arrow(pa, kind.value_type))
    if is_.is_map(kind):
        return Types.MAP(type_of_arrow(pa, kind.key_type), type_of_arrow(pa, kind.item_type))
    if is_.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return Types.ROW_NAMED([field.name for field in fields], [type_of_arrow(pa, field.type) for field in fields])
    raise UserError(f"Columns of the Arrow type {kind} have no type of ours: leave them out of the row type.")


# ---- columns to values ----


def column_cast(pa: Any, type_info: TypeInformation, name: str) -> Callable[[Any], Any]:
    """A function that casts arrays to the declared type if they have another one; ``ValueError`` if they cannot be."""
    wanted = arrow_type(pa, type_info)

    def cast(array: Any) -> Any:
        kind = array.type
        if kind == wanted or _reads_as_it_is(pa, kind, type_info):
            return array
        try:
            return array.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            reason = str(error).split("\n", 1)[0].rstrip(".")
            raise ValueError(f"its column '{name}' of {kind} cannot be read as {type_info}: {reason}") from None

    return cast


def _column_values(pa: Any, type_info: TypeInformation) -> Callable[[Any], Sequence[Any]]:
    """A function that gives the values of arrays of the declared type."""
    convert = _from_arrow(type_info)
    instants = isinstance(type_info, BasicTypeInfo) and type_info.basic_type is BasicType.INSTANT

    def values(array: Any) -> Sequence[Any]:
        if instants:  # numbers are much faster than moments of a time zone
            found = array.cast(pa.int64()).to_pylist()
            return [None if value is None else _instant_of_micros(value) for value in found]
        found = array.to_pylist()
        return found if convert is None else convert(found)

    return values


def _reads_as_it_is(pa: Any, kind: Any, type_info: TypeInformation) -> bool:
    """Decimals have a precision, which a declared type has not; whole numbers are integers of any size."""
    if not isinstance(type_info, BasicTypeInfo):
        return False
    if type_info.basic_type is BasicType.BIG_DEC:
        return bool(pa.types.is_decimal(kind))
    whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    return type_info.basic_type is BasicType.BIG_INT and bool(whole)


def _instant_of_micros(micros: int) -> Instant:
    seconds, rest = divmod(micros, _MICROS)
    return Instant(seconds, rest * _NANOS_PER_MICRO)


def _from_arrow(type_info: TypeInformation) -> ConvertColumn | None:
    """What makes the values of a declared type of those that the library gives; None if they are the same."""
    match type_info:
        case BasicTypeInfo() if type_info.basic_type is BasicType.BIG_INT:
            return lambda values: [None if value is None else int(value) for value in values]
        case BasicTypeInfo() if type_info.basic_type is BasicType.INSTANT:
            return lambda values: [None if value is None else _instant_of_datetime(value) for value in values]
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return None
        case _ArrayTypeInfo():
            element = _from_arrow(type_info.element_type)
            if element is None:
                return None
            return lambda values: [None if value is None else element(value) for value in values]
        case MapTypeInfo():
            key, entry = _from_arrow(type_info.key_type) or _same, _from_arrow(type_info.value_type) or _same
            return lambda values: [None if value is None else _dict_of(value, key, entry) for value in values]
        case RowTypeInfo() | TupleTypeInfo():
            return _from_structs(type_info)
        case _:
            return None


def _same(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _dict_of(entries: list[tuple[Any, Any]], key: ConvertColumn, entry: ConvertColumn) -> dict[Any, Any]:
    return dict(zip(key([each for each, _ in entries]), entry([each for _, each in entries]), strict=True))


def _instant_of_datetime(value: datetime.datetime) -> Instant:
    since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return Instant(since.days * 86_400 + since.seconds, since.microseconds * _NANOS_PER_MICRO)


def _from_structs(type_info: RowTypeInfo | TupleTypeInfo) -> ConvertColumn:
    names = _as_row_type(type_info).get_field_names()
    converts = [_from_arrow(field_type) or _same for field_type in type_info.get_field_types()]

    def convert(values: Sequence[Any]) -> Sequence[Any]:
        present = [value for value in values if value is not None]
        columns = [
            convert_field([value[name] for value in present])
            for name, convert_field in zip(names, converts, strict=True)
        ]
        records: list[Any] = list(zip(*columns, strict=True)) if columns else [()] * len(present)
        made = iter(records if isinstance(type_info, TupleTypeInfo) else rows_of(names, records))
        return [None if value is None else next(made) for value in values]

    return convert


# ---- values to columns ----


class ColumnWriter:
    """Makes arrays of the values of a column."""

    def __init__(self, pa: Any, type_info: TypeInformation, name: str) -> None:
        self._pa = pa
        self._type_info = type_info
        self._name = name
        self._arrow_type = arrow_type(pa, type_info)
        self._ready = _to_arrow(type_info)

    def array(self, values: Sequence[Any]) -> Any:
        """The array of these values; ``UserError`` if one is none of the type."""
        try:
            return self._pa.array(self._ready(values), self._arrow_type)
        except (self._pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError):
            for value in values:
                self._check(value)
            raise

    def _check(self, value: Any) -> None:
        try:
            self._pa.array(self._ready((value,)), self._arrow_type)
        except (self._pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = str(error).split("\n", 1)[0].rstrip(".")
            raise UserError(
                f"The field '{self._name}' of the type {self._type_info} has a value that is none: {described(value)}"
                f"{f' ({reason})' if reason else ''}."
            ) from None


def _to_arrow(type_info: TypeInformation) -> ConvertColumn:
    """What checks values, of which the library would quietly cut or convert some, and makes them ready for it."""
    match type_info:
        case BasicTypeInfo() if type_info.basic_type is BasicType.INSTANT:
            return lambda values: [None if value is None else _micros(value) for value in values]
        case BasicTypeInfo():
            return _of_types(_PYTHON_TYPES[type_info.basic_type])
        case DateTypeInfo():
            return _of_types(frozenset({datetime.date}))
        case TimeTypeInfo():
            return _of_types(frozenset({datetime.time}))
        case TimestampTypeInfo():
            return _of_types(frozenset({datetime.datetime}))
        case PrimitiveArrayTypeInfo() if type_info.msgspec_type() is bytes:
            return _of_types(frozenset({bytes, bytearray}))
        case _ArrayTypeInfo():
            return _lists_to_arrow(_to_arrow(type_info.element_type))
        case MapTypeInfo():
            return _maps_to_arrow(_to_arrow(type_info.key_type), _to_arrow(type_info.value_type))
        case RowTypeInfo() | TupleTypeInfo():
            return _structs_to_arrow(_as_row_type(type_info))
        case _:
            return _same


def _of_types(types: frozenset[type]) -> ConvertColumn:
    allowed = types | {_NONE}

    def check(values: Sequence[Any]) -> Sequence[Any]:
        if not set(map(type, values)) <= allowed:
            raise TypeError
        return values

    return check


def _micros(value: Instant) -> int:
    micros, rest = divmod(value.nanos, _NANOS_PER_MICRO)
    if rest:
        raise ValueError("files hold microseconds, not nanoseconds")
    return value.seconds * _MICROS + micros


def _lists_to_arrow(element: ConvertColumn) -> ConvertColumn:
    def convert(values: Sequence[Any]) -> Sequence[Any]:
        if not set(map(type, values)) <= {list, tuple, _NONE}:
            raise TypeError
        flat = element(list(chain.from_iterable(value for value in values if value is not None)))
        each = iter(flat)
        return [None if value is None else [next(each) for _ in value] for value in values]

    return convert


def _maps_to_arrow(key: ConvertColumn, entry: ConvertColumn) -> ConvertColumn:
    def convert(values: Sequence[Any]) -> Sequence[Any]:
        if not set(map(type, values)) <= {dict, _NONE}:
            raise TypeError
        return [
            None if value is None else list(zip(key(list(value.keys())), entry(list(value.values())), strict=True))
            for value in values
        ]

    return convert


def _structs_to_arrow(row_type: RowTypeInfo) -> ConvertColumn:
    names = row_type.get_field_names()
    converts = [_to_arrow(field_type) for field_type in row_type.get_field_types()]

    def convert(values: Sequence[Any]) -> Sequence[Any]:
        if not set(map(type, values)) <= {Row, tuple, list, dict, _NONE}:
            raise TypeError
        records = values_of([value for value in values if value is not None], names)
        columns = [each(column) for each, column in zip(converts, zip(*records, strict=True), strict=False)]
        made = (dict(zip(names, record, strict=True)) for record in zip(*columns, strict=True))
        return [None if value is None else next(made) for value in values]

    return convert


# ---- batches ----


class RowMaker:
    """Makes the rows of record batches whose columns have been cast; ``place`` says in messages what they are of."""

    def __init__(self, pa: Any, row_type: RowTypeInfo, place: str) -> None:
        self.row_type = row_type
        self._pa = pa
        self._place = place
        self._names = row_type.get_field_names()
        self._columns = [_column_values(pa, kind) for kind in row_type.get_field_types()]

    def __call__(self, batch: Any) -> list[Row]:
        """The rows; ``UserError`` if a value, such as a day of the year 10000, cannot be one of a row."""
        values = [self._values(number, array) for number, array in enumerate(batch.columns)]
        return rows_of(self._names, zip(*values, strict=True))

    def _values(self, number: int, array: Any) -> Sequence[Any]:
        try:
            return self._columns[number](array)
        except (self._pa.ArrowException, ValueError, OverflowError) as error:
            reason = str(error).split("\n", 1)[0].rstrip(".")
            raise UserError(
                f"The column '{self._names[number]}' of {self._place} has a value that no row can have: {reason}."
            ) from None


def arrays_of(names: list[str], columns: Sequence[ColumnWriter], records: Sequence[Any]) -> list[Any]:
    """The arrays of many records."""
    values = zip(*values_of(records, names), strict=True)
    return [column.array(each) for column, each in zip(columns, values, strict=True)]
