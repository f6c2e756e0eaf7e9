"""Types of records: ``Types`` and what it makes.

A declared type chooses how records are encoded between workers (``msgspec_type``) and how they are printed
(``pyflow_yarn.common.type_text``). It converts nothing: a record of another type travels unchanged.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from enum import Enum
from itertools import chain
from typing import Any

from pyflow_yarn.common.time import Instant
from pyflow_yarn.common.types import Row

__all__ = [
    "BasicArrayTypeInfo",
    "BasicType",
    "BasicTypeInfo",
    "DateTypeInfo",
    "InstantTypeInfo",
    "ListTypeInfo",
    "MapTypeInfo",
    "ObjectArrayTypeInfo",
    "PickledBytesTypeInfo",
    "PrimitiveArrayTypeInfo",
    "RowTypeInfo",
    "TimeTypeInfo",
    "TimestampTypeInfo",
    "TupleTypeInfo",
    "TypeInformation",
    "Types",
]

MAX_EXACT_INTEGER = 2**53


class TypeInformation:
    """The type of the records of a stream."""

    def msgspec_type(self) -> Any:
        """A type under which msgspec encodes and decodes records of this type, or None when they must be pickled."""
        return None

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether the msgspec round trip gives all of ``values`` back equal and of equal types.

        Integers in a column of floats count as equal when they are exact as floats.
        """
        return False

    def _identity(self) -> tuple[Any, ...]:
        """What two type informations of one class are compared by."""
        return ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self._identity()))


class BasicType(Enum):
    """The basic types; the value is what Flink prints."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


_MSGSPEC_TYPES: dict[BasicType, Any] = {
    BasicType.STRING: str | None,
    BasicType.CHAR: str,
    BasicType.BOOLEAN: bool,
    BasicType.BYTE: int,
    BasicType.SHORT: int,
    BasicType.INT: int,
    BasicType.LONG: int,
    BasicType.BIG_INT: int,
    BasicType.FLOAT: float,
    BasicType.DOUBLE: float,
}
_PYTHON_TYPES: dict[BasicType, frozenset[type]] = {
    BasicType.STRING: frozenset({str, type(None)}),
    BasicType.CHAR: frozenset({str}),
    BasicType.BOOLEAN: frozenset({bool}),
    BasicType.BYTE: frozenset({int}),
    BasicType.SHORT: frozenset({int}),
    BasicType.INT: frozenset({int}),
    BasicType.LONG: frozenset({int}),
    BasicType.BIG_INT: frozenset({int}),
    BasicType.FLOAT: frozenset({float}),
    BasicType.DOUBLE: frozenset({float}),
}


class BasicTypeInfo(TypeInformation):
    """A number, a text or a truth value."""

    def __init__(self, basic_type: BasicType) -> None:
        self._basic_type = basic_type

    @property
    def basic_type(self) -> BasicType:
        """Which of them."""
        return self._basic_type

    def msgspec_type(self) -> Any:
        return _MSGSPEC_TYPES.get(self._basic_type)

    def fits(self, values: Sequence[Any]) -> bool:
        expected = _PYTHON_TYPES.get(self._basic_type)
        if expected is None:
            return False
        actual = set(map(type, values))
        if actual <= expected:
            return True
        return (
            float in expected
            and actual <= {int, float}
            and all(type(value) is float or -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER for value in values)
        )

    def _identity(self) -> tuple[Any, ...]:
        return (self._basic_type,)

    def __repr__(self) -> str:
        return self._basic_type.value

    @staticmethod
    def STRING_TYPE_INFO() -> BasicTypeInfo:
        """``Types.STRING()``."""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> BasicTypeInfo:
        """``Types.BOOLEAN()``."""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> BasicTypeInfo:
        """``Types.BYTE()``."""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> BasicTypeInfo:
        """``Types.SHORT()``."""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> BasicTypeInfo:
        """``Types.INT()``."""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> BasicTypeInfo:
        """``Types.LONG()``."""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> BasicTypeInfo:
        """``Types.FLOAT()``."""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> BasicTypeInfo:
        """``Types.DOUBLE()``."""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> BasicTypeInfo:
        """``Types.CHAR()``."""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> BasicTypeInfo:
        """``Types.BIG_INT()``."""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> BasicTypeInfo:
        """``Types.BIG_DEC()``."""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> BasicTypeInfo:
        """``Types.INSTANT()``."""
        return InstantTypeInfo(BasicType.INSTANT)


class InstantTypeInfo(BasicTypeInfo):
    """A moment: ``pyflow_yarn.common.time.Instant``."""

    python_type = Instant


class DateTypeInfo(TypeInformation):
    """``datetime.date``."""

    python_type = datetime.date

    def __repr__(self) -> str:
        return "DateTypeInfo"


class TimeTypeInfo(TypeInformation):
    """``datetime.time``."""

    python_type = datetime.time

    def __repr__(self) -> str:
        return "TimeTypeInfo"


class TimestampTypeInfo(TypeInformation):
    """``datetime.datetime``."""

    python_type = datetime.datetime

    def __repr__(self) -> str:
        return "TimestampTypeInfo"


class SqlTimeTypeInfo(TypeInformation):
    """Gives access to the types of dates and times."""

    @staticmethod
    def DATE() -> DateTypeInfo:
        """``Types.SQL_DATE()``."""
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        """``Types.SQL_TIME()``."""
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        """``Types.SQL_TIMESTAMP()``."""
        return TimestampTypeInfo()


def _list_of(element_type: TypeInformation) -> Any:
    element = element_type.msgspec_type()
    return None if element is None else list[element]  # type: ignore[valid-type]


def _lists_fit(values: Sequence[Any], element_type: TypeInformation) -> bool:
    return set(map(type, values)) <= {list} and element_type.fits(list(chain.from_iterable(values)))


class _ArrayTypeInfo(TypeInformation):
    """A list of elements of one type."""

    def __init__(self, element_type: TypeInformation) -> None:
        self._element_type = element_type

    @property
    def element_type(self) -> TypeInformation:
        """The type of the elements."""
        return self._element_type

    def msgspec_type(self) -> Any:
        return _list_of(self._element_type)

    def fits(self, values: Sequence[Any]) -> bool:
        return _lists_fit(values, self._element_type)

    def _identity(self) -> tuple[Any, ...]:
        return (self._element_type,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self._element_type}>"


_PRIMITIVE = frozenset(
    {
        BasicType.BOOLEAN,
        BasicType.BYTE,
        BasicType.SHORT,
        BasicType.INT,
        BasicType.LONG,
        BasicType.FLOAT,
        BasicType.DOUBLE,
        BasicType.CHAR,
    }
)


class PrimitiveArrayTypeInfo(_ArrayTypeInfo):
    """A list of numbers or truth values; of BYTE: ``bytes``."""

    def __init__(self, element_type: TypeInformation) -> None:
        if not isinstance(element_type, BasicTypeInfo) or element_type.basic_type not in _PRIMITIVE:
            raise TypeError(f"Invalid element type for a primitive array: {element_type}.")
        super().__init__(element_type)
        self._bytes = element_type.basic_type is BasicType.BYTE

    def msgspec_type(self) -> Any:
        return bytes if self._bytes else super().msgspec_type()

    def fits(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) <= {bytes} if self._bytes else super().fits(values)


class BasicArrayTypeInfo(_ArrayTypeInfo):
    """A list of elements of a basic type."""

    def __init__(self, element_type: TypeInformation) -> None:
        if not isinstance(element_type, BasicTypeInfo) or element_type.basic_type not in _PRIMITIVE | {
            BasicType.STRING
        }:
            raise TypeError(f"Invalid element type for a basic array: {element_type}.")
        super().__init__(element_type)


class ObjectArrayTypeInfo(_ArrayTypeInfo):
    """A list of elements of any type."""


class ListTypeInfo(_ArrayTypeInfo):
    """A list."""

    @property
    def elem_type(self) -> TypeInformation:
        """The type of the elements, under PyFlink's name."""
        return self._element_type


