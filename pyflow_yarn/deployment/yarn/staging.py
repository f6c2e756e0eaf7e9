"""Files for applications on the cluster's file system.

    <root>/.flink/<application id>/          of one application, made at its submission; mode 700
    <root>/.flink/cache/<key>/<name>         what applications share, by content; mode 700 as well

``root`` is ``yarn.staging-directory``, else the user's home. What is in the cache already is not sent again; what no
application used for long goes. Copies of the cache that an administrator provides, readable by everybody, are shared by
all users of a node.
"""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from pyflow_yarn.configuration.options import (
    YARN_FILE_REPLICATION,
    YARN_PROVIDED_LIB_DIRS,
    YARN_STAGING_CACHE_RETENTION,
    YARN_STAGING_DIRECTORY,
)
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.filesystem import file_system, join
from pyflow_yarn.yarn import APPLICATION_ID, LocalFile, Visibility, shared_files
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.shared_files import put_shared
from pyflow_yarn.yarn.skein_overlay import CACHE, FOLDER
from pyflow_yarn.yarn.submission import SPECIFICATION

ABANDON_SECONDS = 3.0
SHOW_SECONDS = 0.2
SHOWN_BYTES = 1_000_000
ERASE = "\033[K"


class Content(Protocol):
    """Some bytes: what names them and no others, as their sha256 does; the bytes in pieces; after those, how many."""

    key: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes."""


class Staging:
    """See the module. ``uploaded`` counts the bytes that were sent and are there."""

    def __init__(self, configuration: Mapping[str, str], hadoop: HadoopConfiguration, user: str) -> None:
        self.uploaded = 0
        self._sent = 0
        self._abandoned = False
        self._lock = threading.Lock()
        self._uploads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._default = hadoop.get("fs.defaultFS").rstrip("/")
        if not self._default:
            raise ConfigurationError(
                f"The Hadoop configuration in {hadoop.folder} has no fs.defaultFS: correct HADOOP_CONF_DIR."
            )
        self._provided = [self._remote(path) for path in YARN_PROVIDED_LIB_DIRS.read(configuration) or ()]
        self._retention = YARN_STAGING_CACHE_RETENTION.read(configuration)
        self._copies = max(YARN_FILE_REPLICATION.read(configuration), 0)
        home = f"{hadoop.get('dfs.user.home.dir.prefix', '/user').rstrip('/')}/{user}"
        self.folders = join(self._remote(YARN_STAGING_DIRECTORY.read(configuration) or home), FOLDER)

    def _remote(self, path: str) -> str:
        return path if "://" in path else f"{self._default}/{path.lstrip('/')}"

    def application_folder(self, application_id: str) -> str:
        """The folder of one application."""
        return join(self.folders, application_id)

    def forget(self, application_id: str) -> None:
        """Remove the folder of an application that has ended, where its master could not."""
        folder = self.application_folder(application_id)
        with suppress(OSError):
            file_system(folder).delete(folder, recursive=True)

    def sweep(self, has_ended: Callable[[str, float], bool]) -> list[str]:
        """Remove what nobody needs any more; which applications' folders were left, those of killed ones above all.

        ``has_ended`` is asked with their ids, and how many seconds ago something was laid into the folder.
        """
        swept, kept = list[str](), list[str]()
        with suppress(OSError):
            for entry in file_system(self.folders).list(self.folders):
                quiet = time.time() - entry.modified / 1000
                if APPLICATION_ID.fullmatch(entry.name):
                    (swept if has_ended(entry.name, quiet) else kept).append(entry.name)
            for application_id in swept:
                self.forget(application_id)
            shared_files.sweep(join(self.folders, CACHE), self._retention, lambda: self._specifications(kept))
        return swept

    def _specifications(self, application_ids: Iterable[str]) -> bytes:
        """Which files the containers of applications want, in the words of their masters."""
        found = []
        for application_id in application_ids:
            path = join(self.application_folder(application_id), SPECIFICATION)
            # One that is still being submitted has none yet, and has just noted what it uses.
            with suppress(FileNotFoundError), file_system(path).open(path) as file:
                found.append(file.read())
        return b"".join(found)

    def stage(self, content: Content, name: str, visibility: Visibility = Visibility.APPLICATION) -> LocalFile:
        """Content that a container wants, in the cache unless somebody provides it.

        It is sent beside other work; it is there when ``finish`` has returned.
        """
        for directory in self._provided:
            if _is_there(path := join(join(directory, content.key), name)):
                return LocalFile(path, visibility=Visibility.PUBLIC)
        path = join(join(join(self.folders, CACHE), content.key), name)
        upload = threading.Thread(target=self._upload, args=(content, path), name=f"staging {name}", daemon=True)
        self._uploads.append(upload)
        upload.start()
        return LocalFile(path, visibility=visibility)

    def finish(self) -> None:
        """Wait until everything is there, and show how far it is on a terminal; raises what went wrong."""
        shows = sys.stderr.isatty()
        while any(upload.is_alive() for upload in self._uploads):
            next(upload for upload in self._uploads if upload.is_alive()).join(SHOW_SECONDS)
            if shows and self._sent > SHOWN_BYTES:
                sys.stderr.write(f"\r{ERASE}Sending files to HDFS: {self._sent / 1e6:.0f} MB")
                sys.stderr.flush()
        if shows and self._sent > SHOWN_BYTES:
            sys.stderr.write(f"\r{ERASE}")
        self._uploads.clear()
        if self._failures:
            raise self._failures[0]

    def abandon(self) -> None:
        """Nobody wants any more what is still being sent: nothing of it stays."""
        self._abandoned = True
        deadline = time.monotonic() + ABANDON_SECONDS
        for upload in self._uploads:
            upload.join(max(0.0, deadline - time.monotonic()))

    def _upload(self, content: Content, path: str) -> None:
        try:
            self._put(content, path)
        except BaseException as error:
            self._failures.append(error)

    def _put(self, content: Content, path: str) -> None:
        folder, _, name = path.rpartition("/")
        try:
            # Files get their name when they are whole, so one that has it is what its folder says.
            if put_shared(path, self._pieces(content), self._copies):
                with self._lock:
                    self.uploaded += content.size
        except OSError as error:
            raise ExternalError(f"{name} cannot be staged in {folder}: {error.strerror}.") from None

    def _pieces(self, content: Content) -> Iterator[bytes]:
        for chunk in content.chunks():
            if self._abandoned:
                raise InterruptedError(errno.EINTR, "it is no longer wanted")
            yield chunk
            with self._lock:
                self._sent += len(chunk)


def _is_there(path: str) -> bool:
    try:
        return file_system(path).status(path) is not None
    except OSError as error:
        raise ExternalError(f"{path} cannot be looked for: {error.strerror}.") from None
