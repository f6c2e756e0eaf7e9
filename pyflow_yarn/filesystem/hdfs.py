"""Files of HDFS, through hdfs-native, which needs neither Java nor libhdfs.

``hdfs:///path`` means the ``fs.defaultFS`` of the Hadoop configuration in ``HADOOP_CONF_DIR``. No call takes forever: a
NameNode that is dead at first use is told within seconds, since it is knocked at; one that dies later, within half a
minute, unless there are others that may take over; one that hangs, after Hadoop's time-out of calls. What was asked
for may still happen then.
"""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, ClassVar

from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.filesystem import BUFFER_SIZE, FileStatus, parent
from pyflow_yarn.filesystem.hadoop_properties import HadoopProperties

READ_BUFFER = 1 << 20
CONNECT_SECONDS = 3.0
DEFAULT_PORT = 8020
RPC_TIMEOUT = "ipc.client.rpc-timeout.ms"
RPC_TIMEOUT_SECONDS = 120.0
# The library asks a NameNode fifteen times, with pauses of up to fifteen seconds: right where another one takes over.
_ONE_NAME_NODE = {"dfs.client.failover.max.attempts": "10", "dfs.client.failover.sleep.max.millis": "2000"}
_KERBEROS = re.compile(r'GSSAPIError\(.*, "([^"]*)"', re.DOTALL)
_REMOTE = re.compile(r'RPCError\("(?:[\w$]+\.)*([\w$]+)", "(.*)', re.DOTALL)
_REASONS = (
    ("SafeModeException", errno.EROFS, "the NameNode is in safe mode, HDFS is read-only: wait, or end the safe mode"),
    ("NSQuotaExceeded", errno.EDQUOT, "the directory's quota of names is used up"),
    ("QuotaExceeded", errno.EDQUOT, "the directory's quota of space is used up"),
    ("minReplication", errno.ENOSPC, "no DataNode takes the block: HDFS is full, or its DataNodes are down"),
    ("Connection refused", errno.ECONNREFUSED, "HDFS refuses connections: see whether its NameNode runs"),
    ("ParentNotDirectoryException", errno.ENOTDIR, os.strerror(errno.ENOTDIR)),
    ("Path is not a directory", errno.EEXIST, os.strerror(errno.EEXIST)),
    ("must both be directories", errno.EEXIST, os.strerror(errno.EEXIST)),
    ("Path is not a file", errno.EISDIR, os.strerror(errno.EISDIR)),
    ("PathIsNotEmptyDirectoryException", errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY)),
)


