"""JSON: what is written comes back, every line once, and bad lines are told or skipped."""

from __future__ import annotations

import bz2
import datetime
import gzip
import lzma
import math
import pickle
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyflow_yarn.common.time import Instant
from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.connectors import text_lines
from pyflow_yarn.datastream.connectors.file_splits import FileSplit
from pyflow_yarn.datastream.formats.bad_records import BadRecords
from pyflow_yarn.datastream.formats.json import (
    JsonLinesBulkWriters,
    JsonLinesFormat,
    JsonRowDeserializationSchema,
    JsonRowSerializationSchema,
)
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.errors import NotYetSupportedError, UserError
from tests.unit.datastream.formats.files import read, read_counting, read_with_side, write

NAMES = ["id", "a name", "größe", "when", "tags", "more"]
POINT = Types.ROW_NAMED(["x", "at"], [Types.DOUBLE(), Types.SQL_TIMESTAMP()])
TYPE = Types.ROW_NAMED(
    NAMES,
    [
        Types.LONG(),
        Types.STRING(),
        Types.DOUBLE(),
        Types.INSTANT(),
        Types.LIST(Types.STRING()),
        Types.MAP(Types.STRING(), POINT),
    ],
)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
timestamps = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))  # noqa: DTZ001
instants = st.builds(Instant, st.integers(-(10**10), 10**10), st.integers(0, 10**9 - 1))


def row_of(names: list[str], values: tuple[Any, ...]) -> Row:
    row = Row(*values)
    row.set_field_names(names)
    return row


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


points = st.tuples(optional(numbers), optional(timestamps)).map(lambda values: row_of(["x", "at"], values))
rows = st.tuples(
    optional(st.integers(-(2**63), 2**63 - 1)),
    optional(texts),
    optional(numbers),
    optional(instants),
    optional(st.lists(optional(texts), max_size=3)),
    optional(st.dictionaries(texts, optional(points), max_size=2)),
).map(lambda values: row_of(NAMES, values))


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few bytes, so that every kind of cut happens."""
    monkeypatch.setattr(text_lines, "CHUNK_SIZE", 64)
    monkeypatch.setattr(text_lines, "TAIL_SIZE", 5)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are new for each example."""

    def fresh() -> Iterator[Path]:
        base = tmp_path_factory.mktemp("json")
        number = 0
        while True:
            number += 1
            yield base / str(number)

    return fresh()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(records=st.lists(rows, min_size=1, max_size=8), cuts=st.lists(st.integers(1, 600), max_size=5))
def test_rows_come_back(directories: Iterator[Path], tiny_chunks: None, records: list[Row], cuts: list[int]) -> None:
    path = write(JsonLinesBulkWriters.for_type_info(TYPE), next(directories), records[:3], records[3:])
    found = read(JsonLinesFormat.for_type_info(TYPE), path, cuts)
    assert found == records
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in records]


@pytest.mark.parametrize(
    ("type_info", "value", "text"),
    [
        (Types.BYTE(), -128, "-128"),
        (Types.SHORT(), 32767, "32767"),
        (Types.INT(), -(2**31), "-2147483648"),
        (Types.BIG_INT(), 10**30, str(10**30)),
        (Types.FLOAT(), 0.5, "0.5"),
        (Types.BOOLEAN(), True, "true"),
        (Types.BIG_DEC(), Decimal("1.50"), "1.50"),
        (Types.SQL_DATE(), datetime.date(2020, 2, 29), '"2020-02-29"'),
        (Types.SQL_TIME(), datetime.time(23, 59, 59, 5), '"23:59:59.000005Z"'),
        (Types.SQL_TIMESTAMP(), datetime.datetime(2020, 2, 29, 1, 2, 3), '"2020-02-29T01:02:03Z"'),  # noqa: DTZ001
        (Types.INSTANT(), Instant(-1, 500_000_000), '"1969-12-31T23:59:59.5Z"'),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"\x00\xff", '"AP8="'),
        (Types.PRIMITIVE_ARRAY(Types.LONG()), [1, 2], "[1,2]"),
        (Types.BASIC_ARRAY(Types.STRING()), ["a"], '["a"]'),
        (Types.OBJECT_ARRAY(Types.SQL_DATE()), [datetime.date(1, 1, 1), None], '["0001-01-01",null]'),
        (Types.OBJECT_ARRAY(Types.INSTANT()), [Instant(0, 0), None], '["1970-01-01T00:00:00Z",null]'),
        (Types.TUPLE([Types.INT(), Types.STRING()]), (1, "a"), '[1,"a"]'),
        (Types.TUPLE([Types.SQL_TIME(), Types.STRING()]), (datetime.time(1), None), '["01:00:00Z",null]'),
        (Types.MAP(Types.LONG(), Types.LONG()), {1: 2}, '{"1":2}'),
        (Types.PICKLED_BYTE_ARRAY(), {"a": [1, None]}, '{"a":[1,null]}'),
        (Types.ROW([Types.INT()]), row_of(["f0"], (3,)), '{"f0":3}'),
    ],
    ids=str,
)
def test_values_of_every_type(type_info: TypeInformation, value: Any, text: str) -> None:
    row_type = Types.ROW_NAMED(["v"], [type_info])
    schema = JsonRowSerializationSchema.builder().with_type_info(row_type).build()
    assert pickle.loads(pickle.dumps(schema)).serialize(Row(value)).decode() == f'{{"v":{text}}}'
    reader = JsonRowDeserializationSchema.builder().type_info(row_type).build()
    assert reader.get_produced_type() == row_type
    for _ in range(2):
        found = reader.deserialize(f'{{"v":{text}}}'.encode())
        assert found == row_of(["v"], (value,))
        assert type(found[0]) is type(value)
        reader = pickle.loads(pickle.dumps(reader))


