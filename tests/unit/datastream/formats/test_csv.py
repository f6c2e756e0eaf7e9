"""CSV: what is written comes back, every record once, and bad records are told or skipped."""

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
from pyflow_yarn.datastream.connectors.file_system import FileSource
from pyflow_yarn.datastream.formats import csv_files
from pyflow_yarn.datastream.formats.csv import (
    CsvBulkWriters,
    CsvReaderFormat,
    CsvRowDeserializationSchema,
    CsvRowSerializationSchema,
    CsvSchema,
    CsvSchemaBuilder,
)
from pyflow_yarn.datastream.output_tag import OutputTag
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError, UserError
from tests.unit.datastream.connectors.reading import read_all
from tests.unit.datastream.formats.files import read, read_counting, read_with_side, write


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few bytes, so that every kind of cut happens."""
    monkeypatch.setattr(text_lines, "CHUNK_SIZE", 16)
    monkeypatch.setattr(text_lines, "TAIL_SIZE", 3)
    monkeypatch.setattr(csv_files, "BATCH_ROWS", 2)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are new for each example."""

    def fresh() -> Iterator[Path]:
        base = tmp_path_factory.mktemp("csv")
        number = 0
        while True:
            number += 1
            yield base / str(number)

    return fresh()


def row_of(names: list[str], values: Any) -> Row:
    row = Row(*values)
    row.set_field_names(names)
    return row


def builder() -> CsvSchemaBuilder:
    schema = CsvSchema.builder().add_string_column("text").add_number_column("number")
    return schema.add_number_column("real", Types.DOUBLE()).add_array_column("tags").add_string_column("last")


NAMES = ["text", "number", "real", "tags", "last"]
strange = st.text(st.sampled_from("ab,;|\"'\\\r\n#\t äß€\ufeff\x00\x1c\u2028N"), max_size=6)
texts = strange | st.text(st.characters(codec="utf-8"), max_size=6)
elements = st.text(st.sampled_from("ab,\"'\\\r\n€"), max_size=4)


def rows(nulls: bool) -> st.SearchStrategy[Row]:
    def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.none() | strategy if nulls else strategy

    text = optional(texts.filter(lambda value: value != "NULL"))
    tags = st.lists(elements.filter(lambda value: value != "NULL"), min_size=0 if nulls else 1, max_size=3)
    return st.tuples(
        text,
        optional(st.integers(-(2**63), 2**63 - 1)),
        optional(st.floats(allow_nan=False)),
        optional(tags.filter(lambda value: value != [""])),
        text,
    ).map(lambda values: row_of(NAMES, values))


