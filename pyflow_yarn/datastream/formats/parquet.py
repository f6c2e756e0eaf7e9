"""The Parquet format is not supported yet: what is imported from here says so when it is used."""

from __future__ import annotations

from typing import Any

from pyflow_yarn.datastream.not_yet import missing

_NAMES = frozenset(
    {
        "AvroParquetReaders",
        "AvroParquetWriters",
        "ParquetBulkWriters",
        "ParquetColumnarRowInputFormat",
    }
)


def __getattr__(name: str) -> Any:
    return missing(__name__, name, _NAMES, "The Parquet format ({}) is")