@pytest.mark.parametrize("text", ['"2020-02-29T03:02:03+02:00"', '"2020-02-29 01:02:03"', '"2020-02-29T01:02:03"'])
def test_forms_of_timestamps(text: str) -> None:
    row_type = Types.ROW_NAMED(["t", "i"], [Types.SQL_TIMESTAMP(), Types.INSTANT()])
    reader = JsonRowDeserializationSchema.builder().type_info(row_type).build()
    row = reader.deserialize(f'{{"t":{text},"i":{text}}}'.encode())
    assert row["t"] == datetime.datetime(2020, 2, 29, 1, 2, 3)  # noqa: DTZ001
    assert row["i"] == Instant(1582938123, 0)


def lines_file(tmp_path: Path, data: bytes, name: str = "in.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_every_cut_gives_each_line_once(tmp_path: Path, tiny_chunks: None) -> None:
    data = b'\xef\xbb\xbf{"a":1}\n\n{"a":22}\r\n  {"a":333}\n{"b":"\xc3\xa4"}'
    path = lines_file(tmp_path, data)
    type_info = Types.ROW_NAMED(["a"], [Types.INT()])
    for first in range(len(data)):
        for second in range(first, len(data), 3):
            found = read(JsonLinesFormat.for_type_info(type_info), path, [first, second])
            assert [row["a"] for row in found] == [1, 22, 333, None], (first, second)


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = lines_file(tmp_path, pack(b'{"a":1}\n[2]\n'), f"in.jsonl.{suffix}")
    assert read(JsonLinesFormat.for_any_values(), path) == [{"a": 1}, [2]]


@pytest.mark.parametrize("suffix", ["zst", "zstd"])
def test_zstandard(tmp_path: Path, suffix: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    packed = [pyarrow.compress(part, "zstd", asbytes=True) for part in (b'{"a":1}\n' * 1000, b"[2]\n")]
    path = lines_file(tmp_path, b"".join(packed), f"in.jsonl.{suffix}")
    assert read(JsonLinesFormat.for_any_values(), path) == [{"a": 1}] * 1000 + [[2]]
    for damaged in (packed[0][:20], b"no zstd"):
        with pytest.raises(Exception, match=f"The input file '{path}' cannot be"):
            read(JsonLinesFormat.for_any_values(), lines_file(tmp_path, damaged, path.name))


INT_ROW = Types.ROW_NAMED(
    ["a", "b", "s"], [Types.INT(), Types.LIST(Types.ROW_NAMED(["c"], [Types.LONG()])), Types.STRING()]
)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"a":x}', "at line 3, column 6: JSON is malformed: invalid character. The text is '{\"a\":x}'."),
        ('{"ä":x}'.encode(), "at line 3, column 6: JSON is malformed: invalid character."),
        (b'{"a":1', "at line 3, column 7: the value does not end. The text is '{\"a\":1'."),
        (b'{"a":"x"}', "at line 3, field 'a': Expected `int | null`, got `str`."),
        (b'{"a":2147483648}', "at line 3, field 'a': Expected `int` <= 2147483647."),
        (b'{"b":[{"c":true}]}', "at line 3, field 'b[0].c': Expected `int | null`, got `bool`."),
        (b'{"s":"\xff"}', "at line 3: it is not valid UTF-8."),
        (b"[1]", "at line 3: Expected `object`, got `array`."),
        (b'{"a":1}{"a":2}', "at line 3, column 9: JSON is malformed: trailing characters"),
        (b'{"a":' + b" " * 200 + b"x" * 300, "column 206: JSON is malformed: invalid character. The text is ...'    "),
    ],
)
def test_a_bad_line_is_told(tmp_path: Path, line: bytes, sentence: str) -> None:
    path = lines_file(tmp_path, b'{"a":1}\n\n' + line + b"\r\n" + b'{"a":2}\n')
    with pytest.raises(UserError) as raised:
        read(JsonLinesFormat.for_type_info(INT_ROW), path)
    text = str(raised.value)
    assert text.startswith(f"The input file '{path}' has a bad record at line 3")
    assert sentence in text
    assert text.endswith("with_bad_records('skip').")
    assert len(text) < 500 + len(str(path))
    skipping = JsonLinesFormat.for_type_info(INT_ROW).with_bad_records(BadRecords.SKIP)
    for size in range(1, 9):
        cut = size * path.stat().st_size // 9
        splits = FileSplit(str(path), 0, cut), FileSplit(str(path), cut, path.stat().st_size)
        found, skipped = read_counting(pickle.loads(pickle.dumps(skipping)), *splits)
        assert ([row["a"] for row in found], skipped) == ([1, 2], 1)


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_bad_lines_go_to_a_side_output(tmp_path: Path, cut: int) -> None:
    path = lines_file(tmp_path, b'{"a":1}\n\n{"a":x}\n{"s":"\xff"}\r\n{"a":2}\n[3]')
    form = JsonLinesFormat.for_type_info(INT_ROW).with_bad_records(OutputTag("bad", BadRecords.row_type()))
    cut = min(cut, path.stat().st_size)
    splits = FileSplit(str(path), 0, cut), FileSplit(str(path), cut, path.stat().st_size)
    found, side = read_with_side(pickle.loads(pickle.dumps(form)), "bad", *splits[not cut :])
    assert [row["a"] for row in found] == [1, 2]
    assert side == [
        Row(file=str(path), line=3, reason="column 6: JSON is malformed: invalid character", text='{"a":x}'),
        Row(file=str(path), line=4, reason="it is not valid UTF-8", text='{"s":"\\xff"}'),
        Row(file=str(path), line=6, reason="Expected `object`, got `array`", text="[3]"),
    ]


