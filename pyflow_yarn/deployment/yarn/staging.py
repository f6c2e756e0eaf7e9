"""Files for applications on the cluster's file system.

    <root>/.flink/<application id>/          of one application, made by skein's driver; mode 700
    <root>/.flink/cache/<sha256>/<name>      what applications share, by content; mode 700 as well

``root`` is ``yarn.staging-directory``, else the user's home. What is in the cache already is not sent again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from pyflow_yarn.configuration.options import YARN_STAGING_DIRECTORY
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
        home = f"{hadoop.get('dfs.user.home.dir.prefix', '/user').rstrip('/')}/{user}"
        root = self._given or home
        if "://" not in root:
            default = hadoop.get("fs.defaultFS")
            if not default:
                raise ConfigurationError(
                    f"The Hadoop configuration in {hadoop.folder} has no fs.defaultFS: correct HADOOP_CONF_DIR."
                )
            root = f"{default.rstrip('/')}/{root.lstrip('/')}"
        self.folders = join(root, FOLDER)

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
        """Content that a container wants, in the cache."""
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
                _write(files, temporary, content)
                try:
                    files.rename(temporary, path)
                except FileExistsError:
                    files.delete(temporary)  # another client was faster with the same content
                self.uploaded += content.size
        except OSError as error:
            raise ExternalError(f"{name} cannot be staged in {folder}: {error.strerror}.") from None
        return LocalFile(path, visibility=visibility)


def _write(files: FileSystem, path: str, content: Content) -> None:
    """A whole file, or none."""
    file = files.create(path, private=True)
    try:
        for chunk in content.chunks():
            file.write(chunk)
        file.close()
    except BaseException:
        with suppress(OSError):
            files.discard(file, path)
        raise
