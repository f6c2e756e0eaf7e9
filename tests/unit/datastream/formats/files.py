"""Reads and writes files through formats, as a worker would."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyflow_yarn.common.typeinfo import TypeInformation
from pyflow_yarn.datastream.connectors.file_formats import (
    BAD_RECORDS,
    BulkWriterFactory,
    FileRecordReader,
    RecordFormat,
)
from pyflow_yarn.datastream.connectors.file_splits import COMPRESSIONS, FileSplit
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink
from pyflow_yarn.datastream.sink import WriterContext
from pyflow_yarn.datastream.source import EndOfInput, SideRecords

JOB = "0123456789abcdef0123456789abcdef"


def read_counting(
    record_format: RecordFormat, *splits: FileSplit, max_records: int = 3
) -> tuple[list[Any], int | None]:
    """The records of the splits, and how many were skipped."""
    reader = FileRecordReader(record_format)
    records: list[Any] = []
    for split in splits:
        reader.add_split(split)
    reader.no_more_splits()
    try:
        while True:
            batch = reader.read_batch(max_records)
            assert batch is not None
            assert len(batch) <= max_records
            records.extend(batch)
    except EndOfInput:
        return records, reader.counters().get(BAD_RECORDS)
    finally:
        reader.close()


def read_with_side(record_format: RecordFormat, tag_id: str, *splits: FileSplit) -> tuple[list[Any], list[Any]]:
    """The records of the splits, and those of the side output."""
    reader = FileRecordReader(record_format)
    main: list[Any] = []
    side: list[Any] = []
    for split in splits:
        reader.add_split(split)
    reader.no_more_splits()
    try:
        while True:
            batch = reader.read_batch(1000)
            if isinstance(batch, SideRecords):
                assert batch.tag_id == tag_id
                side.extend(batch)
            else:
                assert batch is not None
                main.extend(batch)
    except EndOfInput:
        assert reader.counters() == {BAD_RECORDS: len(side)}
        return main, side
    finally:
        reader.close()


def read(record_format: RecordFormat, path: Path, cuts: Sequence[int] = ()) -> list[Any]:
    """The records of a file that is cut at these bytes."""
    size = path.stat().st_size
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < size}), size]
    compression = COMPRESSIONS.get(path.suffix, "")
    if compression:
        return read_counting(record_format, FileSplit(str(path), 0, -1, compression))[0]
    return read_counting(record_format, *(FileSplit(str(path), *bound) for bound in pairwise(bounds)))[0]


def write(
    factory: BulkWriterFactory,
    directory: Path,
    *batches: Sequence[Any],
    type_info: TypeInformation | None = None,
) -> Path:
    """The one file that a sink makes of these batches."""
    builder = FileSink.for_bulk_format(str(directory), factory)
    sink = builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build().for_records(type_info)
    writer = sink.create_writer(WriterContext(JOB, 0, 1))
    writer.open()
    try:
        for batch in batches:
            writer.write_batch(batch, None)
            writer.flush()
        prepared = writer.prepare_commit()
    finally:
        writer.close()
    sink.create_committer().commit(prepared)
    [(_, final)] = prepared
    return Path(final)