dialects = st.sampled_from(
    [
        builder(),
        builder().set_use_header().set_strict_headers(),
        builder().set_allow_comments(),
        builder().set_column_separator("|").set_quote_char("'").set_line_separator("\r\n"),
        builder().set_escape_char("\\"),
        builder().set_escape_char("\\").set_column_separator("\t").set_allow_comments().set_use_header(),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(dialect=dialects, nulls=st.booleans(), data=st.data())
def test_rows_come_back(
    directories: Iterator[Path], tiny_chunks: None, dialect: CsvSchemaBuilder, nulls: bool, data: st.DataObject
) -> None:
    records = data.draw(st.lists(rows(nulls), min_size=1, max_size=6))
    schema = dialect.set_null_value("NULL").build() if nulls else dialect.build()
    path = write(CsvBulkWriters.for_schema(schema), next(directories), records[:2], records[2:])
    found = read(CsvReaderFormat.for_schema(pickle.loads(pickle.dumps(schema))), path)
    assert found == records
    dialect._dialect = dialect._dialect._replace(null_value=None)


single_line = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6), st.integers(-9, 99)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(records=st.lists(single_line, min_size=1, max_size=8), cuts=st.lists(st.integers(1, 120), max_size=5))
@pytest.mark.parametrize("header", [False, True])
def test_single_lines_come_back_however_the_file_is_cut(
    directories: Iterator[Path], tiny_chunks: None, records: list[Any], cuts: list[int], header: bool
) -> None:
    schema = CsvSchema.builder().add_string_column("a").add_number_column("b").set_use_header(header).build()
    path = write(CsvBulkWriters.for_schema(schema), next(directories), records)
    found = read(CsvReaderFormat.for_schema(schema).with_single_line_records(), path, cuts)
    assert [tuple(row) for row in found] == records


def file_of(tmp_path: Path, data: bytes | str, name: str = "in.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_every_cut_gives_each_record_once(tmp_path: Path, tiny_chunks: None) -> None:
    data = '\ufeffa,b\n# comment, "\nfirst,1\r\n"se""c",22\n\n"ä,",\nlast,4'
    path = file_of(tmp_path, data)
    schema = CsvSchema.builder().add_string_column("a").add_number_column("b").set_use_header().set_allow_comments()
    form = CsvReaderFormat.for_schema(schema.set_strict_headers().build())
    expected = [("first", 1), ('se"c', 22), ("ä,", None), ("last", 4)]
    assert [tuple(row) for row in read(form, path)] == expected
    form = form.with_single_line_records()
    for first in range(len(data.encode())):
        for second in range(first, len(data.encode()), 3):
            assert [tuple(row) for row in read(form, path, [first, second])] == expected, (first, second)


def test_comments_and_quoted_lines_that_look_like_some(tmp_path: Path, tiny_chunks: None) -> None:
    path = file_of(tmp_path, '#one\na,"x\n# no comment\ny"\n#two "\nb,z\n# end')
    schema = CsvSchema.builder().add_string_column("a").add_string_column("b").set_allow_comments().build()
    assert [tuple(row) for row in read(CsvReaderFormat.for_schema(schema), path)] == [
        ("a", "x\n# no comment\ny"),
        ("b", "z"),
    ]


def test_who_reads_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflow_yarn.datastream.connectors.file_splits.MIN_SPLIT_SIZE", 100)
    path = file_of(tmp_path, "".join(f"{number},x\n" for number in range(2000)))
    schema = CsvSchema.builder().add_number_column("a").add_string_column("b")
    for form, parts in (
        (CsvReaderFormat.for_schema(schema.build()), 1),
        (CsvReaderFormat.for_schema(schema.build()).with_single_line_records(), 2),
        (CsvReaderFormat.for_schema(schema.disable_quote_char().build()), 2),
    ):
        source = FileSource.for_record_stream_format(form, str(path)).build()
        assert source.produced_type == Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])
        found = read_all(pickle.loads(pickle.dumps(source)), parallelism=2)
        assert sorted(row["a"] for part in found for row in part) == list(range(2000))
        assert len([part for part in found if part]) == parts


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = file_of(tmp_path, pack(b'1,"a\nb"\n2,c'), f"in.csv.{suffix}")
    schema = CsvSchema.builder().add_number_column("a").add_string_column("b").build()
    assert [tuple(row) for row in read(CsvReaderFormat.for_schema(schema), path)] == [(1, "a\nb"), (2, "c")]


@pytest.mark.parametrize(
    ("type_info", "value", "text"),
    [
        (Types.BYTE(), -128, "-128"),
        (Types.SHORT(), 32767, "32767"),
        (Types.INT(), -(2**31), "-2147483648"),
        (Types.BIG_INT(), 10**30, str(10**30)),
        (Types.FLOAT(), 3e38, "3.0E38"),
        (Types.DOUBLE(), 2e-308, "2.0E-308"),
        (Types.DOUBLE(), 1234.5, "1234.5"),
        (Types.DOUBLE(), -math.inf, "-Infinity"),
        (Types.BOOLEAN(), True, "true"),
        (Types.BIG_DEC(), Decimal("1.50"), "1.50"),
        (Types.CHAR(), "x", "x"),
        (Types.SQL_DATE(), datetime.date(2020, 2, 29), "2020-02-29"),
        (Types.SQL_TIME(), datetime.time(23, 59, 59), "23:59:59"),
        (Types.SQL_TIMESTAMP(), datetime.datetime(2020, 2, 29, 1, 2, 3, 4), "2020-02-29 01:02:03.000004"),  # noqa: DTZ001
        (Types.INSTANT(), Instant(0, 5_000_000), "1970-01-01 00:00:00.005Z"),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"\x00\xff", "AP8="),
        (Types.PRIMITIVE_ARRAY(Types.LONG()), [1, 2], "1;2"),
        (Types.LIST(Types.BOOLEAN()), [True, None, False], "true;;false"),
        (Types.TUPLE([Types.INT(), Types.STRING()]), (1, ""), "1;"),
        (Types.ROW_NAMED(["x"], [Types.INT()]), row_of(["x"], (3,)), "3"),
        (Types.STRING(), "a;b'c", "'a;b''c'"),
        (Types.STRING(), "123'4*", "'123''4**'"),
        (Types.STRING(), "null", "null"),
    ],
    ids=str,
)
def test_messages_of_every_type(type_info: TypeInformation, value: Any, text: str) -> None:
    row_type = Types.ROW([Types.STRING(), type_info, Types.STRING()])
    delimiter = "|" if ";" in text and type_info != Types.STRING() else ";"
    writer = CsvRowSerializationSchema.Builder(row_type).set_escape_character("*").set_quote_character("'")
    reader = CsvRowDeserializationSchema.Builder(row_type).set_escape_character("*").set_quote_character("'")
    serialization = writer.set_field_delimiter(delimiter).build()
    deserialization = reader.set_field_delimiter(delimiter).build()
    for _ in range(2):
        message = serialization.serialize(Row("BEGIN", value, "END"))
        assert message.decode() == f"BEGIN{delimiter}{text}{delimiter}END\n"
        row = deserialization.deserialize(message)
        assert row == row_of(["f0", "f1", "f2"], ("BEGIN", value, "END"))
        assert type(row[1]) is type(value)
        serialization = pickle.loads(pickle.dumps(serialization))
        deserialization = pickle.loads(pickle.dumps(deserialization))
    assert deserialization.get_produced_type() == row_type


