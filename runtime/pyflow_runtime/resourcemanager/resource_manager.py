"""The ResourceManager: TaskManagers that come, speak, fall silent and go; slots for jobs; the wish for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from pyflow_runtime.dispatcher.effects import CloseTaskManager, ReleaseTaskManager, RequestTaskManagers
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.dispatcher.views import TaskManagerView
from pyflow_runtime.resourcemanager.slot_manager import Allocation, SlotManager, SlotOwner
from pyflow_runtime.scheduler.slot_sharing import SlotKey
from pyflow_runtime.taskexecutor.messages import (
    AllocateSlot,
    FreeSlot,
    HeartbeatReport,
    HeartbeatRequest,
    JobEnvironment,
    RegisterTaskManager,
    RegistrationAccepted,
    RegistrationRefused,
    SlotReady,
    SlotReport,
)
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import Domain, FailureInfo

RECONNECT_GRACE = 500
RECOVERY_GRACE = 2_000
HEARTBEAT_TIMER = "resources/heartbeat"
RECOVERY_TIMER = "resources/recovery"
HOLDERS_SHOWN = 3


class SlotUser(Protocol):
    """A job, as far as the ResourceManager knows it."""

    def slot_ready(self, allocation: Allocation) -> None:
        """A slot it asked for takes tasks."""

    def slot_failed(self, allocation: Allocation, failure: FailureInfo) -> None:
        """A slot it had, or was about to get, is gone."""

    def task_manager_lost(self, owner: SlotOwner, allocations: list[Allocation], failure: FailureInfo) -> None:
        """A TaskManager is gone with the slots the job had there."""

    def resources_denied(self, reason: str, slots: int) -> None:
        """There will never be more slots than that."""


class ResourceManager:
    """Pure machine over the SlotManager; tells jobs what becomes of their slots."""

    def __init__(self, configuration: Mapping[str, str], outbox: Outbox, jobs: Mapping[str, SlotUser]) -> None:
        self.slots = SlotManager(options.TASKMANAGER_LOAD_BALANCE_MODE.read(configuration))
        self.reason_unavailable = ""
        self._outbox = outbox
        self._jobs = jobs
        self._heartbeat_interval = options.HEARTBEAT_INTERVAL.read(configuration)
        self._heartbeat_timeout = options.HEARTBEAT_TIMEOUT.read(configuration)
        self._idle_timeout = options.RESOURCEMANAGER_TASKMANAGER_TIMEOUT.read(configuration)
        self._recovery_timeout = options.RESOURCEMANAGER_PREVIOUS_WORKER_RECOVERY_TIMEOUT.read(configuration)
        self._most_slots = options.SLOTMANAGER_NUMBER_OF_SLOTS_MAX.read(configuration)
        self._fewest_slots = options.SLOTMANAGER_NUMBER_OF_SLOTS_MIN.read(configuration)
        self._wish = 0
        self._recovering = False
        # Incarnations that were replaced or known to be dead: their late messages must not displace a living one.
        self._buried: dict[str, set[str]] = {}
        self._idle: set[str] = set()

    def start(self, recovering: bool) -> None:
        """Leadership is granted. TaskManagers of the former leader are waited for before new ones are wished for."""
        self._outbox.set_timer(HEARTBEAT_TIMER, self._outbox.now + self._heartbeat_interval)
        if recovering:
            self._recovering = True
            self._outbox.set_timer(RECOVERY_TIMER, self._outbox.now + (self._recovery_timeout or RECOVERY_GRACE))

    # ---- TaskManagers ----

    def owner(self, task_manager_id: str, incarnation: str) -> SlotOwner | None:
        """The TaskManager, if that incarnation is the registered one."""
        owner = self.slots.owners.get(task_manager_id)
        return owner if owner is not None and owner.incarnation == incarnation else None

    def register(self, message: RegisterTaskManager) -> None:
        """A TaskManager introduces itself, perhaps again."""
        present = self.slots.owners.get(message.task_manager_id)
        if message.incarnation in self._buried.get(message.task_manager_id, ()) or (
            present is not None
            and present.incarnation != message.incarnation
            and present.registration.started > message.started
        ):
            self._refuse(message)
            return
        if present is not None and present.incarnation != message.incarnation:
            self._bury(present.task_manager_id, present.incarnation)
            self._lose(present, "another process took its place")
            present = None
        if present is None:
            present = SlotOwner(message, self._outbox.now)
            self.slots.add(present)
            self._watch_idleness(present)
        elif not present.connected:
            self._outbox.cancel_timer(_reconnect_timer(present))
        present.connected = True
        present.last_heartbeat = self._outbox.now
        self._outbox.send(
            present.task_manager_id,
            present.incarnation,
            RegistrationAccepted(
                epoch=self._outbox.epoch,
                job_manager_id=f"jobmanager-{self._outbox.epoch}",
                heartbeat_interval=self._heartbeat_interval,
                heartbeat_timeout=self._heartbeat_timeout,
            ),
        )
        self._request_heartbeat(present)

    def _refuse(self, message: RegisterTaskManager) -> None:
        reason = f"a later process of TaskManager {message.task_manager_id} has registered"
        refusal = RegistrationRefused(epoch=self._outbox.epoch, reason=reason)
        self._outbox.send(message.task_manager_id, message.incarnation, refusal)

    def disconnected(self, task_manager_id: str, incarnation: str, dead: bool, reason: str) -> None:
        """Its session is closed: it may come back at once; a dead process will not."""
        if dead:
            self._bury(task_manager_id, incarnation)
        owner = self.owner(task_manager_id, incarnation)
        if owner is None:
            return
        if dead:
            self._lose(owner, reason)
        elif owner.connected:
            owner.connected = False
            self._outbox.set_timer(_reconnect_timer(owner), self._outbox.now + RECONNECT_GRACE)

    def leaving(self, owner: SlotOwner, reason: str) -> None:
        """It said goodbye."""
        self._lose(owner, reason)

    def _bury(self, task_manager_id: str, incarnation: str) -> None:
        self._buried.setdefault(task_manager_id, set()).add(incarnation)

    def _lose(self, owner: SlotOwner, reason: str) -> None:
        allocations = self.slots.remove(owner.task_manager_id)
        self._outbox.cancel_timer(_idle_timer(owner))
        self._idle.discard(owner.task_manager_id)
        self._outbox.emit(
            CloseTaskManager(task_manager_id=owner.task_manager_id, incarnation=owner.incarnation, reason=reason)
        )
        failure = FailureInfo(
            exception="TaskManagerLostException",
            message=f"TaskManager {owner.task_manager_id} is lost: {reason}.",
            domain=Domain.CLUSTER,
            task_manager=owner.task_manager_id,
            endpoint=f"{owner.registration.host}:{owner.registration.data_port}",
            timestamp=self._outbox.now,
        )
        by_job: dict[str, list[Allocation]] = {}
        for allocation in allocations:
            by_job.setdefault(allocation.job_id, []).append(allocation)
        for job_id, lost in by_job.items():
            job = self._jobs.get(job_id)
            if job is not None:
                job.task_manager_lost(owner, lost, failure)

    # ---- heartbeats and other timers ----

    def timer_fired(self, key: str) -> None:
        """A timer of this machine (its key begins with ``resources/``)."""
        if key == HEARTBEAT_TIMER:
            self._heartbeat()
        elif key == RECOVERY_TIMER:
            self._recovering = False
        elif key.startswith("resources/reconnect/"):
            for owner in list(self.slots.owners.values()):
                if _reconnect_timer(owner) == key and not owner.connected:
                    self._lose(owner, "its connection broke")
        elif key.startswith("resources/idle/"):
            self._release_if_idle(key.removeprefix("resources/idle/"))

    def _heartbeat(self) -> None:
        now = self._outbox.now
        self._outbox.set_timer(HEARTBEAT_TIMER, now + self._heartbeat_interval)
        for owner in list(self.slots.owners.values()):
            if now - owner.last_heartbeat >= self._heartbeat_timeout:
                self._lose(owner, f"no heartbeat for {self._heartbeat_timeout} ms")
            else:
                self._request_heartbeat(owner)

    def _request_heartbeat(self, owner: SlotOwner) -> None:
        owner.sequence += 1
        request = HeartbeatRequest(epoch=self._outbox.epoch, sequence=owner.sequence)
        self._outbox.send(owner.task_manager_id, owner.incarnation, request)

    def _watch_idleness(self, owner: SlotOwner) -> None:
        if not owner.allocations and owner.task_manager_id not in self._idle:
            self._idle.add(owner.task_manager_id)
            self._outbox.set_timer(_idle_timer(owner), self._outbox.now + self._idle_timeout)

    def _release_if_idle(self, task_manager_id: str) -> None:
        owner = self.slots.owners.get(task_manager_id)
        if owner is None or task_manager_id not in self._idle:
            return
        if self.slots.slots_total - len(owner.slots) >= self._fewest_slots:
            self._outbox.emit(ReleaseTaskManager(task_manager_id=task_manager_id))

    # ---- slots ----

    def request_slots(self, job_id: str, keys: Mapping[SlotKey, int], environment: JobEnvironment) -> None:
        """A job wants slots; ``settle`` sees to it."""
        self.slots.request(job_id, keys, environment)

    def free_slot(self, allocation_id: str) -> None:
        """A job does not need that slot any more."""
        allocation = self.slots.free(allocation_id)
        if allocation is not None:
            self._send_free(allocation.task_manager_id, allocation.incarnation, allocation_id)
            self._watch_idleness(self.slots.owners[allocation.task_manager_id])

    def withdraw(self, job_id: str) -> None:
        """A job wants no more slots than it has."""
        self.slots.withdraw(job_id)

    def allocations_of(self, job_id: str) -> list[Allocation]:
        """What a job has, whether ready or not."""
        return self.slots.allocations_of(job_id)

    def free_all(self, job_id: str) -> None:
        """A job needs no slots any more."""
        self.slots.withdraw(job_id)
        for allocation in self.slots.allocations_of(job_id):
            self.free_slot(allocation.allocation_id)

    def slot_ready(self, owner: SlotOwner, message: SlotReady) -> None:
        """The worker of a slot is ready."""
        allocation = self.slots.allocation(message.allocation_id)
        if allocation is None or allocation.incarnation != owner.incarnation:
            self._send_free(owner.task_manager_id, owner.incarnation, message.allocation_id)
        elif not allocation.ready:
            allocation.address = message.address
            allocation.sequence = owner.sequence
            job = self._jobs.get(allocation.job_id)
            if job is not None:
                job.slot_ready(allocation)

    def slot_failed(self, owner: SlotOwner, allocation_id: str, failure: FailureInfo) -> None:
        """The worker of a slot could not start, or is gone."""
        allocation = self.slots.allocation(allocation_id)
        if allocation is None or allocation.incarnation != owner.incarnation:
            return
        self.slots.free(allocation_id)
        self._watch_idleness(owner)
        job = self._jobs.get(allocation.job_id)
        if job is not None:
            job.slot_failed(allocation, failure)

    def reconcile(self, owner: SlotOwner, report: HeartbeatReport) -> bool:
        """Repair what the report contradicts; False if a later report has been seen already."""
        if report.sequence <= owner.reconciled:
            return False
        owner.reconciled = report.sequence
        reported: dict[str, SlotReport] = {slot.allocation_id: slot for slot in report.slots if slot.allocation_id}
        for allocation_id, slot in reported.items():
            allocation = owner.allocations.get(allocation_id)
            if allocation is None:
                self._send_free(owner.task_manager_id, owner.incarnation, allocation_id)
            elif slot.address is not None:
                self.slot_ready(owner, SlotReady(allocation_id=allocation_id, slot=slot.slot, address=slot.address))
        for allocation in list(owner.allocations.values()):
            # A report requested before the slot's last change says nothing about it.
            if allocation.allocation_id not in reported and report.sequence > allocation.sequence:
                self._missing_at_task_manager(owner, allocation)
        return True

    def _missing_at_task_manager(self, owner: SlotOwner, allocation: Allocation) -> None:
        if allocation.ready:
            failure = FailureInfo(
                exception="SlotFailedException",
                message=f"TaskManager {owner.task_manager_id} has lost slot {allocation.slot} of the job.",
                domain=Domain.CLUSTER,
                task_manager=owner.task_manager_id,
                timestamp=self._outbox.now,
            )
            self.slot_failed(owner, allocation.allocation_id, failure)
            return
        self._send_allocate(allocation)

    def _send_allocate(self, allocation: Allocation) -> None:
        message = AllocateSlot(
            epoch=self._outbox.epoch,
            allocation_id=allocation.allocation_id,
            slot=allocation.slot,
            environment=allocation.environment,
        )
        self._outbox.send(allocation.task_manager_id, allocation.incarnation, message)

    def _send_free(self, task_manager_id: str, incarnation: str, allocation_id: str) -> None:
        message = FreeSlot(epoch=self._outbox.epoch, allocation_id=allocation_id)
        self._outbox.send(task_manager_id, incarnation, message)

    def settle(self) -> None:
        """After each event: give slots to those who wait, and tell the driver how many are missing."""
        if self.slots.requests:
            for allocation in self.slots.assign(self._outbox.epoch):
                if allocation.task_manager_id in self._idle:
                    self._idle.discard(allocation.task_manager_id)
                    self._outbox.cancel_timer(_idle_timer(self.slots.owners[allocation.task_manager_id]))
                self._send_allocate(allocation)
        wish = 0 if self._recovering or not self.slots.requests else self._missing()
        if wish != self._wish:
            self._wish = wish
            if not wish:
                self.reason_unavailable = ""
            self._outbox.emit(RequestTaskManagers(missing_slots=wish))

    def _missing(self) -> int:
        return max(0, min(self.slots.slots_missing, self._most_slots - self.slots.slots_total))

    def unavailable(self, reason: str, final: bool, slots: int) -> None:
        """The driver cannot give what was wished for. Jobs that could run once others have ended go on waiting."""
        self.reason_unavailable = reason.rstrip(".")
        if not final:
            return
        most = max(slots, self.slots.slots_total)
        for job_id in list(self.slots.requests):
            job = self._jobs.get(job_id)
            if job is not None:
                job.resources_denied(reason, most)

    def waiting_for(self, job_id: str) -> str:
        """What the job waits for, as a sentence without its full stop, or ""."""
        request = self.slots.requests.get(job_id)
        if request is None:
            return ""
        wanted = f"{len(request.keys)} slot{'s' if len(request.keys) != 1 else ''} wanted"
        sentence = f"{wanted}, {self.slots.slots_free} free of {self.slots.slots_total}{self._holders()}"
        return f"{sentence}: {self.reason_unavailable}" if self.reason_unavailable else sentence

    def _holders(self) -> str:
        """Who has the slots that are taken, as the end of a sentence; the largest holders first."""
        held = Counter(
            allocation.job_id
            for owner in self.slots.owners.values()
            for allocation in owner.slots
            if allocation is not None
        )
        largest = held.most_common(HOLDERS_SHOWN)
        text = "".join(f", {count} held by job {job_id}" for job_id, count in largest)
        rest = held.total() - sum(count for _, count in largest)
        return f"{text}, {rest} by other jobs" if rest else text

    def task_manager_views(self) -> list[TaskManagerView]:
        """The registered TaskManagers."""
        return [
            TaskManagerView(
                registration=owner.registration,
                last_heartbeat=owner.last_heartbeat,
                slots=[_slot_report(owner, index) for index in range(len(owner.slots))],
                assigned_tasks=owner.tasks,
            )
            for owner in self.slots.owners.values()
        ]


def _slot_report(owner: SlotOwner, index: int) -> SlotReport:
    allocation = owner.slots[index]
    managed_memory = owner.registration.managed_memory // len(owner.slots)
    if allocation is None:
        return SlotReport(index, "", "", None, managed_memory)
    return SlotReport(index, allocation.allocation_id, allocation.job_id, allocation.address, managed_memory)


def _reconnect_timer(owner: SlotOwner) -> str:
    return f"resources/reconnect/{owner.task_manager_id}/{owner.incarnation}"


def _idle_timer(owner: SlotOwner) -> str:
    return f"resources/idle/{owner.task_manager_id}"
