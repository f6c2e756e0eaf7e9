"""Records print as in the reference system."""

from __future__ import annotations

import datetime
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.common import Instant, Row, RowKind, TypeInformation, Types
from pyflow_yarn.common.type_text import java_double, java_float, java_text


@pytest.mark.parametrize(
    ("value", "type_info", "text"),
    [
        ("a", None, "a"),
        (1, None, "1"),
        (("a", 1), None, "('a', 1)"),
        (True, None, "True"),
        (None, None, "None"),
        (b"a\xc3\xa4", None, "aä"),
        (Row(1, "a"), None, "Row(f0=1, f1='a')"),
        ("a", Types.STRING(), "a"),
        (None, Types.STRING(), "null"),
        (True, Types.BOOLEAN(), "true"),
        (False, Types.BOOLEAN(), "false"),
        (12, Types.LONG(), "12"),
        (1.0, Types.DOUBLE(), "1.0"),
        (3, Types.DOUBLE(), "3.0"),
        (1e10, Types.DOUBLE(), "1.0E10"),
        (0.1, Types.FLOAT(), "0.1"),
        (Decimal("1.50"), Types.BIG_DEC(), "1.50"),
        (("a", 1), Types.TUPLE([Types.STRING(), Types.INT()]), "(a,1)"),
        (
            (None, (1, True)),
            Types.TUPLE([Types.STRING(), Types.TUPLE([Types.INT(), Types.BOOLEAN()])]),
            "(null,(1,true))",
        ),
        (("a", [1, None]), Types.TUPLE([Types.STRING(), Types.LIST(Types.INT())]), "(a,[1, null])"),
        (Row(1, "a"), Types.ROW([Types.INT(), Types.STRING()]), "+I[1, a]"),
        (Row.of_kind(RowKind.DELETE, 1, None), Types.ROW([Types.INT(), Types.STRING()]), "-D[1, null]"),
        ((1, "a"), Types.ROW([Types.INT(), Types.STRING()]), "+I[1, a]"),
        ({"b": 2.5, "a": 1}, Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.DOUBLE()]), "+I[1, 2.5]"),
        (Row(Row(1)), Types.ROW([Types.ROW([Types.INT()])]), "+I[+I[1]]"),
        ([1.5, 2.0], Types.PRIMITIVE_ARRAY(Types.DOUBLE()), "[1.5, 2.0]"),
        (b"\x01\xff", Types.PRIMITIVE_ARRAY(Types.BYTE()), "[1, -1]"),
        ({"a": 1, "b": None}, Types.MAP(Types.STRING(), Types.INT()), "{a=1, b=null}"),
        (datetime.date(2020, 1, 2), Types.SQL_DATE(), "2020-01-02"),
        (datetime.time(3, 4, 5, 6), Types.SQL_TIME(), "03:04:05"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), Types.SQL_TIMESTAMP(), "2020-01-02 03:04:05.0"),  # noqa: DTZ001
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 120000), Types.SQL_TIMESTAMP(), "2020-01-02 03:04:05.12"),  # noqa: DTZ001
        (Instant.of_epoch_milli(0), Types.INSTANT(), "1970-01-01T00:00:00Z"),
        (Instant.of_epoch_milli(1500), Types.INSTANT(), "1970-01-01T00:00:01.500Z"),
        (Instant(1, 1), Types.INSTANT(), "1970-01-01T00:00:01.000000001Z"),
        ((1, 2), Types.TUPLE([Types.PICKLED_BYTE_ARRAY(), Types.INT()]), "(1,2)"),
        # What does not have its declared type prints as Python has it.
        ("x", Types.DOUBLE(), "x"),
        (5, Types.TUPLE([Types.INT()]), "5"),
        ((1,), Types.TUPLE([Types.INT(), Types.INT()]), "(1,)"),
        ("x", Types.ROW([Types.INT()]), "x"),
        ("x", Types.MAP(Types.INT(), Types.INT()), "x"),
        ("x", Types.LIST(Types.INT()), "x"),
        ("x", Types.SQL_DATE(), "x"),
        ("x", Types.SQL_TIME(), "x"),
        ("x", Types.SQL_TIMESTAMP(), "x"),
        ("x", Types.INSTANT(), "x"),
    ],
)
def test_texts(value: Any, type_info: TypeInformation | None, text: str) -> None:
    assert java_text(value, type_info) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (0.00123, "0.00123"),
        (9999999.0, "9999999.0"),
        (10000000.0, "1.0E7"),
        (123456789.125, "1.23456789125E8"),
        (-1.5e-9, "-1.5E-9"),
        (1e23, "1.0E23"),
        (5e-324, "4.9E-324"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (100, "100.0"),
    ],
)
def test_doubles(value: float, text: str) -> None:
    assert java_double(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (16777216.0, "1.6777216E7"),
        (3.4028234663852886e38, "3.4028235E38"),
        (1e39, "Infinity"),
        (-1e39, "-Infinity"),
        (1.401298464324817e-45, "1.4E-45"),
        (1e-50, "0.0"),
        (123456.789, "123456.79"),
    ],
)
def test_floats(value: float, text: str) -> None:
    assert java_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value: float) -> None:
    assert float(java_double(value)) == value
    text = java_float(value)
    if "Infinity" not in text:
        assert struct.pack("<f", float(text)) == struct.pack("<f", value)
