"""The embedded cluster with real processes: it recovers from whatever is killed, and leaves nothing when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

from pyflow_yarn.client.job_client import RestJobClient
from pyflow_yarn.common import WatermarkStrategy
from pyflow_yarn.datastream import MapFunction, RuntimeContext
from pyflow_yarn.datastream.connectors.file_system import FileSource, StreamFormat
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.deployment.local import LocalCluster
from pyflow_yarn.errors import ClusterError, PyflowError
from tests.integration.embedded_cluster import EmbeddedCluster, alive, descendants, embedded_cluster, wait_until

pytestmark = pytest.mark.slow

RESTART = {"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "10 ms"}


@pytest.fixture(autouse=True, scope="module")
def functions_travel_by_value() -> Iterator[None]:
    """Workers cannot import the modules of tests."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


class Gate(MapFunction[int, int]):
    """A function of a job that says which process it runs in, and waits until the test lets it go."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def open(self, runtime_context: RuntimeContext) -> None:
        """Say where it runs."""
        with open(os.path.join(self.folder, f"worker-{os.getpid()}"), "w"):
            pass

    def map(self, value: int) -> int:
        """Wait."""
        while not os.path.exists(os.path.join(self.folder, "open")):
            time.sleep(0.005)
        return value + 1

    def workers(self) -> list[int]:
        """The processes that wait, or waited, at the gate."""
        return [int(name.removeprefix("worker-")) for name in os.listdir(self.folder) if name.startswith("worker-")]

    def living(self) -> list[int]:
        """Those of them that still run."""
        return [pid for pid in self.workers() if alive(pid)]

    def let_go(self) -> None:
        """Let everything pass."""
        Path(self.folder, "open").touch()


def stuck(value: int) -> int:
    """Never ends, whatever it is told."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    folder = tmp_path / "gate"
    folder.mkdir()
    return Gate(folder)


def start_job(cluster: EmbeddedCluster, gate: Gate, parallelism: int = 1) -> RestJobClient:
    environment = cluster.environment()
    environment.set_parallelism(parallelism)
    environment.from_collection(list(range(10))).rebalance().map(gate).print()
    job = environment.execute_async("waits at the gate")
    assert isinstance(job, RestJobClient)
    return job


def start_coordinated_job(cluster: EmbeddedCluster, gate: Gate) -> RestJobClient:
    file = Path(gate.folder).parent / "numbers.txt"
    file.write_text("1\n2\n3\n")
    environment = cluster.environment()
    lines = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(file)).build()
    numbers = environment.from_source(lines, WatermarkStrategy.no_watermarks(), "numbers")
    numbers.map(int).map(gate).print()
    job = environment.execute_async("has a coordinator")
    assert isinstance(job, RestJobClient)
    return job


def waiting_worker(gate: Gate, besides: tuple[int, ...] = ()) -> int:
    wait_until("a worker at the gate", lambda: set(gate.living()) - set(besides))
    return next(iter(set(gate.living()) - set(besides)))


def finish(job: RestJobClient) -> None:
    job.get_job_execution_result().result(timeout=30)


def test_results_come_back() -> None:
    with embedded_cluster() as cluster:
        environment = cluster.environment()
        with environment.from_collection([1, 2, 3]).map(lambda value: value * 2).execute_and_collect() as results:
            assert sorted(results) == [2, 4, 6]
        for title in ("supervisor", "jobmanager", "taskmanager", "zygote"):
            cluster.one(title)


def test_a_killed_worker_costs_a_restart(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_job(cluster, gate)
        first = waiting_worker(gate)
        cluster.kill(first)
        second = waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)
        assert first != second


def test_without_restarts_a_killed_worker_is_the_failure(gate: Gate) -> None:
    with embedded_cluster({"restart-strategy.type": "none"}) as cluster:
        job = start_job(cluster, gate)
        worker = waiting_worker(gate)
        cluster.kill(worker)
        with pytest.raises(PyflowError, match=rf"worker process {worker} .* killed by SIGKILL"):
            finish(job)


def test_a_killed_zygote_is_replaced_and_harms_no_worker(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_job(cluster, gate)
        first = waiting_worker(gate)
        zygote = cluster.one("zygote")
        cluster.kill(zygote)
        wait_until("another zygote", lambda: cluster.find("zygote") not in ([], [zygote]))
        assert alive(first)
        cluster.kill(first)
        waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)


def test_a_killed_task_manager_is_replaced_and_takes_its_workers_along(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_job(cluster, gate)
        first = waiting_worker(gate)
        cluster.kill(cluster.one("taskmanager"))
        wait_until("the worker's end", lambda: not alive(first))
        waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)