def test_a_file_as_the_reference_system_writes_it(tmp_path: Path) -> None:
    schema = (
        CsvSchema.builder()
        .add_number_column("tinyint", Types.BYTE())
        .add_number_column("bigint")
        .add_number_column("float", Types.FLOAT())
        .add_boolean_column("boolean")
        .add_array_column("numbers", ":", Types.INT())
        .add_string_column("string")
        .build()
    )
    path = write(CsvBulkWriters.for_schema(schema), tmp_path, [Row(127, -(2**63), 3e38, True, [1, 2], "string")])
    assert path.read_text() == "127,-9223372036854775808,3.0E38,true,1:2,string\n"


def three(tmp_path: Path, bad: bytes) -> Path:
    return file_of(tmp_path, b"a,b,c\n\n1,1.5,x\n" + bad + b"\n3,3.5,z\n")


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"x,2.5,y", "column 1 ('a'): 'x' is no Integer. The text is 'x,2.5,y'."),
        (b"2147483648,2.5,y", "column 1 ('a'): '2147483648' is no Integer."),
        (b"1_0,2.5,y", "column 1 ('a'): '1_0' is no Integer."),
        ("\u0661,2.5,y".encode(), "column 1 ('a'): '\u0661' is no Integer."),
        (b"2,zwei,y", "column 2 ('b'): 'zwei' is no Double. The text is '2,zwei,y'."),
        (b"2,2.5", "it has 2 fields instead of 3. The text is '2,2.5'."),
        (b"2,2.5,y,", "it has 4 fields instead of 3."),
        (b'2,2.5,"y"y', "',' expected after '\"'."),
        (b"2,2.5,y\ry", "a carriage return stands in a field without quotes."),
        (b"2,2.5," + b"y" * 500 + b",", "it has 4 fields instead of 3. The text is '2,2.5,yyyy"),
    ],
)
@pytest.mark.parametrize("single", [False, True])
def test_a_bad_record_is_told(tmp_path: Path, tiny_chunks: None, bad: bytes, sentence: str, single: bool) -> None:
    path = three(tmp_path, bad)
    schema = CsvSchema.builder().add_number_column("a", Types.INT()).add_number_column("b", Types.DOUBLE())
    form = CsvReaderFormat.for_schema(schema.add_string_column("c").set_use_header().build())
    form = form.with_single_line_records() if single else form
    with pytest.raises(UserError) as raised:
        read(form, path)
    text = str(raised.value)
    assert text.startswith(f"The input file '{path}' has a bad record at line 4")
    assert sentence in text
    assert len(text) < 500 + len(str(path))
    found, skipped = read_counting(form.with_bad_records("skip"), FileSplit(str(path), 0, path.stat().st_size))
    assert ([tuple(row) for row in found], skipped) == ([(1, 1.5, "x"), (3, 3.5, "z")], 1)


