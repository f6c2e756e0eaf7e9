"""Files of records through ``bin/flink run``: what is read is written, by two subtasks, in other formats."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet, table

from tests.conftest import Completed, Flink

pytestmark = pytest.mark.slow

HEAD = """\
import sys
from pyflow_yarn.common import Row, Types, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource
from pyflow_yarn.datastream.formats.csv import CsvReaderFormat, CsvSchema
from pyflow_yarn.datastream.formats.json import JsonLinesBulkWriters, JsonLinesFormat
from pyflow_yarn.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from pyflow_yarn.datastream.formats.schema_inference import infer_schema
env = StreamExecutionEnvironment.get_execution_environment()
path, output = sys.argv[1:3]
def read(source):
    return env.from_source(source.build(), WatermarkStrategy.no_watermarks(), "records")
def write(stream, writers):
    builder = FileSink.for_bulk_format(output, writers)
    stream.sink_to(builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build())
    env.execute("formats")
"""
CSV_TO_JSON = """
schema = CsvSchema.builder().add_columns_of(infer_schema(path, "csv")).set_use_header().set_strict_headers().build()
form = CsvReaderFormat.for_schema(schema).with_single_line_records()
stream = read(FileSource.for_record_stream_format(form, path))
double = schema.get_type_info()
def doubled(row):
    return Row(2 * row["id"], row["name"], row["price"])
write(stream.rebalance().map(doubled, output_type=double), JsonLinesBulkWriters.for_any_values())
"""
PARQUET_TO_PARQUET = """
row_type = infer_schema(path, "parquet")
stream = read(FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), path))
by_word = stream.key_by(lambda row: row["word"], key_type=Types.STRING())
write(by_word.map(lambda row: row, output_type=row_type), ParquetBulkWriters.for_row_type(row_type))
"""
JSON_FAILS = """
row_type = Types.ROW_NAMED(["a"], [Types.INT()])
stream = read(FileSource.for_record_stream_format(JsonLinesFormat.for_type_info(row_type), path))
write(stream, JsonLinesBulkWriters.for_any_values())
"""


def run(flink: Flink, tmp_path: Path, program: str, source: Path) -> Completed:
    script = tmp_path / "job.py"
    script.write_text(HEAD + program)
    return flink("run", "-p", "2", script, source, tmp_path / "out")


def files(folder: Path) -> list[Path]:
    """The finished files; there are no others."""
    found = sorted(folder.iterdir())
    assert not [path for path in found if path.name.startswith(".")]
    return found


def test_csv_to_json(flink: Flink, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    count = 60_000
    lines = [f'{number},"näme, ""{number}""",{number % 100}.5' for number in range(count)]
    source.write_text("id,name,price\n" + "\n".join(lines), encoding="utf-8")
    assert source.stat().st_size > 1 << 20
    done = run(flink, tmp_path, CSV_TO_JSON, source)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for path in files(tmp_path / "out") for line in path.read_text("utf-8").splitlines()]
    found.sort(key=lambda record: int(record["id"]))
    expected = [{"id": 2 * n, "name": f'näme, "{n}"', "price": n % 100 + 0.5} for n in range(count)]
    assert found == expected
    assert len(files(tmp_path / "out")) == 2


def test_parquet_to_parquet(flink: Flink, tmp_path: Path) -> None:
    words = ["to", "be", "or", "not", None, "süß"]
    columns: dict[str, list[Any]] = {
        "id": list(range(20_000)),
        "word": [words[number % 6] for number in range(20_000)],
        "real": [number / 3 for number in range(20_000)],
        "tags": [[str(number)] * (number % 3) for number in range(20_000)],
    }
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        parquet.write_table(table(columns), source / f"{number}.parquet", row_group_size=5000)
    done = run(flink, tmp_path, PARQUET_TO_PARQUET, source)
    assert done.returncode == 0, done.stderr
    tables = [parquet.read_table(path) for path in files(tmp_path / "out")]
    assert all(each.schema.names == list(columns) for each in tables)
    found = [record for each in tables for record in each.to_pylist()]
    assert len(found) == 60_000
    assert Counter(record["id"] for record in found) == Counter(columns["id"] * 3)
    for record in found:
        assert record == {name: column[record["id"]] for name, column in columns.items()}
    homes = [set(each.column("word").to_pylist()) for each in tables]
    assert len(homes) == 2
    assert homes[0].isdisjoint(homes[1])


