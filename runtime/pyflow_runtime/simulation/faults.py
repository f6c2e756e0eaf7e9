"""The nemesis: what goes wrong, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyflow_runtime.simulation.job_manager import SimulatedJobManager
    from pyflow_runtime.simulation.task_manager import SimulatedTaskManager
    from pyflow_runtime.simulation.world import World


class Nemesis:
    """Draws faults from the seed; a fault that finds nothing to break is drawn again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.kinds: list[Callable[[], bool]] = [
            self.kill_task_manager,
            self.freeze_task_manager,
            self.partition,
            self.disconnect,
            self.kill_worker,
            self.kill_worker,
            self.fail_task,
            self.fail_task,
            self.crash_job_manager,
            self.depose_job_manager,
            self.kill_coordinator,
            self.kill_coordinator,
            self.break_storage,
        ]

    def plan(self, number: int, until: int) -> None:
        """Spread that many faults over the time until then."""
        for _ in range(number):
            self.world.clock.after(self.world.random.randint(500, until), self.strike)

    def strike(self) -> None:
        """One fault."""
        random = self.world.random
        for _ in range(20):
            fault = random.choice(self.kinds)
            if fault():
                self.count += 1
                self.world.note(f"fault: {fault.__name__}")
                self.world.invariants.views()
                return

    def _task_manager(self) -> SimulatedTaskManager | None:
        candidates = sorted(self.world.task_managers)
        return self.world.task_managers[self.world.random.choice(candidates)] if candidates else None

    def kill_task_manager(self) -> bool:
        """SIGKILL; it comes back as another process."""
        task_manager = self._task_manager()
        if task_manager is None or task_manager.task_manager_id in self.world.leaving:
            return False
        self.world.restart_task_manager(task_manager)
        return True

    def freeze_task_manager(self) -> bool:
        """SIGSTOP for a while: it may come back as a zombie."""
        task_manager = self._task_manager()
        if task_manager is None or task_manager.frozen:
            return False
        random = self.world.random
        task_manager.freeze(random.choice((300, 3_000, 12_000)), tree=random.random() < 0.5)
        if random.random() < 0.3 and task_manager.task_manager_id not in self.world.leaving:
            # Taken for dead, replaced, and then it thaws.
            self.world.replace_frozen_task_manager(task_manager)
        return True

    def partition(self) -> bool:
        """No message passes for a while."""
        task_manager = self._task_manager()
        if task_manager is None:
            return False
        until = self.world.clock.now + self.world.random.choice((200, 2_000, 10_000))
        self.world.network.partition(task_manager.task_manager_id, until)
        return True

    def disconnect(self) -> bool:
        """A session breaks."""
        task_manager = self._task_manager()
        if task_manager is None or task_manager.session is None or not task_manager.session.open:
            return False
        self.world.close_session(task_manager.session, "connection reset")
        return True

    def kill_worker(self) -> bool:
        """SIGKILL of a slot worker."""
        candidates = sorted(self.world.workers)
        if not candidates:
            return False
        self.world.workers[self.world.random.choice(candidates)].die("signal 9")
        return True

    def fail_task(self) -> bool:
        """A user's function raises."""
        tasks = [
            task
            for worker_id in sorted(self.world.workers)
            for task in self.world.workers[worker_id].tasks.values()
            if task.live
        ]
        if not tasks:
            return False
        self.world.random.choice(tasks).fail("ValueError", "bad record")
        return True

    def crash_job_manager(self) -> bool:
        """SIGKILL; its supervisor starts another one under a new epoch."""
        if not self.world.leader.alive:
            return False
        self.world.leader.kill()
        self.world.clock.after(self.world.random.choice((50, 400, 3_000)), self.world.new_leader, self.world.leader)
        return True

    def depose_job_manager(self) -> bool:
        """SIGSTOP long enough for another one to become leader; then it thaws and does not know that."""
        old = self.world.leader
        if not old.alive or old.frozen:
            return False
        random = self.world.random
        old.freeze(random.choice((800, 4_000, 15_000)))
        self.world.clock.after(random.choice((100, 700, 3_000)), self.world.new_leader, old)
        self.world.clock.after(random.randint(20_000, 30_000), self._end_zombie, old)
        return True

    def _end_zombie(self, job_manager: SimulatedJobManager) -> None:
        if job_manager is not self.world.leader and job_manager.alive:
            job_manager.kill()

    def kill_coordinator(self) -> bool:
        """SIGKILL of a job's coordinator."""
        alive = [coordinator for coordinator in self.world.coordinators if coordinator.alive]
        if not alive:
            return False
        self.world.random.choice(alive).die("signal 9")
        return True

    def break_storage(self) -> bool:
        """The store fails or is slow for a while."""
        self.world.break_storage(self.world.random.choice((500, 3_000)))
        return True