def test_values_that_nest_too_deeply_are_bad(tmp_path: Path) -> None:
    path = lines_file(tmp_path, b"[1]\n" + b"[" * 100_000 + b"\n[2]\n")
    with pytest.raises(UserError, match="at line 2: it is nested too deeply"):
        read(JsonLinesFormat.for_any_values(), path)
    found = read_counting(JsonLinesFormat.for_any_values().with_bad_records("skip"), FileSplit(str(path), 0, -1))
    assert found == ([[1], [2]], 1)


EVERY = Types.ROW_NAMED(
    list("abcdefgh"),
    [
        Types.BYTE(),
        Types.BIG_DEC(),
        Types.SQL_TIMESTAMP(),
        Types.INSTANT(),
        Types.SQL_TIME(),
        Types.MAP(Types.LONG(), Types.SQL_DATE()),
        Types.TUPLE([Types.DOUBLE(), Types.INSTANT()]),
        Types.PRIMITIVE_ARRAY(Types.BYTE()),
    ],
)
TOKENS = ['{"', '":', "}", "[", "]", ",", '"', "a", "c", "d", "g", "null", "1", "-1e400", "0.1", "1" * 5000, "\n"]
TOKENS += ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "23:59:60Z", "+00:01", " ", "\x00", "\udcff"]
tokens = st.sampled_from([*TOKENS, "\\ud800"])
objects = st.builds(lambda name, value: f'{{"{name}":"{value}"}}', tokens, tokens)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(parts=st.lists(tokens | objects, max_size=12))
def test_whatever_a_file_holds_is_read_or_told(directories: Iterator[Path], parts: list[str]) -> None:
    path = next(directories)
    path.write_bytes("".join(parts).encode("utf-8", "surrogateescape"))
    form = JsonLinesFormat.for_type_info(EVERY)
    try:
        good = read(form, path)
    except UserError as error:
        assert "has a bad record at line " in str(error)
        good = None
    found, skipped = read_counting(form.with_bad_records("skip"), FileSplit(str(path), 0, -1))
    assert (skipped == 0) == (good is not None)
    assert good is None or good == found


def test_the_line_of_a_bad_record_in_a_later_split(tmp_path: Path, tiny_chunks: None) -> None:
    path = lines_file(tmp_path, b'{"a":1}\n' * 50 + b"xyz\n" + b'{"a":1}\n' * 3)
    with pytest.raises(UserError, match="at line 51, column 1: JSON is malformed"):
        read(JsonLinesFormat.for_any_values(), path, [300])


def test_a_value_over_two_lines_is_bad_wherever_it_stands(tmp_path: Path) -> None:
    path = lines_file(tmp_path, b'{"a":1}\n{"a":\n2}\n')
    with pytest.raises(UserError, match="at line 2, column 6: the value does not end"):
        read(JsonLinesFormat.for_any_values(), path)