COPY = """
from pyflow_yarn.datastream.columns import Columns
def rows(self):
    raise AssertionError("rows were made")
class Columnar(ParquetColumnarRowInputFormat):
    def opener(self, bad):
        Columns.rows = rows
        return super().opener(bad)
row_type = infer_schema(path, "parquet")
stream = read(FileSource.for_bulk_file_format(Columnar(row_type), path))
write(stream.rebalance(), ParquetBulkWriters.for_row_type(row_type))
"""


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_columns_are_copied_without_a_row_being_made(flink: Flink, tmp_path: Path, transport: str) -> None:
    count = 30_000
    dictionary = pa.DictionaryArray.from_arrays(
        [number % 3 if number % 7 else None for number in range(count)], ["to", "be", "ü"]
    )
    moments = [1_800_000_000_000_000 + number for number in range(count)]
    source = tmp_path / "in"
    source.mkdir()
    columns = {
        "id": pa.array(range(count)),
        "word": dictionary,
        "at": pa.array(moments, pa.timestamp("us")),
        "price": pa.array(
            [Decimal(number) / 100 if number % 5 else None for number in range(count)], pa.decimal128(12, 2)
        ),
        "tags": pa.array([[{"n": number}] * (number % 3) for number in range(count)]),
    }
    for number in range(4):
        parquet.write_table(table(columns), source / f"{number}.parquet", row_group_size=5000)
    parquet.write_table(table(columns).slice(0, 1), source / "one.parquet")
    script = tmp_path / "job.py"
    script.write_text(HEAD + COPY)
    done = flink("run", "-p", "2", f"-Dtaskmanager.network.transport={transport}", script, source, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "out")) == 2
    found = sorted(
        (record for path in files(tmp_path / "out") for record in parquet.read_table(path).to_pylist()),
        key=lambda record: int(record["id"]),
    )
    expected = table(columns).to_pylist()
    assert found == expected[:1] + [record for record in expected for _ in range(4)]


def test_a_bad_record_fails_the_job_with_its_place(flink: Flink, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"a":1}\n{"a":"two"}\n')
    done = run(flink, tmp_path, JSON_FAILS, source)
    assert done.returncode == 31
    assert f"The input file '{source}' has a bad record at line 2, field 'a': Expected `int | null`, got `str`" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr
    assert "While handling" not in done.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


BAD_RECORDS = """
from pyflow_yarn.common import Encoder
from pyflow_yarn.datastream import OutputTag
from pyflow_yarn.datastream.formats.bad_records import BadRecords
row_type = Types.ROW_NAMED(["a"], [Types.INT()])
tag = OutputTag("bad", BadRecords.row_type())
form = JsonLinesFormat.for_type_info(row_type).with_bad_records(tag)
stream = read(FileSource.for_record_stream_format(form, path))
def told(row):
    return f"{row['line']}: {row['text']}"
sink = FileSink.for_row_format(output + "-bad", Encoder.simple_string_encoder())
lines = stream.get_side_output(tag).rebalance().map(told, output_type=Types.STRING())
lines.sink_to(sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build())
write(stream, JsonLinesBulkWriters.for_any_values())
"""


@pytest.mark.parametrize("parallelism", ["1", "2"])
def test_bad_records_go_to_a_side_output(flink: Flink, tmp_path: Path, parallelism: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join("no json\n" if number % 1000 == 7 else f'{{"a":{number}}}\n' for number in range(20_000)))
    script = tmp_path / "job.py"
    script.write_text(HEAD + BAD_RECORDS)
    done = flink("run", "-p", parallelism, script, source, tmp_path / "out")
    assert done.returncode == 0, done
    assert "- numRecordsInErrors (int): 20" in done.stdout
    bad = [line for file in (tmp_path / "out-bad").iterdir() for line in file.read_text().splitlines()]
    assert sorted(bad) == sorted(f"{number + 1}: no json" for number in range(7, 20_000, 1000))
    good = [json.loads(line)["a"] for file in (tmp_path / "out").iterdir() for line in file.read_text().splitlines()]
    assert sorted(good) == [number for number in range(20_000) if number % 1000 != 7]


TAGS = """
import sys
from pyflow_yarn.common import Types
from pyflow_yarn.datastream import OutputTag, ProcessFunction, StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
odd, wrong = OutputTag("odd", Types.INT()), int(sys.argv[1])
class Split(ProcessFunction):
    def process_element(self, value, ctx):
        if value % 2:
            yield odd, value
        else:
            yield value
split = env.from_collection(list(range(10)), Types.INT()).process(Split(), Types.INT())
split.get_side_output(odd).rebalance().map(lambda v: 10 // (v - wrong), Types.INT()).print("odd")
split.print("even")
env.execute()
"""


@pytest.mark.parametrize("parallelism", ["1", "2"])
def test_side_outputs_of_a_program(flink: Flink, tmp_path: Path, parallelism: str) -> None:
    script = tmp_path / "job.py"
    script.write_text(TAGS)
    done = flink("run", "-p", parallelism, script, "11")
    assert done.returncode == 0, done
    printed = Counter(
        line.partition(">")[0].partition(":")[0] + line.partition(">")[2] for line in done.lines() if ">" in line
    )
    assert printed == Counter(
        [f"even {v}" for v in range(0, 10, 2)] + [f"odd {10 // (v - 11)}" for v in range(1, 10, 2)]
    )
    done = flink("run", "-p", parallelism, script, "5")
    assert done.returncode == 31
    assert "  record: 5\n" in done.stderr
    assert "ZeroDivisionError" in done.stderr.splitlines()[-1]
