"""The SlotManager: which slots there are, who has them, and who waits for some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyflow_runtime.scheduler.slot_sharing import SlotKey
from pyflow_runtime.taskexecutor.messages import JobEnvironment, RegisterTaskManager, WorkerAddress


class Allocation:
    """A slot given to a job for one of its shared slots.

    ``sequence``: of the last heartbeat request before its last change.
    """

    __slots__ = (
        "address",
        "allocation_id",
        "environment",
        "incarnation",
        "job_id",
        "key",
        "sequence",
        "slot",
        "task_manager_id",
        "tasks",
    )

    def __init__(
        self, allocation_id: str, key: SlotKey, tasks: int, environment: JobEnvironment, owner: SlotOwner, slot: int
    ) -> None:
        self.allocation_id = allocation_id
        self.job_id = environment.job_id
        self.key = key
        self.tasks = tasks
        self.environment = environment
        self.task_manager_id = owner.task_manager_id
        self.incarnation = owner.incarnation
        self.slot = slot
        self.sequence = owner.sequence
        self.address: WorkerAddress | None = None

    @property
    def ready(self) -> bool:
        """Whether its worker takes tasks."""
        return self.address is not None


class SlotOwner:
    """A registered TaskManager incarnation and its slots."""

    __slots__ = (
        "allocations",
        "connected",
        "last_heartbeat",
        "reconciled",
        "registration",
        "sequence",
        "slots",
        "tasks",
    )

    def __init__(self, registration: RegisterTaskManager, now: int) -> None:
        self.registration = registration
        self.connected = True
        self.last_heartbeat = now
        self.sequence = 0
        self.reconciled = -1
        self.slots: list[Allocation | None] = [None] * registration.slots
        self.allocations: dict[str, Allocation] = {}
        self.tasks = 0

    @property
    def task_manager_id(self) -> str:
        """Its id."""
        return self.registration.task_manager_id

    @property
    def incarnation(self) -> str:
        """Which process of that id it is."""
        return self.registration.incarnation

    @property
    def free(self) -> int:
        """How many slots can be given to jobs."""
        return len(self.slots) - len(self.allocations) if self.connected else 0

    @property
    def utilisation(self) -> float:
        """Share of its slots that are in use."""
        return len(self.allocations) / len(self.slots)


class SlotRequest:
    """Slots that a job wants: all of them together, or none yet."""

    __slots__ = ("environment", "keys")

    def __init__(self, keys: dict[SlotKey, int], environment: JobEnvironment) -> None:
        self.keys = keys
        self.environment = environment


class SlotManager:
    """Slots of all TaskManagers, and the requests of all jobs in the order in which they came."""

    def __init__(self, load_balance_mode: str = "NONE") -> None:
        self.owners: dict[str, SlotOwner] = {}
        self.requests: dict[str, SlotRequest] = {}
        self._mode = load_balance_mode
        self._allocations: dict[str, Allocation] = {}
        self._number = 0

    # ---- TaskManagers ----

    def add(self, owner: SlotOwner) -> None:
        """A TaskManager has registered; its slots are free."""
        self.owners[owner.task_manager_id] = owner

    def remove(self, task_manager_id: str) -> list[Allocation]:
        """A TaskManager is gone, and so is what was allocated there."""
        owner = self.owners.pop(task_manager_id)
        for allocation_id in owner.allocations:
            del self._allocations[allocation_id]
        return list(owner.allocations.values())

    # ---- jobs ----

    def request(self, job_id: str, keys: Mapping[SlotKey, int], environment: JobEnvironment) -> None:
        """The job wants these slots (too); the number says how many tasks will be in each."""
        request = self.requests.get(job_id)
        if request is None:
            self.requests[job_id] = SlotRequest(dict(keys), environment)
        else:
            request.keys.update(keys)

    def withdraw(self, job_id: str) -> None:
        """The job wants no more slots than it has."""
        self.requests.pop(job_id, None)

    def free(self, allocation_id: str) -> Allocation | None:
        """The slot is free again; None if that allocation is over already."""
        allocation = self._allocations.pop(allocation_id, None)
        if allocation is not None:
            owner = self.owners[allocation.task_manager_id]
            owner.slots[allocation.slot] = None
            owner.tasks -= allocation.tasks
            del owner.allocations[allocation_id]
        return allocation

    def allocation(self, allocation_id: str) -> Allocation | None:
        """A present allocation."""
        return self._allocations.get(allocation_id)

    def allocations_of(self, job_id: str) -> list[Allocation]:
        """What a job has, whether ready or not."""
        return [allocation for allocation in self._allocations.values() if allocation.job_id == job_id]

    # ---- matching ----

    def assign(self, epoch: int) -> Iterator[Allocation]:
        """Give free slots to requests that can be met in full; small ones may overtake large ones."""
        free = self.slots_free
        for job_id, request in list(self.requests.items()):
            if len(request.keys) > free:
                continue
            free -= len(request.keys)
            del self.requests[job_id]
            for key in sorted(request.keys):
                yield self._allocate(epoch, key, request.keys[key], request.environment)

    def _allocate(self, epoch: int, key: SlotKey, tasks: int, environment: JobEnvironment) -> Allocation:
        owner = self._choose(owner for owner in self.owners.values() if owner.free)
        self._number += 1
        # Greater than every earlier id, also of former leaders: TaskManagers rely on it.
        allocation_id = f"{epoch:012x}{self._number:020x}"
        allocation = Allocation(allocation_id, key, tasks, environment, owner, owner.slots.index(None))
        owner.slots[allocation.slot] = allocation
        owner.allocations[allocation_id] = allocation
        owner.tasks += tasks
        self._allocations[allocation_id] = allocation
        return allocation

    def _choose(self, owners: Iterable[SlotOwner]) -> SlotOwner:
        if self._mode == "SLOTS":
            return min(owners, key=lambda owner: owner.utilisation)
        if self._mode == "TASKS":
            return min(owners, key=lambda owner: owner.tasks)
        if self._mode == "MIN_RESOURCES":
            return max(owners, key=lambda owner: owner.utilisation)
        return next(iter(owners))

    # ---- counts ----

    @property
    def slots_total(self) -> int:
        """Slots of all registered TaskManagers."""
        return sum(len(owner.slots) for owner in self.owners.values())

    @property
    def slots_free(self) -> int:
        """Slots that can be given to jobs now."""
        return sum(owner.free for owner in self.owners.values())

    @property
    def slots_missing(self) -> int:
        """Slots wanted beyond those that are free."""
        wanted = sum(len(request.keys) for request in self.requests.values())
        return max(0, wanted - self.slots_free)