def test_bad_records_that_span_lines(tmp_path: Path, tiny_chunks: None) -> None:
    schema = CsvSchema.builder().add_number_column("a").add_string_column("b").set_allow_comments().build()
    path = file_of(tmp_path, '1,"a\n\nb"\n# comment\n\nx,"c\nd"\n3,e\n')
    with pytest.raises(UserError, match=r"at line 6, column 1 \('a'\): 'x' is no Long. The text is 'x,\"c\\nd\"'"):
        read(CsvReaderFormat.for_schema(schema), path)
    single = CsvReaderFormat.for_schema(schema).with_single_line_records()
    with pytest.raises(UserError, match=r"at line 1: a quoted field does not end in its line, although"):
        read(single, path)
    form = CsvReaderFormat.for_schema(schema).with_bad_records(OutputTag("bad"))
    found, side = read_with_side(form, "bad", FileSplit(str(path), 0, -1))
    assert [tuple(row) for row in found] == [(1, "a\n\nb"), (3, "e")]
    assert side == [Row(file=str(path), line=6, reason="column 1 ('a'): 'x' is no Long", text='x,"c\nd"')]
    open_quote = file_of(tmp_path, '1,a\n2,"open\n3,b\n')
    with pytest.raises(UserError, match=r"at line 2: a quoted field does not end. The text is '2,\"open\\n3,b'"):
        read(CsvReaderFormat.for_schema(schema), open_quote)
    found, skipped = read_counting(
        CsvReaderFormat.for_schema(schema).with_bad_records("skip"), FileSplit(str(open_quote), 0, -1)
    )
    assert ([tuple(row) for row in found], skipped) == ([(1, "a")], 1)
    found, side = read_with_side(form, "bad", FileSplit(str(open_quote), 0, -1))
    assert side == [Row(file=str(open_quote), line=2, reason="a quoted field does not end", text='2,"open\n3,b')]


