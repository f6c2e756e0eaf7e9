"""The world of one schedule: every process, the network between them, and time; all from one seed."""

from __future__ import annotations

import re
import sys
from collections import deque
from random import Random
from typing import Any

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.simulation.client import Client
from pyflow_runtime.simulation.clock import Clock
from pyflow_runtime.simulation.coordinator_model import SimulatedCoordinator
from pyflow_runtime.simulation.driver_model import SimulatedDriver
from pyflow_runtime.simulation.faults import Nemesis
from pyflow_runtime.simulation.invariants import Invariants
from pyflow_runtime.simulation.job_manager import SimulatedJobManager
from pyflow_runtime.simulation.job_shapes import SimulatedJob
from pyflow_runtime.simulation.job_store import SimulatedJobStore
from pyflow_runtime.simulation.ledger import Ledger
from pyflow_runtime.simulation.network import Network, Rates, Session
from pyflow_runtime.simulation.task_manager import SimulatedTaskManager
from pyflow_runtime.simulation.violation import InvariantViolated
from pyflow_runtime.simulation.worker_model import SimulatedTask, SimulatedWorker
from pyflow_runtime.taskexecutor import events

SHORTEST_SCHEDULE = 60_000
HEALED_AT_LATEST = 45_000
PATIENCE_FOR_JOBS = 240_000
PATIENCE_FOR_LEFTOVERS = 40_000
MOST_EVENTS = 400_000
REMEMBERED_EVENTS = 60
# Jobs must come to their end whatever goes wrong.
_PATIENT_STRATEGIES = (
    {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "1000000"},
    {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "1000000"},
    {"restart-strategy.type": "failure-rate", "restart-strategy.failure-rate.max-failures-per-interval": "1000000"},
    {"restart-strategy.type": "exponential-delay"},
)
# Jobs may fail.
_STRICT_STRATEGIES = (
    {"restart-strategy.type": "none"},
    {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "3"},
    {"restart-strategy.type": "failure-rate", "restart-strategy.failure-rate.max-failures-per-interval": "3"},
    {
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": "3",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "10 s",
    },
)


