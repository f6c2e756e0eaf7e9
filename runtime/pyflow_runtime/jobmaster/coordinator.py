"""The job's coordinator process, as its JobMaster sees it."""

from __future__ import annotations

from pyflow_runtime.coordinator.messages import EndCoordination, StartCoordination, ToCoordinatorMessage
from pyflow_runtime.dispatcher.effects import SendToCoordinator, StartCoordinator, StopCoordinator
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.taskexecutor.messages import JobEnvironment
from pyflow_yarn.graph.job_graph import JobGraph


class Coordinator:
    """At most one process at a time; each has an incarnation of its own."""

    def __init__(self, graph: JobGraph, environment: JobEnvironment, outbox: Outbox) -> None:
        self.incarnation = 0
        self.alive = False
        self._graph = graph
        self._environment = environment
        self._outbox = outbox

    def start(self) -> None:
        """Start a process that knows nothing yet."""
        self.incarnation += 1
        self.alive = True
        self._outbox.emit(
            StartCoordinator(job_id=self._graph.job_id, incarnation=self.incarnation, environment=self._environment)
        )
        vertices = [
            vertex for vertex in self._graph.vertices if any(operator.coordinated for operator in vertex.operators)
        ]
        self.send(StartCoordination(job_id=self._graph.job_id, vertices=vertices))

    def send(self, message: ToCoordinatorMessage) -> None:
        """In order; lost if the process is."""
        if self.alive:
            self._outbox.emit(
                SendToCoordinator(job_id=self._graph.job_id, incarnation=self.incarnation, message=message)
            )

    def end(self, committed: bool) -> None:
        """The job has ended: let the process clean up and end; ``CoordinatorExited`` follows."""
        self.send(EndCoordination(committed=committed))
        self._outbox.emit(StopCoordinator(job_id=self._graph.job_id, incarnation=self.incarnation))

    def drop(self) -> None:
        """End the process without a word: it neither commits nor aborts anything."""
        if self.alive:
            self.alive = False
            self._outbox.emit(StopCoordinator(job_id=self._graph.job_id, incarnation=self.incarnation))

    def exited(self, incarnation: int) -> bool:
        """A process has ended; True if it was the present one and was alive, as far as known here."""
        if incarnation != self.incarnation or not self.alive:
            return False
        self.alive = False
        return True
