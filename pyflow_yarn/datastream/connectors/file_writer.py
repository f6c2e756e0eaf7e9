"""Writes part files that nobody sees before they are complete, and makes them visible.

A writer fills hidden files in the directory where they will stay:
``.part-<job>-<subtask>-<number>.inprogress.<job>-<attempt>-<writer>``. Their names and final names go to the committer,
which renames them when the whole job has succeeded. Whatever happens in between, no reader of the directory takes a
half-written file for output.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from pyflow_yarn.common.serialization import Encoder, SimpleStringEncoder
from pyflow_yarn.common.type_text import text_function
from pyflow_yarn.common.typeinfo import TypeInformation
from pyflow_yarn.datastream.connectors.file_formats import BulkWriter, BulkWriterFactory, OutputFile
from pyflow_yarn.datastream.sink import Committer, SinkWriter, WriterContext
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.filesystem import FileSystem, file_system, is_local, join, parent

IN_PROGRESS = ".inprogress."
JOB_DIGITS = 8
MAX_NAMES = 10_000
_FULL = (errno.ENOSPC, errno.EDQUOT)


class PendingFile(NamedTuple):
    """A complete file that is still hidden, and the name it will have."""

    hidden: str
    final: str


class PartNames(NamedTuple):
    """How part files are called."""

    prefix: str
    suffix: str


class FileWriter(SinkWriter[Any]):
    """Writes the records of one subtask, each bucket (a directory) to a part file of its own.

    A part file that has reached ``part_size`` bytes is followed by another one. ``bucket_of`` gives the bucket, a path
    relative to ``base_path``, for the present time in epoch seconds.
    """

    def __init__(
        self,
        base_path: str,
        writer_factory: BulkWriterFactory,
        bucket_of: Callable[[float], str],
        names: PartNames,
        part_size: int | None,
        context: WriterContext,
    ) -> None:
        self._base_path = base_path
        self._files = file_system(base_path)
        self._bucket_of = bucket_of
        self._names = names
        self._part_size = part_size
        self._context = context
        self._writer_id = os.urandom(4).hex()
        self._writer_factory = writer_factory
        self._parts: dict[str, _Part] = {}
        self._pending: list[PendingFile] = []
        self._count = 0

    def open(self) -> None:
        self._make_directory(self._base_path)

    def write_batch(self, records: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        if not records:
            return
        bucket = self._bucket_of(time.time())
        part = self._parts.get(bucket)
        if part is None:
            part = self._parts[bucket] = self._new_part(bucket)
        part.write(records)
        if self._part_size is not None and part.size >= self._part_size:
            self._pending.append(self._parts.pop(bucket).complete())

    def _new_part(self, bucket: str) -> _Part:
        directory = join(self._base_path, bucket)
        self._make_directory(directory)
        context = self._context
        name = f"{self._names.prefix}-{context.job_id[:JOB_DIGITS]}-{context.subtask}-{self._count}{self._names.suffix}"
        self._count += 1
        owner = f"{context.job_id}-{context.attempt}-{self._writer_id}"
        hidden = join(directory, f".{name}{IN_PROGRESS}{owner}")
        return _Part(self._files, hidden, join(directory, name), self._writer_factory)

    def _make_directory(self, directory: str) -> None:
        try:
            self._files.make_directories(directory)
        except OSError as error:
            raise ExternalError(f"The output directory '{directory}' cannot be made: {error.strerror}.") from None

    def flush(self) -> None:
        for part in self._parts.values():
            part.flush()

    def prepare_commit(self) -> list[PendingFile]:
        for bucket in list(self._parts):
            self._pending.append(self._parts.pop(bucket).complete())
        prepared, self._pending = self._pending, []
        return prepared

    def close(self) -> None:
        for part in self._parts.values():
            part.abandon()
        self._parts.clear()
        for pending in self._pending:
            self._files.delete(pending.hidden)
        self._pending.clear()


class _PartFile:
    """The file of a part, as its writer sees it: it counts bytes, and ignores what comes after the part was abandoned.

    A library's writer writes the end of its file even when it is only forgotten.
    """

    def __init__(self, files: FileSystem, hidden: str, final: str) -> None:
        self._final = final
        self.size = 0
        self.abandoned = False
        try:
            self.raw: IO[bytes] = files.create(hidden)
        except OSError as error:
            raise _failure(final, error) from None

    def write(self, data: Any) -> int:
        """Write bytes."""
        if self.abandoned:
            return len(data)
        try:
            count = self.raw.write(data)
        except OSError as error:
            raise _failure(self._final, error) from None
        self.size += count
        return count

    def tell(self) -> int:
        """How many bytes were written."""
        return self.size

    def flush(self) -> None:
        """Hand all of them to the operating system."""
        if self.abandoned:
            return
        try:
            self.raw.flush()
        except OSError as error:
            raise _failure(self._final, error) from None

    def close(self) -> None:
        """Nothing: the file is the part's to close."""

    @property
    def closed(self) -> bool:
        """Never, to the writer."""
        return False


