"""The SlotManager against a model that is too simple to be wrong."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from pyflow_runtime.resourcemanager.slot_manager import Allocation, SlotManager, SlotOwner
from pyflow_runtime.scheduler.slot_sharing import SlotKey
from pyflow_runtime.taskexecutor.messages import JobEnvironment
from tests.unit.jobmaster.control_planes import registration


def environment(job_id: str) -> JobEnvironment:
    return JobEnvironment(
        job_id=job_id, job_name="", python_executable="", artifacts=[], configuration={}, job_parameters={}
    )


def keys(count: int, tasks: int = 1) -> dict[SlotKey, int]:
    return {("default", index): tasks for index in range(count)}


def manager(*slots: int, mode: str = "NONE") -> SlotManager:
    result = SlotManager(mode)
    for number, count in enumerate(slots):
        result.add(SlotOwner(registration(f"t{number}", count), 0))
    return result


def places(allocations: list[Allocation]) -> list[str]:
    return [f"{allocation.task_manager_id}/{allocation.slot}" for allocation in allocations]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("NONE", ["t0/0", "t0/1", "t0/2"]),
        ("MIN_RESOURCES", ["t0/0", "t0/1", "t0/2"]),
        ("SLOTS", ["t0/0", "t1/0", "t1/1"]),
        ("TASKS", ["t0/0", "t1/0", "t0/1"]),
    ],
)
def test_where_slots_are_taken(mode: str, expected: list[str]) -> None:
    slots = manager(3, 6, mode=mode)
    slots.request("j", keys(3), environment("j"))
    assert places(list(slots.assign(1))) == expected


def test_a_request_is_met_in_full_or_not_at_all_and_small_ones_may_overtake() -> None:
    slots = manager(2)
    slots.request("large", keys(3), environment("large"))
    slots.request("small", keys(1), environment("small"))
    assert [allocation.job_id for allocation in slots.assign(1)] == ["small"]
    assert slots.slots_missing == 2
    slots.add(SlotOwner(registration("t9", 2), 0))
    assert [allocation.job_id for allocation in slots.assign(1)] == ["large"] * 3
    assert (slots.slots_missing, slots.slots_free, slots.slots_total) == (0, 0, 4)


def test_a_task_manager_that_is_cut_off_gets_nothing() -> None:
    slots = manager(2)
    slots.owners["t0"].connected = False
    slots.request("j", keys(1), environment("j"))
    assert list(slots.assign(1)) == []
    assert slots.slots_missing == 1


def test_allocation_ids_grow_also_from_leader_to_leader() -> None:
    first, second = manager(300), manager(1)
    first.request("j", keys(300), environment("j"))
    second.request("j", keys(1), environment("j"))
    ids = [allocation.allocation_id for allocation in first.assign(1)]
    ids += [allocation.allocation_id for allocation in second.assign(2)]
    assert ids == sorted(set(ids))
    assert {len(allocation_id) for allocation_id in ids} == {32}


class SlotManagerMachine(RuleBasedStateMachine):
    """Owners come and go, jobs want slots, get them and free them."""

    task_managers = Bundle("task_managers")
    allocations = Bundle("allocations")

    def __init__(self) -> None:
        super().__init__()
        self.slots = SlotManager()
        self.model: dict[str, str] = {}
        self.capacity: dict[str, int] = {}
        self.wanted: dict[str, int] = {}
        self.number = 0
        self.seen: list[str] = []

    @rule(target=task_managers, count=st.integers(1, 4))
    def comes(self, count: int) -> str:
        self.number += 1
        name = f"t{self.number}"
        self.slots.add(SlotOwner(registration(name, count), 0))
        self.capacity[name] = count
        return name

    @rule(name=consumes(task_managers))
    def goes(self, name: str) -> None:
        lost = {allocation.allocation_id for allocation in self.slots.remove(name)}
        assert lost == {allocation_id for allocation_id, owner in self.model.items() if owner == name}
        for allocation_id in lost:
            del self.model[allocation_id]
        del self.capacity[name]

    @rule(job=st.sampled_from("abc"), count=st.integers(1, 5))
    def wants(self, job: str, count: int) -> None:
        self.slots.request(job, keys(count), environment(job))
        self.wanted[job] = max(count, self.wanted.get(job, 0))

    @rule(job=st.sampled_from("abc"))
    def withdraws(self, job: str) -> None:
        self.slots.withdraw(job)
        self.wanted.pop(job, None)

    @rule(target=allocations)
    def assign(self) -> object:
        given: list[str] = []
        by_job: dict[str, int] = {}
        for allocation in self.slots.assign(1):
            assert not self.seen or allocation.allocation_id > self.seen[-1]
            self.seen.append(allocation.allocation_id)
            self.model[allocation.allocation_id] = allocation.task_manager_id
            by_job[allocation.job_id] = by_job.get(allocation.job_id, 0) + 1
            given.append(allocation.allocation_id)
        for job, count in by_job.items():
            assert self.wanted.pop(job) == count
        free = sum(self.capacity.values()) - len(self.model)
        assert all(count > free for count in self.wanted.values())
        return multiple(*given)

    @rule(allocation_id=allocations)
    def frees(self, allocation_id: str) -> None:
        freed = self.slots.free(allocation_id)
        assert (freed is not None) == (self.model.pop(allocation_id, None) is not None)

    @invariant()
    def counts_agree(self) -> None:
        assert self.slots.slots_total == sum(self.capacity.values())
        assert self.slots.slots_free == sum(self.capacity.values()) - len(self.model)
        for name, owner in self.slots.owners.items():
            taken = [slot.allocation_id for slot in owner.slots if slot is not None]
            assert sorted(taken) == sorted(owner.allocations)
            assert set(taken) == {allocation_id for allocation_id, place in self.model.items() if place == name}
            assert owner.tasks == len(taken)


TestSlotManager = SlotManagerMachine.TestCase
TestSlotManager.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