def test_what_functions_start_ends_with_their_task_manager(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        environment = cluster.environment()
        file = os.path.join(gate.folder, "started")

        def start_program(value: int) -> int:
            if not os.path.exists(file):
                pid = subprocess.Popen(["sleep", "600"]).pid
                Path(file).write_text(str(pid))
            return value

        environment.from_collection([1]).map(start_program).map(gate).print()
        job = environment.execute_async("starts a program")
        assert isinstance(job, RestJobClient)
        first = waiting_worker(gate)
        wait_until("its program", lambda: os.path.exists(file) and Path(file).read_text())
        cluster.kill(cluster.one("taskmanager"))
        wait_until("its end", lambda: not alive(int(Path(file).read_text())))
        waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)


def test_a_fixed_cluster_gets_its_slots_back(gate: Gate) -> None:
    with embedded_cluster({**RESTART, "taskmanager.numberOfTaskSlots": "2"}) as cluster:
        job = start_job(cluster, gate, parallelism=2)
        wait_until("both workers", lambda: len(gate.living()) == 2)
        cluster.kill(cluster.one("taskmanager"))
        wait_until("both workers again", lambda: len(gate.workers()) == 4 and len(gate.living()) == 2)
        gate.let_go()
        finish(job)


def test_a_task_manager_that_fell_silent_is_replaced(gate: Gate) -> None:
    silence = {"heartbeat.interval": "100 ms", "heartbeat.timeout": "1 s", "taskmanager.numberOfTaskSlots": "1"}
    with embedded_cluster({**RESTART, **silence}) as cluster:
        job = start_job(cluster, gate)
        first = waiting_worker(gate)
        os.kill(cluster.one("taskmanager"), signal.SIGSTOP)
        wait_until("the worker's end", lambda: not alive(first))
        waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)