class PickledBytesTypeInfo(TypeInformation):
    """Any Python object."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class RowTypeInfo(TypeInformation):
    """A ``Row``."""

    def __init__(self, field_types: list[TypeInformation], field_names: list[str] | None = None) -> None:
        if field_names is not None and len(field_names) != len(field_types):
            raise ValueError(f"There are {len(field_types)} field types but {len(field_names)} field names.")
        self._field_types = list(field_types)
        self._field_names = list(field_names) if field_names is not None else None

    def get_field_names(self) -> list[str]:
        """Names of the fields; ``f0``, ``f1``... if none were given."""
        return self._field_names or [f"f{index}" for index in range(len(self._field_types))]

    def get_field_index(self, field_name: str) -> int:
        """Position of a field; -1 if there is none of that name."""
        names = self.get_field_names()
        return names.index(field_name) if field_name in names else -1

    def get_field_types(self) -> list[TypeInformation]:
        """Types of the fields."""
        return self._field_types

    def _identity(self) -> tuple[Any, ...]:
        return tuple(self._field_types)

    def __repr__(self) -> str:
        if self._field_names:
            fields = zip(self._field_names, self._field_types, strict=True)
            return f"RowTypeInfo({', '.join(f'{name}: {field_type}' for name, field_type in fields)})"
        return f"RowTypeInfo({', '.join(map(str, self._field_types))})"

    python_type = Row


class TupleTypeInfo(TypeInformation):
    """A tuple of fixed length."""

    def __init__(self, field_types: list[TypeInformation]) -> None:
        self._field_types = list(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        """Types of the fields."""
        return self._field_types

    def msgspec_type(self) -> Any:
        fields = [field_type.msgspec_type() for field_type in self._field_types]
        return None if not fields or None in fields else tuple[tuple(fields)]  # type: ignore[misc]

    def fits(self, values: Sequence[Any]) -> bool:
        if not set(map(type, values)) <= {tuple} or not set(map(len, values)) <= {len(self._field_types)}:
            return False
        columns = zip(*values, strict=True)
        return all(field_type.fits(column) for field_type, column in zip(self._field_types, columns, strict=False))

    def _identity(self) -> tuple[Any, ...]:
        return tuple(self._field_types)

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(str, self._field_types))})"


class MapTypeInfo(TypeInformation):
    """A dict."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self._key_type_info = key_type_info
        self._value_type_info = value_type_info

    @property
    def key_type(self) -> TypeInformation:
        """The type of the keys."""
        return self._key_type_info

    @property
    def value_type(self) -> TypeInformation:
        """The type of the values."""
        return self._value_type_info

    def msgspec_type(self) -> Any:
        key, value = self._key_type_info.msgspec_type(), self._value_type_info.msgspec_type()
        return None if key is None or value is None or not self._hashable_key() else dict[key, value]  # type: ignore[valid-type]

    def _hashable_key(self) -> bool:
        """Keys that msgspec gives back as they were: basic ones."""
        return isinstance(self._key_type_info, BasicTypeInfo)

    def fits(self, values: Sequence[Any]) -> bool:
        return (
            set(map(type, values)) <= {dict}
            and self._key_type_info.fits(list(chain.from_iterable(values)))
            and self._value_type_info.fits(list(chain.from_iterable(value.values() for value in values)))
        )

    def _identity(self) -> tuple[Any, ...]:
        return (self._key_type_info, self._value_type_info)

    def __repr__(self) -> str:
        return f"MapTypeInfo<{self._key_type_info}, {self._value_type_info}>"


