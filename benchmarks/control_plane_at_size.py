"""The JobManager's own work at size: ``control_plane_at_size.py [--task-managers 1000] [--subtasks 10000] [--runs 5]``.

The control plane (Dispatcher, ResourceManager, JobMaster) is fed as its process would feed it, with every message
encoded and decoded as on the wire, by TaskManagers that do at once what they are told. One JSON line a stage: CPU
milliseconds of the control plane and the codec alone, messages and bytes sent, and by how much the process has grown
since before the stage (the TaskManagers played here included). After each stage the states of all subtasks are compared
with what they must be.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from measure import Spread

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "runtime")]

from pyflow_runtime.dispatcher import effects, events  # noqa: E402 - not installed
from pyflow_runtime.dispatcher.control_plane import ControlPlane  # noqa: E402
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId  # noqa: E402
from pyflow_runtime.executiongraph.states import ExecutionState, JobStatus  # noqa: E402
from pyflow_runtime.resourcemanager.resource_manager import HEARTBEAT_TIMER  # noqa: E402
from pyflow_runtime.taskexecutor.messages import (  # noqa: E402
    AllocateSlot,
    CancelTasks,
    DeployTasks,
    ExecutionReport,
    FreeSlot,
    FromTaskManagerMessage,
    Hardware,
    HeartbeatReport,
    HeartbeatRequest,
    RegisterTaskManager,
    SlotReady,
    SlotReport,
    TaskStateChanged,
    ToTaskManagerMessage,
    WorkerAddress,
)
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning  # noqa: E402

JOB = "0" * 31 + "1"
VERTICES, SLOTS = 5, 2
SPARE = "spare"
RESTARTS = {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "10 ms"}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FromTaskManagerMessage).decode


def chain_of_vertices(subtasks: int, partitioning: Partitioning) -> JobGraph:
    """Five vertices in a row, all with the same parallelism."""
    parallelism = subtasks // VERTICES
    vertices = [
        JobVertex(
            id=f"v{index}",
            name=f"vertex {index}",
            parallelism=parallelism,
            max_parallelism=max(128, parallelism),
            operators=[OperatorNode(id=f"o{index}", name=f"op{index}", kind="map", definition=b"x" * 1000)],
        )
        for index in range(VERTICES)
    ]
    edges = [
        JobEdge(
            id=index,
            source=f"v{index}",
            source_operator=0,
            target=f"v{index + 1}",
            partitioning=partitioning,
            partitioner=b"x" * 200,
        )
        for index in range(VERTICES - 1)
    ]
    return JobGraph(job_id=JOB, name="at size", vertices=vertices, edges=edges, configuration=RESTARTS)


class TaskManager:
    """Does at once what it is told, and answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.slots: dict[int, str] = {}
        self.executions: dict[ExecutionAttemptId, ExecutionState] = {}

    def registration(self) -> RegisterTaskManager:
        """Its first message."""
        return RegisterTaskManager(
            task_manager_id=self.name,
            incarnation=self.name,
            host=f"host-{self.name}",
            data_port=7,
            slots=SLOTS,
            hardware=Hardware(cpu_cores=2, physical_memory=1 << 34, free_memory=1 << 33, managed_memory=1 << 30),
            process_memory=1 << 31,
            managed_memory=1 << 30,
            network_memory=1 << 27,
            pid=1,
            started=1,
        )

    def hear(self, message: ToTaskManagerMessage) -> list[FromTaskManagerMessage]:
        """What it answers to a message."""
        match message:
            case AllocateSlot():
                self.slots[message.slot] = message.allocation_id
                return [
                    SlotReady(
                        allocation_id=message.allocation_id, slot=message.slot, address=self._address(message.slot)
                    )
                ]
            case FreeSlot():
                self.slots = {slot: held for slot, held in self.slots.items() if held != message.allocation_id}
            case DeployTasks():
                return [self._is(task.attempt_id, ExecutionState.RUNNING) for task in message.tasks]
            case CancelTasks():
                return [self._is(attempt, ExecutionState.CANCELED) for attempt in message.attempt_ids]
            case HeartbeatRequest():
                slots = [SlotReport(slot, held, JOB, self._address(slot)) for slot, held in self.slots.items()]
                executions = [ExecutionReport(attempt, state) for attempt, state in self.executions.items()]
                return [HeartbeatReport(sequence=message.sequence, slots=slots, executions=executions)]
        return []

    def finish(self) -> list[FromTaskManagerMessage]:
        """All that runs has finished."""
        running = [attempt for attempt, state in self.executions.items() if state is ExecutionState.RUNNING]
        return [self._is(attempt, ExecutionState.FINISHED) for attempt in running]

    def _is(self, attempt: ExecutionAttemptId, state: ExecutionState) -> TaskStateChanged:
        self.executions[attempt] = state
        return TaskStateChanged(report=ExecutionReport(attempt, state))

    def _address(self, slot: int) -> WorkerAddress:
        return WorkerAddress(worker_id=f"{self.name}/{slot}", host=f"host-{self.name}", host_id=self.name, port=40_000)


