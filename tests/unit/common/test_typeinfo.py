"""Types: names, equality, and the encoding they choose."""

from __future__ import annotations

import datetime
import decimal
import enum
import pickle
from collections import namedtuple
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.common import Instant, Row, TypeInformation, Types
from pyflow_yarn.common.typeinfo import RowTypeInfo, TupleTypeInfo

BASIC = [
    *("STRING", "BYTE", "BOOLEAN", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "CHAR", "BIG_INT", "BIG_DEC", "INSTANT"),
    *("SQL_DATE", "SQL_TIME", "SQL_TIMESTAMP", "PICKLED_BYTE_ARRAY"),
]


@pytest.mark.parametrize(
    ("type_info", "text"),
    [
        (Types.STRING(), "String"),
        (Types.INT(), "Integer"),
        (Types.CHAR(), "Char"),
        (Types.BIG_DEC(), "BigDecimal"),
        (Types.SQL_TIMESTAMP(), "TimestampTypeInfo"),
        (Types.PICKLED_BYTE_ARRAY(), "PickledByteArrayTypeInfo"),
        (Types.TUPLE([Types.STRING(), Types.INT()]), "TupleTypeInfo(String, Integer)"),
        (Types.ROW([Types.STRING(), Types.INT()]), "RowTypeInfo(String, Integer)"),
        (Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.STRING()]), "RowTypeInfo(a: String, b: String)"),
        (Types.LIST(Types.LONG()), "ListTypeInfo<Long>"),
        (Types.MAP(Types.STRING(), Types.DOUBLE()), "MapTypeInfo<String, Double>"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), "PrimitiveArrayTypeInfo<Byte>"),
        (Types.BASIC_ARRAY(Types.STRING()), "BasicArrayTypeInfo<String>"),
        (Types.OBJECT_ARRAY(Types.ROW([])), "ObjectArrayTypeInfo<RowTypeInfo()>"),
    ],
)
def test_texts(type_info: TypeInformation, text: str) -> None:
    assert repr(type_info) == str(type_info) == text
    assert pickle.loads(pickle.dumps(type_info)) == type_info


def test_types_are_equal_by_content() -> None:
    everything = [getattr(Types, name)() for name in BASIC]
    everything += [Types.LIST(each) for each in everything]
    everything += [
        Types.TUPLE([]),
        Types.TUPLE([Types.INT()]),
        Types.ROW([Types.INT()]),
        Types.OBJECT_ARRAY(Types.INT()),
    ]
    assert len(set(everything)) == len(everything)
    assert Types.INT() == Types.INT() and Types.INT() != Types.LONG()
    assert RowTypeInfo([Types.INT()], ["a"]) == RowTypeInfo([Types.INT()], ["b"])
    assert TupleTypeInfo([Types.INT()]) != RowTypeInfo([Types.INT()])


def test_rows() -> None:
    row = Types.ROW([Types.STRING(), Types.INT()])
    assert row.get_field_names() == ["f0", "f1"] and row.get_field_types() == [Types.STRING(), Types.INT()]
    named = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
    assert named.get_field_names() == ["a", "b"]
    assert (named.get_field_index("b"), named.get_field_index("c")) == (1, -1)
    with pytest.raises(ValueError):
        Types.ROW_NAMED(["a"], [])


def test_arrays_of_what_they_cannot_hold() -> None:
    with pytest.raises(TypeError):
        Types.PRIMITIVE_ARRAY(Types.STRING())
    with pytest.raises(TypeError):
        Types.BASIC_ARRAY(Types.ROW([]))


@pytest.mark.parametrize(
    ("type_info", "expected"),
    [
        (Types.INT(), int),
        (Types.DOUBLE(), float),
        (Types.STRING(), str | None),
        (Types.BOOLEAN(), bool),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), bytes),
        (Types.TUPLE([Types.INT(), Types.DOUBLE()]), tuple[int, float]),
        (Types.LIST(Types.TUPLE([Types.INT()])), list[tuple[int]]),
        (Types.MAP(Types.INT(), Types.LIST(Types.BOOLEAN())), dict[int, list[bool]]),
        (Types.TUPLE([Types.INT(), Types.BIG_DEC()]), None),
        (Types.LIST(Types.ROW([Types.INT()])), None),
        (Types.MAP(Types.TUPLE([Types.INT()]), Types.INT()), None),
        (Types.TUPLE([]), None),
        (Types.SQL_DATE(), None),
        (Types.INSTANT(), None),
        (Types.PICKLED_BYTE_ARRAY(), None),
    ],
)
def test_the_encoding_that_a_type_chooses(type_info: TypeInformation, expected: Any) -> None:
    assert type_info.msgspec_type() == expected


