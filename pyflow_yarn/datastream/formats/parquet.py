"""Parquet files, through pyarrow: ``pip install 'pyflow-yarn[parquet]'``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.typeinfo import RowTypeInfo, TypeInformation
from pyflow_yarn.datastream.columns import Columns
from pyflow_yarn.datastream.connectors.bad_records import BadRecordLog
from pyflow_yarn.datastream.connectors.file_formats import (
    BulkFormat,
    BulkWriter,
    BulkWriterFactory,
    OutputFile,
    SplitRecords,
)
from pyflow_yarn.datastream.connectors.file_splits import FileSplit, input_failure
from pyflow_yarn.datastream.formats.arrow import (
    ColumnWriter,
    RowMaker,
    arrays_of,
    arrow_schema,
    arrow_type,
    column_cast,
    import_pyarrow,
)
from pyflow_yarn.datastream.not_yet import missing
from pyflow_yarn.errors import ConfigurationError, ExternalError, UserError
from pyflow_yarn.filesystem import file_system, is_local

__all__ = ["ParquetBulkWriters", "ParquetColumnarRowInputFormat"]

ROW_GROUP_ROWS = 1 << 17
ROW_GROUP_BYTES = 64 << 20
COMPRESSION_KEY = "parquet.compression"
_COMPRESSIONS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "LZ4", "ZSTD")
_READING, _WRITING = "Reading Parquet files", "Writing Parquet files"


def _checked(row_type: RowTypeInfo, where: str) -> RowTypeInfo:
    if not isinstance(row_type, RowTypeInfo):
        raise TypeError(
            f"{where} takes a row type such as Types.ROW_NAMED(['a'], [Types.INT()]), not {type(row_type).__name__}."
        )
    return row_type


class ParquetColumnarRowInputFormat(BulkFormat):
    """Rows from columns of Parquet files: those that the row type names; one that a file lacks is None.

    A file is read in parts by several subtasks, each the row groups that begin in its range of bytes.
    """

    def __init__(
        self,
        row_type: RowTypeInfo,
        hadoop_config: Configuration | None = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"The batch size must be at least 1 row, but was {batch_size}.")
        self._row_type = _checked(row_type, "ParquetColumnarRowInputFormat")
        self._batch_size = batch_size
        self._case_sensitive = is_case_sensitive

    @property
    def produced_type(self) -> TypeInformation:
        return self._row_type

    def opener(self, bad: BadRecordLog) -> Callable[[FileSplit], SplitRecords]:
        pa = import_pyarrow(_READING)
        return lambda split: _RowGroups(pa, split, self._row_type, self._batch_size, self._case_sensitive)


class _ColumnsMaker:
    """Makes columns of the declared types of those of a file; one that is not there is null."""

    def __init__(self, pa: Any, row_type: RowTypeInfo, path: str) -> None:
        self._pa = pa
        self.names = row_type.get_field_names()
        kinds = row_type.get_field_types()
        self._types = [arrow_type(pa, kind) for kind in kinds]
        self._casts = [column_cast(pa, kind, name) for name, kind in zip(self.names, kinds, strict=True)]
        self._make_rows = RowMaker(pa, row_type, f"the input file '{path}'")

    def __call__(self, batch: Any, found: Sequence[str]) -> Columns:
        """Of a batch whose columns have these names, where they are there; ``ValueError`` if one cannot be cast."""
        arrays = [
            cast(batch.column(name)) if name else self._pa.nulls(batch.num_rows, kind)
            for name, cast, kind in zip(found, self._casts, self._types, strict=True)
        ]
        return Columns(self._pa.record_batch(arrays, names=self.names), self._make_rows)


class _RowGroups(SplitRecords):
    """The row groups of a split."""

    def __init__(
        self,
        pa: Any,
        split: FileSplit,
        row_type: RowTypeInfo,
        batch_size: int,
        case_sensitive: bool,
    ) -> None:
        if split.compression:
            raise UserError(
                f"The Parquet file '{split.path}' is compressed as a whole: unpack it, Parquet compresses its columns."
            )
        self._pa = pa
        self._path = split.path
        self._make_columns = _ColumnsMaker(pa, row_type, split.path)
        self._names = self._make_columns.names
        self._batches: Iterator[Any] = iter(())
        try:
            source = split.path if is_local(split.path) else file_system(split.path).open(split.path)
            self._file = pa.parquet.ParquetFile(source, memory_map=False, pre_buffer=False)
        except OSError as error:
            raise input_failure(split.path, error) from None
        except (pa.ArrowException, ValueError) as error:
            raise self._unreadable(error) from None
        try:
            self._found = found = self._found_columns(case_sensitive)
            self._batches = self._file.iter_batches(
                batch_size, self._groups(split), [name for name in found if name], use_threads=False
            )
        except BaseException:
            self.close()
            raise

    def _found_columns(self, case_sensitive: bool) -> list[str]:
        """The file's name of each column; empty for those that it has not."""
        there = self._file.schema_arrow.names
        by_name = {name: name for name in there}
        if not case_sensitive:
            by_name = {name.lower(): name for name in reversed(there)}
        found = [by_name.get(name if case_sensitive else name.lower(), "") for name in self._names]
        if not any(found):
            raise UserError(
                f"The Parquet file '{self._path}' has none of the columns {', '.join(self._names)}; it has"
                f" {', '.join(there)}."
            )
        for name in found:
            if name and there.count(name) > 1:
                raise UserError(
                    f"The Parquet file '{self._path}' has the column '{name}' {there.count(name)} times: it cannot be"
                    " chosen by its name."
                )
        return found

    def _groups(self, split: FileSplit) -> list[int]:
        """Each row group belongs to the split in which it begins."""
        metadata = self._file.metadata
        groups = []
        for number in range(metadata.num_row_groups):
            first = metadata.row_group(number).column(0)
            begin = first.data_page_offset
            if first.has_dictionary_page and first.dictionary_page_offset:
                begin = min(begin, first.dictionary_page_offset)
            if split.start <= begin and (begin < split.end or split.end < 0):
                groups.append(number)
        return groups

    def read(self) -> Columns | None:
        try:
            batch = next(self._batches, None)
            return None if batch is None else self._make_columns(batch, self._found)
        except OSError as error:
            raise ExternalError(f"The input file '{self._path}' cannot be read: {error}.") from None
        except (self._pa.ArrowException, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UserError:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        return UserError(f"The input file '{self._path}' cannot be read as Parquet: {reason}.")

    def close(self) -> None:
        self._batches = iter(())
        self._file.close()


class ParquetBulkWriters:
    """Makes writers of Parquet files."""

    @staticmethod
    def for_row_type(
        row_type: RowTypeInfo, hadoop_config: Configuration | None = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """For rows of that type; of ``hadoop_config`` the key ``parquet.compression`` counts, SNAPPY by default.

        Timestamps have no time zone in the file, whatever ``utc_timestamp`` says.
        """
        compression = "SNAPPY" if hadoop_config is None else hadoop_config.get_string(COMPRESSION_KEY, "SNAPPY")
        if compression.upper() not in _COMPRESSIONS:
            raise ConfigurationError(
                f"'{compression}' is not a compression of Parquet: {COMPRESSION_KEY} is one of"
                f" {', '.join(_COMPRESSIONS)}."
            )
        return _ParquetWriters(_checked(row_type, "ParquetBulkWriters.for_row_type()"), compression.upper())


class _ParquetWriters(BulkWriterFactory):
    def __init__(self, row_type: RowTypeInfo, compression: str) -> None:
        self._row_type = row_type
        self._compression = compression

    def create(self, file: OutputFile) -> BulkWriter:
        return _ParquetWriter(import_pyarrow(_WRITING), file, self._row_type, self._compression)


class _ParquetWriter(BulkWriter):
    """Keeps columns until they are enough for a row group."""

    def __init__(self, pa: Any, file: OutputFile, row_type: RowTypeInfo, compression: str) -> None:
        self._pa = pa
        self._names = row_type.get_field_names()
        self._columns = [
            ColumnWriter(pa, kind, name) for name, kind in zip(self._names, row_type.get_field_types(), strict=True)
        ]
        self._schema = arrow_schema(pa, row_type)
        compression = "NONE" if compression == "UNCOMPRESSED" else compression
        self._writer = pa.parquet.ParquetWriter(file, self._schema, compression=compression)
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, records: Sequence[Any]) -> None:
        arrays = self._arrays(records.batch) if isinstance(records, Columns) else None
        if arrays is None:
            arrays = arrays_of(self._names, self._columns, records)
        batch = self._pa.record_batch(arrays, schema=self._schema)
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def _arrays(self, batch: Any) -> list[Any] | None:
        """The columns of the file, by name; None if one is missing or of another type: rows tell what is wrong."""
        arrays = []
        for field in self._schema:
            if batch.schema.get_field_index(field.name) < 0:
                return None
            array = batch.column(field.name)
            if array.type != field.type:
                try:
                    if not (self._pa.types.is_decimal(array.type) and self._pa.types.is_decimal(field.type)):
                        return None
                    array = array.cast(field.type)
                except self._pa.ArrowInvalid:
                    return None
            arrays.append(array)
        return arrays

    def _write_group(self) -> None:
        if self._batches:
            table = self._pa.Table.from_batches(self._batches, self._schema)
            self._writer.write_table(table, row_group_size=self._rows)
        self._batches = []
        self._rows = self._bytes = 0

    def finish(self) -> None:
        self._write_group()
        self._writer.close()


def __getattr__(name: str) -> Any:
    names = frozenset({"AvroParquetReaders", "AvroParquetWriters"})
    return missing(__name__, name, names, "The Avro format in Parquet files ({}) is")
