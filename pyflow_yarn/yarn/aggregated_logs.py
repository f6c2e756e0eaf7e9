"""Logs of an application that has ended, as the NodeManagers left them on the file system: a file for each node.

Hadoop writes them as TFiles, or where its administrator chose so as IFiles ("indexed"); both are read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import IO, Any, NamedTuple

from pyflow_yarn.errors import NotYetSupportedError
from pyflow_yarn.filesystem import FileStatus, file_system
from pyflow_yarn.yarn import java_objects
from pyflow_yarn.yarn.container_logs import CONTAINER_ID, LogFile, LogsError, ordered
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.tfile import (
    MAGIC,
    Buffer,
    Entry,
    RawBytes,
    Region,
    Source,
    TFile,
    UnreadableError,
    exactly,
    opened,
)

FORMATS = ("TFile", "IFile")
BUCKETS = 10_000
_PIECE = 1 << 16
_UNFINISHED = (".tmp", "-checksum")
# The same mark stands at the beginning and at the end of an IFile: a digest from Hadoop 3.3 on, else a UUID as text.
_MARK_LENGTHS = (32, 36)
_SIZE_LENGTH = 4


class _Part(NamedTuple):
    """Some of a log file's content: in which node's file it is, and where in it."""

    path: str
    place: Entry | Region
    offset: int
    length: int


class _Found(NamedTuple):
    container: str
    name: str
    place: Entry | Region
    offset: int
    length: int


class AggregatedLogs:
    """See ``ContainerLogs``."""

    def __init__(self, configuration: HadoopConfiguration, owner: str, application_id: str) -> None:
        self._problems: list[str] = []
        self._configuration = configuration
        self._owner = owner
        self._application_id = application_id
        self._parts: dict[tuple[str, str], list[_Part]] = {}
        self._lengths: dict[str, int] = {}

    @property
    def problems(self) -> list[str]:
        """See ``ContainerLogs``."""
        return self._problems

    def files(self) -> list[LogFile]:
        """See ``ContainerLogs``."""
        self._problems = []
        self._parts = {}
        nodes: dict[str, str] = {}
        for status in self._node_files():
            node, _ = _node_and_time(status)
            try:
                for one in self._listed(status):
                    part = _Part(status.path, one.place, one.offset, one.length)
                    self._parts.setdefault((one.container, one.name), []).append(part)
                    nodes[one.container] = node
            except (OSError, UnreadableError) as reason:
                self._note(status.path, reason)
        return ordered(
            LogFile(container, nodes[container], name, sum(part.length for part in parts))
            for (container, name), parts in self._parts.items()
        )

    def read(self, file: LogFile, offset: int) -> Iterator[bytes]:
        """See ``ContainerLogs``."""
        for part in self._parts[file.container, file.name]:
            begin = min(offset, part.length)
            offset -= begin
            try:
                yield from self._content(part, begin)
            except (OSError, UnreadableError) as reason:
                self._note(part.path, reason)

    def _content(self, part: _Part, begin: int) -> Iterator[bytes]:
        with closing(file_system(part.path).open(part.path)) as content:
            source = _reader(content, self._lengths[part.path]).source(part.place)
            source.skip(part.offset + begin)
            left = part.length - begin
            while left and (piece := source.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece

    def _note(self, path: str, reason: Exception) -> None:
        why = getattr(reason, "strerror", None) or reason
        self._problems.append(f"{path} cannot be read ({why}): {self._otherwise}")

    @property
    def _otherwise(self) -> str:
        return f"try yarn logs -applicationId {self._application_id} -appOwner {self._owner}."

    def folders(self) -> list[str]:
        """Where the files may be: in buckets from Hadoop 3.3 on, by format from 3.0 on, else in one folder."""
        get = self._configuration.get
        formats = [one.strip() for one in get("yarn.log-aggregation.file-formats").split(",") if one.strip()]
        root = get("yarn.nodemanager.remote-app-log-dir") or "/tmp/logs"
        suffix = get("yarn.nodemanager.remote-app-log-dir-suffix") or "logs"
        found = []
        for name in (*formats, *FORMATS):
            own_root = get(f"yarn.log-aggregation.{name}.remote-app-log-dir") or root
            own_suffix = get(f"yarn.log-aggregation.{name}.remote-app-log-dir-suffix") or f"{suffix}-{name.lower()}"
            user = f"{self._uri(own_root)}/{self._owner}"
            bucket = f"{int(self._application_id.rpartition('_')[2]) % BUCKETS:04}"
            found += [
                f"{user}/bucket-{own_suffix}/{bucket}/{self._application_id}",
                f"{user}/{own_suffix}/{self._application_id}",
                f"{user}/{suffix}/{self._application_id}",
            ]
        return list(dict.fromkeys(found))

    def _uri(self, path: str) -> str:
        if "://" not in path:
            default = self._configuration.get("fs.defaultFS", "file:///")
            path = f"{default.rstrip('/')}{path}" if "://" in default.rstrip("/") else path
        return path.removeprefix("file://").rstrip("/")

    def _node_files(self) -> list[FileStatus]:
        found: list[FileStatus] = []
        for folder in self.folders():
            try:
                with suppress(FileNotFoundError):
                    found += file_system(folder).list(folder)
            except NotYetSupportedError as reason:
                raise LogsError(f"{str(reason).partition(':')[0]}: {self._otherwise}") from None
            except PermissionError:
                raise LogsError(
                    f"The logs of {self._application_id} belong to {self._owner}, and {folder} may not be read: "
                    f"ask {self._owner} or an administrator of HDFS for the right to read it."
                ) from None
            except OSError as failure:
                raise LogsError(f"The logs in {folder} cannot be read: {failure.strerror or failure}.") from None
        kept = [one for one in found if not one.path.endswith(_UNFINISHED)]
        self._problems += [f"{one.path} is an archive: {self._otherwise}" for one in kept if one.is_directory]
        files = [one for one in kept if not one.is_directory and one.length]
        return sorted(files, key=_node_and_time)

    def _listed(self, status: FileStatus) -> Iterator[_Found]:
        self._lengths[status.path] = status.length
        with closing(file_system(status.path).open(status.path)) as content:
            yield from _reader(content, status.length).found()


def _node_and_time(status: FileStatus) -> tuple[str, int]:
    """The name is host and port; parts that were left while the application ran have the time as well."""
    host, port, *time = status.path.rpartition("/")[2].rsplit("_", 2)
    if time and not (port.isdecimal() and time[0].isdecimal()):
        host, port, time = f"{host}_{port}", time[0], []
    return f"{host}:{port}", int(time[0]) if time else 0


def _reader(content: IO[bytes], length: int) -> _OfTFile | _OfIFile:
    content.seek(max(0, length - len(MAGIC)))
    return _OfTFile(content, length) if content.read(len(MAGIC)) == MAGIC else _OfIFile(content, length)


class _OfTFile:
    """A key is a container, its value all its files one after the other."""

    def __init__(self, content: IO[bytes], length: int) -> None:
        self._file = TFile(content, length)

    def found(self) -> Iterator[_Found]:
        """The log files."""
        for entry in self._file.entries():
            container = _text(Buffer(entry.key)) or ""
            if CONTAINER_ID.fullmatch(container):
                source = _Counted(self._file.value(entry))
                while (name := _text(source)) is not None:
                    length = _text(source) or ""
                    # Where a log could not be read to its end, Hadoop wrote why instead of the rest.
                    if not length.isdecimal():
                        raise UnreadableError(f"what belongs to {container} is damaged")
                    yield _Found(container, name, entry, source.count, int(length))
                    source.skip(int(length))

    def source(self, place: Any) -> Source:
        """The value that belongs to a key."""
        return self._file.value(place)


class _OfIFile:
    """Logs, each compressed by itself, and an index at the end, which Java has serialized."""

    def __init__(self, content: IO[bytes], length: int) -> None:
        self._content = content
        mark = next((count for count in _MARK_LENGTHS if self._at(0, count) == self._at(length - count, count)), None)
        if mark is None:
            raise UnreadableError("it is neither a TFile nor an IFile")
        end = length - mark - _SIZE_LENGTH
        size = int.from_bytes(self._at(end, _SIZE_LENGTH))
        try:
            index = java_objects.load(self._at(end - size, size))
            self._compression = str(index.fields["compressName"])
            self._logs = [
                _log(log.fields)
                for upload in index.fields["logMetas"].items()
                for logs in upload.fields["logMetas"].items()[1::2]
                for log in logs.items()
            ]
        except java_objects.NotReadableError as reason:
            raise UnreadableError(f"the bytes of its index are no serialized objects: {reason}") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UnreadableError("its index has not what the index of an IFile has") from None

    def found(self) -> Iterator[_Found]:
        """The log files."""
        return iter(self._logs)

    def _at(self, offset: int, count: int) -> bytes:
        if offset < 0:
            raise UnreadableError("it is too short")
        return exactly(RawBytes(self._content, Region(offset, count)), count)

    def source(self, place: Any) -> Source:
        """The content of a log."""
        return opened(self._content, place, self._compression)


def _log(fields: dict[str, Any]) -> _Found:
    region = Region(int(fields["startIndex"]), int(fields["fileCompressedSize"]))
    container, size = str(fields["containerId"]), int(fields["fileSize"])
    if not CONTAINER_ID.fullmatch(container) or size < 0:
        raise ValueError(container)
    return _Found(container, str(fields["fileName"]), region, 0, size)


class _Counted:
    """See ``Source``; knows how many bytes have gone."""

    def __init__(self, source: Source) -> None:
        self.count = 0
        self._source = source

    def read(self, count: int) -> bytes:
        """See ``Source``."""
        found = self._source.read(count)
        self.count += len(found)
        return found

    def skip(self, count: int) -> None:
        """See ``Source``."""
        self._source.skip(count)
        self.count += count


def _text(source: Source) -> str | None:
    """A string as Java's ``writeUTF`` writes it; None at the end."""
    first = source.read(1)
    if not first:
        return None
    return exactly(source, int.from_bytes(first + exactly(source, 1))).decode("utf-8", "replace")
