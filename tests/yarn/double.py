"""YARN in memory: what the adapter does on a real one, for tests of what stands upon it. Processes are exit codes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pyflow_yarn.errors import ExternalError
from pyflow_yarn.yarn import (
    ApplicationNotFoundError,
    ApplicationReport,
    ApplicationSpec,
    ContainerListener,
    FinalStatus,
    ProcessSpec,
)

Run = Callable[[ProcessSpec, Mapping[str, str]], int | None]


@dataclass
class _Application:
    spec: ApplicationSpec
    report: ApplicationReport
    containers: list[MemoryContainers] = field(default_factory=list)


class MemoryYarn:
    """See ``Yarn``. ``run`` says with which code a process exits; None: it runs until it is ended."""

    def __init__(
        self, run: Run, queues: tuple[str, ...] = ("default", "etl"), nodes: tuple[str, ...] = ("node1",)
    ) -> None:
        self.run = run
        self.nodes = nodes
        self._queues = queues
        self._applications: dict[str, _Application] = {}

    def submit(self, application: ApplicationSpec) -> str:
        """See ``Yarn``."""
        if application.queue not in self._queues:
            raise ExternalError(f"YARN does not take the application: unknown queue {application.queue}.")
        key = f"application_1_{len(self._applications) + 1:04d}"
        report = ApplicationReport(
            id=key,
            name=application.name,
            type="skein",
            user="user",
            queue=application.queue,
            tags=application.tags,
            state="RUNNING",
            final_status="UNDEFINED",
            diagnostics="",
            tracking_url=f"http://proxy/{key}/",
            master_address="master:1",
        )
        self._applications[key] = _Application(application, report)
        code = self.run(application.master, application.master.environment)
        if code == 0:
            self.end(key, "FINISHED", FinalStatus.SUCCEEDED, "")
        elif code is not None:
            self.end(key, "FAILED", FinalStatus.FAILED, f"Application driver failed with exit code {code}")
        return key

    def report(self, application_id: str) -> ApplicationReport:
        """See ``Yarn``."""
        return self._application(application_id).report

    def kill(self, application_id: str) -> None:
        """See ``Yarn``."""
        self.end(application_id, "KILLED", FinalStatus.KILLED, "")

    def close(self) -> None:
        """See ``Yarn``."""

    def containers(self, application_id: str) -> MemoryContainers:
        """The master's side of an application."""
        application = self._application(application_id)
        made = MemoryContainers(self, application_id, application.spec.worker)
        application.containers.append(made)
        return made

    def end(self, application_id: str, state: str, status: FinalStatus, diagnostics: str) -> None:
        """The application is over; one that was over already stays as it is."""
        application = self._application(application_id)
        if application.report.ended:
            return
        application.report = replace(
            application.report, state=state, final_status=status.value, diagnostics=diagnostics
        )
        for containers in application.containers:
            containers.lose(f"The application has ended: {status.value}.")

    def _application(self, application_id: str) -> _Application:
        try:
            return self._applications[application_id]
        except KeyError:
            raise ApplicationNotFoundError(f"YARN knows no application {application_id}: look at the id.") from None


class MemoryContainers:
    """See ``Containers``."""

    def __init__(self, yarn: MemoryYarn, application_id: str, worker: ProcessSpec) -> None:
        self.pages: dict[str, str] = {}
        self._yarn = yarn
        self._application_id = application_id
        self._worker = worker
        self._listener: ContainerListener
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="containers", daemon=True)
        self._running: set[str] = set()
        self._count = 0

    def start(self, listener: ContainerListener) -> None:
        """See ``Containers``."""
        self._listener = listener
        self._thread.start()

    def request(self, name: str, environment: Mapping[str, str]) -> None:
        """See ``Containers``."""
        self._events.put(lambda: self._begin(name, {**self._worker.environment, **environment}))

    def release(self, name: str) -> None:
        """See ``Containers``."""
        self._events.put(lambda: self._end(name, "It was released."))

    def fail(self, name: str, reason: str) -> None:
        """Its process dies, or its node."""
        self._events.put(lambda: self._end(name, reason))

    def lose(self, reason: str) -> None:
        """The application ends without being asked from here."""
        self._events.put(lambda: self._listener.master_lost(reason))
        self._events.put(None)

    def add_page(self, route: str, target: str, title: str) -> None:
        """See ``Containers``."""
        if route in self.pages:
            raise ExternalError(f"The page {route} cannot be shown: there is one of that route.")
        self.pages[route] = target

    def finish(self, status: FinalStatus, diagnostics: str) -> None:
        """See ``Containers``."""
        self._yarn.end(self._application_id, "FINISHED", status, diagnostics)

    def close(self) -> None:
        """See ``Containers``."""
        self._events.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            event()

    def _begin(self, name: str, environment: Mapping[str, str]) -> None:
        self._count += 1
        self._running.add(name)
        node = self._yarn.nodes[self._count % len(self._yarn.nodes)]
        self._listener.container_started(name, f"container_1_0001_01_{self._count:06d}", node)
        code = self._yarn.run(self._worker, environment)
        if code is not None:
            self._end(name, "Its process has ended by itself." if code == 0 else "Container failed during execution.")

    def _end(self, name: str, reason: str) -> None:
        if name in self._running:
            self._running.remove(name)
            self._listener.container_ended(name, reason)
