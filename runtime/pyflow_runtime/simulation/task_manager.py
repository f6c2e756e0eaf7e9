"""A TaskManager process of the simulation: the real TaskExecutor in a shell of virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyflow_runtime.simulation.clock import Timers
from pyflow_runtime.simulation.network import Session
from pyflow_runtime.simulation.worker_model import SimulatedWorker
from pyflow_runtime.taskexecutor import effects, events
from pyflow_runtime.taskexecutor.machine import TaskExecutor
from pyflow_runtime.taskexecutor.messages import Hardware, RegisterTaskManager, ToTaskManagerMessage
from pyflow_runtime.worker.messages import FromWorkerMessage, WorkerEnvironment
from pyflow_yarn.errors import Domain, FailureInfo

if TYPE_CHECKING:
    from pyflow_runtime.simulation.world import World

_HARDWARE = Hardware(cpu_cores=1, physical_memory=1, free_memory=1, managed_memory=1)


class SimulatedTaskManager:
    """One process: it dies for good; its successor has the same id and another incarnation."""

    def __init__(self, world: World, task_manager_id: str, number: int, slots: int) -> None:
        self.world = world
        self.task_manager_id = task_manager_id
        self.number = number
        self.slots = slots
        self.incarnation = f"{number:08x}"
        self.alive = True
        self.workers: dict[str, SimulatedWorker] = {}
        self.session: Session | None = None
        self._frozen_until = 0
        self._tree_frozen = False
        registration = RegisterTaskManager(
            task_manager_id=task_manager_id,
            incarnation=self.incarnation,
            host=task_manager_id,
            data_port=1,
            slots=slots,
            hardware=_HARDWARE,
            process_memory=1,
            managed_memory=1,
            network_memory=1,
            pid=number,
            started=world.clock.now,
        )
        self.machine = TaskExecutor(registration, world.configuration)
        self.timers = Timers(world.clock, lambda key: self.post(events.TimerFired(key=key)))
        self._perform: dict[type[effects.Effect], Callable[[Any], None]] = {
            effects.OpenSession: self._open_session,
            effects.CloseSession: self._close_session,
            effects.SendToJobManager: self._send,
            effects.PrepareEnvironment: self._prepare_environment,
            effects.ReleaseEnvironment: lambda effect: None,
            effects.StartWorker: self._start_worker,
            effects.SendToWorker: self._send_to_worker,
            effects.SignalWorker: self._signal_worker,
            effects.SetTimer: lambda effect: self.timers.set(effect.key, effect.at),
            effects.CancelTimer: lambda effect: self.timers.cancel(effect.key),
            effects.Terminate: lambda effect: self.world.task_manager_exits(self),
        }

    # ---- life ----

    def post(self, event: events.Event) -> None:
        """Let the machine handle an event, now or when it thaws."""
        if not self.alive:
            return
        if self.frozen:
            self.world.clock.after(self._frozen_until - self.world.clock.now + 1, self.post, event)
            return
        self.world.log(self.task_manager_id, self.number, event)
        for effect in self.machine.handle(event, self.world.clock.now):
            self._perform[type(effect)](effect)
        self.world.invariants.task_manager(self)

    def kill(self) -> None:
        """SIGKILL; the workers follow their parent."""
        self.alive = False
        for worker in list(self.workers.values()):
            worker.die("its TaskManager died", unnoticed=True)
        if self.session is not None:
            self.world.close_session(self.session, "its process died")

    def freeze(self, milliseconds: int, tree: bool) -> None:
        """SIGSTOP, of the supervisor alone or of its workers, too."""
        self._frozen_until = self.world.clock.now + milliseconds
        self._tree_frozen = tree

    @property
    def frozen(self) -> bool:
        """Whether it is stopped just now."""
        return self._frozen_until > self.world.clock.now

    def thaw(self) -> None:
        """SIGCONT."""
        self._frozen_until = self.world.clock.now

    def postpone_task(self, action: Callable[..., None], *arguments: Any) -> bool:
        """While the workers are stopped, too, their tasks do nothing."""
        if not (self._tree_frozen and self.frozen):
            return False
        self.world.clock.after(self._frozen_until - self.world.clock.now + 1, action, *arguments)
        return True

    # ---- sessions ----

    def _open_session(self, effect: effects.OpenSession) -> None:
        self.world.clock.after(self.world.random.randint(1, 10), self._connected, effect.session)

    def _connected(self, number: int) -> None:
        session = None if not self.alive else self.world.connect(self, number)
        if session is None:
            self.post(events.SessionClosed(session=number, reason="connection refused"))
        else:
            self.session = session
            self.post(events.SessionOpened(session=number))

    def _close_session(self, effect: effects.CloseSession) -> None:
        if self.session is not None and self.session.number == effect.session:
            self.world.close_session(self.session, "closed by the TaskManager")

    def session_closed(self, session: Session, reason: str) -> None:
        """Our end of a session notices that it is over."""
        self.post(events.SessionClosed(session=session.number, reason=reason))

    def receive(self, session: Session, message: ToTaskManagerMessage) -> None:
        """A message of the JobManager."""
        self.post(events.JobManagerMessage(session=session.number, message=message))

    def _send(self, effect: effects.SendToJobManager) -> None:
        session = self.session
        if session is not None and session.open and session.number == effect.session:
            self.world.network.to_job_manager(
                session, session.job_manager.receive, session, self.task_manager_id, self.incarnation, effect.message
            )

    # ---- workers ----

    def _prepare_environment(self, effect: effects.PrepareEnvironment) -> None:
        prepared: events.Event = events.EnvironmentPrepared(
            allocation_id=effect.allocation_id, environment=WorkerEnvironment(job=effect.environment)
        )
        if self.world.random.random() < self.world.rates.environment_failure:
            failure = died("a blob could not be fetched", self.world.clock.now)
            prepared = events.EnvironmentFailed(allocation_id=effect.allocation_id, failure=failure)
        self.world.clock.after(self.world.random.randint(1, 80), self.post, prepared)

    def _start_worker(self, effect: effects.StartWorker) -> None:
        random = self.world.random
        worker = self.workers[effect.worker_id] = SimulatedWorker(self, effect)
        if random.random() < self.world.rates.fork_failure:
            self.world.clock.after(random.randint(1, 30), worker.die, "it could not be forked")
            return
        self.world.workers[effect.worker_id] = worker
        self.world.clock.after(random.randint(3, 150), worker.start)

    def _send_to_worker(self, effect: effects.SendToWorker) -> None:
        worker = self.workers.get(effect.worker_id)
        if worker is not None and worker.started:
            self.world.clock.after(1, worker.hear, effect.message)

    def _signal_worker(self, effect: effects.SignalWorker) -> None:
        worker = self.workers.get(effect.worker_id)
        if worker is not None and (effect.kill or self.world.random.random() < 0.5):
            self.world.clock.after(2, worker.die, "signal 9" if effect.kill else "signal 15")

    def worker_says(self, worker_id: str, message: FromWorkerMessage) -> None:
        """A message of a worker."""
        self.post(events.WorkerMessage(worker_id=worker_id, message=message))

    def worker_exited(self, worker_id: str, failure: FailureInfo) -> None:
        """The zygote reports the end of a worker."""
        self.workers.pop(worker_id, None)
        self.post(events.WorkerExited(worker_id=worker_id, failure=failure))


def died(message: str, now: int) -> FailureInfo:
    """How the death of a process is told."""
    return FailureInfo(exception="ProcessDied", message=message, domain=Domain.CLUSTER, timestamp=now)
