"""JobManager and TaskManager started by hand, talking TCP; the JobManager stopped and started again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.execution import set_executor
from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.errors import PyflowError
from tests.integration.embedded_cluster import descendants, wait_until

pytestmark = pytest.mark.slow


class Standalone:
    """The processes, and a client of theirs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.job_manager_directory = directory / "j"
        self.job_manager_directory.mkdir(mode=0o700)
        self.configuration = directory / "conf.json"
        self.settings = {"rest.port": "0", "jobmanager.rpc.port": "0", "taskmanager.numberOfTaskSlots": "2"}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ready: dict[str, str] = {}
        self.storage = ""

    def start(self, module: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        self.configuration.write_text(json.dumps(self.settings))
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--configuration", str(self.configuration), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(source_roots())},
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_job_manager(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        arguments = ["--directory", str(self.job_manager_directory), "--ready-fd", str(writing)]
        arguments += ["--storage", self.storage] if self.storage else []
        process = self.start("pyflow_runtime.entrypoint.jobmanager", *arguments, pass_fds=(writing,))
        os.close(writing)
        with open(reading, "rb") as file:
            self.ready = json.loads(file.readline())
        return process

    def start_task_manager(self, name: str) -> subprocess.Popen[bytes]:
        return self.start(
            "pyflow_runtime.entrypoint.taskmanager",
            *("--directory", str(self.directory / name)),
            *("--jobmanager", self.ready["rpc_address"]),
            *("--secret-file", self.ready["secret_file"]),
            *("--endpoint-file", str(self.job_manager_directory / "endpoint.json")),
        )

    def executor(self) -> ClusterExecutor:
        token = Path(self.ready["token_file"]).read_text()
        return ClusterExecutor(self.settings, _Reached(Endpoint(self.ready["rest_address"], token)))

    @contextlib.contextmanager
    def connected(self, task_managers: int) -> Iterator[ClusterExecutor]:
        """A client of the cluster, once so many TaskManagers are registered."""
        executor = self.executor()
        try:
            wait_until("registration", lambda: executor.rest().get("/overview")["taskmanagers"] == task_managers)
            yield executor
        finally:
            executor.close()

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class _Reached:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    ends_with_client = False

    def endpoint(self) -> Endpoint:
        return self._endpoint

    def check(self) -> None:
        return

    def stop(self) -> None:
        return


@pytest.fixture
def standalone() -> Iterator[Standalone]:
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        cluster = Standalone(Path(folder))
        try:
            yield cluster
        finally:
            set_executor(None)
            cluster.stop()


def collect(executor: ClusterExecutor) -> list[int]:
    set_executor(executor)
    environment = StreamExecutionEnvironment.get_execution_environment()
    environment.set_parallelism(2)
    numbers = environment.from_collection(list(range(100))).rebalance().map(lambda value: value * value)
    with numbers.execute_and_collect() as results:
        return sorted(results)


TLS = {"security.ssl.internal.enabled": "true", "taskmanager.network.transport": "tls"}


@pytest.mark.parametrize("settings", [{}, TLS], ids=["tcp", "tls"])
def test_jobs_run_over_tcp_and_task_managers_find_the_next_job_manager(
    standalone: Standalone, settings: dict[str, str]
) -> None:
    standalone.settings |= settings
    job_manager = standalone.start_job_manager()
    first = standalone.start_task_manager("t1")
    executor = standalone.executor()
    try:
        assert collect(executor) == [value * value for value in range(100)]
        (task_manager,) = executor.rest().get("/taskmanagers")["taskmanagers"]
        assert task_manager["slotsNumber"] == 2
    finally:
        executor.close()
    job_manager.send_signal(signal.SIGTERM)
    assert job_manager.wait(10) == 0
    assert first.poll() is None
    standalone.start_job_manager()
    with standalone.connected(1) as executor:
        assert len(collect(executor)) == 100


def test_a_task_manager_ends_orderly_and_completely(standalone: Standalone) -> None:
    standalone.start_job_manager()
    process = standalone.start_task_manager("t1")
    with standalone.connected(1) as executor:
        everything = descendants(process.pid)
        assert len(everything) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        wait_until("its departure", lambda: executor.rest().get("/overview")["taskmanagers"] == 0)


def test_task_managers_with_keys_of_their_own_exchange_records(standalone: Standalone) -> None:
    standalone.settings |= {**TLS, "taskmanager.numberOfTaskSlots": "1"}
    standalone.start_job_manager()
    for name in ("t1", "t2"):
        standalone.start_task_manager(name)
    with standalone.connected(2) as executor:
        assert collect(executor) == [value * value for value in range(100)]
    keys = {(standalone.directory / name / "tls" / "key.pem").read_bytes() for name in ("j", "t1", "t2")}
    assert len(keys) == 3


def test_a_task_manager_joins_the_cluster_that_took_the_place_of_its_own(standalone: Standalone) -> None:
    standalone.settings |= {**TLS, "heartbeat.interval": "200 ms", "heartbeat.timeout": "1 s"}
    job_manager = standalone.start_job_manager()
    standalone.start_task_manager("t1")
    with standalone.connected(1):
        pass
    job_manager.send_signal(signal.SIGTERM)
    assert job_manager.wait(10) == 0
    shutil.rmtree(standalone.job_manager_directory / "ca")
    standalone.start_job_manager()
    with standalone.connected(1) as executor:
        assert len(collect(executor)) == 100


def test_a_damaged_job_store_is_named(standalone: Standalone, capfd: pytest.CaptureFixture[str]) -> None:
    job_manager = standalone.start_job_manager()
    wait_until("leadership", (standalone.job_manager_directory / "endpoint.json").exists)
    job_manager.send_signal(signal.SIGTERM)
    assert job_manager.wait(10) == 0
    entry = standalone.job_manager_directory / "jobstore" / "epoch-1" / f"job-{'1' * 32}"
    entry.write_bytes(b"nothing")
    assert standalone.start_job_manager().wait(10) == 1
    named = str(entry).replace("epoch-1", "epoch-2")
    assert capfd.readouterr().err.startswith(f"{named} is no entry of a job store: restore the file")


def test_another_machine_goes_on_with_what_is_in_the_storage(standalone: Standalone, tmp_path: Path) -> None:
    standalone.storage = f"{tmp_path}/storage"
    shipped, marks, calm = tmp_path / "shipped_with_the_job.py", tmp_path / "marks", tmp_path / "calm"
    shipped.write_text("def square(value):\n    return value * value\n")
    marks.mkdir()

    def marked(value: int) -> int:
        import shipped_with_the_job  # type: ignore[import-not-found]

        marks.joinpath(f"{os.getppid()}-{shipped_with_the_job.square(value)}").touch()
        while not calm.exists():
            time.sleep(0.05)
        return value

    processes = [standalone.start_job_manager(), standalone.start_task_manager("t1")]
    with standalone.connected(1) as executor:
        set_executor(executor)
        environment = StreamExecutionEnvironment.get_execution_environment()
        environment.add_python_file(str(shipped))
        environment.from_collection([7]).map(marked).print()
        job_id = environment.execute_async("waits").get_job_id()
        wait_until("its function runs", lambda: list(marks.iterdir()))
        stored = {path.name[:4] for path in (tmp_path / "storage" / "jobstore" / "epoch-1").iterdir()}
        assert stored == {"blob", "job-"}
    for process in processes:
        process.kill()
        process.wait()
    for path in standalone.job_manager_directory.iterdir():
        if path.name not in ("token", "secret"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shipped.unlink()

    standalone.start_job_manager()
    standalone.start_task_manager("t2")
    with standalone.connected(1) as executor:
        wait_until("its function runs again", lambda: len(list(marks.iterdir())) == 2)
        calm.touch()
        wait_until("its end", lambda: executor.rest().get(f"/jobs/{job_id}")["state"] == "FINISHED")
    assert {path.name.partition("-")[2] for path in marks.iterdir()} == {"49"}

    def left() -> list[str]:
        return [path.name for path in (tmp_path / "storage" / "jobstore" / "epoch-2").iterdir()]

    wait_until("its blobs are deleted", lambda: left() == [f"result-{job_id}"])


def test_a_storage_that_cannot_be_used_is_waited_for(standalone: Standalone, tmp_path: Path) -> None:
    place = tmp_path / "storage"
    place.write_text("this is no directory yet")
    standalone.storage = str(place)
    log = standalone.job_manager_directory / "logs" / "jobmanager.log"
    refusal = f"The job store in {place}/jobstore cannot be used: Not a directory. Trying again."
    stopped = standalone.start_job_manager()
    wait_until("it is said", lambda: log.exists() and refusal in log.read_text())
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(10) == 0

    standalone.start_job_manager()
    wait_until("it is said again", lambda: log.read_text().count(refusal) > 1)
    place.unlink()
    place.mkdir()
    standalone.start_task_manager("t1")
    with standalone.connected(1) as executor:
        assert len(collect(executor)) == 100


def test_a_job_manager_that_another_replaced_ends(standalone: Standalone) -> None:
    standalone.settings |= {"rest.retry.max-attempts": "1", "rest.retry.delay": "10 ms"}
    job_manager = standalone.start_job_manager()
    standalone.start_task_manager("t1")
    with standalone.connected(1) as executor:
        DirectoryJobStore(str(standalone.job_manager_directory / "jobstore")).claim_epoch()
        with contextlib.suppress(PyflowError):
            collect(executor)
        assert job_manager.wait(10) == 1


@pytest.mark.parametrize("settings", [{}, TLS], ids=["tcp", "tls"])
def test_a_wrong_secret_is_refused(standalone: Standalone, settings: dict[str, str]) -> None:
    standalone.settings |= settings
    standalone.start_job_manager()
    wrong = standalone.directory / "wrong"
    wrong.write_text("0" * 64)
    standalone.ready["secret_file"] = str(wrong)
    standalone.settings["taskmanager.registration.timeout"] = "1 s"
    process = standalone.start_task_manager("t1")
    assert process.wait(20) == 1
    log = next((standalone.directory / "t1" / "logs").glob("*.log")).read_text()
    assert "does not know this cluster's secret" in log
    assert "0" * 64 not in log


def test_mistakes_are_said_in_one_sentence(standalone: Standalone, capfd: pytest.CaptureFixture[str]) -> None:
    process = standalone.start(
        "pyflow_runtime.entrypoint.taskmanager",
        *("--directory", str(standalone.directory / "t"), "--secret-file", "/nowhere"),
    )
    assert process.wait(10) == 1
    assert capfd.readouterr().err == "The secret file /nowhere does not exist.\n"
    standalone.settings["taskmanager.memory.managed.size"] = "100 gb"
    standalone.start_job_manager()
    process = standalone.start_task_manager("t2")
    assert process.wait(10) == 1
    text = capfd.readouterr().err
    assert "taskmanager.memory" in text
    assert text.count("\n") == 1