class Cluster:
    """A control plane, its TaskManagers, and what its work costs."""

    def __init__(self) -> None:
        self.machine = ControlPlane(RESTARTS)
        self.task_managers: dict[str, TaskManager] = {}
        self.now = 1_000_000
        self.timers: dict[str, int] = {}
        self.answers: deque[events.Event | tuple[str, bytes]] = deque()
        self.cpu, self.sent, self.bytes = 0.0, 0, 0
        self.feed(events.LeadershipGranted(epoch=1, jobs=[]))

    def start(self, name: str) -> None:
        """One more TaskManager."""
        task_manager = self.task_managers[name] = TaskManager(name)
        self._answer(name, [task_manager.registration()])

    def feed(self, event: events.Event) -> None:
        """An event, and everything that follows from it but timers."""
        self.answers.append(event)
        self.settle()

    def settle(self) -> None:
        """Let the control plane handle all answers, and theirs."""
        while self.answers:
            answer = self.answers.popleft()
            began = time.process_time()
            if isinstance(answer, tuple):
                name, encoded = answer
                event: events.Event = events.TaskManagerMessage(
                    task_manager_id=name, incarnation=name, message=_decode(encoded)
                )
            else:
                event = answer
            said = self.machine.handle(event, self.now)
            for effect in said:
                if isinstance(effect, effects.SendToTaskManager):
                    self.sent += 1
                    self.bytes += len(_encode(effect.message))
            self.cpu += time.process_time() - began
            for effect in said:
                self._perform(effect)

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.SendToTaskManager() if effect.task_manager_id in self.task_managers:
                self._answer(effect.task_manager_id, self.task_managers[effect.task_manager_id].hear(effect.message))
            case effects.SetTimer():
                self.timers[effect.key] = effect.at
            case effects.CancelTimer():
                self.timers.pop(effect.key, None)
            case effects.PersistJob():
                self.answers.append(events.JobPersisted(job_id=effect.graph.job_id))
            case effects.PersistResult():
                self.answers.append(events.ResultPersisted(job_id=effect.job_id))

    def _answer(self, name: str, messages: list[FromTaskManagerMessage]) -> None:
        self.answers.extend((name, _encode(message)) for message in messages)

    def fire(self, *, heartbeats: bool) -> None:
        """Fire the timer of the heartbeats, or all others that wait for less than a second."""
        for key, at in list(self.timers.items()):
            if (key == HEARTBEAT_TIMER) if heartbeats else (key != HEARTBEAT_TIMER and at < self.now + 1000):
                del self.timers[key]
                self.now = max(self.now, at)
                self.feed(events.TimerFired(key=key))

    def finish(self) -> None:
        """All tasks finish."""
        for name, task_manager in self.task_managers.items():
            self._answer(name, task_manager.finish())
        self.settle()

    def lose(self, name: str) -> None:
        """A TaskManager's process has ended."""
        del self.task_managers[name]
        self.feed(
            events.TaskManagerDisconnected(task_manager_id=name, incarnation=name, dead=True, reason="it was killed")
        )
        self.fire(heartbeats=False)

    def states(self) -> Counter[str]:
        """How many subtasks are in which state."""
        return Counter(str(each.state) for vertex in self.machine.job(JOB).vertices for each in vertex.subtasks)