class _Text(str):
    pass


class _Number(enum.IntEnum):
    ONE = 1


_Pair = namedtuple("_Pair", "a b")


@pytest.mark.parametrize(
    ("type_info", "values"),
    [
        (Types.INT(), [1, None]),
        (Types.INT(), [1, True]),
        (Types.INT(), [1.0]),
        (Types.INT(), [_Number.ONE]),
        (Types.STRING(), ["a", _Text("b")]),
        (Types.STRING(), [b"a"]),
        (Types.DOUBLE(), [1.0, True]),
        (Types.DOUBLE(), [1.0, 2**53 + 1]),
        (Types.BOOLEAN(), [1]),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), [bytearray(b"a")]),
        (Types.TUPLE([Types.INT(), Types.INT()]), [[1, 2]]),
        (Types.TUPLE([Types.INT(), Types.INT()]), [(1, 2), (1, 2, 3)]),
        (Types.TUPLE([Types.INT(), Types.INT()]), [_Pair(1, 2)]),
        (Types.TUPLE([Types.INT(), Types.INT()]), [Row(1, 2)]),
        (Types.LIST(Types.INT()), [(1,)]),
        (Types.LIST(Types.LIST(Types.INT())), [[[1], [None]]]),
        (Types.MAP(Types.STRING(), Types.INT()), [{"a": "b"}]),
        (Types.MAP(Types.STRING(), Types.INT()), [{1: 1}]),
        (Types.BIG_DEC(), [decimal.Decimal(1)]),
        (Types.SQL_DATE(), [datetime.date(2020, 1, 1)]),
        (Types.INSTANT(), [Instant(1, 2)]),
    ],
)
def test_what_does_not_fit(type_info: TypeInformation, values: list[Any]) -> None:
    assert not type_info.fits(values)


_leaves = {
    Types.INT: st.integers(-(2**63), 2**64 - 1),
    Types.STRING: st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    Types.DOUBLE: st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
    Types.BOOLEAN: st.booleans(),
}
Typed = tuple[TypeInformation, st.SearchStrategy[Any]]


def _deeper(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    lists = inner.map(lambda each: (Types.LIST(each[0]), st.lists(each[1], max_size=3)))
    tuples = st.lists(inner, min_size=1, max_size=3).map(
        lambda each: (Types.TUPLE([field for field, _ in each]), st.tuples(*[value for _, value in each]))
    )
    maps = inner.map(lambda each: (Types.MAP(Types.STRING(), each[0]), st.dictionaries(st.just("k"), each[1])))
    return lists | tuples | maps


_typed: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from([(make(), values) for make, values in _leaves.items()]), _deeper, max_leaves=6
)


def _normal(value: Any) -> Any:
    """The value with its type at every level; whole floats count as what they equal."""
    if isinstance(value, (list, tuple)):
        return type(value), [_normal(each) for each in value]
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    return (float if type(value) is int else type(value)), value


@given(st.data())
def test_what_fits_comes_back_equal(data: st.DataObject) -> None:
    type_info, values = data.draw(_typed)
    batch = data.draw(st.lists(values, max_size=4))
    assert type_info.fits(batch)
    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=list[type_info.msgspec_type()])  # type: ignore[misc]
    assert decoded == batch
    assert [_normal(each) for each in decoded] == [_normal(each) for each in batch]


@given(_typed, st.recursive(st.none() | st.integers() | st.booleans() | st.text() | st.binary(), st.lists))
def test_a_misfit_is_found_or_comes_back_equal(typed: Typed, value: Any) -> None:
    type_info, _ = typed
    if type_info.fits([value]):
        try:
            encoded = msgspec.msgpack.encode([value])
        except (OverflowError, UnicodeEncodeError):
            return
        decoded = msgspec.msgpack.decode(encoded, type=list[type_info.msgspec_type()])  # type: ignore[misc]
        assert _normal(decoded) == _normal([value])
