"""What every driver promises (the conformance suite), and what each adds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    StartTaskManager,
    StopTaskManager,
    TaskManagerEnded,
    TaskManagerPlaced,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.resourcemanager.driver import ResourceDriver, StandaloneDriver
from pyflow_runtime.resourcemanager.embedded_driver import EmbeddedDriver
from pyflow_runtime.resourcemanager.yarn_driver import Pace, Worker, YarnDriver

WORKER = Worker(slots=2, memory_mb=1536, queue="etl")


class Clock:
    """Seconds that pass when they are told to; what was to be called later is called then."""

    def __init__(self) -> None:
        self.time = 0.0
        self._later: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.time

    def call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((self.time + seconds, act))

    def pass_by(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [entry for entry in self._later if entry[0] <= end]:
            entry = min(due, key=lambda one: one[0])
            self._later.remove(entry)
            self.time = entry[0]
            entry[1]()
        self.time = end


class Listener:
    def __init__(self) -> None:
        self.ended: list[str] = []
        self.unavailable: list[tuple[str, bool, int]] = []

    def task_manager_ended(self, task_manager_id: str, reason: str) -> None:
        self.ended.append(task_manager_id)

    def resources_unavailable(self, reason: str, final: bool, slots: int = -1) -> None:
        self.unavailable.append((reason, final, slots))


class Supervisor:
    """Starts what it is asked for, when ``perform`` is called."""

    def __init__(self) -> None:
        self.asked: list[ToSupervisorMessage] = []
        self.number = 0
        self._handle: Callable[[AboutTaskManager], None] | None = None

    def start(self, handle: Callable[[AboutTaskManager], None]) -> None:
        self._handle = handle

    def send(self, message: ToSupervisorMessage) -> None:
        self.asked.append(message)

    def tell(self, message: AboutTaskManager) -> None:
        assert self._handle is not None
        self._handle(message)

    def perform(self) -> list[TaskManagerStarted]:
        started = []
        for message in self.asked:
            if isinstance(message, StartTaskManager):
                started.append(self.started(message.slots))
        self.asked.clear()
        return started

    def started(self, slots: int) -> TaskManagerStarted:
        self.number += 1
        message = TaskManagerStarted(task_manager_id=f"taskmanager-{self.number}", slots=slots)
        self.tell(message)
        return message

    def ended(self, task_manager_id: str, wanted: bool = False) -> None:
        self.tell(TaskManagerEnded(task_manager_id=task_manager_id, reason="it was killed", wanted=wanted))


DRIVERS: dict[str, Callable[[], ResourceDriver]] = {
    "standalone": StandaloneDriver,
    "embedded, growing": lambda: EmbeddedDriver(Supervisor(), None, 1000),
    "embedded, fixed": lambda: EmbeddedDriver(Supervisor(), 2, 1000),
    "yarn": lambda: YarnDriver(Supervisor(), WORKER, Pace(10.0, 3.0), Clock().now, lambda seconds, act: None),
}


@pytest.fixture(params=sorted(DRIVERS))
def driver(request: pytest.FixtureRequest) -> ResourceDriver:
    return DRIVERS[request.param]()


def test_no_wish_is_no_trouble(driver: ResourceDriver) -> None:
    listener = Listener()
    driver.start(listener)
    driver.request(0)
    driver.registered("somebody", 4)
    driver.release("somebody")
    driver.release("nobody")
    driver.lost("nobody")
    driver.request(0)
    assert listener.unavailable == []
    assert listener.ended == []


def test_a_wish_is_answered_by_a_sentence_or_fulfilled_later(driver: ResourceDriver) -> None:
    listener = Listener()
    driver.start(listener)
    driver.request(7)
    for reason, _, _ in listener.unavailable:
        assert reason.endswith(".")
        assert "7" in reason or "5" in reason
    count = len(listener.unavailable)
    driver.request(0)
    assert len(listener.unavailable) == count


def growing(most: int = 1000) -> tuple[EmbeddedDriver, Supervisor, Listener]:
    supervisor, listener = Supervisor(), Listener()
    driver = EmbeddedDriver(supervisor, None, most)
    driver.start(listener)
    return driver, supervisor, listener


def test_missing_slots_are_started_once() -> None:
    driver, supervisor, listener = growing()
    supervisor.started(1)
    driver.request(1)
    assert supervisor.asked == [], "the first TaskManager is still on its way"
    driver.request(4)
    assert supervisor.asked == [StartTaskManager(slots=3)]
    driver.request(4)
    assert supervisor.asked == [StartTaskManager(slots=3)]
    (second,) = supervisor.perform()
    driver.request(4)
    assert supervisor.asked == []
    driver.registered("taskmanager-1", 1)
    driver.registered(second.task_manager_id, 3)
    driver.request(0)
    driver.request(2)
    assert supervisor.asked == [StartTaskManager(slots=2)]
    assert listener.unavailable == []


def test_a_lost_task_manager_is_reported_and_missing_slots_come_back() -> None:
    driver, supervisor, listener = growing()
    supervisor.started(2)
    driver.registered("taskmanager-1", 2)
    driver.request(0)
    supervisor.ended("taskmanager-1")
    assert listener.ended == ["taskmanager-1"]
    assert supervisor.asked == []
    driver.request(2)
    assert supervisor.asked == [StartTaskManager(slots=2)]


def test_one_that_dies_on_its_way_is_replaced_while_it_is_missed() -> None:
    driver, supervisor, listener = growing()
    driver.request(2)
    (first,) = supervisor.perform()
    supervisor.ended(first.task_manager_id)
    (second,) = supervisor.perform()
    supervisor.ended(second.task_manager_id)
    (third,) = supervisor.perform()
    supervisor.ended(third.task_manager_id)
    assert supervisor.asked == []
    ((reason, final, _),) = listener.unavailable
    assert final
    assert "before they are ready" in reason


def test_growing_has_a_limit() -> None:
    driver, supervisor, listener = growing(4)
    supervisor.started(1)
    driver.registered("taskmanager-1", 1)
    driver.request(4)
    assert supervisor.asked == []
    ((reason, final, slots),) = listener.unavailable
    assert "slotmanager.number-of-slots.max" in reason
    assert (final, slots) == (True, 4)
    driver.request(3)
    assert supervisor.asked == [StartTaskManager(slots=3)]


def test_idle_task_managers_end_but_the_last_one() -> None:
    driver, supervisor, _ = growing()
    supervisor.started(1)
    supervisor.started(3)
    driver.release("taskmanager-2")
    assert supervisor.asked == [StopTaskManager(task_manager_id="taskmanager-2")]
    supervisor.asked.clear()
    supervisor.ended("taskmanager-2", wanted=True)
    driver.release("taskmanager-1")
    assert supervisor.asked == []


def test_one_that_was_given_up_is_killed_once() -> None:
    driver, supervisor, listener = growing()
    supervisor.started(2)
    driver.registered("taskmanager-1", 2)
    driver.lost("taskmanager-1")
    driver.lost("taskmanager-1")
    assert supervisor.asked == [StopTaskManager(task_manager_id="taskmanager-1", kill=True)]
    supervisor.ended("taskmanager-1")
    driver.lost("taskmanager-1")
    assert len(supervisor.asked) == 1
    assert listener.ended == ["taskmanager-1"]


def test_a_fixed_cluster_keeps_its_slots() -> None:
    supervisor, listener = Supervisor(), Listener()
    driver = EmbeddedDriver(supervisor, 2, 1000)
    driver.start(listener)
    supervisor.started(2)
    driver.request(2)
    assert listener.unavailable == []
    driver.registered("taskmanager-1", 2)
    driver.request(3)
    ((reason, final, slots),) = listener.unavailable
    assert "taskmanager.numberOfTaskSlots" in reason
    assert (final, slots) == (True, 2)
    driver.release("taskmanager-1")
    assert supervisor.asked == []
    supervisor.ended("taskmanager-1")
    assert supervisor.asked == [StartTaskManager(slots=2)]


def test_a_fixed_cluster_that_is_coming_back_is_waited_for() -> None:
    supervisor, listener = Supervisor(), Listener()
    driver = EmbeddedDriver(supervisor, 2, 1000)
    driver.start(listener)
    supervisor.started(2)
    driver.registered("taskmanager-1", 2)
    supervisor.ended("taskmanager-1")
    driver.request(2)
    assert listener.unavailable == []


class OnYarn:
    """A driver with everything around it."""

    def __init__(self, failures_per_minute: float = 10.0) -> None:
        self.supervisor, self.listener, self.clock = Supervisor(), Listener(), Clock()
        pace = Pace(failures_per_minute, 3.0)
        self.driver = YarnDriver(self.supervisor, WORKER, pace, self.clock.now, self.clock.call_later)
        self.driver.start(self.listener)

    def asked(self) -> int:
        return sum(isinstance(message, StartTaskManager) for message in self.supervisor.asked)

    def stopped(self) -> list[str]:
        return [one.task_manager_id for one in self.supervisor.asked if isinstance(one, StopTaskManager)]

    def place(self, name: str, node: str) -> None:
        self.supervisor.tell(TaskManagerPlaced(task_manager_id=name, node=node))


def test_yarn_gives_whole_task_managers_and_each_wish_once() -> None:
    yarn = OnYarn()
    yarn.driver.request(3)
    assert yarn.asked() == 2
    yarn.driver.request(4)
    assert yarn.asked() == 2
    first, second = (one.task_manager_id for one in yarn.supervisor.perform())
    yarn.driver.registered(first, 2)
    yarn.driver.request(2)
    assert yarn.asked() == 0
    yarn.driver.request(0)
    assert yarn.stopped() == [second]


def test_a_container_that_ends_is_replaced_while_its_slots_are_missing() -> None:
    yarn = OnYarn()
    yarn.driver.request(2)
    (only,) = yarn.supervisor.perform()
    yarn.driver.registered(only.task_manager_id, 2)
    yarn.driver.request(0)
    yarn.supervisor.ended(only.task_manager_id)
    assert yarn.listener.ended == [only.task_manager_id]
    assert yarn.asked() == 0
    yarn.driver.request(2)
    assert yarn.asked() == 1


def test_too_many_failed_starts_make_it_pause_and_say_why() -> None:
    yarn = OnYarn(failures_per_minute=2.0)
    yarn.driver.request(2)
    for _ in range(3):
        assert yarn.asked() == 1
        (started,) = yarn.supervisor.perform()
        yarn.supervisor.ended(started.task_manager_id)
    assert yarn.asked() == 0
    reason, final, _ = yarn.listener.unavailable[-1]
    assert reason == (
        "3 TaskManagers ended within a minute before they were ready, the last one taskmanager-3: it was killed."
    )
    assert not final
    yarn.clock.pass_by(3.0)
    assert yarn.asked() == 1


def test_it_says_what_it_waits_for() -> None:
    yarn = OnYarn()
    yarn.driver.request(4)
    first, second = yarn.supervisor.perform()
    yarn.clock.pass_by(40.0)
    assert yarn.listener.unavailable[-1][0] == "waiting for 2 containers of 1536 MB in queue etl, 40 s."
    yarn.place(first.task_manager_id, "node1")
    yarn.clock.pass_by(5.0)
    assert yarn.listener.unavailable[-1][0] == "waiting for 1 container of 1536 MB in queue etl, 45 s."
    yarn.driver.registered(first.task_manager_id, 2)
    yarn.driver.registered(second.task_manager_id, 2)
    told = len(yarn.listener.unavailable)
    yarn.clock.pass_by(60.0)
    assert len(yarn.listener.unavailable) == told


def test_a_node_on_which_starts_fail_is_avoided_for_a_while() -> None:
    yarn = OnYarn()
    yarn.driver.request(2)
    for _ in range(2):
        (started,) = yarn.supervisor.perform()
        yarn.place(started.task_manager_id, "bad")
        yarn.supervisor.ended(started.task_manager_id)
    for refused in range(3):
        (started,) = yarn.supervisor.perform()
        yarn.place(started.task_manager_id, "bad")
        assert yarn.stopped() == [started.task_manager_id], refused
    # There may be no other: it is taken in the end.
    (started,) = yarn.supervisor.perform()
    yarn.place(started.task_manager_id, "bad")
    assert yarn.supervisor.asked == []