class World:
    """Built from a seed; ``run`` lives through it and raises ``InvariantViolated`` if a promise is broken."""

    def __init__(self, seed: int, faults: bool = True) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = Clock()
        self.rates = Rates(self.random)
        self.network = Network(self.clock, self.random, self.rates)
        self.store = SimulatedJobStore()
        self.ledger = Ledger()
        self.invariants = Invariants(self)
        self.nemesis = Nemesis(self)
        self.client = Client(self)
        self.story: deque[tuple[int, str, int, object]] = deque(maxlen=REMEMBERED_EVENTS)
        self.verbose = False
        self.must_finish = self.random.random() < 0.8
        self.configuration = self._configuration()
        self.jobs: dict[str, SimulatedJob] = {}
        self.cancel_requested: set[str] = set()
        # Jobs whose commit a later JobManager repeated: it knows nothing of the attempts that had run.
        self.recommitted: set[str] = set()
        self.collected: dict[ExecutionAttemptId, list[int]] = {}
        self.workers: dict[str, SimulatedWorker] = {}
        self.coordinators: list[SimulatedCoordinator] = []
        self.task_managers: dict[str, SimulatedTaskManager] = {}
        self.leaving: set[str] = set()
        self.shutting_down = False
        self.terminated = False
        self._processes = 0
        self._names = 0
        self._zombies: list[SimulatedJobManager] = []
        self._storage_broken_until = 0
        self._healed = not faults
        self._make_jobs()
        self._make_cluster()
        if faults:
            self.nemesis.plan(self.random.randint(5, 20), HEALED_AT_LATEST)
        else:
            self.rates.calm()

    def _configuration(self) -> dict[str, str]:
        random = self.random
        interval = random.choice((1_000, 2_000))
        strategy = random.choice(_PATIENT_STRATEGIES if self.must_finish else _STRICT_STRATEGIES)
        delay = random.choice(("10 ms", "300 ms", "1 s"))
        return {
            **strategy,
            "restart-strategy.fixed-delay.delay": delay,
            "restart-strategy.failure-rate.delay": delay,
            "restart-strategy.exponential-delay.initial-backoff": delay,
            "restart-strategy.exponential-delay.max-backoff": "5 s",
            "heartbeat.interval": f"{interval} ms",
            "heartbeat.timeout": f"{interval * 3} ms",
            "slot.request.timeout": "30 s",
            "cluster.registration.max-timeout": "2 s",
            "cluster.registration.refused-registration-delay": "2 s",
            "resourcemanager.taskmanager-timeout": "20 s",
            "jobmanager.execution.failover-strategy": random.choice(("region", "region", "full")),
            "taskmanager.load-balance.mode": random.choice(("NONE", "SLOTS", "TASKS", "MIN_RESOURCES")),
        }

    def _make_jobs(self) -> None:
        random = self.random
        for number in range(1, random.choice((1, 2, 2, 3)) + 1):
            job = SimulatedJob(random, number, {})
            self.jobs[job.job_id] = job
            self.ledger.add_job(job)
            submitted = random.randint(0, 3_000) if number == 1 else random.randint(3_000, 35_000)
            self.clock.after(submitted, self.client.submit, job)
            if random.random() < 0.2:
                self.clock.after(submitted + random.randint(50, 12_000), self._cancel, job)

    def _cancel(self, job: SimulatedJob) -> None:
        if job.job_id in self.client.submitted:
            self.cancel_requested.add(job.job_id)
            self.client.cancel(job)

    def _make_cluster(self) -> None:
        random = self.random
        self.leader = SimulatedJobManager(self, self.store.grant())
        self.leader.start()
        elastic = random.random() < 0.3
        needed = 0
        if not elastic:
            # Enough for the greatest job; two jobs may have to wait for each other.
            needed = max(
                sum(
                    max(vertex.parallelism for vertex in job.graph.vertices if vertex.slot_sharing_group == group)
                    for group in {vertex.slot_sharing_group for vertex in job.graph.vertices}
                )
                for job in self.jobs.values()
            )
        total = 0
        while total < needed:
            slots = random.randint(1, 4)
            total += slots
            self.clock.after(random.randint(0, 1_000), self.start_task_manager, slots)
        self.driver = SimulatedDriver(self, elastic, total)

    # ---- running ----

    def run(self) -> None:
        """Faults first, then calm: all jobs must end, and nothing may be left."""
        self._run_to(HEALED_AT_LATEST)
        self._heal()
        if self.random.random() < 0.1:
            self.clock.after(self.random.randint(0, 20_000), self._shut_down)
        deadline = self.clock.now + PATIENCE_FOR_JOBS
        while not self._all_ended() and self.clock.now < deadline:
            self._run_to(self.clock.now + 1_000)
        for job in self.jobs.values():
            self.invariants.outcome(job)
        deadline = self.clock.now + PATIENCE_FOR_LEFTOVERS
        left = self.invariants.leftovers()
        while (left and self.clock.now < deadline) or self.clock.now < SHORTEST_SCHEDULE:
            self._run_to(self.clock.now + 1_000)
            left = self.invariants.leftovers()
        self.check(not left, "nothing is left behind", ", ".join(left))
        self.check(self.terminated or not self.shutting_down, "liveness", "the cluster was shut down and goes on")
        self.client.check_answered()

    def _run_to(self, end: int) -> None:
        self.clock.run_until(end)
        self.invariants.views()
        self.check(self.clock.events < MOST_EVENTS, "liveness", f"{self.clock.events} events in {self.clock.now} ms")

    def _all_ended(self) -> bool:
        jobs = self.jobs.keys() - self.client.refused
        return jobs <= self.store.results.keys() and jobs <= self.invariants.terminated

    def _shut_down(self) -> None:
        if not self._all_ended():
            self.note("the cluster is shut down")
            self.shutting_down = True
            self.client.shut_down()

    def cluster_terminated(self, job_manager: SimulatedJobManager) -> None:
        """A JobManager says that everything has ended."""
        self.terminated = True
        running = [job_id[-4:] for job_id in self.store.graphs]
        self.check(not running, "durable before announced", f"the cluster terminates while {running} run")

    def _heal(self) -> None:
        self.note("healed")
        self._healed = True
        self.rates.calm()
        self.network.cut.clear()
        self._storage_broken_until = 0
        for task_manager in list(self.task_managers.values()):
            task_manager.thaw()
        for job_manager in self._zombies:
            if job_manager.alive:
                job_manager.kill()
        self.leader.thaw()

    def check(self, holds: bool, invariant: str, detail: str) -> None:
        """Raise unless it holds."""
        if not holds:
            raise InvariantViolated(invariant, detail)

    def log(self, process: str, number: int, event: object) -> None:
        """Remember an event of a machine."""
        self.story.append((self.clock.now, process, number, event))
        if self.verbose:
            self._tell(self.story[-1])

    def note(self, text: str) -> None:
        """Remember something else."""
        self.log("world", 0, text)

    def _tell(self, entry: tuple[int, str, int, object]) -> None:
        sys.stdout.write(told(entry) + "\n")

    # ---- JobManagers ----

    def new_leader(self, old: SimulatedJobManager) -> None:
        """Another JobManager takes over; the old one is dead or does not know yet."""
        if old is not self.leader:
            return
        if old.alive:
            self._zombies.append(old)
        self.leader = SimulatedJobManager(self, self.store.grant())
        self.note(f"leader of epoch {self.leader.epoch}")
        self.leader.start()
        if self._healed and old.alive:
            old.kill()

    # ---- TaskManagers ----

    @property
    def task_manager_count(self) -> int:
        """How many processes there are."""
        return len(self.task_managers)

    def start_task_manager(self, slots: int) -> None:
        """A new TaskManager with an id of its own."""
        self._names += 1
        self._start(f"t{self._names}", slots)

    def _start(self, task_manager_id: str, slots: int) -> None:
        self._processes += 1
        task_manager = SimulatedTaskManager(self, task_manager_id, self._processes, slots)
        self.task_managers[task_manager_id] = task_manager
        self.clock.after(1, _started, task_manager)

    def restart_task_manager(self, task_manager: SimulatedTaskManager) -> None:
        """Its process is killed; its supervisor starts it again."""
        task_manager.kill()
        del self.task_managers[task_manager.task_manager_id]
        delay = self.random.choice((100, 800, 5_000))
        self.clock.after(delay, self._start, task_manager.task_manager_id, task_manager.slots)

    def replace_frozen_task_manager(self, task_manager: SimulatedTaskManager) -> None:
        """Its supervisor takes it for dead and starts another one; the frozen one is a zombie until it is ended."""
        del self.task_managers[task_manager.task_manager_id]
        self.clock.after(500, self._start, task_manager.task_manager_id, task_manager.slots)
        self.clock.after(20_000, task_manager.kill)

    def task_manager_exits(self, task_manager: SimulatedTaskManager) -> None:
        """It ended by itself."""
        task_manager.kill()
        if self.task_managers.get(task_manager.task_manager_id) is task_manager:
            del self.task_managers[task_manager.task_manager_id]
            if task_manager.task_manager_id not in self.leaving:
                self.clock.after(1_000, self._start, task_manager.task_manager_id, task_manager.slots)

    # ---- sessions ----

    def connect(self, task_manager: SimulatedTaskManager, number: int) -> Session | None:
        """A connection with whoever is leader now, if it can be reached."""
        leader = self.leader
        zombies = [job_manager for job_manager in self._zombies if job_manager.alive]
        if zombies and self.random.random() < 0.3:
            # The address of the leader that the TaskManager found is an old one.
            leader = zombies[-1]
        if not leader.alive or self.network.partitioned(task_manager.task_manager_id):
            return None
        session = Session(number, task_manager, leader)
        leader.sessions[(task_manager.task_manager_id, task_manager.incarnation)] = session
        return session

    def close_session(self, session: Session, reason: str) -> None:
        """Both ends learn of it, unless a partition hides it from the other one."""
        if not session.open:
            return
        session.open = False
        random = self.random
        dead = not session.task_manager.alive and random.random() < 0.5
        to_job_manager, to_task_manager = random.randint(1, 20), random.randint(1, 20)
        until = self.network.partitioned(session.task_manager.task_manager_id)
        if until and not dead:
            to_job_manager += until - self.clock.now
            to_task_manager += until - self.clock.now
        self.clock.after(to_job_manager, session.job_manager.session_closed, session, reason, dead)
        self.clock.after(to_task_manager, session.task_manager.session_closed, session, reason)

    # ---- workers ----

    def producer_gone(self, task: SimulatedTask) -> None:
        """The channels of a task that has not finished are broken."""
        attempt = task.attempt_id
        channels = {(output.edge.id, attempt.subtask, attempt.attempt) for output in task.deployment.outputs}
        if not channels:
            return
        for worker in self.workers.values():
            for other in worker.tasks.values():
                if other.attempt_id.job_id != attempt.job_id or not other.live:
                    continue
                if not channels.isdisjoint(other.open_inputs):
                    self.clock.after(self.random.randint(1, 40), other.channel_broken, str(attempt))

    def collected_by(self, job_id: str, vertex_id: str, subtask: int, attempt: int) -> list[int] | None:
        """What a finished sink attempt got."""
        return self.collected.get(ExecutionAttemptId(job_id, vertex_id, subtask, attempt))

    # ---- storage ----

    def break_storage(self, milliseconds: int) -> None:
        """For a while writes fail, before or after they took effect."""
        self._storage_broken_until = self.clock.now + milliseconds

    def storage_fails(self) -> str:
        """Whether a write fails now: "", "before" it takes effect, or "after"."""
        if self.clock.now >= self._storage_broken_until:
            return ""
        return self.random.choice(("before", "after", ""))

    def storage_delay(self) -> int:
        """How long a write takes."""
        slow = self.clock.now < self._storage_broken_until
        return self.random.randint(1, 1_500 if slow else 30)


def _started(task_manager: SimulatedTaskManager) -> None:
    task_manager.post(events.Started())


_LEADING_ZEROS = re.compile(r"'0{20,}(\w*)'")
_DEFAULTS = re.compile(r", (?:job_id|failure|metrics|accumulators|frames|notes|environment)=(?:\[\]|None|'')")
_ATTEMPT = re.compile(r"ExecutionAttemptId\(job_id=(\w+), vertex_id=(\w+), subtask=(\d+), attempt=(\d+)\)")
_MOST_CHARACTERS = 260


def told(entry: tuple[int, str, int, Any]) -> str:
    """A line of the story."""
    now, process, number, event = entry
    text = _DEFAULTS.sub("", _LEADING_ZEROS.sub(r"\1", str(event)))
    text = _ATTEMPT.sub(r"\1/\2/\3#\4", text)
    return f"{now:>8} {process}#{number} {text}"[:_MOST_CHARACTERS]
