"""The text of a record as the reference system prints it: ``(a,1)``, ``+I[a, 1]``, ``true``, ``1.0E10``.

Records of a declared type print as Java prints them; records without one as Python prints them.
"""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Callable, Iterable
from typing import Any

from pyflow_yarn.common.time import Instant
from pyflow_yarn.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
    _ArrayTypeInfo,
)
from pyflow_yarn.common.types import Row

__all__ = ["java_double", "java_float", "java_text", "text_function"]

TextFunction = Callable[[Any], str]


def java_text(value: Any, type_info: TypeInformation | None = None) -> str:
    """The text of one record."""
    return text_function(type_info)(value)


def text_function(type_info: TypeInformation | None) -> TextFunction:
    """A function that gives the text of records of this type; for many records, ask for it once."""
    if type_info is None:
        return _python_text
    build = _BUILDERS.get(type(type_info))
    if build is not None:
        return build(type_info)
    if isinstance(type_info, _ArrayTypeInfo):
        return _array(type_info)
    if isinstance(type_info, BasicTypeInfo):
        return _BASIC.get(type_info.basic_type, _plain)
    return _python_text


def _python_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if type(value) is str else str(value)


def _plain(value: Any) -> str:
    """A value that prints alike in Java and Python, and whatever does not have its declared type."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value)


def _decimal_text(digits: str, exponent: int, negative: bool) -> str:
    """Java's text of 0.``digits`` x 10^``exponent``: plain from 10^-3 up to 10^7, else with ``E``."""
    sign = "-" if negative else ""
    if -3 < exponent <= 7:
        if exponent <= 0:
            return f"{sign}0.{'0' * -exponent}{digits}"
        whole, fraction = digits[:exponent].ljust(exponent, "0"), digits[exponent:]
        return f"{sign}{whole}.{fraction or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent - 1}"


def _from_shortest(shortest: str) -> str:
    """Java's text of a finite number other than zero, from its shortest decimal form ``d.ddde+xx``."""
    mantissa, _, power = shortest.partition("e")
    negative = mantissa.startswith("-")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).rstrip("0") or "0"
    stripped = digits.lstrip("0")
    exponent = len(whole) + int(power or 0) - (len(digits) - len(stripped))
    return _decimal_text(stripped, exponent, negative)


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0.0"
    return None


def java_double(value: float) -> str:
    """``Double.toString``."""
    special = _special(value)
    if special is not None:
        return special
    two_digits = f"{value:.1e}"  # Java shows at least two digits, the nearest ones: 4.9E-324
    return _from_shortest(two_digits if float(two_digits) == value else repr(float(value)))


def _single(value: float) -> float:
    """The nearest number of single precision; infinity beyond the largest."""
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return single


def java_float(value: float) -> str:
    """``Float.toString`` of the nearest number of single precision."""
    single = _single(value)
    special = _special(single)
    if special is not None:
        return special
    texts = (f"{single:.{digits}e}" for digits in range(1, 9))
    return _from_shortest(next(text for text in texts if _single(float(text)) == single))


def _number_text(convert: TextFunction) -> TextFunction:
    def text(value: Any) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return convert(value)
        return _plain(value)

    return text


def _instant(value: Any) -> str:
    if not isinstance(value, Instant):
        return _plain(value)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=value.seconds)  # noqa: DTZ001
    fraction = f"{value.nanos:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{moment.isoformat()}{'.' + fraction if fraction else ''}Z"


def _timestamp(value: Any) -> str:
    if not isinstance(value, datetime.datetime):
        return _plain(value)
    fraction = f"{value.microsecond:06d}".rstrip("0") or "0"
    return f"{value:%Y-%m-%d %H:%M:%S}.{fraction}"


def _time(value: Any) -> str:
    return f"{value:%H:%M:%S}" if isinstance(value, datetime.time) else _plain(value)


def _date(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime.date) else _plain(value)


def _fields(functions: list[TextFunction], values: Iterable[Any], separator: str) -> str:
    return separator.join(
        "null" if value is None else function(value) for function, value in zip(functions, values, strict=False)
    )


def _tuple(type_info: Any) -> TextFunction:
    functions = [_nested(field_type) for field_type in type_info.get_field_types()]

    def text(value: Any) -> str:
        if isinstance(value, (tuple, list, Row)) and len(value) == len(functions):
            return f"({_fields(functions, value, ',')})"
        return _plain(value)

    return text


def _row(type_info: Any) -> TextFunction:
    functions = [_nested(field_type) for field_type in type_info.get_field_types()]
    names = type_info.get_field_names()

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return f"+I[{_fields(functions, (value.get(name) for name in names), ', ')}]"
        if isinstance(value, (tuple, list, Row)) and len(value) == len(functions):
            kind = value.get_row_kind() if isinstance(value, Row) else "+I"
            return f"{kind}[{_fields(functions, value, ', ')}]"
        return _plain(value)

    return text


def _array(type_info: Any) -> TextFunction:
    element = _nested(type_info.element_type)

    def text(value: Any) -> str:
        if isinstance(value, bytes):
            return f"[{', '.join(str(byte - 256 if byte > 127 else byte) for byte in value)}]"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join('null' if entry is None else element(entry) for entry in value)}]"
        return _plain(value)

    return text


def _map(type_info: Any) -> TextFunction:
    key_text, value_text = _nested(type_info.key_type), _nested(type_info.value_type)

    def text(value: Any) -> str:
        if not isinstance(value, dict):
            return _plain(value)
        entries = (f"{key_text(key)}={'null' if entry is None else value_text(entry)}" for key, entry in value.items())
        return f"{{{', '.join(entries)}}}"

    return text


def _nested(type_info: Any) -> TextFunction:
    """The text function of a field; PyFlink tolerates a field without a type."""
    return text_function(type_info if isinstance(type_info, TypeInformation) else None)


_BASIC: dict[BasicType, TextFunction] = {
    BasicType.FLOAT: _number_text(java_float),
    BasicType.DOUBLE: _number_text(java_double),
    BasicType.INSTANT: _instant,
}
_BUILDERS: dict[type, Callable[[Any], TextFunction]] = {
    TupleTypeInfo: _tuple,
    RowTypeInfo: _row,
    ListTypeInfo: _array,
    MapTypeInfo: _map,
    DateTypeInfo: lambda _: _date,
    TimeTypeInfo: lambda _: _time,
    TimestampTypeInfo: lambda _: _timestamp,
}