@pytest.mark.parametrize("single", [False, True])
def test_bad_records_go_to_a_side_output(tmp_path: Path, tiny_chunks: None, single: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,x\n\n2\nz,y\n3,\xff\r\n4,w\n5,v,u")
    schema = CsvSchema.builder().add_number_column("a", Types.INT()).add_string_column("b").set_use_header().build()
    form = CsvReaderFormat.for_schema(schema).with_bad_records(OutputTag("bad"))
    form = form.with_single_line_records() if single else form
    size = path.stat().st_size
    for cut in range(0, size, 3) if single else [0]:
        splits = FileSplit(str(path), 0, cut), FileSplit(str(path), cut, size)
        found, side = read_with_side(form, "bad", *splits[not cut :])
        assert [tuple(row) for row in found] == [(1, "x"), (4, "w")]
        assert [tuple(row)[1:] for row in side] == [
            (4, "it has 1 fields instead of 2", "2"),
            (5, "column 1 ('a'): 'z' is no Integer", "z,y"),
            (6, "column 2 ('b'): it is not valid in the character set of the file", "3,\\xff"),
            (8, "it has 3 fields instead of 2", "5,v,u"),
        ]


def test_a_quote_that_never_ends_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import csv

    before = csv.field_size_limit(100)
    try:
        monkeypatch.setattr(csv_files, "FIELD_LIMIT", 1000)
        path = file_of(tmp_path, '1,"' + "x\n" * 2000)
        schema = CsvSchema.builder().add_number_column("a").add_string_column("b").build()
        with pytest.raises(UserError, match=r"at line 1: a field has more than 16 million characters"):
            read(CsvReaderFormat.for_schema(schema), path)
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize("single", [False, True])
def test_bytes_outside_of_the_character_set(tmp_path: Path, tiny_chunks: None, single: bool) -> None:
    path = file_of(tmp_path, b"1,\xc3\xa4\n2,\xe4\n3,x\n")
    schema = CsvSchema.builder().add_number_column("a").add_string_column("b").build()

    def form() -> CsvReaderFormat:
        made = CsvReaderFormat.for_schema(schema)
        return made.with_single_line_records() if single else made

    with pytest.raises(
        UserError, match=r"is not valid utf-8 at byte 7 \(line 2\): .*as in with_charset\('ISO-8859-1'\)"
    ):
        read(form(), path)
    found, skipped = read_counting(form().with_bad_records("skip"), FileSplit(str(path), 0, path.stat().st_size))
    assert ([tuple(row) for row in found], skipped) == ([(1, "ä"), (3, "x")], 1)
    latin = form().with_charset("latin-1")
    assert [row["b"] for row in read(latin, path)] == ["Ã¤", "ä", "x"]


PIECES = [
    ",",
    '"',
    "\n",
    "\r\n",
    "\r",
    "\\",
    "#",
    ";",
    "1",
    "-",
    "true",
    "x",
    "\udcff",
    "\x00",
    " ",
    "1e400",
    "9" * 5000,
]
PIECES += ["0001-01-01T00:00:00+23:59", "2020-01-01", "23:59:60", "1970-01-01T00:00:00Z", "\u0661", "AA==", "\ufeff"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    parts=st.lists(st.sampled_from(PIECES), max_size=20),
    kind=st.integers(0, 8),
    escape=st.booleans(),
    single=st.booleans(),
)
def test_whatever_a_file_holds_is_read_or_told(
    directories: Iterator[Path], tiny_chunks: None, parts: list[str], kind: int, escape: bool, single: bool
) -> None:
    path = next(directories)
    path.write_bytes("".join(parts).encode("utf-8", "surrogateescape"))
    types = [Types.INT(), Types.DOUBLE(), Types.BIG_DEC(), Types.SQL_TIMESTAMP(), Types.SQL_TIME(), Types.INSTANT()]
    types += [Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.LIST(Types.BOOLEAN()), Types.TUPLE([Types.INT(), Types.INT()])]
    schema = CsvSchema.builder().add_column("a", types[kind]).add_string_column("b").set_allow_comments(single)
    form = CsvReaderFormat.for_schema((schema.set_escape_char("\\") if escape else schema).build())
    form = form.with_single_line_records() if single else form
    found, skipped = read_counting(form.with_bad_records("skip"), FileSplit(str(path), 0, path.stat().st_size))
    try:
        good = read(form, path)
    except UserError as error:
        # What no character is may stand in a comment, or in a blank line: nothing is lost by skipping it.
        assert "is not valid utf-8" in str(error) or ("has a bad record at line " in str(error) and skipped)
    else:
        assert skipped == 0
        assert list(map(repr, good)) == list(map(repr, found))


def test_headers(tmp_path: Path) -> None:
    path = file_of(tmp_path, "x,y\n1,2\n3,4\n")
    schema = CsvSchema.builder().add_number_column("a").add_number_column("b").set_use_header()
    assert [tuple(row) for row in read(CsvReaderFormat.for_schema(schema.build()), path)] == [(1, 2), (3, 4)]
    skipping = CsvReaderFormat.for_schema(schema.set_skip_first_data_row().build())
    assert [tuple(row) for row in read(skipping, path)] == [(3, 4)]
    strict = CsvReaderFormat.for_schema(schema.set_strict_headers().build()).with_bad_records("skip")
    with pytest.raises(UserError, match=r"in.csv' names the columns x, y, but the schema a, b\."):
        read(strict, path)


def test_nulls(tmp_path: Path) -> None:
    path = file_of(tmp_path, ",,\n-,-,-\n")
    schema = CsvSchema.builder().add_string_column("a").add_number_column("b").add_array_column("c")
    assert list(read(CsvReaderFormat.for_schema(schema.set_null_value("-").build()), path)) == [
        row_of(["a", "b", "c"], ("", None, [])),
        row_of(["a", "b", "c"], (None, None, None)),
    ]
    path = file_of(tmp_path, ",,\n")
    schema = CsvSchema.builder().add_string_column("a").add_number_column("b").add_array_column("c")
    assert list(read(CsvReaderFormat.for_schema(schema.build()), path)) == [row_of(["a", "b", "c"], ("", None, None))]


@pytest.mark.parametrize(
    ("builder", "record", "sentence"),
    [
        (CsvSchema.builder().add_number_column("a"), (True,), "The field 'a' of the type Long has a value .*: True"),
        (CsvSchema.builder().add_number_column("a", Types.DOUBLE()), ("x",), "The field 'a' of the type Double"),
        (CsvSchema.builder().add_string_column("a"), (1,), "The field 'a' of the type String"),
        (CsvSchema.builder().add_boolean_column("a"), (1,), "The field 'a' of the type Boolean"),
        (CsvSchema.builder().add_column("a", Types.SQL_DATE()), (1,), "The field 'a' of the type DateTypeInfo"),
        (CsvSchema.builder().add_array_column("a"), (["x;y"],), "elements of the field 'a' cannot be told apart"),
        (
            CsvSchema.builder().add_string_column("a").disable_quote_char(),
            ("x,y",),
            "cannot be written as CSV in this dialect: need to escape",
        ),
        (CsvSchema.builder().add_string_column("a"), ("\ud800",), "cannot be written in UTF-8"),
        (CsvSchema.builder().add_string_column("a"), ("x", "y"), "A record has 2 fields, but 1 are to be written"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, builder: CsvSchemaBuilder, record: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        write(CsvBulkWriters.for_schema(builder.build()), tmp_path, [record])
    assert list(tmp_path.iterdir()) == []


def test_messages_that_cannot_be_read() -> None:
    row_type = Types.ROW([Types.INT(), Types.STRING()])
    reader = CsvRowDeserializationSchema.Builder(row_type).set_allow_comments(True).build()
    assert tuple(reader.deserialize(b'#c\n1,"a\nb"')) == (1, "a\nb")
    for message, reason in (
        (b"x,y", r"column 1 \('f0'\): 'x' is no Integer: b'x,y'"),
        (b"1", "it has 1 fields instead of 2"),
        (b"", "it has 0 records"),
        (b"1,a\n2,b", "it has 2 records"),
        (b'1,"a', "a quoted field does not end"),
        (b"1,\xff", "it is not valid UTF-8"),
    ):
        with pytest.raises(UserError, match=f"A message is no CSV record of the declared type: {reason}"):
            reader.deserialize(message)
    lenient = CsvRowDeserializationSchema.Builder(row_type).set_ignore_parse_errors(True).build()
    assert tuple(lenient.deserialize(b"x,y")) == (None, "y")
    assert tuple(lenient.deserialize(b"1")) == (1, "")
    assert tuple(lenient.deserialize(b"1,a,b")) == (1, "a")
    assert lenient.deserialize(b'1,"') is None
    nulls = CsvRowDeserializationSchema.Builder(row_type).set_null_literal("NULL").build()
    assert tuple(nulls.deserialize(b"NULL,NULL")) == (None, None)
    writer = CsvRowSerializationSchema.Builder(row_type).set_null_literal("NULL").set_line_delimiter("").build()
    assert writer.serialize(Row(None, None)) == b"NULL,NULL"
    plain = CsvRowSerializationSchema.Builder(row_type).disable_quote_character().set_escape_character("\\").build()
    assert plain.serialize(Row(1, "a,b")) == b"1,a\\,b\n"


def test_schemas() -> None:
    schema = builder().build()
    assert (schema.size(), len(schema), str(schema)[:34]) == (5, 5, "CsvSchema(text: String, number: Lo")
    again = CsvSchema.builder().add_columns_from(schema).build()
    assert again.get_type_info() == schema.get_type_info()
    assert again.get_type_info().get_field_names() == NAMES
    other = CsvSchema.builder().add_columns_of(schema.get_type_info())
    assert (other.size(), len(other.clear_columns())) == (5, 0)
    elements = CsvSchema.builder().add_array_column("a", ":").add_array_column("b").set_array_element_separator("/")
    assert elements.build()._dialect.separators == (":", ";")
    assert elements.remove_array_element_separator(1).build()._dialect.separators == (":", "/")
    assert elements.disable_array_element_separator().build()._dialect.separators == (":", "")


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs at least one column"):
        CsvSchema.builder().build()
    with pytest.raises(ConfigurationError, match="two columns of the name a"):
        CsvSchema.builder().add_string_column("a").add_string_column("a").build()
    with pytest.raises(ConfigurationError, match="must differ"):
        CsvSchema.builder().add_string_column("a").set_quote_char(",").build()
    with pytest.raises(ConfigurationError, match="The CSV column 'a' cannot be of the type MapTypeInfo"):
        CsvSchema.builder().add_column("a", Types.MAP(Types.STRING(), Types.STRING()))
    with pytest.raises(TypeError, match="must be one of Types"):
        CsvSchema.builder().add_column("a", str)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be a single char"):
        CsvSchema.builder().set_quote_char("''")
    with pytest.raises(ValueError, match="must not be the end of a line"):
        CsvSchema.builder().set_column_separator("\n")
    with pytest.raises(ValueError, match="Lines end with"):
        CsvSchema.builder().set_line_separator("x")
    with pytest.raises(NotYetSupportedError, match="further columns"):
        CsvSchema.builder().set_any_property_name("x")
    with pytest.raises(TypeError, match="takes a CsvSchema"):
        CsvReaderFormat.for_schema(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a CsvSchema"):
        CsvBulkWriters.for_schema(None)  # type: ignore[arg-type]
    form = CsvReaderFormat.for_schema(CsvSchema.builder().add_string_column("a").build())
    with pytest.raises(NotYetSupportedError, match="character set utf-16"):
        form.with_charset("utf-16")
    with pytest.raises(ConfigurationError, match="'klingon' is not a known character set"):
        form.with_charset("klingon")
    with pytest.raises(TypeError, match="Row type information expected"):
        CsvRowSerializationSchema.Builder(Types.INT())
    with pytest.raises(TypeError, match="takes a BulkFormat first"):
        FileSource.for_bulk_file_format(form, "x")  # type: ignore[arg-type]
