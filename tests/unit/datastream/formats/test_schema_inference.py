"""Schemas of files from their first records."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pyflow_yarn.common.typeinfo import RowTypeInfo, Types
from pyflow_yarn.datastream.formats.csv import CsvReaderFormat, CsvSchema
from pyflow_yarn.datastream.formats.json import JsonLinesFormat
from pyflow_yarn.datastream.formats.schema_inference import infer_schema
from pyflow_yarn.errors import ConfigurationError, UserError
from tests.unit.datastream.formats.files import read


def text_of(row_type: RowTypeInfo) -> str:
    return str(row_type).removeprefix("RowTypeInfo(").removesuffix(")")


CSV = (
    "id,zip,price,big,ok,day,at,note,none,mixed\n"
    '1,01234,1.5,99999999999999999999,true,2020-02-29,2020-02-29 01:02:03,"a\nb",,1\n'
    "-2,99999,2,1,FALSE,2021-01-01,2021-01-01T00:00:00Z,2020,,x\n"
)


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"\ufeff{CSV}")
    row_type = infer_schema(str(path), "csv")
    assert text_of(row_type) == (
        "id: Long, zip: String, price: Double, big: BigInteger, ok: Boolean, day: DateTypeInfo,"
        " at: TimestampTypeInfo, note: String, none: String, mixed: String"
    )
    schema = CsvSchema.builder().add_columns_of(row_type).set_use_header().set_strict_headers().build()
    first, second = read(CsvReaderFormat.for_schema(schema), path)
    assert (first["id"], first["zip"], first["big"], second["ok"]) == (1, "01234", 99999999999999999999, False)
    assert text_of(infer_schema(str(path), "csv", sample_rows=1)).endswith("none: String, mixed: Long")


def test_csv_of_another_dialect(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("3;NULL\n")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"\n'x;y';1\nz;NULL\n"))
    row_type = infer_schema(
        str(tmp_path), "csv", column_separator=";", quote_char="'", use_header=False, null_value="NULL"
    )
    assert text_of(row_type) == "f0: String, f1: Long"


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"a":1,"b":{"x":1,"y":null},"c":[1,2.5],"d":"t","e":true,"f":1,"g":{},"h":[]}\n'
        '{"z":null,"b":{"w":"s"},"c":null,"f":"x","a":null,"i":1e3,"j":100000000000000000000}\n'
    )
    row_type = infer_schema(str(path), "json")
    assert text_of(row_type) == (
        "a: Long, b: RowTypeInfo(x: Long, y: String, w: String), c: ListTypeInfo<Double>, d: String, e: Boolean,"
        " f: PickledByteArrayTypeInfo, g: PickledByteArrayTypeInfo, h: ListTypeInfo<String>, z: String, i: Double,"
        " j: BigInteger"
    )
    first, second = read(JsonLinesFormat.for_type_info(row_type), path)
    assert (first["a"], first["f"], second["f"], second["b"]["w"]) == (1, 1, "x", "s")
    assert len(infer_schema(str(path), "json", sample_rows=1).get_field_names()) == 8


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("x", pa.uint64())])
    types = [pa.int8(), pa.uint16(), pa.float32(), pa.date64(), pa.time32("s"), pa.timestamp("ns"), struct]
    types += [pa.timestamp("s", tz="UTC"), pa.list_(pa.large_string()), pa.map_(pa.string(), pa.bool_())]
    types += [pa.binary(3), pa.decimal128(5, 2), pa.dictionary(pa.int8(), pa.string())]
    schema = pa.schema([(f"c{number}", kind) for number, kind in enumerate(types)])
    pq.write_table(schema.empty_table(), tmp_path / "a.parquet")
    row_type = infer_schema(str(tmp_path), "parquet")
    assert [str(kind) for kind in row_type.get_field_types()] == [
        "Byte",
        "Integer",
        "Float",
        "DateTypeInfo",
        "TimeTypeInfo",
        "TimestampTypeInfo",
        "RowTypeInfo(x: BigInteger)",
        "Instant",
        "ListTypeInfo<String>",
        "MapTypeInfo<String, Boolean>",
        "PrimitiveArrayTypeInfo<Byte>",
        "BigDecimal",
        "String",
    ]
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"a.parquet' and '.*b.parquet' have different columns"):
        infer_schema(str(tmp_path), "parquet")
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(UserError, match=r"b.parquet' cannot be read as Parquet"):
        infer_schema(str(tmp_path), "parquet")


@pytest.mark.parametrize(
    ("data", "form", "error", "sentence"),
    [
        ("", "csv", UserError, "There are no records in"),
        ("", "json", UserError, "There are no records in"),
        ("[1]", "json", UserError, r"Record 1 of '.*' is no JSON object: \[1\]"),
        ("{", "json", UserError, "bad record at line 1"),
        ("a,b\n1\n", "csv", UserError, "bad record at line 2: it has 1 fields instead of 2"),
        ('"a', "csv", UserError, "does not begin with a CSV record: a quoted field does not end"),
        ("a,a\n", "csv", ConfigurationError, "two columns of the name a"),
        ("", "xml", ValueError, "knows the formats csv, json, parquet, not 'xml'"),
    ],
)
def test_what_has_no_schema(tmp_path: Path, data: str, form: str, error: type[Exception], sentence: str) -> None:
    path = tmp_path / "in"
    path.write_text(data)
    with pytest.raises(error, match=sentence):
        infer_schema(str(path), form)


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 row, not 0"):
        infer_schema(str(tmp_path), "csv", 0)
    with pytest.raises(UserError, match="There are no files in"):
        infer_schema(str(tmp_path), "csv")
    with pytest.raises(UserError, match="does not exist"):
        infer_schema(str(tmp_path / "none"), "csv")
    (tmp_path / "only.csv").write_text("a,b\n")
    assert infer_schema(str(tmp_path), "csv") == Types.ROW([Types.STRING(), Types.STRING()])
