"""What the project wants of YARN, in its own words: applications for the client, containers for the ApplicationMaster.

``skein_adapter`` does it on a real YARN; nothing but these contracts is known outside of this package.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from pyflow_yarn.errors import ClusterError, RetryHint

FINAL_STATES = ("FINISHED", "FAILED", "KILLED")
APPLICATION_ID = re.compile(r"application_\d+_\d+", re.ASCII)


class Visibility(StrEnum):
    """Who shares the copy of a file that a node keeps."""

    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"
    APPLICATION = "APPLICATION"


class FinalStatus(StrEnum):
    """How an application ends, as YARN shows it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True)
class LocalFile:
    """A file that YARN lays into a container's folder, unpacked if it is an archive."""

    source: str
    archive: bool = False
    visibility: Visibility = Visibility.APPLICATION


@dataclass(frozen=True)
class ProcessSpec:
    """A container: what bash runs in it and what it may use.

    Everybody who may see the application sees ``environment``: secrets travel as files.
    """

    command: str
    memory_mb: int
    vcores: int = 1
    files: Mapping[str, LocalFile] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    node_label: str = ""


class Principals(NamedTuple):
    """Users and groups; the user ``*`` is everybody."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


NOBODY = Principals()


@dataclass(frozen=True)
class ApplicationSpec:
    """An application: a master, and what each container looks like that the master asks for.

    ``priority`` is the one within the queue; -1: the queue's default.
    """

    name: str
    master: ProcessSpec
    worker: ProcessSpec
    queue: str = "default"
    tags: frozenset[str] = frozenset()
    priority: int = -1
    attempts: int = 1
    viewers: Principals = NOBODY
    modifiers: Principals = NOBODY
    file_systems: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplicationReport:
    """What YARN says about an application; ``finish_time`` is epoch milliseconds, 0 while it has not ended."""

    id: str
    name: str
    type: str
    user: str
    queue: str
    tags: frozenset[str]
    state: str
    final_status: str
    diagnostics: str
    tracking_url: str
    master_address: str
    finish_time: int = 0
    log_aggregation: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES


class ApplicationNotFoundError(ClusterError):
    """YARN knows no application of that id."""

    retry_hint = RetryHint.NEVER


class Yarn(Protocol):
    """The client's side; its calls block."""

    def submit(self, application: ApplicationSpec) -> str:
        """Upload what is local, hand the application to YARN and return its id."""

    def report(self, application_id: str) -> ApplicationReport:
        """What is known of it now."""

    def kill(self, application_id: str) -> None:
        """End it; one that has ended stays as it is."""

    def close(self) -> None:
        """Leave no process behind. Applications go on."""


class ContainerListener(Protocol):
    """What happens to containers; called in a thread of ``Containers``, in the order in which it happened."""

    def container_started(self, name: str, container_id: str, node: str) -> None:
        """YARN starts its process: ``container_id`` is YARN's name of it, ``node`` the host."""

    def container_ended(self, name: str, reason: str) -> None:
        """Its process is gone, or YARN never gives it; nothing takes its place. Exit codes are not told."""

    def master_lost(self, reason: str) -> None:
        """The application is over for this process: nothing can be asked or heard any more."""


class Containers(Protocol):
    """The ApplicationMaster's side. ``request`` and ``release`` return at once, the others block."""

    def start(self, listener: ContainerListener) -> None:
        """Begin; called once, before anything else."""

    def request(self, name: str, environment: Mapping[str, str]) -> None:
        """One more container, of the application's ``worker`` kind and with this environment on top."""

    def release(self, name: str) -> None:
        """End it, or withdraw the request; one that has ended stays as it is."""

    def add_page(self, route: str, target: str, title: str) -> None:
        """Serve ``target`` at ``<tracking URL>/<route>``, and what is below it; the route is one name."""

    def finish(self, status: FinalStatus, diagnostics: str) -> None:
        """End the application with all its containers, this process among them."""

    def close(self) -> None:
        """Listen no more. The application goes on."""


def wait_until_ended(yarn: Yarn, application_id: str, seconds: float) -> ApplicationReport:
    """The report of an application that has ended, or the latest when the time is over."""
    deadline = time.monotonic() + seconds
    while not (report := yarn.report(application_id)).ended and time.monotonic() < deadline:
        time.sleep(0.25)
    return report
