"""What an application is told by the client that submits it: a private file for its master, one for TaskManagers.

They hold the cluster's secrets, which are never in an environment, on a command line or in a log. MessagePack of
``ApplicationFile`` and ``TaskManagerFile``; the version is checked by whoever reads them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from pyflow_yarn.errors import ConfigurationError

FORMAT_VERSION = 1
FILE_NAME = "application.bin"
TASK_MANAGER_FILE_NAME = "taskmanager.bin"
ENDPOINT_NAME = "endpoint.json"
RESULT_NAME = "result.json"
GRAPH_NAME = "job.graph"
BLOB_PREFIX = "blob-"
"""In the master's container of an application that brings its job: the graph, and each blob by its key."""
TASK_MANAGER_VARIABLE = "PYFLOW_TASK_MANAGER"
JOB_MANAGER_VARIABLE = "PYFLOW_JOB_MANAGER"
JOIN_TOKEN_VARIABLE = "PYFLOW_JOIN_TOKEN"
"""What the environment of a TaskManager's container says: its id, host:port of the JobManager, and its join token.

YARN shows environments to those who may see the application: the token is worth nothing without the file's secret.
"""


class ApplicationFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the master's file.

    ``folders``: URI of the folder in which each application has one, named after its id. ``program``: what
    ``pyflow_yarn.client.application`` runs beside the JobManager, as it reads it; empty in a session. ``attached``: a
    client waits for the result. ``worker_memory_mb`` and ``queue`` are those of TaskManagers' containers. ``pages``:
    first part of the paths below which YARN's proxy may read without the token.
    """

    version: int = FORMAT_VERSION
    configuration: dict[str, str]
    folders: str
    secret: str
    token: str
    pages: str
    worker_memory_mb: int
    queue: str
    program: bytes = b""
    attached: bool = False


class TaskManagerFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the file of TaskManagers: what they need, and no more."""

    version: int = FORMAT_VERSION
    configuration: dict[str, str]
    secret: str


Content = TypeVar("Content", ApplicationFile, TaskManagerFile)


class ApplicationEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Content of ``endpoint.json`` in an application's folder: where its REST server is, and what it wants to see."""

    rest_address: str
    token: str
    attempt: int


class ApplicationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Content of ``result.json`` in an application's folder: how its program ended.

    ``status`` is YARN's final status, ``headline`` one line, ``text`` what a user is shown; ``exit_code`` is what a
    client in the program's place would end with.
    """

    status: str
    headline: str = ""
    text: str = ""
    exit_code: int = 0
    jobs: list[str] = []


def write_application_file(path: Path, content: ApplicationFile | TaskManagerFile) -> None:
    """Write a file, for this user alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(content))


def read_application_file(path: Path) -> ApplicationFile:
    """The content; ``ConfigurationError`` if another version of the project wrote it, or something else."""
    return _read(path, ApplicationFile)


def read_task_manager_file(path: Path) -> TaskManagerFile:
    """As ``read_application_file``."""
    return _read(path, TaskManagerFile)


def _read(path: Path, kind: type[Content]) -> Content:
    try:
        content = msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as failure:
        raise ConfigurationError(f"The application's file {path} cannot be read: {failure}.") from None
    if content.version != FORMAT_VERSION:
        raise ConfigurationError(
            f"The application's file {path} has version {content.version}, this program reads {FORMAT_VERSION}:"
            " client and containers must be of one version of pyflow-yarn."
        )
    return content
