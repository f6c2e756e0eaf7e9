"""Parquet: what is written comes back, every row group once, and what does not fit is told."""

from __future__ import annotations

import datetime
import errno
import gc
import math
import pickle
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.time import Instant
from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.common.types import Row
from pyflow_yarn.datastream.connectors import file_splits
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, RollingPolicy
from pyflow_yarn.datastream.formats import parquet
from pyflow_yarn.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from pyflow_yarn.datastream.sink import WriterContext
from pyflow_yarn.errors import ConfigurationError, ExternalError, NotYetSupportedError, UserError
from tests.unit.datastream.connectors.reading import read_all
from tests.unit.datastream.formats.files import JOB, read, write

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def tiny_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group after every second batch."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 4)


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are new for each example."""

    def fresh() -> Iterator[Path]:
        base = tmp_path_factory.mktemp("parquet")
        number = 0
        while True:
            number += 1
            yield base / str(number)

    return fresh()


def row_of(names: list[str], values: Any) -> Row:
    row = Row(*values)
    row.set_field_names(names)
    return row


NAMES = ["id", "a.b c", "when", "tags", "points"]
POINT = Types.ROW_NAMED(["x", "at"], [Types.DOUBLE(), Types.INSTANT()])
TYPE = Types.ROW_NAMED(
    NAMES,
    [
        Types.LONG(),
        Types.STRING(),
        Types.SQL_TIMESTAMP(),
        Types.LIST(Types.STRING()),
        Types.MAP(Types.STRING(), Types.LIST(POINT)),
    ],
)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
instants = st.builds(lambda s, m: Instant(s, m * 1000), st.integers(-(10**9), 10**10), st.integers(0, 999_999))


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


points = st.tuples(optional(st.floats(allow_nan=False)), optional(instants)).map(lambda v: row_of(["x", "at"], v))
rows = st.tuples(
    optional(st.integers(-(2**63), 2**63 - 1)),
    optional(texts),
    optional(st.datetimes()),
    optional(st.lists(optional(texts), max_size=3)),
    optional(st.dictionaries(texts, optional(st.lists(optional(points), max_size=2)), max_size=2)),
).map(lambda values: row_of(NAMES, values))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    batches=st.lists(st.lists(rows, min_size=1, max_size=4), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 3000), max_size=3),
)
def test_rows_come_back(
    directories: Iterator[Path], tiny_groups: None, batches: list[list[Row]], cuts: list[int]
) -> None:
    path = write(ParquetBulkWriters.for_row_type(TYPE), next(directories), *batches)
    found = read(pickle.loads(pickle.dumps(ParquetColumnarRowInputFormat(TYPE, batch_size=3))), path, cuts)
    expected = [row for batch in batches for row in batch]
    assert found == expected
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in expected]


@pytest.mark.parametrize(
    ("type_info", "values"),
    [
        (Types.BYTE(), [-128, None]),
        (Types.SHORT(), [32767]),
        (Types.INT(), [-(2**31), 5]),
        (Types.BIG_INT(), [10**37, -1, None]),
        (Types.FLOAT(), [0.5, None]),
        (Types.DOUBLE(), [1e300, math.inf]),
        (Types.BOOLEAN(), [True, None, False]),
        (Types.BIG_DEC(), [Decimal("1.50"), None]),
        (Types.CHAR(), ["x"]),
        (Types.SQL_DATE(), [datetime.date(2020, 2, 29), None]),
        (Types.SQL_TIME(), [datetime.time(23, 59, 59, 5)]),
        (Types.SQL_TIMESTAMP(), [datetime.datetime(1, 2, 3, 4, 5, 6, 7)]),  # noqa: DTZ001
        (Types.INSTANT(), [Instant(-1, 999_999_000), None, Instant(253402300799, 0)]),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), [b"\x00\xff", None]),
        (Types.PRIMITIVE_ARRAY(Types.LONG()), [[1, 2], []]),
        (Types.LIST(Types.LIST(Types.INSTANT())), [[[Instant(1, 0)], None], None]),
        (Types.TUPLE([Types.INT(), Types.STRING()]), [(1, "a"), None, (2, None)]),
        (Types.MAP(Types.LONG(), Types.BIG_INT()), [{1: 2}, {}, None]),
        (Types.ROW([Types.BIG_INT()]), [row_of(["f0"], (3,)), None]),
    ],
    ids=str,
)
def test_values_of_every_type(tmp_path: Path, type_info: TypeInformation, values: list[Any]) -> None:
    row_type = Types.ROW_NAMED(["v"], [type_info])
    path = write(ParquetBulkWriters.for_row_type(row_type), tmp_path, [Row(value) for value in values])
    found = [row["v"] for row in read(ParquetColumnarRowInputFormat(row_type), path)]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_row_groups_are_shared_by_the_subtasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_splits, "MIN_SPLIT_SIZE", 1)
    table = pa.table({"a": list(range(2000))})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    row_type = Types.ROW_NAMED(["a"], [Types.LONG()])
    for size in (1, 100, 5000, 1 << 30):
        builder = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), str(tmp_path))
        source = builder.set_split_size(size).build()
        assert source.produced_type == row_type
        parts = read_all(pickle.loads(pickle.dumps(source)), parallelism=2)
        assert sorted(row["a"] for part in parts for row in part) == list(range(2000))
        assert all(parts)


def test_every_cut_gives_each_row_once(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"a": list(range(12))}), path, row_group_size=3, use_dictionary=[])
    form = ParquetColumnarRowInputFormat(Types.ROW_NAMED(["a"], [Types.LONG()]))
    for cut in range(0, path.stat().st_size, 7):
        assert [row["a"] for row in read(form, path, [cut, cut + 60])] == list(range(12))


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table({"B": [1.5, None], "a": pa.array([1, 2], pa.int32()), "c": ["x", "y"]})
    pq.write_table(table, path)
    row_type = Types.ROW_NAMED(["c", "none", "a"], [Types.STRING(), Types.INT(), Types.LONG()])
    assert read(ParquetColumnarRowInputFormat(row_type), path) == [
        row_of(["c", "none", "a"], ("x", None, 1)),
        row_of(["c", "none", "a"], ("y", None, 2)),
    ]
    lower = Types.ROW_NAMED(["b"], [Types.DOUBLE()])
    assert [tuple(row) for row in read(ParquetColumnarRowInputFormat(lower, is_case_sensitive=False), path)] == [
        (1.5,),
        (None,),
    ]
    with pytest.raises(UserError, match=r"has none of the columns b; it has B, a, c\."):
        read(ParquetColumnarRowInputFormat(lower), path)
    pq.write_table(pa.table([[1], [2], [3]], ["a", "b", "a"]), path)
    assert [tuple(row) for row in read(ParquetColumnarRowInputFormat(lower), path)] == [(2.0,)]
    twice = Types.ROW_NAMED(["b", "a"], [Types.LONG(), Types.LONG()])
    with pytest.raises(UserError, match=r"has the column 'a' 2 times: it cannot be chosen by its name\."):
        read(ParquetColumnarRowInputFormat(twice), path)


def test_other_types_in_the_file_are_cast(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    table = pa.table(
        {
            "i": pa.array([1, 2], pa.int64()),
            "s": pa.array(["a", "a"]).dictionary_encode(),
            "t": pa.array([0, 1], pa.timestamp("ms", tz="Asia/Tokyo")),
            "d": pa.array([Decimal("1.5"), None], pa.decimal128(5, 1)),
        }
    )
    pq.write_table(table, path)
    names = ["i", "s", "t", "d"]
    row_type = Types.ROW_NAMED(names, [Types.SHORT(), Types.STRING(), Types.INSTANT(), Types.BIG_DEC()])
    assert [tuple(row) for row in read(ParquetColumnarRowInputFormat(row_type), path)] == [
        (1, "a", Instant(0, 0), Decimal("1.5")),
        (2, "a", Instant(0, 1_000_000), None),
    ]
    wrong = Types.ROW_NAMED(["s"], [Types.INT()])
    with pytest.raises(UserError, match=r"cannot be read as Parquet: its column 's' of .* cannot be read as Integer: "):
        read(ParquetColumnarRowInputFormat(wrong), path)
    pq.write_table(pa.table({"i": [2**40]}), path)
    with pytest.raises(UserError, match=r"its column 'i' of int64 cannot be read as Integer: .* not in range"):
        read(ParquetColumnarRowInputFormat(Types.ROW_NAMED(["i"], [Types.INT()])), path)


def test_files_that_are_none(tmp_path: Path) -> None:
    form = ParquetColumnarRowInputFormat(Types.ROW_NAMED(["a"], [Types.LONG()]))
    path = tmp_path / "in.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(UserError, match=r"in\.parquet' cannot be read as Parquet: Parquet magic bytes not found"):
        read(form, path)
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xff" * 196
    path.write_bytes(data)
    with pytest.raises((UserError, ExternalError), match=r"in\.parquet' cannot be read"):
        read(form, path)
    packed = tmp_path / "in.parquet.gz"
    packed.write_bytes(b"")
    with pytest.raises(UserError, match="is compressed as a whole"):
        read(form, packed)
    path.unlink()
    reader = FileSource.for_bulk_file_format(form, str(path)).build().create_reader(None)  # type: ignore[arg-type]
    reader.add_split(file_splits.FileSplit(str(path), 0, 5))
    with pytest.raises(UserError, match=r"in\.parquet' cannot be read: "):
        reader.read_batch(1)


@pytest.mark.parametrize(
    ("type_info", "value", "sentence"),
    [
        (Types.INT(), 1.5, "The field 'v' of the type Integer has a value that is none: 1.5."),
        (Types.INT(), True, "of the type Integer has a value that is none: True"),
        (Types.INT(), 2**40, "that is none: 1099511627776 "),
        (Types.STRING(), 1, "of the type String has a value that is none: 1"),
        (Types.STRING(), "\ud800", "has a value that is none: '"),
        (Types.LIST(Types.INT()), [1.5], "has a value that is none: "),
        (Types.MAP(Types.STRING(), Types.INT()), {"a": "b"}, "has a value that is none: {'a': 'b'}"),
        (Types.ROW_NAMED(["x"], [Types.INT()]), Row("y"), "has a value that is none: Row"),
        (Types.ROW_NAMED(["x"], [Types.INT()]), 5, "has a value that is none: 5"),
        (Types.SQL_DATE(), datetime.datetime(2020, 1, 1), "has a value that is none: datetime"),  # noqa: DTZ001
        (Types.INSTANT(), Instant(0, 1), "files hold microseconds, not nanoseconds"),
        (Types.BIG_DEC(), Decimal("1E-30"), "would cause data loss"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, type_info: TypeInformation, value: Any, sentence: str) -> None:
    row_type = Types.ROW_NAMED(["v"], [type_info])
    with pytest.raises(UserError) as raised:
        write(ParquetBulkWriters.for_row_type(row_type), tmp_path, [Row(None), Row(value)])
    assert sentence in str(raised.value)
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["a"], [Types.LONG()])
    builder = FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(row_type))
    sink = builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()
    writer: Any = sink.create_writer(WriterContext(JOB, 0, 1))
    writer.open()
    writer.write_batch([(1,)], None)
    [part] = writer._parts.values()

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        flush = close = lambda self: None

    part._file.raw.close()
    part._file.raw = Full()
    with pytest.raises(ExternalError, match="no space left on device"):
        writer.prepare_commit()
    writer.close()
    del part, writer
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_how_files_are_compressed(tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["a"], [Types.LONG()])
    for name, found in (("gzip", "GZIP"), ("UNCOMPRESSED", "UNCOMPRESSED"), ("", "SNAPPY")):
        configuration = Configuration().set_string("parquet.compression", name) if name else None
        path = write(ParquetBulkWriters.for_row_type(row_type, configuration), tmp_path / (name or "d"), [(1,)])
        assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == found
    with pytest.raises(ConfigurationError, match="'rar' is not a compression of Parquet"):
        ParquetBulkWriters.for_row_type(row_type, Configuration().set_string("parquet.compression", "rar"))


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["a"], [Types.LONG()])
    with pytest.raises(TypeError, match="takes a row type such as"):
        ParquetColumnarRowInputFormat(Types.LONG())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1 row"):
        ParquetColumnarRowInputFormat(row_type, batch_size=0)
    builder = FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(row_type))
    with pytest.raises(ValueError, match="must be OnCheckpointRollingPolicy"):
        builder.with_rolling_policy(RollingPolicy.default_rolling_policy())  # type: ignore[arg-type]
    sink = builder.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()
    assert sink.rolling_policy.part_size is None
    with pytest.raises(UserError, match="Columns cannot hold values of the type PickledByteArrayTypeInfo"):
        write(ParquetBulkWriters.for_row_type(Types.ROW([Types.PICKLED_BYTE_ARRAY()])), tmp_path, [(1,)])
    with pytest.raises(NotYetSupportedError, match="Avro format in Parquet files"):
        parquet.AvroParquetReaders.for_generic_record(None)


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pyflow_yarn.common import Types\n"
        "from pyflow_yarn.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat\n"
        "row_type = Types.ROW_NAMED(['a'], [Types.LONG()])\n"
        "ParquetBulkWriters.for_row_type(row_type)\n"
        "try:\n"
        "    ParquetColumnarRowInputFormat(row_type).opener(None)\n"
        "except Exception as error:\n"
        "    sys.stdout.write(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"Reading Parquet files needs pyarrow, which the Python {sys.executable} lacks: run"
        f" {sys.executable} -m pip install pyarrow."
    )
