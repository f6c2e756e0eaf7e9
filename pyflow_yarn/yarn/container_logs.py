"""The log files of an application's containers, wherever they are.

``running_logs`` has those that NodeManagers keep, ``aggregated_logs`` those that they left on the file system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from pyflow_yarn.errors import ExternalError

# What YARN itself writes about a container's start; its error file is a log like others.
NO_LOGS = ("launch_container.sh", "directory.info", "prelaunch.out")
MASTER_LOG = "applicationmaster.log"
TASK_MANAGER_LOG = "taskmanager.log"
CONTAINER_ID = re.compile(r"container_(e\d+_)?\d+_\d+_\d+_\d+", re.ASCII)
_PLACED = re.compile(rb"\btaskmanager-([\d-]+) is in (container_\w+)")


class LogFile(NamedTuple):
    """One file of a container, as long as it was when it was looked at."""

    container: str
    node: str
    name: str
    length: int

    @property
    def family(self) -> tuple[str, str]:
        """The container, and the name that the file had before it was rotated."""
        return self.container, self._split()[0]

    @property
    def generation(self) -> int:
        """How often it was rotated."""
        return self._split()[1]

    def _split(self) -> tuple[str, int]:
        name, dot, number = self.name.rpartition(".")
        return (name, int(number)) if dot and number.isascii() and number.isdecimal() else (self.name, 0)


class ContainerLogs(Protocol):
    """Where log files are."""

    @property
    def problems(self) -> list[str]:
        """What could not be read since ``files`` was called last, a sentence each."""

    def files(self) -> list[LogFile]:
        """Those that are there now, in the order of ``ordered``."""

    def read(self, file: LogFile, offset: int) -> Iterator[bytes]:
        """The content from an offset on."""


class LogsError(ExternalError):
    """Logs cannot be had, though the application is known."""


def ordered(files: Iterable[LogFile]) -> list[LogFile]:
    """Containers by number, each one's files by name, what was rotated before what came after it."""
    shown = [file for file in files if file.name not in NO_LOGS]
    return sorted(shown, key=lambda file: (container_order(file.container), file.family, -file.generation))


def container_order(container: str) -> tuple[int, int]:
    """The attempt and the number, by which containers are sorted."""
    *_, attempt, number = container.split("_")
    return int(attempt), int(number)


def task_manager_container(logs: ContainerLogs, files: list[LogFile], name: str) -> str:
    """The container of the TaskManager ``<number>`` or ``<attempt>-<number>``, of the latest attempt that has one.

    The ApplicationMaster's log says which it is. Where it does not, a number is a place among the TaskManagers'
    containers. "" if there is none.
    """
    placed = [found for file in files if file.family[1] == MASTER_LOG for found in _PLACED.findall(_all(logs, file))]
    found = [container.decode() for one, container in placed if f"-{one.decode()}".endswith(f"-{name}")]
    if not placed and name.isdecimal():
        containers = dict.fromkeys(file.container for file in files if file.family[1] == TASK_MANAGER_LOG)
        found = list(containers)[int(name) - 1 : int(name)]
    return found[-1] if found else ""


def _all(logs: ContainerLogs, file: LogFile) -> bytes:
    return b"".join(logs.read(file, 0))