class _Part:
    """An open part file and its writer."""

    def __init__(self, files: FileSystem, hidden: str, final: str, writer_factory: BulkWriterFactory) -> None:
        self._files = files
        self._hidden = hidden
        self._final = final
        self._file = _PartFile(files, hidden, final)
        try:
            self._writer = writer_factory.create(self._file)
        except BaseException:
            self.abandon()
            raise

    @property
    def size(self) -> int:
        return self._file.size

    def write(self, records: Sequence[Any]) -> None:
        self._writer.write(records)

    def flush(self) -> None:
        self._file.flush()

    def complete(self) -> PendingFile:
        try:
            self._writer.finish()
            self._file.flush()
            self._files.sync(self._file.raw)
            self._file.raw.close()
        except OSError as error:
            self.abandon()
            raise _failure(self._final, error) from None
        except BaseException:
            self.abandon()
            raise
        return PendingFile(self._hidden, self._final)

    def abandon(self) -> None:
        self._file.abandoned = True
        self._files.discard(self._file.raw, self._hidden)


class EncodedWriters(BulkWriterFactory):
    """Writes what an encoder makes of each record."""

    def __init__(self, encoder: Encoder, type_info: TypeInformation | None = None) -> None:
        self.encoder = encoder
        self.type_info = type_info

    def for_records(self, type_info: TypeInformation | None) -> EncodedWriters:
        return EncodedWriters(self.encoder, type_info)

    def create(self, file: OutputFile) -> BulkWriter:
        return BytesWriter(file, batch_encoder(self.encoder, self.type_info))


class BytesWriter(BulkWriter):
    """Writes the bytes that a function makes of each batch."""

    def __init__(self, file: OutputFile, encode: Callable[[Sequence[Any]], bytes]) -> None:
        self._file = file
        self._encode = encode

    def write(self, records: Sequence[Any]) -> None:
        self._file.write(self._encode(records))


def batch_encoder(encoder: Encoder, type_info: TypeInformation | None) -> Callable[[Sequence[Any]], bytes]:
    """A function that encodes many records of a declared type at once."""
    if type(encoder) is not SimpleStringEncoder:
        encode = encoder.encode
        return lambda records: b"".join(map(encode, records))
    charset = encoder.charset_name
    text_of = text_function(type_info)

    def encode_lines(records: Iterable[Any]) -> bytes:
        try:
            text = "\n".join(records)
        except TypeError:  # not all of them are texts
            text = "\n".join(map(text_of, records))
        return f"{text}\n".encode(charset)

    return encode_lines


class FileCommitter(Committer):
    """Gives complete files their final names, in one step each, and never in the place of another file."""

    def __init__(self, base_path: str) -> None:
        self._base_path = base_path
        self._files = file_system(base_path)

    def commit(self, committables: Sequence[PendingFile]) -> None:
        directories: dict[str, None] = {}
        for hidden, final in committables:
            if publish(hidden, final):
                directories[parent(final)] = None
        for directory in directories:
            self._files.sync_directory(directory)

    def abort(self, committables: Sequence[PendingFile]) -> None:
        for hidden, _ in committables:
            self._files.delete(hidden)

    def cleanup(self, job_id: str) -> None:
        if is_local(self._base_path) and not os.path.isdir(self._base_path):
            return
        self._cleanup(self._base_path, f"{IN_PROGRESS}{job_id}-")

    def _cleanup(self, directory: str, mark: str) -> None:
        with suppress(FileNotFoundError):
            for found in self._files.list(directory):
                if found.is_directory:
                    self._cleanup(found.path, mark)
                elif found.name.startswith(".") and mark in found.name:
                    self._files.delete(found.path)


def publish(hidden: str, final: str) -> bool:
    """Rename ``hidden`` to ``final``, or to a free name near it; False when that was done before."""
    files = file_system(final)
    for number in range(MAX_NAMES):
        target = final if number == 0 else _numbered(final, number)
        try:
            files.rename(hidden, target)
        except FileExistsError:
            continue
        except FileNotFoundError:
            if files.status(final) is not None:
                return False
            raise ExternalError(
                f"The output file '{final}' cannot be made visible: its content '{hidden}' has vanished."
            ) from None
        except OSError as error:
            raise _failure(final, error) from None
        return True
    raise ExternalError(f"The output file '{final}' cannot be made visible: too many files of that name exist.")


def _numbered(final: str, number: int) -> str:
    root, suffix = os.path.splitext(final)
    return f"{root}_{number}{suffix}"


def _failure(path: str, error: OSError) -> ExternalError:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return ExternalError(
            f"The output file '{path}' cannot be written: {reason[:1].lower()}{reason[1:]}. Free some space and run the"
            " job again; nothing of the unfinished file is visible."
        )
    return ExternalError(f"The output file '{path}' cannot be written: {reason}.")