def test_missing_and_further_fields(tmp_path: Path) -> None:
    path = lines_file(tmp_path, b'{"c":1}\n{"a":null,"b":[]}\n')
    first, second = read(JsonLinesFormat.for_type_info(INT_ROW), path)
    assert (list(first), list(second)) == ([None, None, None], [None, [], None])
    with pytest.raises(UserError, match="at line 1: Object missing required field `a`"):
        read(JsonLinesFormat.for_type_info(INT_ROW).fail_on_missing_field(), path)
    counting = JsonLinesFormat.for_type_info(INT_ROW).fail_on_missing_field().with_bad_records("skip")
    assert read_counting(counting, FileSplit(str(path), 0, -1))[1] == 2


def test_records_are_written_by_name_or_by_position(tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["b", "a"], [Types.INT(), Types.STRING()])
    records = [Row(a="x", b=1), Row(1, "x"), (1, "x"), [1, "x"], {"a": "x", "b": 1, "c": 0}]
    path = write(JsonLinesBulkWriters.for_any_values(), tmp_path, records, type_info=row_type)
    assert path.read_text() == '{"b":1,"a":"x"}\n' * 5
    for record, sentence in (
        (Row(b=1), r"has no field a, which is to be written; it has b: Row\(b=1\)"),
        (Row(1), r"A record has 1 fields, but 2 are to be written \(b, a\)"),
        (7, "A record of the type int cannot be written to the fields b, a"),
    ):
        with pytest.raises(UserError, match=sentence):
            write(JsonLinesBulkWriters.for_type_info(row_type), tmp_path / "bad", [record])


def test_records_without_a_type(tmp_path: Path) -> None:
    records: list[Any] = [
        {"a": 1},
        Row(x=1, y=[Row(2, "b")]),
        ("t", 1.5, None, True),
        datetime.date(2020, 1, 1),
        Instant(0, 1000),
        math.nan,
    ]
    path = write(JsonLinesBulkWriters.for_any_values(), tmp_path, records)
    assert path.read_text().splitlines() == [
        '{"a":1}',
        '{"x":1,"y":[[2,"b"]]}',
        '["t",1.5,null,true]',
        '"2020-01-01"',
        '"1970-01-01T00:00:00.000001Z"',
        "null",
    ]


@pytest.mark.parametrize(
    ("type_info", "value", "sentence"),
    [
        (None, object(), "A value of the type object cannot be written as JSON: <object"),
        (None, "\ud800", "surrogates not allowed"),
        (Types.ROW_NAMED(["a"], [Types.SQL_TIME()]), Row("x"), "The field 'a' of the type TimeTypeInfo has a value"),
        (Types.ROW_NAMED(["a"], [Types.BIG_DEC()]), Row(Decimal("NaN")), "The field 'a' of the type BigDecimal"),
        (Types.ROW_NAMED(['a"'], [Types.INT()]), Row(1), "These fields cannot stand in a JSON object"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, type_info: TypeInformation | None, value: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        write(JsonLinesBulkWriters.for_any_values(), tmp_path, [value], type_info=type_info)
    assert list(tmp_path.iterdir()) == []


def test_messages_that_cannot_be_read() -> None:
    row_type = Types.ROW_NAMED(["a"], [Types.INT()])
    builder = JsonRowDeserializationSchema.builder
    with pytest.raises(UserError, match=r"A message is no JSON of the declared type: .*: b'\{'"):
        builder().type_info(row_type).build().deserialize(b"{")
    assert builder().type_info(row_type).ignore_parse_errors().build().deserialize(b"{") is None
    with pytest.raises(UserError, match="missing required field"):
        builder().type_info(row_type).fail_on_missing_field().build().deserialize(b"{}")


def test_what_makes_no_sense_is_refused() -> None:
    builder = JsonRowDeserializationSchema.builder
    with pytest.raises(TypeError, match=r"call type_info\(\)"):
        builder().build()
    with pytest.raises(TypeError, match="Typeinfo should be set"):
        JsonRowSerializationSchema.builder().build()
    with pytest.raises(NotYetSupportedError, match="JSON schema"):
        builder().json_schema("{}")
    with pytest.raises(ValueError, match="are both true"):
        builder().ignore_parse_errors().fail_on_missing_field()
    with pytest.raises(ValueError, match="are both true"):
        builder().fail_on_missing_field().ignore_parse_errors()
    with pytest.raises(ValueError, match="takes 'fail', 'skip' or an OutputTag, not 'ignore'"):
        JsonLinesFormat.for_any_values().with_bad_records("ignore")
    with pytest.raises(UserError, match=r"has the type .*, not .*: make its tag with BadRecords.row_type\(\)"):
        JsonLinesFormat.for_any_values().with_bad_records(OutputTag("bad", Types.STRING()))
    with pytest.raises(TypeError, match="takes a TypeInformation, not str"):
        JsonLinesFormat.for_type_info("row")  # type: ignore[arg-type]
