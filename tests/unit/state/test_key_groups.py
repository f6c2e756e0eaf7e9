"""Hashes of keys: fixed for ever by golden vectors, equal for equal keys, and the same one by one and in arrays."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import json
import math
import uuid
from pathlib import Path
from typing import Any

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.state import key_groups
from pyflow_runtime.state.key_groups import key_group, key_hash
from pyflow_yarn.common import Row
from pyflow_yarn.errors import UserError

GOLDEN = Path(__file__).with_name("key_groups_golden.json")
UTC = datetime.UTC
CET = datetime.timezone(datetime.timedelta(hours=1))
NAIVE = datetime.datetime(2026, 1, 1, 12)  # noqa: DTZ001 - a key may be naive


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    ALICE = "alice"


Point = collections.namedtuple("Point", "x y")

# Written as source, so that the file shows the very key.
SOURCES = [
    *(
        "''",
        "'a'",
        "'ab'",
        "'abc'",
        "'abcd'",
        "'user-0000042'",
        "'naïve Zürich 東京 🙂'",
        "'x' * 1000",
        "b''",
        "b'\\x00\\xff'",
    ),
    *(
        "0",
        "1",
        "-1",
        "42",
        "2**31",
        "-2**31",
        "2**63 - 1",
        "-2**63",
        "2**63",
        "2**64 - 1",
        "2**64",
        "-2**63 - 1",
        "10**30",
    ),
    *(
        "True",
        "False",
        "None",
        "1.0",
        "-0.0",
        "0.5",
        "-0.1",
        "1e300",
        "5e-324",
        "float('nan')",
        "float('inf')",
        "-float('inf')",
    ),
    *("Decimal('0.1')", "Decimal('12.50')", "Decimal('1e30')", "Decimal('-1e30')", "Decimal('1e999999999')"),
    *("Decimal('NaN')", "Fraction(1, 3)", "Fraction(-7, 2)", "1 + 2j", "1 + 0j"),
    *("date(2026, 11, 20)", "datetime(2026, 11, 20, 23, 59, 59, 999999)", "datetime(1, 1, 1)"),
    *(
        "datetime(2026, 11, 20, tzinfo=UTC)",
        "time(12, 30)",
        "time(12, 30, tzinfo=UTC)",
        "timedelta(days=-1, microseconds=1)",
    ),
    *("UUID('12345678-1234-5678-1234-567812345678')", "Colour.RED", "Colour.GREEN", "Access.READ | Access.WRITE"),
    *(
        "Level.LOW",
        "Name.ALICE",
        "()",
        "('a',)",
        "('a', 1)",
        "('a', 1.0)",
        "('a', True)",
        "(1, ('b', None))",
        "(2**64,)",
    ),
    *("Point('a', 1)", "frozenset()", "frozenset({1, 'a'})", "Row('a', 1)", "Row(name='a', age=1)"),
]
NAMES: dict[str, Any] = {
    **{cls.__name__: cls for cls in (Colour, Access, Level, Name, Point, Row)},
    **{cls.__name__: cls for cls in (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)},
    **{cls.__name__: cls for cls in (decimal.Decimal, fractions.Fraction, uuid.UUID)},
    "UTC": UTC,
}


def evaluate(source: str) -> Any:
    return eval(source, dict(NAMES))


def test_hashes_are_the_ones_of_every_version_before() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["format_version"] == key_groups.FORMAT_VERSION
    assert {source: key_hash(evaluate(source)) for source in golden["hashes"]} == golden["hashes"]
    assert set(golden["hashes"]) == set(SOURCES)
    for max_parallelism, groups in golden["key_groups"].items():
        assert [key_group(evaluate(source), int(max_parallelism)) for source in SOURCES] == groups


def test_strings_and_bytes_are_plain_murmur3() -> None:
    assert key_hash("hello") == key_hash(b"hello") == mmh3.hash("hello", 0, False) == 0x248BFA47


numbers = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.sampled_from([0.0, -0.0, 2.0**63, 2.0**64, -(2.0**63), 1e300]),
)


def equals_of(number: Any) -> list[Any]:
    """The number in every other type that can hold it exactly."""
    found = [number]
    for make in (int, float, complex, fractions.Fraction, decimal.Decimal, bool, Level):
        try:
            other: Any = make(number)
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            continue
        if other == number:
            found.append(other)
    return found


@given(numbers)
def test_equal_numbers_hash_equally(number: Any) -> None:
    assert len({key_hash(other) for other in equals_of(number)}) == 1
    assert len({key_hash(("k", other, None)) for other in equals_of(number)}) == 1
    assert len({key_hash(frozenset([other, "x"])) for other in equals_of(number)}) == 1
    assert len({key_hash(Row(other)) for other in equals_of(number)}) == 1


def test_large_decimals_take_no_time() -> None:
    assert key_hash(decimal.Decimal("7e30")) == key_hash(7 * 10**30)
    assert key_hash(decimal.Decimal("-7e30")) == key_hash(-7 * 10**30)
    assert key_hash(decimal.Decimal("70.00e29")) == key_hash(7 * 10**30)
    assert key_hash(decimal.Decimal("-70.00e29")) == key_hash(-7 * 10**30)
    assert key_hash(decimal.Decimal("1." + "0" * 5000)) == key_hash(1)
    assert key_hash(decimal.Decimal("1e999999999")) == key_hash(decimal.Decimal("10e999999998"))
    assert key_hash(decimal.Decimal("1e-999999999")) == key_hash(decimal.Decimal("10e-1000000000"))


def test_all_nans_hash_alike() -> None:
    nans = [float("nan"), -float("nan"), decimal.Decimal("NaN"), decimal.Decimal("sNaN12"), complex("nan")]
    assert len({key_hash(nan) for nan in nans}) == 1


EQUAL = [
    (0.0, -0.0),
    (("a", 1), Point("a", 1)),
    ("alice", Name.ALICE),
    (1, Level.LOW),
    (datetime.datetime(2026, 1, 1, 12, tzinfo=UTC), datetime.datetime(2026, 1, 1, 13, tzinfo=CET)),
    (datetime.time(12, tzinfo=UTC), datetime.time(13, tzinfo=CET)),
    (NAIVE, NAIVE.replace(fold=1)),
    (datetime.timedelta(days=1), datetime.timedelta(hours=24)),
    (uuid.UUID(int=7), uuid.UUID("00000000-0000-0000-0000-000000000007")),
    (frozenset({1, 2, "x"}), frozenset({"x", 2.0, True})),
    (Access.READ | Access.WRITE, Access(3)),
    (Row(name="a", age=1), Row(name="a", age=1.0)),
    (type("Text", (str,), {})("abc"), "abc"),
    (type("Number", (int,), {})(5), 5),
]  # fmt: skip


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: type(pair[0]).__name__)
def test_equal_keys_hash_equally(pair: tuple[Any, Any]) -> None:
    assert pair[0] == pair[1]
    assert key_hash(pair[0]) == key_hash(pair[1])
    assert key_hash((pair[0],)) == key_hash((pair[1],))


def test_different_keys_hash_differently() -> None:
    keys = ["1", 1, (1,), ((1,),), None, 0.1, decimal.Decimal("0.1"), Colour.RED, Colour.GREEN, Row(1), frozenset([1])]
    keys += [datetime.date(2026, 1, 1), NAIVE, NAIVE.replace(tzinfo=UTC)]
    assert len({key_hash(key) for key in keys}) == len(keys)


class Caseless(str):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


@pytest.mark.parametrize(
    "key", [[1], {}, {1}, bytearray(b"x"), object(), print, Caseless("A"), (1, [2]), Row([1]), (1).__add__]
)
def test_other_keys_are_refused_in_one_sentence(key: Any) -> None:
    with pytest.raises(UserError, match="key_type=") as caught:
        key_hash(key)
    culprit = {tuple: "list", Row: "list"}.get(type(key), type(key).__qualname__)
    assert f"A key of type {culprit}" in str(caught.value).replace(f"{__name__}.", "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["\ud800", "abc\udc80", ("a", "\udfff"), frozenset({"\ud800"}), Row("\ud800"), Name.ALICE.replace("a", "\udcff")],
)
def test_lone_surrogates_are_refused_however_they_come(key: Any) -> None:
    with pytest.raises(UserError, match="lone surrogate"):
        key_hash(key)
    # The expression of generated code must not hand such a string to mmh3 either: it would crash the process.
    with pytest.raises((UnicodeEncodeError, UserError)):
        eval(key_groups.key_group_expression("key", 128), dict(key_groups.EXPRESSION_GLOBALS), {"key": key})


def test_a_key_nested_too_deeply_is_refused() -> None:
    key: Any = ()
    for _ in range(100_000):
        key = (key,)
    with pytest.raises(UserError, match="nested too deeply"):
        key_hash(key)
    while key:  # taken apart step by step, as freeing it at once would recurse as deeply
        key = key[0]


# ---- key groups, subtasks and ranges ----


@given(st.integers(1, 32768), st.data())
def test_ranges_are_what_the_operator_index_says(max_parallelism: int, data: st.DataObject) -> None:
    parallelism = data.draw(st.integers(1, min(max_parallelism, 300)))
    owners = key_groups.channel_table(max_parallelism, parallelism)
    ranges = [key_groups.key_group_range(max_parallelism, parallelism, index) for index in range(parallelism)]
    assert [group for owned in ranges for group in owned.groups] == list(range(max_parallelism))
    assert all(owners[group] == index for index, owned in enumerate(ranges) for group in (owned.start, owned.end))


@pytest.mark.parametrize("arguments", [(128, 0, 0), (128, 129, 0), (128, 2, 2), (128, 2, -1), (32769, 1, 0)])
def test_impossible_ranges_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="parallelism <= key groups"):
        key_groups.key_group_range(*arguments)


@pytest.mark.parametrize(
    ("parallelism", "expected"),
    [(1, 128), (85, 128), (86, 256), (128, 256), (170, 256), (171, 256), (172, 512), (20000, 32768), (32768, 32768)],
)
def test_the_default_maximum_parallelism_is_the_reference_systems(parallelism: int, expected: int) -> None:
    assert key_groups.default_max_parallelism(parallelism) == expected


keys = st.recursive(
    st.one_of(st.text(st.characters(codec="utf-8")), st.integers(), st.binary(), st.none(), st.booleans(), st.floats()),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


@given(keys, st.one_of(st.integers(1, 32768), st.sampled_from([1, 2, 128, 32768])))
def test_expressions_agree_with_functions(key: Any, max_parallelism: int) -> None:
    names = dict(key_groups.EXPRESSION_GLOBALS)
    assert eval(key_groups.hash_expression("k"), names, {"k": key}) == key_hash(key)
    group = eval(key_groups.key_group_expression("k", max_parallelism), names, {"k": key})
    assert group == key_group(key, max_parallelism) < max_parallelism


@pytest.mark.parametrize("step", [1, 2, 7, 128, 1000, 60_000, 3_600_000, 86_400_000, 2**20, 2**32, 2**40])
def test_regular_integers_spread_evenly(step: int) -> None:
    counts = collections.Counter(key_group(index * step, 128) for index in range(12_800))
    assert len(counts) == 128
    assert max(counts.values()) < 200


def test_strings_and_tuples_spread_evenly() -> None:
    for make in ("user-{:07d}".format, lambda index: ("page", index), lambda index: index + 0.5):
        counts = collections.Counter(key_group(make(index), 128) for index in range(12_800))
        assert max(counts.values()) < 150
        assert len(counts) == 128


# ---- many keys at once ----


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_arrays_of_integers_agree(values: list[int]) -> None:
    np = pytest.importorskip("numpy")
    expected = [key_hash(value) for value in values]
    assert key_groups.hash_integers(np.array(values, dtype=np.int64)).tolist() == expected
    assert key_groups.hash_keys(np.array(values, dtype=np.int64)).tolist() == expected
    for width in ("int8", "uint8", "int32", "uint64", "bool"):
        narrow = np.array(values, dtype=np.int64).astype(width)
        assert key_groups.hash_integers(narrow).tolist() == [key_hash(value) for value in narrow.tolist()]
    for maximum in (1, 100, 128, 32768):
        groups = key_groups.key_groups(key_groups.hash_integers(np.array(values, dtype=np.int64)), maximum)
        assert groups.tolist() == [key_group(value, maximum) for value in values]


@given(st.lists(st.one_of(st.text(st.characters(codec="utf-8")), st.text("ab", min_size=60, max_size=70))))
def test_arrays_of_strings_agree(values: list[str]) -> None:
    np = pytest.importorskip("numpy")
    encoded = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    expected = [key_hash(value) for value in values]
    assert key_groups.hash_utf8(data, offsets).tolist() == expected
    assert key_groups.hash_keys(values).tolist() == expected


def test_lone_surrogates_are_refused_in_arrays_too() -> None:
    pytest.importorskip("numpy")
    with pytest.raises(UserError, match="lone surrogate"):
        key_groups.hash_keys(["fine", "\ud800"])


def test_numpy_scalars_hash_as_what_they_equal() -> None:
    np = pytest.importorskip("numpy")
    assert key_hash(np.int8(-5)) == key_hash(-5)
    assert key_hash(np.uint64(2**64 - 1)) == key_hash(2**64 - 1)
    assert key_hash(np.float32(0.5)) == key_hash(0.5)
    assert key_hash(np.float64(3.0)) == key_hash(3)
    assert key_hash(np.longdouble(3.25)) == key_hash(3.25)
    assert key_hash(np.clongdouble(3.25)) == key_hash(3.25)
    assert key_hash(np.bool_(True)) == key_hash(1)
    assert key_hash(np.str_("abc")) == key_hash("abc")
    assert key_hash(np.bytes_(b"abc")) == key_hash(b"abc")
    assert key_hash(np.complex64(1 + 2j)) == key_hash(1 + 2j)
    assert key_hash((np.int32(1), np.str_("a"))) == key_hash((1, "a"))
    assert math.isnan(np.float64("nan")) and key_hash(np.float64("nan")) == key_hash(float("nan"))
    for other in (np.datetime64("2026-01-01", "ns"), np.timedelta64(1, "s"), np.array([1])):
        with pytest.raises(UserError, match="key_type="):
            key_hash(other)