class HdfsFileSystem:
    """See ``FileSystem``."""

    def status(self, path: str) -> FileStatus | None:
        """See ``FileSystem``."""
        prefix, client, name = _located(path)
        try:
            return _status(prefix, client.call("get_file_info", name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list(self, path: str) -> list[FileStatus]:
        """See ``FileSystem``."""
        prefix, client, name = _located(path)
        return sorted(_status(prefix, found) for found in client.run(lambda: [*client.library.list_status(name)]))

    def open(self, path: str) -> IO[bytes]:
        """See ``FileSystem``."""
        _, client, name = _located(path)
        return io.BufferedReader(_Input(client, client.call("read", name)), READ_BUFFER)

    def create(self, path: str, private: bool = False, copies: int = 0) -> IO[bytes]:
        """See ``FileSystem``."""
        _, client, name = _located(path)
        from hdfs_native import WriteOptions

        mode = 0o600 if private else 0o644
        options = WriteOptions(permission=mode, overwrite=False, create_parent=False, replication=copies or None)
        return io.BufferedWriter(_Output(client, client.call("create", name, options)), BUFFER_SIZE)

    def sync(self, file: IO[bytes]) -> None:
        """See ``FileSystem``."""
        file.flush()
        _output(file).sync()

    def discard(self, file: IO[bytes], path: str) -> None:
        """See ``FileSystem``."""
        _output(file).discarded = True
        with suppress(OSError, ValueError):
            file.close()
        self.delete(path)

    def rename(self, source: str, target: str) -> None:
        """See ``FileSystem``."""
        _, client, name = _located(source)
        client.call("rename", name, _split(target)[1], overwrite=False)

    def replace(self, source: str, target: str) -> None:
        """See ``FileSystem``."""
        _, client, name = _located(source)
        client.call("rename", name, _split(target)[1], overwrite=True)

    def sync_directory(self, path: str) -> None:
        """Nothing: a NameNode has written its log before it answers."""

    def delete(self, path: str, recursive: bool = False) -> bool:
        """See ``FileSystem``."""
        _, client, name = _located(path)
        return bool(client.call("delete", name, recursive))

    def make_directories(self, path: str, private: bool = False) -> None:
        """See ``FileSystem``."""
        _, client, name = _located(path)
        if private:
            # HDFS would make those above it private as well: a user's home, or what holds all homes.
            client.call("mkdirs", parent(name) or "/", 0o755, create_parent=True)
        client.call("mkdirs", name, 0o700 if private else 0o755, create_parent=True)


class _Thread(threading.Thread):
    """Makes one call after the other; one that never ends keeps neither its caller nor the process from ending."""

    def __init__(self) -> None:
        super().__init__(name="hdfs", daemon=True)
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self.start()

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """What comes of a call."""
        answer: Future[Any] = Future()
        self._calls.put((function, answer))
        return answer

    def run(self) -> None:
        while True:
            function, answer = self._calls.get()
            try:
                answer.set_result(function())
            except BaseException as error:  # a panic of the library is no Exception
                answer.set_exception(error)


class _Client:
    """The library's client of a name service, with an end of its patience."""

    _idle: ClassVar[deque[_Thread]] = deque()

    def __init__(self, library: Any, seconds: float) -> None:
        self.library = library
        self._seconds = seconds

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What a method of the library's client returns; its errors as ``OSError`` with a reason."""
        return self.run(lambda: getattr(self.library, name)(*arguments, **options))

    def run(self, function: Callable[[], Any]) -> Any:
        """What something that calls the library returns; its errors as ``OSError`` with a reason."""
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = _Thread()
        answer = thread.submit(function)
        try:
            return answer.result(self._seconds)
        except Exception as error:
            if answer.done():
                raise translated(error) from None
            _client.cache_clear()  # another connection may find a NameNode that answers
            reason = f"HDFS has not answered for {self._seconds:g} s: its NameNode hangs, or cannot be reached"
            raise OSError(errno.ETIMEDOUT, reason) from None
        finally:
            if answer.done():
                self._idle.append(thread)


class _Input(io.RawIOBase):
    """A file to read from; the library panics beyond its end."""

    def __init__(self, client: _Client, reader: Any) -> None:
        self._client = client
        self._reader = reader
        self._length = len(reader)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._length - self._position))
        if count:
            buffer[:count] = self._client.run(lambda: self._reader.read_range(self._position, count))
        self._position += count
        return count


class _Output(io.RawIOBase):
    """A file to write to."""

    def __init__(self, client: _Client, writer: Any) -> None:
        self._client = client
        self._writer = writer
        self.discarded = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.discarded:
            return len(data)
        piece = bytes(data)
        return int(self._client.run(lambda: self._writer.write(piece)))

    def sync(self) -> None:
        self._client.run(self._writer.hsync)

    def close(self) -> None:
        try:
            if not self.closed and not self.discarded:
                self._client.run(self._writer.close)
        finally:
            super().close()


def _output(file: IO[bytes]) -> _Output:
    raw = getattr(file, "raw", None)
    assert isinstance(raw, _Output)
    return raw


def _status(prefix: str, found: Any) -> FileStatus:
    return FileStatus(prefix + found.path, found.length, found.modification_time, found.isdir, found.permission)


def _split(path: str) -> tuple[str, str]:
    authority, slash, rest = path.partition("://")[2].partition("/")
    return authority, slash + rest or "/"


def _located(path: str) -> tuple[str, _Client, str]:
    """What stands before the path in URIs, the client, and the path there."""
    authority, name = _split(path)
    return f"hdfs://{authority}", _client(authority), name


