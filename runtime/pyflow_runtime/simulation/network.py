"""Sessions between TaskManagers and JobManagers, and what may happen to the messages on them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from pyflow_runtime.simulation.clock import Clock

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager
    from pyflow_runtime.simulation.task_manager import SimulatedTaskManager


class Rates:
    """How unkind this schedule is; chosen once a seed."""

    def __init__(self, random: Random) -> None:
        # A stream keeps order and loses nothing but its end; the other kind of session is worse than any real one.
        self.stream = random.random() < 0.4
        self.loss = 0.0 if self.stream else random.choice((0.0, 0.005, 0.02, 0.05))
        self.duplication = 0.0 if self.stream else random.choice((0.0, 0.01, 0.05))
        self.late = random.choice((0.0, 0.02, 0.1))
        self.longest_delay = random.choice((50, 500, 3_000))
        self.stuck = random.choice((0.0, 0.0, 0.05))
        self.fork_failure = random.choice((0.0, 0.0, 0.05))
        self.environment_failure = random.choice((0.0, 0.0, 0.05))

    def calm(self) -> None:
        """From now on everything works."""
        self.loss = self.duplication = self.late = self.stuck = self.fork_failure = self.environment_failure = 0.0


class Session:
    """A connection of one TaskManager process with one JobManager process."""

    __slots__ = ("job_manager", "number", "open", "task_manager", "to_job_manager_at", "to_task_manager_at")

    def __init__(self, number: int, task_manager: SimulatedTaskManager, job_manager: SimulatedJobManager) -> None:
        self.number = number
        self.task_manager = task_manager
        self.job_manager = job_manager
        self.open = True
        self.to_job_manager_at = 0
        self.to_task_manager_at = 0


class Network:
    """Delivers, delays, duplicates, reorders and loses messages."""

    def __init__(self, clock: Clock, random: Random, rates: Rates) -> None:
        self.clock = clock
        self.random = random
        self.rates = rates
        self.cut: dict[str, int] = {}
        self.frames = 0

    def partition(self, task_manager_id: str, until: int) -> None:
        """Nothing passes between that TaskManager and any JobManager for a while."""
        self.cut[task_manager_id] = until

    def partitioned(self, task_manager_id: str) -> int:
        """When the partition ends, or 0."""
        until = self.cut.get(task_manager_id, 0)
        return until if until > self.clock.now else 0

    def to_job_manager(self, session: Session, deliver: Callable[..., None], *arguments: Any) -> None:
        """From the session's TaskManager."""
        for delay in self._delays(session):
            at = self.clock.now + delay
            if self.rates.stream:
                at = session.to_job_manager_at = max(at, session.to_job_manager_at)
            self.clock.after(at - self.clock.now, deliver, *arguments)

    def to_task_manager(self, session: Session, deliver: Callable[..., None], *arguments: Any) -> None:
        """From the session's JobManager."""
        for delay in self._delays(session):
            at = self.clock.now + delay
            if self.rates.stream:
                at = session.to_task_manager_at = max(at, session.to_task_manager_at)
            self.clock.after(at - self.clock.now, deliver, *arguments)

    def _delays(self, session: Session) -> list[int]:
        self.frames += 1
        chance, rates = self.random.random, self.rates
        until = self.partitioned(session.task_manager.task_manager_id)
        if until:
            # A stream repeats what was not acknowledged once the partition is over.
            return [until - self.clock.now + 20] if rates.stream else []
        if rates.loss and chance() < rates.loss:
            return []
        delay = 1 + int(chance() * 10)
        if rates.late and chance() < rates.late:
            delay += int(chance() * rates.longest_delay)
        if rates.duplication and chance() < rates.duplication:
            return [delay, delay + int(chance() * rates.longest_delay)]
        return [delay]
