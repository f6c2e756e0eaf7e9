"""A JobManager process of the simulation: the real ControlPlane in a shell of virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyflow_runtime.coordinator.messages import FromCoordinatorMessage
from pyflow_runtime.dispatcher import effects, events
from pyflow_runtime.dispatcher.control_plane import ControlPlane
from pyflow_runtime.simulation.clock import Timers
from pyflow_runtime.simulation.coordinator_model import SimulatedCoordinator
from pyflow_runtime.simulation.job_store import StaleEpochError
from pyflow_runtime.simulation.network import Session
from pyflow_runtime.simulation.task_manager import died
from pyflow_runtime.taskexecutor.messages import FromTaskManagerMessage

if TYPE_CHECKING:
    from pyflow_runtime.simulation.world import World

_Record = effects.PersistJob | effects.PersistCommit | effects.PersistResult


class SimulatedJobManager:
    """One process, leader under one epoch until it dies or learns that it is deposed."""

    def __init__(self, world: World, epoch: int) -> None:
        self.world = world
        self.epoch = epoch
        self.alive = True
        self.machine = ControlPlane(world.configuration)
        self.timers = Timers(world.clock, lambda key: self.post(events.TimerFired(key=key)))
        self.sessions: dict[tuple[str, str], Session] = {}
        self.coordinators: dict[str, SimulatedCoordinator] = {}
        self.results: set[str] = set()
        self._frozen_until = 0
        self._perform: dict[type[effects.Effect], Callable[[Any], None]] = {
            effects.SendToTaskManager: self._send_to_task_manager,
            effects.CloseTaskManager: self._close_task_manager,
            effects.RequestTaskManagers: lambda effect: self.world.driver.wish(self, effect.missing_slots),
            effects.ReleaseTaskManager: lambda effect: self.world.driver.release(self, effect.task_manager_id),
            effects.SetTimer: lambda effect: self.timers.set(effect.key, effect.at),
            effects.CancelTimer: lambda effect: self.timers.cancel(effect.key),
            effects.PersistJob: self._persist,
            effects.PersistCommit: self._persist,
            effects.PersistResult: self._persist,
            effects.StartCoordinator: self._start_coordinator,
            effects.SendToCoordinator: self._send_to_coordinator,
            effects.StopCoordinator: self._stop_coordinator,
            effects.Reply: lambda effect: self.world.client.replied(self, effect),
            effects.JobTerminated: lambda effect: self.world.invariants.job_terminated(self, effect.job_id),
            effects.TerminateCluster: lambda effect: self.world.cluster_terminated(self),
        }

    # ---- life ----

    def start(self) -> None:
        """Take over what the JobStore holds."""
        store = self.world.store
        self.world.recommitted.update(store.commits)
        self.post(
            events.LeadershipGranted(
                epoch=self.epoch,
                jobs=list(store.graphs.values()),
                ended=list(store.results),
                committing=dict(store.commits),
            )
        )

    def post(self, event: events.Event) -> None:
        """Let the machine handle an event, now or when it thaws."""
        if not self.alive:
            return
        if self.frozen:
            self.world.clock.after(self._frozen_until - self.world.clock.now + 1, self.post, event)
            return
        self.world.log("jobmanager", self.epoch, event)
        for effect in self.machine.handle(event, self.world.clock.now):
            self._perform[type(effect)](effect)
        self.world.invariants.job_manager(self)

    def kill(self) -> None:
        """SIGKILL: sessions break, coordinators follow their parent."""
        self.alive = False
        for session in list(self.sessions.values()):
            self.world.close_session(session, "the JobManager died")
        for coordinator in self.coordinators.values():
            self.world.clock.after(self.world.random.randint(0, 20), coordinator.die, "its JobManager died")

    def freeze(self, milliseconds: int) -> None:
        """SIGSTOP."""
        self._frozen_until = self.world.clock.now + milliseconds

    def thaw(self) -> None:
        """SIGCONT."""
        self._frozen_until = self.world.clock.now

    @property
    def frozen(self) -> bool:
        """Whether it is stopped just now."""
        return self._frozen_until > self.world.clock.now

    # ---- TaskManagers ----

    def receive(
        self, session: Session, task_manager_id: str, incarnation: str, message: FromTaskManagerMessage
    ) -> None:
        """A message on a session; what arrives after its end is lost, except in the worse kind of network."""
        if session.open or not self.world.rates.stream:
            self.post(
                events.TaskManagerMessage(task_manager_id=task_manager_id, incarnation=incarnation, message=message)
            )

    def session_closed(self, session: Session, reason: str, dead: bool) -> None:
        """Our end of a session notices that it is over."""
        key = (session.task_manager.task_manager_id, session.task_manager.incarnation)
        if self.sessions.get(key) is session:
            del self.sessions[key]
            self.post(
                events.TaskManagerDisconnected(task_manager_id=key[0], incarnation=key[1], dead=dead, reason=reason)
            )

    def _send_to_task_manager(self, effect: effects.SendToTaskManager) -> None:
        self.world.invariants.sent(self, effect.message)
        session = self.sessions.get((effect.task_manager_id, effect.incarnation))
        if session is not None and session.open:
            self.world.network.to_task_manager(session, session.task_manager.receive, session, effect.message)

    def _close_task_manager(self, effect: effects.CloseTaskManager) -> None:
        session = self.sessions.pop((effect.task_manager_id, effect.incarnation), None)
        if session is not None:
            self.world.close_session(session, effect.reason)

    # ---- storage ----

    def _persist(self, effect: _Record) -> None:
        if isinstance(effect, effects.PersistResult):
            self.results.add(effect.job_id)
        self.world.clock.after(self.world.storage_delay(), self._write, effect)

    def _write(self, effect: _Record) -> None:
        # The request is on its way to the store whatever becomes of this process.
        job_id = effect.graph.job_id if isinstance(effect, effects.PersistJob) else effect.job_id
        failing = self.world.storage_fails()
        answer: events.Event = events.StorageFailed(job_id=job_id, failure=died("the store failed", 0))
        if failing != "before":
            try:
                self.world.store.write(effect)
            except StaleEpochError:
                self.post(events.LeadershipRevoked())
                return
            self.world.invariants.stored(self, effect)
        if not failing:
            if isinstance(effect, effects.PersistJob):
                answer = events.JobPersisted(job_id=job_id)
            elif isinstance(effect, effects.PersistCommit):
                answer = events.CommitPersisted(job_id=job_id)
            else:
                answer = events.ResultPersisted(job_id=job_id)
        self.world.clock.after(self.world.random.randint(1, 10), self.post, answer)

    # ---- coordinators ----

    def _start_coordinator(self, effect: effects.StartCoordinator) -> None:
        job = self.world.jobs[effect.job_id]
        self.coordinators[effect.job_id] = SimulatedCoordinator(self, job, effect.incarnation)
        self.world.coordinators.append(self.coordinators[effect.job_id])

    def _coordinator(self, job_id: str, incarnation: int) -> SimulatedCoordinator | None:
        coordinator = self.coordinators.get(job_id)
        return coordinator if coordinator is not None and coordinator.incarnation == incarnation else None

    def _send_to_coordinator(self, effect: effects.SendToCoordinator) -> None:
        coordinator = self._coordinator(effect.job_id, effect.incarnation)
        if coordinator is not None:
            coordinator.send(effect.message)

    def _stop_coordinator(self, effect: effects.StopCoordinator) -> None:
        coordinator = self._coordinator(effect.job_id, effect.incarnation)
        if coordinator is not None:
            coordinator.stop()

    def coordinator_says(self, coordinator: SimulatedCoordinator, message: FromCoordinatorMessage) -> None:
        """A message of a coordinator process."""
        self.post(
            events.CoordinatorMessage(
                job_id=coordinator.job.job_id, incarnation=coordinator.incarnation, message=message
            )
        )

    def coordinator_exited(self, coordinator: SimulatedCoordinator, how: str) -> None:
        """A coordinator process has ended."""
        failure = died(f"The coordinator process ended: {how}", self.world.clock.now)
        self.post(
            events.CoordinatorExited(
                job_id=coordinator.job.job_id, incarnation=coordinator.incarnation, failure=failure
            )
        )
