"""Files as sources and sinks of records."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NoReturn, Self

from pyflow_yarn.common.serialization import Encoder
from pyflow_yarn.common.time import Duration
from pyflow_yarn.common.typeinfo import TypeInformation
from pyflow_yarn.datastream.connectors.file_formats import (
    BulkFormat,
    BulkWriter,
    BulkWriterFactory,
    FileRecordReader,
    RecordFormat,
    StreamFormat,
)
from pyflow_yarn.datastream.connectors.file_splits import DEFAULT_SPLIT_SIZE, FileSplitEnumerator
from pyflow_yarn.datastream.connectors.file_writer import EncodedWriters, FileCommitter, FileWriter, PartNames
from pyflow_yarn.datastream.local_paths import file_path
from pyflow_yarn.datastream.sink import Committer, Sink, SinkWriter, WriterContext
from pyflow_yarn.datastream.source import ReaderContext, Source, SourceReader, SplitEnumerator
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError, UserError
from pyflow_yarn.filesystem import is_local

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriter",
    "BulkWriterFactory",
    "DefaultRollingPolicy",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
]

# ---- source ----


class FileSource(Source[Any]):
    """The records of files: single ones, all below a directory, all that match a pattern such as ``logs/*.txt``.

    Files ending in .gz, .gzip, .bz2, .xz, .zst and .zstd are unpacked. Plain files are read in parts by several
    subtasks where their format allows it.
    """

    def __init__(self, paths: tuple[str, ...], record_format: RecordFormat, split_size: int) -> None:
        self.paths = paths
        self.record_format = record_format
        self.split_size = split_size

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat, *paths: str) -> FileSourceBuilder:
        """A builder for a source that reads ``paths``."""
        if not isinstance(stream_format, StreamFormat):
            raise TypeError(
                f"for_record_stream_format() takes a StreamFormat first, not {type(stream_format).__name__}."
            )
        if not paths:
            raise UserError("FileSource.for_record_stream_format() needs at least one path.")
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str) -> FileSourceBuilder:
        """A builder for a source that reads ``paths`` in blocks of records."""
        if not isinstance(bulk_format, BulkFormat):
            raise TypeError(f"for_bulk_file_format() takes a BulkFormat first, not {type(bulk_format).__name__}.")
        if not paths:
            raise UserError("FileSource.for_bulk_file_format() needs at least one path.")
        return FileSourceBuilder(bulk_format, paths)

    @property
    def produced_type(self) -> TypeInformation:
        return self.record_format.produced_type

    @property
    def coordinated(self) -> bool:
        return True

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return FileSplitEnumerator(self.paths, self.split_size, self.record_format.splittable, parallelism)

    def create_reader(self, context: ReaderContext) -> SourceReader[Any]:
        return FileRecordReader(self.record_format)


class FileSourceBuilder:
    """Collects the settings of a ``FileSource``."""

    def __init__(self, record_format: RecordFormat, paths: tuple[str, ...]) -> None:
        self._record_format = record_format
        self._paths = tuple(file_path(path, "the file source") for path in paths)
        self._split_size = DEFAULT_SPLIT_SIZE

    def set_split_size(self, split_size: int) -> FileSourceBuilder:
        """Largest number of bytes that a subtask reads at a time before it asks for more; 16 MiB by default."""
        if split_size < 1:
            raise ValueError(f"The split size must be at least 1 byte, but was {split_size}.")
        self._split_size = split_size
        return self

    def process_static_file_set(self) -> FileSourceBuilder:
        """Read the files that are there when the job starts, and end. This is the default."""
        return self

    def monitor_continuously(self, discovery_interval: Duration) -> NoReturn:
        """Not supported yet."""
        raise NotYetSupportedError("Watching for new files (monitor_continuously) is not supported yet.")

    def set_file_enumerator(self, file_enumerator: object) -> NoReturn:
        """Not supported yet."""
        raise NotYetSupportedError("File enumerators are not supported yet: the default one lists recursively.")

    def set_split_assigner(self, split_assigner: object) -> NoReturn:
        """Not supported yet."""
        raise NotYetSupportedError("Split assigners are not supported yet.")

    def build(self) -> FileSource:
        """The source."""
        return FileSource(self._paths, self._record_format, self._split_size)


# ---- sink ----


class BucketAssigner:
    """Chooses the directory that records are written to, below the sink's base path.

    ``bucket(now)`` gives its relative path for a time in epoch seconds.
    """

    def __init__(self, bucket: Callable[[float], str]) -> None:
        self.bucket = bucket

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """Always the base path itself."""
        return BucketAssigner(_BasePath())

    @staticmethod
    def date_time_bucket_assigner(format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None) -> BucketAssigner:
        """A directory named after the present time; ``format_str`` is a pattern of Java's ``DateTimeFormatter``."""
        return BucketAssigner(_DateTime(format_str, timezone_id))


class _BasePath:
    def __call__(self, now: float) -> str:
        return ""


_DATE_FIELDS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
}


class _DateTime:
    def __init__(self, pattern: str, timezone_id: str | None) -> None:
        self._format = _strftime_format(pattern)
        self._timezone_id = timezone_id
        if timezone_id is not None:
            _zone(timezone_id)

    def __call__(self, now: float) -> str:
        if self._timezone_id is None:
            return time.strftime(self._format, time.localtime(now))
        from datetime import datetime

        return datetime.fromtimestamp(now, _zone(self._timezone_id)).strftime(self._format)


def _zone(timezone_id: str) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(timezone_id)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(
            f"'{timezone_id}' is not a known time zone: use a name such as 'Europe/Berlin'."
        ) from None


def _strftime_format(pattern: str) -> str:
    result: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "'":
            end = pattern.find("'", position + 1)
            if end < 0:
                raise ConfigurationError(f"The date pattern '{pattern}' has a quote that is not closed.")
            result.append(pattern[position + 1 : end].replace("%", "%%") or "'")
            position = end + 1
            continue
        end = position
        while end < len(pattern) and pattern[end] == character:
            end += 1
        run = pattern[position:end]
        if not character.isalpha():
            result.append(run.replace("%", "%%"))
        elif run in _DATE_FIELDS:
            result.append(_DATE_FIELDS[run])
        else:
            raise NotYetSupportedError(
                f"'{run}' in the date pattern '{pattern}' is not supported yet: use {', '.join(_DATE_FIELDS)}."
            )
        position = end
    return "".join(result)


class RollingPolicy:
    """When a part file is followed by another one: at ``part_size`` bytes, or never if that is None."""

    part_size: int | None = None

    @staticmethod
    def default_rolling_policy(
        part_size: int = 1024 * 1024 * 128, rollover_interval: int = 60 * 1000, inactivity_interval: int = 60 * 1000
    ) -> DefaultRollingPolicy:
        """Roll at ``part_size`` bytes. The intervals have no effect: files become visible when the job has ended."""
        return DefaultRollingPolicy(part_size, rollover_interval, inactivity_interval)

    @staticmethod
    def on_checkpoint_rolling_policy() -> OnCheckpointRollingPolicy:
        """Roll when files are committed, hence at the end of the job."""
        return OnCheckpointRollingPolicy()


class DefaultRollingPolicy(RollingPolicy):
    """Rolls by size."""

    def __init__(self, part_size: int, rollover_interval: int, inactivity_interval: int) -> None:
        if min(part_size, rollover_interval, inactivity_interval) < 1:
            raise ValueError("Part size, rollover interval and inactivity interval must be above 0.")
        self.part_size = part_size
        self.rollover_interval = rollover_interval
        self.inactivity_interval = inactivity_interval


class OnCheckpointRollingPolicy(RollingPolicy):
    """Rolls when files are committed."""


class OutputFileConfig:
    """How part files are called: what stands before and after job, subtask and number."""

    def __init__(self, part_prefix: str, part_suffix: str) -> None:
        for part in (part_prefix, part_suffix):
            if "/" in part or "\0" in part:
                raise ValueError(f"'{part}' cannot be part of a file name.")
        if not part_prefix or part_prefix.startswith((".", "_")):
            raise ValueError(f"The prefix '{part_prefix}' would make part files hidden: begin with another character.")
        self.part_prefix = part_prefix
        self.part_suffix = part_suffix

    @staticmethod
    def builder() -> OutputFileConfig.OutputFileConfigBuilder:
        """A builder with prefix ``part`` and no suffix."""
        return OutputFileConfig.OutputFileConfigBuilder()

    def get_part_prefix(self) -> str:
        """What part files begin with."""
        return self.part_prefix

    def get_part_suffix(self) -> str:
        """What part files end with."""
        return self.part_suffix

    class OutputFileConfigBuilder:
        """Collects prefix and suffix."""

        def __init__(self) -> None:
            self.part_prefix = "part"
            self.part_suffix = ""

        def with_part_prefix(self, prefix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """What part files begin with."""
            self.part_prefix = prefix
            return self

        def with_part_suffix(self, suffix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            """What part files end with."""
            self.part_suffix = suffix
            return self

        def build(self) -> OutputFileConfig:
            """The configuration."""
            return OutputFileConfig(self.part_prefix, self.part_suffix)


class FileSink(Sink[Any]):
    """Writes each record to part files below a base path; they become visible when the job has ended well."""

    def __init__(
        self,
        base_path: str,
        writer_factory: BulkWriterFactory,
        bucket_assigner: BucketAssigner,
        rolling_policy: RollingPolicy,
        output_file_config: OutputFileConfig,
    ) -> None:
        self.base_path = base_path
        self.writer_factory = writer_factory
        self.bucket_assigner = bucket_assigner
        self.rolling_policy = rolling_policy
        self.output_file_config = output_file_config

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> FileSink.RowFormatBuilder:
        """A builder for a sink that writes what ``encoder`` makes of each record."""
        if not isinstance(encoder, Encoder):
            raise TypeError(f"for_row_format() takes an Encoder, not {type(encoder).__name__}.")
        return FileSink.RowFormatBuilder(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> FileSink.BulkFormatBuilder:
        """A builder for a sink whose part files are written by the writers of ``writer_factory``."""
        if not isinstance(writer_factory, BulkWriterFactory):
            raise TypeError(f"for_bulk_format() takes a BulkWriterFactory, not {type(writer_factory).__name__}.")
        return FileSink.BulkFormatBuilder(base_path, writer_factory)

    @property
    def coordinated(self) -> bool:
        return True

    def for_records(self, type_info: TypeInformation | None) -> FileSink:
        return FileSink(
            self.base_path,
            self.writer_factory.for_records(type_info),
            self.bucket_assigner,
            self.rolling_policy,
            self.output_file_config,
        )

    def create_writer(self, context: WriterContext) -> SinkWriter[Any]:
        names = PartNames(self.output_file_config.part_prefix, self.output_file_config.part_suffix)
        return FileWriter(
            self.base_path,
            self.writer_factory,
            self.bucket_assigner.bucket,
            names,
            self.rolling_policy.part_size,
            context,
        )

    def create_committer(self) -> Committer:
        return FileCommitter(self.base_path)

    class _Builder:
        """Collects the settings that all file sinks have; by default, buckets are hours."""

        def __init__(self, base_path: str, writer_factory: BulkWriterFactory, rolling_policy: RollingPolicy) -> None:
            self._base_path = file_path(base_path, "the file sink")
            self._writer_factory = writer_factory
            self._bucket_assigner = BucketAssigner.date_time_bucket_assigner()
            self._rolling_policy = rolling_policy
            self._output_file_config = OutputFileConfig.builder().build()

        def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> Self:
            """The directory that records are written to."""
            self._bucket_assigner = bucket_assigner
            return self

        def with_output_file_config(self, output_file_config: OutputFileConfig) -> Self:
            """How part files are called."""
            self._output_file_config = output_file_config
            return self

        def with_bucket_check_interval(self, interval: int) -> Self:
            """Accepted for compatibility: part files do not roll by time."""
            return self

        def enable_compact(self, strategy: object, compactor: object) -> NoReturn:
            """Not supported yet."""
            raise NotYetSupportedError("Compaction of part files (enable_compact) is not supported yet.")

        def disable_compact(self) -> Self:
            """There is no compaction."""
            return self

        def build(self) -> FileSink:
            """The sink."""
            if is_local(self._base_path) and os.path.exists(self._base_path) and not os.path.isdir(self._base_path):
                raise UserError(f"The output path '{self._base_path}' is not a directory.")
            return FileSink(
                self._base_path,
                self._writer_factory,
                self._bucket_assigner,
                self._rolling_policy,
                self._output_file_config,
            )

    class RowFormatBuilder(_Builder):
        """Collects the settings of a sink that writes record by record; by default, parts are of 128 MiB."""

        def __init__(self, base_path: str, encoder: Encoder) -> None:
            super().__init__(base_path, EncodedWriters(encoder), RollingPolicy.default_rolling_policy())

        def with_rolling_policy(self, rolling_policy: RollingPolicy) -> Self:
            """When a part file is followed by another one."""
            self._rolling_policy = rolling_policy
            return self

    class BulkFormatBuilder(_Builder):
        """Collects the settings of a sink that writes in bulk: parts roll only when they are committed."""

        def __init__(self, base_path: str, writer_factory: BulkWriterFactory) -> None:
            super().__init__(base_path, writer_factory, RollingPolicy.on_checkpoint_rolling_policy())

        def with_rolling_policy(self, rolling_policy: OnCheckpointRollingPolicy) -> Self:
            """Only ``RollingPolicy.on_checkpoint_rolling_policy()``, which is the default."""
            if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
                raise ValueError("rolling_policy must be OnCheckpointRollingPolicy for bulk format")
            self._rolling_policy = rolling_policy
            return self