@cache
def _client(authority: str) -> _Client:
    try:
        import hdfs_native
    except ImportError:
        raise ConfigurationError(
            f"Files of HDFS need the library hdfs-native, which the Python {sys.executable} lacks: run"
            f" {sys.executable} -m pip install hdfs-native."
        ) from None
    settings = _settings()
    authority = authority or _default_authority(settings)
    addresses = _addresses(authority, settings)
    _knock(authority, addresses)
    patience = {key: value for key, value in _ONE_NAME_NODE.items() if len(addresses) == 1 and key not in settings}
    timeout = settings.get(RPC_TIMEOUT)
    seconds = int(timeout) / 1000 if timeout.isdecimal() and int(timeout) else RPC_TIMEOUT_SECONDS
    try:
        return _Client(hdfs_native.Client(f"hdfs://{authority}", patience), seconds)
    except Exception as error:
        raise translated(error) from None


def _configuration_directory() -> str | None:
    home = os.environ.get("HADOOP_HOME")
    return os.environ.get("HADOOP_CONF_DIR") or (os.path.join(home, "etc", "hadoop") if home else None)


def _settings() -> HadoopProperties:
    """What the Hadoop configuration says; nothing without one."""
    directory = _configuration_directory()
    return HadoopProperties(Path(directory or "/"), ("core-site.xml", "hdfs-site.xml") if directory else ())


def _default_authority(settings: HadoopProperties) -> str:
    default = settings.get("fs.defaultFS")
    if default.startswith("hdfs://"):
        return _split(default)[0]
    directory = _configuration_directory()
    if directory is None:
        raise ConfigurationError(
            "HADOOP_CONF_DIR is not set, so hdfs:/// means no cluster: set it to the directory of core-site.xml, or"
            " write hdfs://host:port/path."
        )
    raise ConfigurationError(
        f"The Hadoop configuration in '{directory}' has no fs.defaultFS that begins with hdfs://: correct"
        " HADOOP_CONF_DIR, or write hdfs://host:port/path."
    )


def _addresses(authority: str, settings: HadoopProperties) -> list[tuple[str, int]]:
    """Where the NameNodes of a host or name service listen."""
    nodes = settings.get(f"dfs.ha.namenodes.{authority}")
    texts = [authority]
    if nodes:
        keys = [f"dfs.namenode.rpc-address.{authority}.{node.strip()}" for node in nodes.split(",")]
        texts = [settings.get(key) for key in keys if key in settings]
    found = []
    for text in texts:
        host, _, port = text.partition(":")
        if port and not port.isdecimal():
            raise ConfigurationError(f"'{text}' is no address of a NameNode: write host:port.")
        found.append((host, int(port or DEFAULT_PORT)))
    return found


def _knock(authority: str, addresses: list[tuple[str, int]]) -> None:
    """Return if one of the NameNodes accepts connections."""
    for address in addresses:
        try:
            socket.create_connection(address, CONNECT_SECONDS).close()
        except socket.gaierror:
            if len(addresses) == 1:
                reason = f"'{authority}' is no host, and no name service of the Hadoop configuration in HADOOP_CONF_DIR"
                raise OSError(errno.EHOSTUNREACH, reason) from None
        except OSError:
            continue
        else:
            return
    tried = ", ".join(f"{host}:{port}" for host, port in addresses)
    raise OSError(errno.ECONNREFUSED, f"no NameNode answers at {tried}: is HDFS running?")


def translated(error: Exception) -> OSError:
    """An error of the library, without its Java stack."""
    text = str(error)
    for mark, number, reason in _REASONS:
        if mark in text:
            return OSError(number, reason)
    if isinstance(error, FileNotFoundError):
        return OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if isinstance(error, FileExistsError):
        return OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    if kerberos := _KERBEROS.search(text):
        return OSError(errno.EACCES, f"HDFS wants Kerberos: {kerberos[1]}: run kinit")
    remote = _REMOTE.search(text)
    kind, message = (remote[1], remote[2]) if remote else (type(error).__name__, text)
    message = message.replace("\\n", "\n").replace('\\"', '"').split("\n", 1)[0].rstrip('.")')
    if kind == "AccessControlException":
        return OSError(errno.EACCES, message)
    return OSError(errno.EIO, f"HDFS says: {message} ({kind})")
