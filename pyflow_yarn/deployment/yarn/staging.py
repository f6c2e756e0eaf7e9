"""Files for applications on the cluster's file system.

    <root>/.flink/<application id>/          of one application, made by skein's driver; mode 700
    <root>/.flink/cache/<sha256>/<name>      what applications share, by content; mode 700 as well

``root`` is ``yarn.staging-directory``, else the user's home. What is in the cache already is not sent again. Copies of
the cache that an administrator provides, readable by everybody, are shared by all users of a node.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from pyflow_yarn.configuration.options import YARN_FILE_REPLICATION, YARN_PROVIDED_LIB_DIRS, YARN_STAGING_DIRECTORY
from pyflow_yarn.errors import ConfigurationError, ExternalError
from pyflow_yarn.filesystem import FileSystem, file_system, join
from pyflow_yarn.yarn import LocalFile, Visibility
from pyflow_yarn.yarn.hadoop_configuration import HadoopConfiguration
from pyflow_yarn.yarn.skein_overlay import FOLDER

CACHE = "cache"
APPLICATION_ID = re.compile(r"application_\d+_\d+")


class Content(Protocol):
    """Some bytes: how many, their sha256 in hexadecimal digits, and the bytes in pieces."""

    key: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes."""


class Staging:
    """See the module. ``uploaded`` counts the bytes that were sent."""

    def __init__(self, configuration: Mapping[str, str], hadoop: HadoopConfiguration, user: str) -> None:
        self.uploaded = 0
        self._given = YARN_STAGING_DIRECTORY.read(configuration)
        self._default = hadoop.get("fs.defaultFS").rstrip("/")
        if not self._default:
            raise ConfigurationError(
                f"The Hadoop configuration in {hadoop.folder} has no fs.defaultFS: correct HADOOP_CONF_DIR."
            )
        self._provided = [self._remote(path) for path in YARN_PROVIDED_LIB_DIRS.read(configuration) or ()]
        self._copies = max(YARN_FILE_REPLICATION.read(configuration), 0)
        home = f"{hadoop.get('dfs.user.home.dir.prefix', '/user').rstrip('/')}/{user}"
        self.folders = join(self._remote(self._given or home), FOLDER)

    def _remote(self, path: str) -> str:
        return path if "://" in path else f"{self._default}/{path.lstrip('/')}"

    @property
    def driver_folder(self) -> str:
        """Where skein's driver makes the folders of applications, as it wants to be told."""
        return self.folders if self._given else FOLDER

    def application_folder(self, application_id: str) -> str:
        """The folder of one application."""
        return join(self.folders, application_id)

    def forget(self, application_id: str) -> None:
        """Remove the folder of an application that has ended, where its master could not."""
        folder = self.application_folder(application_id)
        with suppress(OSError):
            file_system(folder).delete(folder, recursive=True)

    def sweep(self, has_ended: Callable[[str], bool]) -> list[str]:
        """Remove the folders of applications that ended without cleaning up, killed ones above all; which they were."""
        swept = []
        with suppress(OSError):
            for entry in file_system(self.folders).list(self.folders):
                if APPLICATION_ID.fullmatch(entry.name) and has_ended(entry.name):
                    self.forget(entry.name)
                    swept.append(entry.name)
        return swept

    def stage(self, content: Content, name: str, visibility: Visibility = Visibility.APPLICATION) -> LocalFile:
        """Content that a container wants, in the cache unless somebody provides it."""
        for directory in self._provided:
            if _is_there(path := join(join(directory, content.key), name)):
                return LocalFile(path, visibility=Visibility.PUBLIC)
        cache = join(self.folders, CACHE)
        folder = join(cache, content.key)
        path = join(folder, name)
        files = file_system(path)
        try:
            # Files get their name when they are whole, so one that has it is what its folder says.
            if files.status(path) is None:
                files.make_directories(cache, private=True)
                files.make_directories(folder, private=True)
                temporary = join(folder, f".{name}.{os.urandom(6).hex()}")
                _write(files, temporary, content, self._copies)
                try:
                    files.rename(temporary, path)
                except FileExistsError:
                    files.delete(temporary)  # another client was faster with the same content
                self.uploaded += content.size
        except OSError as error:
            raise ExternalError(f"{name} cannot be staged in {folder}: {error.strerror}.") from None
        return LocalFile(path, visibility=visibility)


def _is_there(path: str) -> bool:
    try:
        return file_system(path).status(path) is not None
    except OSError as error:
        raise ExternalError(f"{path} cannot be looked for: {error.strerror}.") from None


def _write(files: FileSystem, path: str, content: Content, copies: int) -> None:
    """A whole file, or none."""
    file = files.create(path, private=True, copies=copies)
    try:
        for chunk in content.chunks():
            file.write(chunk)
        file.close()
    except BaseException:
        with suppress(OSError):
            files.discard(file, path)
        raise