class Types:
    """The types of records."""

    @staticmethod
    def STRING() -> TypeInformation:
        """A text, or None."""
        return BasicTypeInfo.STRING_TYPE_INFO()

    @staticmethod
    def BYTE() -> TypeInformation:
        """An integer of 8 bits."""
        return BasicTypeInfo.BYTE_TYPE_INFO()

    @staticmethod
    def BOOLEAN() -> TypeInformation:
        """A truth value."""
        return BasicTypeInfo.BOOLEAN_TYPE_INFO()

    @staticmethod
    def SHORT() -> TypeInformation:
        """An integer of 16 bits."""
        return BasicTypeInfo.SHORT_TYPE_INFO()

    @staticmethod
    def INT() -> TypeInformation:
        """An integer of 32 bits."""
        return BasicTypeInfo.INT_TYPE_INFO()

    @staticmethod
    def LONG() -> TypeInformation:
        """An integer of 64 bits."""
        return BasicTypeInfo.LONG_TYPE_INFO()

    @staticmethod
    def FLOAT() -> TypeInformation:
        """A number of single precision."""
        return BasicTypeInfo.FLOAT_TYPE_INFO()

    @staticmethod
    def DOUBLE() -> TypeInformation:
        """A number of double precision."""
        return BasicTypeInfo.DOUBLE_TYPE_INFO()

    @staticmethod
    def CHAR() -> TypeInformation:
        """A text of one character."""
        return BasicTypeInfo.CHAR_TYPE_INFO()

    @staticmethod
    def BIG_INT() -> TypeInformation:
        """An integer of any size."""
        return BasicTypeInfo.BIG_INT_TYPE_INFO()

    @staticmethod
    def BIG_DEC() -> TypeInformation:
        """``decimal.Decimal``."""
        return BasicTypeInfo.BIG_DEC_TYPE_INFO()

    @staticmethod
    def INSTANT() -> TypeInformation:
        """A moment."""
        return BasicTypeInfo.INSTANT_TYPE_INFO()

    @staticmethod
    def SQL_DATE() -> TypeInformation:
        """``datetime.date``."""
        return SqlTimeTypeInfo.DATE()

    @staticmethod
    def SQL_TIME() -> TypeInformation:
        """``datetime.time``."""
        return SqlTimeTypeInfo.TIME()

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:
        """``datetime.datetime``."""
        return SqlTimeTypeInfo.TIMESTAMP()

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> TypeInformation:
        """Any Python object."""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: list[TypeInformation]) -> RowTypeInfo:
        """A ``Row`` with fields of these types."""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(field_names: list[str], field_types: list[TypeInformation]) -> RowTypeInfo:
        """A ``Row`` with named fields of these types."""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: list[TypeInformation]) -> TupleTypeInfo:
        """A tuple with fields of these types."""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """A list of numbers or truth values; of ``Types.BYTE()``: ``bytes``."""
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """A list of elements of a basic type."""
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """A list of elements of any type."""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(key_type_info: TypeInformation, value_type_info: TypeInformation) -> TypeInformation:
        """A dict."""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> TypeInformation:
        """A list."""
        return ListTypeInfo(element_type_info)