def test_a_killed_job_manager_comes_back_in_place_and_finds_its_job(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_job(cluster, gate)
        first = waiting_worker(gate)
        killed = cluster.one("jobmanager")
        cluster.kill(killed)
        wait_until("another JobManager", lambda: cluster.find("jobmanager") not in ([], [killed]))
        waiting_worker(gate, (first,))
        assert not alive(first), "the work of an older leader is over"
        gate.let_go()
        finish(job)
        assert '"epoch":2' in (cluster.directory / "endpoint.json").read_text()


def test_a_killed_coordinator_costs_a_restart(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_coordinated_job(cluster, gate)
        waiting_worker(gate)
        killed = cluster.one("coordinator")
        cluster.kill(killed)
        gate.let_go()
        finish(job)
        assert f"The coordinator process {killed} of the job ended" in str(
            cluster.executor.rest().get(f"/jobs/{job.job_id}/exceptions")
        )
        wait_until("the end of the other one", lambda: not cluster.find("coordinator"))


def test_the_coordinator_of_an_older_leader_is_gone(gate: Gate) -> None:
    with embedded_cluster(RESTART) as cluster:
        job = start_coordinated_job(cluster, gate)
        first = waiting_worker(gate)
        coordinator = cluster.one("coordinator")
        cluster.kill(cluster.one("jobmanager"))
        wait_until("its end", lambda: not alive(coordinator))
        waiting_worker(gate, (first,))
        gate.let_go()
        finish(job)


def test_more_parallelism_than_slots_fails_at_once(gate: Gate) -> None:
    with embedded_cluster({"taskmanager.numberOfTaskSlots": "2"}) as cluster:
        job = start_job(cluster, gate, parallelism=3)
        with pytest.raises(PyflowError, match=r"taskmanager\.numberOfTaskSlots"):
            finish(job)


def test_a_growing_cluster_brings_the_slots_that_are_missing_and_takes_them_back(gate: Gate) -> None:
    with embedded_cluster({"resourcemanager.taskmanager-timeout": "200 ms"}) as cluster:
        job = start_job(cluster, gate, parallelism=3)
        wait_until("three workers", lambda: len(gate.living()) == 3)
        assert len(cluster.find("taskmanager")) == 2
        gate.let_go()
        finish(job)
        wait_until("one TaskManager", lambda: len(cluster.find("taskmanager")) == 1)
        time.sleep(0.5)
        assert len(cluster.find("taskmanager")) == 1, "the last one stays warm"


def test_a_stuck_function_is_ended_when_its_job_is_cancelled(gate: Gate) -> None:
    configuration = {"task.cancellation.interval": "100 ms", "task.cancellation.timeout": "300 ms"}
    with embedded_cluster(configuration) as cluster:
        environment = cluster.environment()

        environment.from_collection([1]).map(gate).map(stuck).print()
        job = environment.execute_async("stuck")
        assert isinstance(job, RestJobClient)
        gate.let_go()
        worker = waiting_worker(gate)
        job.request_cancellation()
        wait_until("its end", lambda: not alive(worker))
        wait_until("CANCELED", lambda: cluster.status(job) == "CANCELED")


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_workers_exchange_data_by_every_transport(transport: str) -> None:
    with embedded_cluster({"taskmanager.network.transport": transport}) as cluster:
        environment = cluster.environment()
        environment.set_parallelism(2)
        numbers = environment.from_collection(list(range(1000))).rebalance().map(lambda value: (value % 7, value))
        totals = numbers.key_by(lambda pair: pair[0]).reduce(lambda one, two: (one[0], one[1] + two[1]))
        with totals.execute_and_collect() as results:
            largest: dict[int, int] = {}
            for key, total in results:
                largest[key] = max(total, largest.get(key, 0))
        assert largest == {key: sum(range(key, 1000, 7)) for key in range(7)}
        assert (cluster.directory / "tls").exists() == (transport == "tls")


def test_logs_go_where_they_are_wanted(tmp_path: Path) -> None:
    with embedded_cluster({"env.log.dir": str(tmp_path / "logs")}) as cluster:
        wait_until("leadership", (cluster.directory / "endpoint.json").exists)
        secrets = [(cluster.directory / name).read_text() for name in ("token", "secret")]
    names = sorted(os.listdir(tmp_path / "logs"))
    assert names[0] == "jobmanager.log"
    text = "".join((tmp_path / "logs" / name).read_text() for name in names)
    assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("how", ["parent closes the pipe", "SIGTERM"])
def test_an_orderly_end_leaves_nothing(how: str, gate: Gate) -> None:
    with embedded_cluster() as cluster:
        start_job(cluster, gate)
        waiting_worker(gate)
        everything = cluster.processes()
        directory = cluster.directory
        assert len(everything) >= 5
        if how == "SIGTERM":
            os.kill(cluster.pid, signal.SIGTERM)
        else:
            os.close(cluster.local._parent_fd)
            cluster.local._parent_fd = -1
        wait_until("the end of all", lambda: not any(alive(pid) for pid in everything))
        wait_until("an empty place", lambda: not directory.exists())


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_sweeps(gate: Gate) -> None:
    with embedded_cluster() as cluster:
        start_job(cluster, gate)
        waiting_worker(gate)
        everything = cluster.processes()
        directory = cluster.directory
        cluster.kill(cluster.pid)
        wait_until("the end of all", lambda: not any(alive(pid) for pid in everything))
        assert directory.exists()
        with embedded_cluster():
            wait_until("an empty place", lambda: not directory.exists())


def test_a_killed_client_takes_everything_along(tmp_path: Path) -> None:
    program = tmp_path / "client.py"
    program.write_text(f"""
import sys, time
sys.path[:0] = {source_roots()!r}
from pyflow_yarn.deployment.local import LocalCluster
cluster = LocalCluster({{}}).start()
cluster.endpoint()
print(cluster._process.pid, cluster.directory, flush=True)
time.sleep(600)
""")
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        pid, directory = client.stdout.readline().split()
        wait_until("all processes", lambda: len(descendants(int(pid))) >= 4)
        everything = descendants(int(pid))
        client.kill()
    wait_until("the end of all", lambda: not any(alive(pid) for pid in everything))
    wait_until("an empty place", lambda: not os.path.exists(directory))


def test_a_port_in_use_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = LocalCluster({"rest.port": str(port)}).start()
        try:
            with pytest.raises(ClusterError, match=rf"^Port {port} is in use: set rest\.port to another port.*\.$"):
                cluster.endpoint()
            assert cluster._process is not None
            assert cluster._process.wait(10) == 1
        finally:
            cluster.stop()
        assert not os.path.exists(cluster.directory)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("taskmanager.memory.managed.size", "100 gb", r"taskmanager\.memory"),
        ("env.log.dir", "/dev/null/logs", "The local cluster cannot go on with /dev/null/logs: Not a directory"),
        ("rest.bind-address", "192.0.2.1", r"Nothing can listen on 192\.0\.2\.1:0"),
    ],
)
def test_what_prevents_a_start_is_said_in_one_sentence(key: str, value: str, reason: str) -> None:
    cluster = LocalCluster({key: value}).start()
    try:
        with pytest.raises(ClusterError, match=rf"^[^\n]*{reason}[^\n]*\.$"):
            cluster.endpoint()
    finally:
        cluster.stop()


def test_a_job_manager_that_cannot_start_ends_the_cluster_with_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with embedded_cluster() as cluster:
        wait_until("leadership", (cluster.directory / "endpoint.json").exists)
        (cluster.directory / "jobstore" / "format").write_text("damaged")
        cluster.kill(cluster.one("jobmanager"))
        assert cluster.local._process is not None
        assert cluster.local._process.wait(20) == 1
    text = capfd.readouterr().err
    assert "The JobManager died 5 times within 60 s" in text
    assert "has layout version damaged, this version reads 2" in text
    assert "Traceback" not in text


def test_a_cluster_is_ended_over_rest() -> None:
    with embedded_cluster() as cluster:
        everything = cluster.processes()
        cluster.executor.rest().send("DELETE", "/cluster")
        assert cluster.local._process is not None
        assert cluster.local._process.wait(10) == 0
        assert not any(alive(pid) for pid in everything)
        assert not cluster.directory.exists()