def measure(task_managers: int, subtasks: int, partitioning: Partitioning) -> list[dict[str, object]]:
    """All stages once, in this process."""
    graph = chain_of_vertices(subtasks, partitioning)
    total = len(graph.vertices) * graph.vertices[0].parallelism
    cluster = Cluster()
    found: list[dict[str, object]] = []

    def stage(name: str, run: Callable[[], None], expected: Counter[str] | None) -> None:
        gc.collect()
        before = _resident()
        cluster.cpu, cluster.sent, cluster.bytes = 0.0, 0, 0
        run()
        gc.collect()
        if expected is not None and cluster.states() != expected:
            raise SystemExit(f"after '{name}' the subtasks are {dict(cluster.states())}, expected {dict(expected)}")
        figures = {"cpu_ms": cluster.cpu * 1000, "messages": cluster.sent, "sent_mb": cluster.bytes / 1e6}
        found.append({"stage": name, **figures, "grown_mb": (_resident() - before) / 1e6})

    running = Counter({"RUNNING": total})

    def register() -> None:
        for number in range(task_managers):
            cluster.start(f"taskmanager-{number}")
        cluster.start(SPARE)
        cluster.settle()

    stage("register", register, None)
    stage("schedule and deploy", lambda: cluster.feed(events.SubmitJob(request_id="r", graph=graph)), running)
    stage("heartbeat round", lambda: cluster.fire(heartbeats=True), running)
    lost = next(name for name, each in cluster.task_managers.items() if name != SPARE and each.executions)
    stage("failover of one TaskManager", lambda: cluster.lose(lost), running)
    stage("finish", cluster.finish, Counter({"FINISHED": total}))
    if cluster.machine.job_status(JOB) is not JobStatus.FINISHED:
        raise SystemExit(f"the job is {cluster.machine.job_status(JOB)}")
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Each run in a process of its own, both kinds of edges in turns; medians with minimum and maximum."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--task-managers", type=int, default=1000)
    arguments.add_argument("--subtasks", type=int, default=10_000)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--once", choices=("HASH", "FORWARD"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.subtasks // VERTICES > given.task_managers * SLOTS:
        arguments.error(f"{given.subtasks} subtasks need {given.subtasks // VERTICES // SLOTS} TaskManagers")
    if given.once:
        print(json.dumps(measure(given.task_managers, given.subtasks, Partitioning(given.once))))
        return
    sizes = ["--task-managers", str(given.task_managers), "--subtasks", str(given.subtasks)]
    samples: dict[str, list[list[dict[str, float]]]] = {"HASH": [], "FORWARD": []}
    for _ in range(given.runs):
        for edges, runs in samples.items():
            command = [sys.executable, __file__, *sizes, "--once", edges]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            runs.append(json.loads(done.stdout))
    load = [round(average, 2) for average in os.getloadavg()]
    for edges, runs in samples.items():
        for stages in zip(*runs, strict=True):
            figures = {key: Spread.of([each[key] for each in stages]).as_list() for key in ("cpu_ms", "grown_mb")}
            same = {key: statistics.median([each[key] for each in stages]) for key in ("messages", "sent_mb")}
            line = {
                "benchmark": "control plane at size",
                "edges": edges,
                "stage": stages[0]["stage"],
                **figures,
                **same,
            }
            print(json.dumps({**line, "task_managers": given.task_managers, "subtasks": given.subtasks, "load": load}))


if __name__ == "__main__":
    main()
