"""Real slot workers on real sockets, with the test as their supervisor, JobManager and coordinator."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec

from pyflow_runtime.coordinator.messages import (
    CoordinatorEvent,
    CoordinatorFailed,
    CoordinatorOperatorEvent,
    FetchResults,
    OperatorPayloadMessage,
    PrepareCommit,
    Results,
    StartCoordination,
)
from pyflow_runtime.coordinator.process import JobCoordinator
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_runtime.rpc.handshake import ServerHandshake
from pyflow_runtime.taskexecutor.messages import (
    ChannelTarget,
    ExecutionReport,
    InputEdge,
    JobEnvironment,
    OutputEdge,
    TaskDeployment,
    WorkerAddress,
)
from pyflow_runtime.worker.messages import (
    CancelWorkerTasks,
    FromWorkerMessage,
    PrepareWorker,
    StartTasks,
    StopWorker,
    TaskReport,
    WorkerEnvironment,
    WorkerEvent,
    WorkerOperatorEvent,
    WorkerSettings,
    WorkerStarted,
)
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph

CHECKOUT = Path(__file__).resolve().parents[2]
_MAIN = (
    "import sys, msgspec; from pyflow_runtime.worker.messages import WorkerSettings;"
    "from pyflow_runtime.worker.process import run_worker;"
    "run_worker(msgspec.json.decode(sys.argv[1], type=WorkerSettings))"
)
_decode = msgspec.msgpack.Decoder(OperatorPayloadMessage).decode


class SlotWorker:
    """One worker process and its control connection."""

    def __init__(self, number: int, directory: Path, **settings: Any) -> None:
        self.number = number
        self.worker_id = f"w{number}"
        self.directory = directory / self.worker_id
        self.directory.mkdir(mode=0o700)
        control_path = str(self.directory / "ctl.sock")
        server = socket.socket(socket.AF_UNIX)
        server.bind(control_path)
        server.listen(1)
        server.settimeout(30)
        values: dict[str, Any] = {
            "worker_id": self.worker_id,
            "task_manager_id": "tm-1",
            "slot": number,
            "directory": str(self.directory),
            "control_path": control_path,
            "bind_host": "127.0.0.1",
            "host": "localhost",
            "host_id": "here",
            "transport": "unix",
            "secret": "",
            **settings,
        }
        environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'runtime'}"}
        self.output = directory / f"{self.worker_id}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, msgspec.json.encode(WorkerSettings(**values)).decode()],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
            )
        try:
            connection, _ = server.accept()
        finally:
            server.close()
        frames = FrameSocket(connection)
        handshake = ServerHandshake("")
        answer, welcome = handshake.receive(frames.wait_frame(30))
        assert welcome
        connection.sendall(answer)
        self.control: MessageSocket[FromWorkerMessage] = MessageSocket(frames, FromWorkerMessage)  # type: ignore[arg-type]
        started = self.control.wait_message(30)
        assert isinstance(started, WorkerStarted)
        self.address: WorkerAddress = started.address

    def text(self) -> str:
        """What the process printed."""
        return self.output.read_text()

    def stop(self) -> None:
        """End the process, kindly first."""
        if self.process.poll() is None:
            try:
                self.control.send(StopWorker())
                self.control.drain(1)
                self.process.wait(5)
            except Exception:
                self.process.kill()
        self.process.wait()
        self.control.close()


class SlotWorkers:
    """Runs job graphs on some workers: subtask *i* of every vertex in worker *i*."""

    def __init__(self, directory: Path, count: int, **settings: Any) -> None:
        self.directory = directory
        self.workers = [SlotWorker(number, directory, **settings) for number in range(count)]
        self.coordinator = JobCoordinator()
        self.states: dict[ExecutionAttemptId, list[ExecutionState]] = {}
        self.reports: dict[ExecutionAttemptId, ExecutionReport] = {}
        self.failed: list[Any] = []
        self.results: list[Results] = []
        self.order: list[ExecutionReport] = []
        self._where: dict[ExecutionAttemptId, SlotWorker] = {}

    def prepare(self, graph: JobGraph, **environment: Any) -> None:
        """Tell all workers and the coordinator about the job."""
        job = JobEnvironment(
            job_id=graph.job_id,
            job_name=graph.name,
            python_executable="",
            artifacts=[],
            configuration=graph.configuration,
            job_parameters=graph.job_parameters,
        )
        for worker in self.workers:
            worker.control.send(PrepareWorker(allocation_id="a", environment=WorkerEnvironment(job=job, **environment)))
        self.coordinator.handle(StartCoordination(job_id=graph.job_id, vertices=graph.vertices))

    def deploy(self, graph: JobGraph, attempt: int = 0) -> list[ExecutionAttemptId]:
        """Start every task of the graph."""
        tasks: dict[SlotWorker, list[TaskDeployment]] = {worker: [] for worker in self.workers}
        attempts: list[ExecutionAttemptId] = []
        for vertex in graph.vertices:
            for subtask in range(vertex.parallelism):
                attempt_id = ExecutionAttemptId(graph.job_id, vertex.id, subtask, attempt)
                worker = self.workers[subtask % len(self.workers)]
                self._where[attempt_id] = worker
                attempts.append(attempt_id)
                tasks[worker].append(
                    TaskDeployment(
                        attempt_id=attempt_id,
                        allocation_id="a",
                        job_name=graph.name,
                        vertex=vertex,
                        inputs=[
                            InputEdge(edge, [(number, attempt) for number in _producers(graph, edge, subtask)])
                            for edge in graph.inputs(vertex.id)
                        ],
                        outputs=[
                            OutputEdge(
                                edge,
                                [
                                    ChannelTarget(number, attempt, self.workers[number % len(self.workers)].address)
                                    for number in _consumers(graph, edge, subtask)
                                ],
                            )
                            for edge in graph.outputs(vertex.id)
                        ],
                    )
                )
        for worker, deployments in tasks.items():
            worker.control.send(StartTasks(tasks=deployments))
        return attempts

    def run(self, graph: JobGraph, timeout: float = 60, **environment: Any) -> None:
        """Prepare, deploy, and wait until every task has ended."""
        self.prepare(graph, **environment)
        attempts = self.deploy(graph)
        self.wait(lambda: all(self.state(attempt).terminal for attempt in attempts), timeout)

    def state(self, attempt_id: ExecutionAttemptId) -> ExecutionState:
        """The latest reported state."""
        return self.states.get(attempt_id, [ExecutionState.DEPLOYING])[-1]

    def cancel(self, attempts: Sequence[ExecutionAttemptId]) -> None:
        """Cancel tasks."""
        for worker in self.workers:
            mine = [attempt for attempt in attempts if self._where[attempt] is worker]
            if mine:
                worker.control.send(CancelWorkerTasks(attempt_ids=mine))

    def fetch(self, attempt_id: ExecutionAttemptId, operator_id: str, timeout: float = 30) -> list[Any]:
        """All records of a collect operator."""
        records: list[Any] = []
        while True:
            request = FetchResults(f"r{len(self.results)}", len(records), 1000)
            self._event(attempt_id, operator_id, msgspec.msgpack.encode(request))
            count = len(self.results)
            self.wait(lambda count=count: len(self.results) > count, timeout)  # type: ignore[misc]
            answer = self.results[-1]
            assert (answer.request_id, answer.offset) == (request.request_id, len(records))
            records += cloudpickle.loads(answer.pickled)
            if answer.last:
                return records

    def wait(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Handle what workers say until ``condition``; fails after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                selector.register(worker.control, selectors.EVENT_READ, worker)
            while not condition():
                remaining = end - time.monotonic()
                assert remaining > 0, f"not within {timeout} s: {self.states} {[w.text() for w in self.workers]}"
                for key, _ in selector.select(remaining):
                    try:
                        messages = key.data.control.receive()
                    except Exception:
                        selector.unregister(key.fileobj)
                        continue
                    for message in messages:
                        self._handle(message)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """As ``wait``, for a condition that comes true without a message."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"not within {timeout} s: {self.states} {[w.text() for w in self.workers]}"
            time.sleep(0.01)

    def wait_for_text(self, number: int, text: str) -> None:
        """Wait until a worker has printed a text."""
        self.wait_for(lambda: text in self.workers[number].text())

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a worker."""
        os.kill(self.workers[number].process.pid, which)

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.stop()

    def __enter__(self) -> SlotWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare_commit(self) -> Any:
        """What the committers would commit."""
        (answer,) = self.coordinator.handle(PrepareCommit())
        return answer

    def _handle(self, message: FromWorkerMessage) -> None:
        if isinstance(message, TaskReport):
            report = message.report
            self.order.append(report)
            self.reports[report.attempt_id] = report
            history = self.states.setdefault(report.attempt_id, [])
            if not history or history[-1] is not report.state:
                history.append(report.state)
        elif isinstance(message, WorkerEvent):
            event = message.event
            payload = _decode(event.payload)
            if isinstance(payload, Results):
                self.results.append(payload)
                return
            answers = self.coordinator.handle(
                CoordinatorOperatorEvent(
                    attempt_id=event.attempt_id,
                    operator_id=event.operator_id,
                    host="localhost",
                    payload=event.payload,
                )
            )
            for answer in answers:
                if isinstance(answer, CoordinatorEvent):
                    self._event(answer.attempt_id, answer.operator_id, answer.payload)
                elif isinstance(answer, CoordinatorFailed):
                    self.failed.append(answer.failure)

    def _event(self, attempt_id: ExecutionAttemptId, operator_id: str, payload: bytes) -> None:
        self._where[attempt_id].control.send(
            WorkerOperatorEvent(attempt_id=attempt_id, operator_id=operator_id, payload=payload)
        )


def _consumers(graph: JobGraph, edge: JobEdge, subtask: int) -> list[int]:
    sources, targets = graph.vertex(edge.source).parallelism, graph.vertex(edge.target).parallelism
    if not edge.partitioning.pointwise:
        return list(range(targets))
    return [number for number in range(targets) if subtask in _pointwise(sources, targets, number)]


def _producers(graph: JobGraph, edge: JobEdge, subtask: int) -> list[int]:
    sources, targets = graph.vertex(edge.source).parallelism, graph.vertex(edge.target).parallelism
    return _pointwise(sources, targets, subtask) if edge.partitioning.pointwise else list(range(sources))


def _pointwise(sources: int, targets: int, target: int) -> list[int]:
    if sources >= targets:
        return list(range(target * sources // targets, (target + 1) * sources // targets))
    return [target * sources // targets]
