"""Standing clusters through ``bin/start-cluster.sh`` and the other scripts; nothing of them is left after a test."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import stat
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, Flink, WordFile
from tests.e2e.standing_cluster import HOST, SUBMITTED, StandingCluster
from tests.integration.embedded_cluster import alive, wait_until
from tests.integration.test_interpreters import virtual_environment
from tests.leaks import Watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HEAD = """\
import os, sys, time
from pyflow_yarn.common import Encoder, Types, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, StreamFormat
env = StreamExecutionEnvironment.get_execution_environment()
def files(path):
    sink = FileSink.for_row_format(path, Encoder.simple_string_encoder())
    return sink.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()
"""
WAITING = """
gate = sys.argv[1]
def wait_for_gate(value, gate=gate):
    open(gate + ".running", "w").close()
    while not os.path.exists(gate):
        time.sleep(0.01)
    return value
env.from_collection([1]).map(wait_for_gate).print()
env.execute("waits")
"""
WORDS = """
text, output, calm = sys.argv[1:]
def words(line, calm=calm):
    if not os.path.exists(calm):
        time.sleep(0.004)
    return line.split()
source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), text).build()
lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
lines.flat_map(words, output_type=Types.STRING()).key_by(lambda w: w, key_type=Types.STRING()).map(
    lambda w: w).sink_to(files(output))
env.execute("words")
"""
SQUARES = """
env.from_collection(list(range(50))).map(lambda v: v * v, output_type=Types.LONG()).sink_to(files(sys.argv[1]))
env.execute("squares")
"""
RESTARTS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000",
    "restart-strategy.fixed-delay.delay": "100 ms",
}
Write = Callable[[str, str], Path]


@pytest.fixture
def cluster(flink: Flink) -> Iterator[StandingCluster]:
    standing = StandingCluster(flink)
    try:
        yield standing
    finally:
        standing.stop()


@pytest.fixture
def program(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(HEAD + text)
        return path

    return write


def written(folder: Path) -> list[str]:
    """The lines in the finished files of a folder."""
    return [
        line
        for file in folder.rglob("*")
        if file.is_file() and not file.name.startswith((".", "_"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def test_three_task_managers_on_one_host(
    cluster: StandingCluster, program: Write, word_file: Callable[..., WordFile], tmp_path: Path, watch: Watch
) -> None:
    before = watch.look()
    cluster.configure({"taskmanager.numberOfTaskSlots": "2"}, 3)
    done = cluster.script("start-cluster.sh")
    executor = f"Starting taskexecutor daemon on host {HOST}."
    assert (done.returncode, done.stderr) == (0, "")
    assert done.lines() == [
        "Starting cluster.",
        f"Starting standalonesession daemon on host {HOST}.",
        executor,
        f"[INFO] 1 instance(s) of taskexecutor are already running on {HOST}.",
        executor,
        f"[INFO] 2 instance(s) of taskexecutor are already running on {HOST}.",
        executor,
    ]
    cluster.await_task_managers(3)
    assert cluster.get("/overview")["slots-total"] == 6
    for file in cluster.state.rglob("*"):
        mode = file.lstat().st_mode
        assert stat.S_ISSOCK(mode) or not mode & 0o022, file
    for file in (*cluster.state.rglob("secret"), *cluster.state.rglob("token")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    text = word_file(lines=300)
    (tmp_path / "calm").touch()
    job = program("words.py", WORDS)
    done = cluster.run("-p", "6", job, text.path, tmp_path / "out", tmp_path / "calm")
    address = cluster.rest().endpoint.address
    assert done.returncode == 0, done
    assert done.stderr == f"Using the standalone cluster at {address} (another one: -t or -m).\n"
    assert Counter(written(tmp_path / "out")) == text.counts
    names = {path.name for path in (cluster.state / "log").iterdir()}
    for service in ("standalonesession-0", "taskexecutor-0", "taskexecutor-1", "taskexecutor-2"):
        assert {f"flink-me-{service}-{HOST}.log", f"flink-me-{service}-{HOST}.out"} <= names

    done = cluster.script("stop-cluster.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert watch.look().processes_beyond(before) == []
    assert [line.split(" (pid: ")[0] for line in done.lines()] == [
        *["Stopping taskexecutor daemon"] * 3,
        "Stopping standalonesession daemon",
    ]
    assert all(line.endswith(f") on host {HOST}.") for line in done.lines())
    assert list((cluster.state / "run").iterdir()) == []
    assert sorted(path.name for path in cluster.state.iterdir() if path.is_dir()) == ["log", "run"]
    done = cluster.script("stop-cluster.sh")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.lines() == [
        f"No taskexecutor daemon to stop on host {HOST}.",
        f"No standalonesession daemon to stop on host {HOST}.",
    ]
    done = cluster.run(program("one.py", "env.from_collection([41]).map(lambda v: v + 1).print()\nenv.execute()\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "42" in done.lines()


def test_a_program_started_by_itself_finds_the_cluster(cluster: StandingCluster, program: Write) -> None:
    cluster.start()
    path = program("squares.py", SQUARES)
    output = path.parent / "out"
    done = cluster.python(path, output)
    address = cluster.rest().endpoint.address
    assert done.returncode == 0, done
    assert done.stderr == f"Using the standalone cluster at {address} (another one: execution.target).\n"
    assert sorted(map(int, written(output))) == [value * value for value in range(50)]
    assert [job["state"] for job in cluster.get("/jobs/overview")["jobs"]] == ["FINISHED"]
    (cluster.conf / "config.yaml").write_text("execution.target: local\n")
    done = cluster.python(path, path.parent / "again")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(cluster.get("/jobs/overview")["jobs"]) == 1


def test_a_second_start_is_refused_and_harms_nothing(cluster: StandingCluster) -> None:
    cluster.start()
    pid = cluster.pid("standalonesession")
    done = cluster.script("start-cluster.sh")
    assert done.returncode == 1
    assert done.lines() == [
        "Starting cluster.",
        f"[INFO] 1 instance(s) of standalonesession are already running on {HOST}.",
    ]
    assert done.stderr.startswith("The JobManager of this cluster runs already: stop it first")
    assert done.stderr.count("\n") == 1
    assert cluster.pid("standalonesession") == pid
    assert cluster.get("/overview")["taskmanagers"] == 1


def test_pid_files_that_are_stale_or_forged_lead_to_no_signal(cluster: StandingCluster) -> None:
    cluster.start(workers=2)
    pid = cluster.kill(number=1)
    done = cluster.script("taskmanager.sh", "stop")
    assert done.returncode == 0
    assert done.lines() == [f"No taskexecutor daemon (pid: {pid}) is running anymore on {HOST}."]
    assert not cluster.pid_file(number=1).exists()
    bystander = subprocess.Popen(["sleep", "100"])
    try:
        started = cluster.pid_file(number=0).read_text().splitlines()[1]
        cluster.pid_file(number=7).write_text(f"{bystander.pid}\n{started}\n")
        cluster.pid_file(number=7).chmod(0o600)
        cluster.pid_file(number=8).write_text(f"{bystander.pid}\n")
        cluster.pid_file(number=8).chmod(0o666)
        done = cluster.script("taskmanager.sh", "stop-all")
        assert done.returncode == 0
        assert done.lines()[:2] == [
            f"Skipping taskexecutor daemon (pid: 0), because it is not running anymore on {HOST}.",
            f"Skipping taskexecutor daemon (pid: {bystander.pid}), because it is not running anymore on {HOST}.",
        ]
        assert done.lines()[2].startswith("Stopping taskexecutor daemon (pid: ")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    done = cluster.script("taskmanager.sh", "restart")
    assert done.returncode == 1
    assert done.stderr.startswith("Unexpected argument 'restart'!\nUsage: taskmanager.sh ")


def test_what_is_wrong_is_said_in_one_sentence(cluster: StandingCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        cluster.configure({"rest.port": str(port)})
        done = cluster.script("start-cluster.sh")
    assert done.returncode == 1
    sentence = f"Port {port} is in use: set rest.port to another port, or to 0 for any free one."
    assert done.stderr.splitlines() == ["Error starting standalonesession daemon.", sentence]
    assert list((cluster.state / "run").iterdir()) == []
    cluster.configure({"taskmanager.memory.managed.size": "100 gb"})
    done = cluster.script("taskmanager.sh", "start")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert "taskmanager.memory" in done.stderr.splitlines()[1]
    done = cluster.script("jobmanager.sh", "start", env={"HOME": "", "XDG_STATE_HOME": ""})
    assert done.returncode == 1
    assert done.stderr == (
        "There is no place for the cluster's private files: set XDG_STATE_HOME (or HOME) to a folder of yours.\n"
    )
    cluster.configure({})
    cluster.pid_file().mkdir()
    done = cluster.script("taskmanager.sh", "start")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"{cluster.pid_file()}: Is a directory."
    cluster.pid_file().rmdir()
    assert list((cluster.state / "run").iterdir()) == []
    (cluster.conf / "masters").write_text("one\ntwo:8081\n")
    done = cluster.script("start-cluster.sh")
    assert done.returncode == 1
    assert "several JobManagers need high availability" in done.stderr


def test_a_crashed_job_manager_finds_its_jobs_again(cluster: StandingCluster, program: Write, tmp_path: Path) -> None:
    cluster.start(RESTARTS)
    job = cluster.submit(program("waits.py", WAITING), tmp_path / "gate")
    wait_until("the job", (tmp_path / "gate.running").exists)
    address = cluster.rest().endpoint.address
    cluster.kill("standalonesession")
    quick = program("one.py", "env.from_collection([41]).map(lambda v: v + 1).print()\nenv.execute()\n")
    done = cluster.run(quick)
    assert done.returncode == 0
    assert "42" in done.lines()
    assert done.stderr.startswith(f"WARNING: The standalone cluster at {address} has ended without being stopped")
    done = cluster.script("jobmanager.sh", "start")
    assert (done.returncode, done.stderr) == (0, "")
    cluster.await_task_managers(1)
    listed = cluster.flink("list", env=cluster.env)
    assert f"{job} : waits (" in listed.stdout
    (tmp_path / "gate").touch()
    cluster.await_state(job, "FINISHED")
    done = cluster.flink("list", "-a", env=cluster.env)
    assert "No running jobs.\nNo scheduled jobs.\n" in done.stdout
    assert f"{job} : waits (FINISHED)" in done.stdout


def test_word_count_survives_task_managers_killed_and_stopped(
    cluster: StandingCluster, program: Write, word_file: Callable[..., WordFile], tmp_path: Path
) -> None:
    heartbeats = {"heartbeat.interval": "300 ms", "heartbeat.timeout": "1500 ms"}
    cluster.start({**RESTARTS, **heartbeats, "taskmanager.numberOfTaskSlots": "1"}, 3)
    text = word_file(lines=4000)
    calm = tmp_path / "calm"
    # One file: one of the sources has work, the others end at once.
    job = cluster.submit("-p", "3", program("words.py", WORDS), text.path, tmp_path / "out", calm)
    wait_until("tasks", lambda: cluster.running_tasks(job) == 4)
    cluster.kill(number=0)
    assert cluster.script("taskmanager.sh", "start").returncode == 0
    wait_until("the first failure", lambda: cluster.failures(job) >= 1)
    wait_until("tasks", lambda: cluster.running_tasks(job) == 4)
    stopped = cluster.pid(number=1)
    os.kill(stopped, signal.SIGSTOP)
    wait_until("the second failure", lambda: cluster.failures(job) >= 2, 30)
    assert cluster.script("taskmanager.sh", "start").returncode == 0
    cluster.await_task_managers(3)
    wait_until("tasks", lambda: cluster.running_tasks(job) == 4)
    os.kill(stopped, signal.SIGCONT)
    cluster.await_task_managers(4)
    calm.touch()
    cluster.await_state(job, "FINISHED", 90)
    assert Counter(written(tmp_path / "out")) == text.counts
    wait_until("all slots free", lambda: cluster.get("/overview")["slots-available"] == 4)
    assert alive(stopped)


def test_a_job_ends_with_its_killed_client(cluster: StandingCluster, program: Write, tmp_path: Path) -> None:
    cluster.start()
    settings = ("-Dclient.heartbeat.interval=200ms", "-Dclient.heartbeat.timeout=2s")
    path, gate = program("waits.py", WAITING), tmp_path / "gate"
    client = cluster.flink.start("run", "-sae", *settings, path, gate, env=cluster.env)
    assert client.stdout is not None
    line = client.stdout.readline()
    submitted = SUBMITTED.match(line)
    assert submitted is not None, line
    job = submitted[1]
    wait_until("the task", Path(f"{gate}.running").exists)
    started = cluster.get(f"/jobs/{job}")["start-time"]
    wait_until("heartbeats beyond the time-out", lambda: cluster.get(f"/jobs/{job}")["now"] > started + 3_000)
    assert cluster.job_state(job) == "RUNNING"
    client.kill()
    client.wait()
    cluster.await_state(job, "CANCELED", 30)


def test_twenty_jobs_of_five_clients_at_once(cluster: StandingCluster, program: Write, tmp_path: Path) -> None:
    cluster.start({"taskmanager.numberOfTaskSlots": "2"}, 2)
    job = program("squares.py", SQUARES)
    found: list[str] = []
    failures: list[str] = []

    def client(number: int) -> None:
        for turn in range(4):
            done = cluster.run("-d", "-p", "2", job, tmp_path / f"out-{number}-{turn}")
            if done.returncode:
                failures.append(done.stderr)
            found.extend(SUBMITTED.findall(done.stdout))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(5)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert failures == []
    assert len(set(found)) == 20
    for job_id in found:
        cluster.await_state(job_id, "FINISHED")
    for number, turn in itertools.product(range(5), range(4)):
        lines = written(tmp_path / f"out-{number}-{turn}")
        assert sorted(map(int, lines)) == [value * value for value in range(50)]
    listed = cluster.flink("list", "-a", env=cluster.env).stdout
    assert listed.count(" : squares (FINISHED)") == 20
    overview = cluster.get("/overview")
    assert (overview["slots-available"], overview["jobs-running"], overview["jobs-finished"]) == (4, 0, 20)


def test_jobs_compete_for_slots(cluster: StandingCluster, program: Write, tmp_path: Path) -> None:
    cluster.start({"taskmanager.numberOfTaskSlots": "2", "slot.request.timeout": "1 s"})
    waits, gate = program("waits.py", WAITING), tmp_path / "gate"
    holder = cluster.submit(waits, gate)
    wait_until("the first job", Path(f"{gate}.running").exists)
    done = cluster.run("-p", "2", program("squares.py", SQUARES), tmp_path / "out")
    assert done.returncode == 31
    assert "within 1000 ms (slot.request.timeout): 2 slots wanted, 1 free of 2" in done.stderr
    assert done.stderr.endswith(" or lower the parallelism.\n")
    assert f", 1 held by job {holder}" in done.stderr
    patient = cluster.submit("-Dslot.request.timeout=1 min", "-p", "2", program("s.py", SQUARES), tmp_path / "later")
    done = cluster.flink("list", env=cluster.env)
    assert f"{holder} : waits (RUNNING)" in done.stdout
    done = cluster.flink("cancel", holder, env=cluster.env)
    assert (done.returncode, done.lines()[-1]) == (0, f"Cancelled job {holder}.")
    cluster.await_state(holder, "CANCELED")
    cluster.await_state(patient, "FINISHED")
    assert len(written(tmp_path / "later")) == 50
    done = cluster.flink("run", "-t", "local", "-d", waits, gate, env=cluster.env)
    assert done.returncode == 1
    assert 'not possible with the target "local"' in done.stdout


def test_what_one_job_does_harms_no_other(cluster: StandingCluster, program: Write, tmp_path: Path) -> None:
    cluster.start({"taskmanager.numberOfTaskSlots": "4"})
    gate = tmp_path / "gate"
    innocent = cluster.submit(program("waits.py", WAITING), gate)
    wait_until("the innocent job", Path(f"{gate}.running").exists)
    deeds = {
        "raises": "raise ValueError('broken')",
        "exits": "os._exit(3)",
        "kills": "os.kill(os.getpid(), 9)",
    }
    text = "def deed(value):\n    {}\nenv.from_collection([1]).map(deed).print()\nenv.execute('bad')\n"
    bad = [cluster.submit(program(f"{name}.py", text.format(deed))) for name, deed in deeds.items()]
    forks = (
        "def deed(v):\n    import subprocess\n    subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    return v\n"
    )
    forked = cluster.submit(
        program("forks.py", f"{forks}env.from_collection([1]).map(deed).print()\nenv.execute('forks')\n")
    )
    for job in bad:
        cluster.await_state(job, "FAILED")
    cluster.await_state(forked, "FINISHED")
    assert cluster.job_state(innocent) == "RUNNING"
    gate.touch()
    cluster.await_state(innocent, "FINISHED")
    attempts = cluster.get(f"/jobs/{innocent}/exceptions")["exceptionHistory"]["entries"]
    assert attempts == []


LEAKS = {
    "memory": "kept.append(bytearray(1 << 20))\n    time.sleep(0.002)",
    "descriptors": "kept.append(open(os.devnull))",
    "threads": "threading.Thread(target=time.sleep, args=(1000,)).start()",
}
LEAKING = """
import threading
kept = []
def leak(value):
    {}
    return value
env.from_collection(range({})).map(leak).filter(lambda value: False).print()
env.execute("leaks")
"""


def test_jobs_that_leak_harm_no_other(cluster: StandingCluster, program: Write, tmp_path: Path, watch: Watch) -> None:
    """Of memory, descriptors and threads each slot has its own: nothing of them is left, and the slots can be used."""
    cluster.start({"taskmanager.numberOfTaskSlots": "4", "taskmanager.memory.process.size": "1 gb"})
    gate = tmp_path / "gate"
    innocent = cluster.submit(program("waits.py", WAITING), gate)
    wait_until("the innocent job", Path(f"{gate}.running").exists)
    before = watch.look()
    jobs = {
        name: cluster.submit(program(f"{name}.py", LEAKING.format(deed, 100 if name == "threads" else 10**6)))
        for name, deed in LEAKS.items()
    }
    cluster.await_state(jobs["memory"], "FAILED")
    cluster.await_state(jobs["descriptors"], "FAILED")
    cluster.await_state(jobs["threads"], "FINISHED")
    reasons = {name: cluster.get(f"/jobs/{job}/exceptions")["root-exception"] or "" for name, job in jobs.items()}
    assert "mb of memory, but its share is" in reasons["memory"]
    assert "mostly " in reasons["memory"]
    assert "in leak" in reasons["descriptors"]
    assert "Too many open files" in reasons["descriptors"]
    wait_until("the leaks' end", lambda: watch.look().processes_beyond(before) == [])
    output = tmp_path / "out"
    assert cluster.run("-p", "3", program("squares.py", SQUARES), output).returncode == 0
    assert len(written(output)) == 50
    gate.touch()
    cluster.await_state(innocent, "FINISHED")
    assert cluster.failures(innocent) == 0


def test_jobs_with_interpreters_of_their_own_at_the_same_time(
    cluster: StandingCluster, program: Write, tmp_path: Path
) -> None:
    cluster.start({"taskmanager.numberOfTaskSlots": "2"})
    text = (
        "def where(gate):\n    open(gate + '.running', 'w').close()\n    while not os.path.exists(gate):\n"
        "        time.sleep(0.01)\n    return sys.prefix\n"
        "env.from_collection([sys.argv[1]]).map(where, output_type=Types.STRING()).sink_to(files(sys.argv[2]))\n"
        "env.execute()\n"
    )
    jobs = {}
    for name in ("one", "two"):
        python = virtual_environment(tmp_path / name, with_our_dependencies=False)
        out = tmp_path / f"out-{name}"
        jobs[name] = cluster.submit("-pyexec", python, program(f"{name}.py", text), tmp_path / f"{name}.gate", out)
    for name in jobs:
        wait_until(name, (tmp_path / f"{name}.gate.running").exists)
    for name, job in jobs.items():
        (tmp_path / f"{name}.gate").touch()
        cluster.await_state(job, "FINISHED")
        assert written(tmp_path / f"out-{name}") == [str(tmp_path / name)]


def test_an_application_ends_with_its_cluster(
    cluster: StandingCluster, program: Write, tmp_path: Path, watch: Watch
) -> None:
    before = watch.look()
    gate = tmp_path / "gate"
    done = cluster.script("standalone-job.sh", "start", str(program("waits.py", WAITING)), str(gate))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.lines() == [f"Starting standalonejob daemon on host {HOST}."]
    assert cluster.script("taskmanager.sh", "start").returncode == 0
    wait_until("the job", Path(f"{gate}.running").exists)
    listed = cluster.flink("list", env=cluster.env)
    assert " : waits (RUNNING)" in listed.stdout
    # It takes no further programs.
    done = cluster.run(program("one.py", "env.from_collection([41]).map(lambda v: v + 1).print()\nenv.execute()\n"))
    assert (done.returncode, done.stderr) == (0, "")
    done = cluster.script("start-cluster.sh")
    assert done.returncode == 1
    assert done.stderr.startswith("The JobManager of this cluster runs already")
    gate.touch()
    wait_until("the end of everything", lambda: watch.look().processes_beyond(before) == [])
    wait_until("its files' end", lambda: list((cluster.state / "run").iterdir()) == [])
    out = (cluster.state / "log" / f"flink-me-standalonejob-0-{HOST}.out").read_text()
    assert "Program execution finished" in out
    assert not (cluster.state / "jm").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("env.from_collection([1]).map(lambda v: v).print()\nenv.execute_async()\n", 0),
        ("env.from_collection([1]).map(lambda v: 1 // 0).print()\nenv.execute()\n", 163),
        ("env.from_collection([1]).map(lambda v: 1 // 0).print()\nenv.execute_async()\n", 163),
        ("raise SystemExit(5)\n", 163),
    ],
)
def test_the_exit_code_of_an_application(cluster: StandingCluster, program: Write, text: str, code: int) -> None:
    assert cluster.script("taskmanager.sh", "start").returncode == 0
    done = cluster.script("standalone-job.sh", "start-foreground", str(program("job.py", text)))
    assert done.returncode == code, done
    assert list((cluster.state / "run").iterdir()) == []


def test_an_application_is_stopped(cluster: StandingCluster, program: Write, tmp_path: Path, watch: Watch) -> None:
    before = watch.look()
    gate = tmp_path / "gate"
    waits = program("waits.py", WAITING)
    assert cluster.script("standalone-job.sh", "start", str(waits), str(gate)).returncode == 0
    assert cluster.script("taskmanager.sh", "start").returncode == 0
    wait_until("the job", Path(f"{gate}.running").exists)
    pid = cluster.pid("standalonejob")
    done = cluster.script("standalone-job.sh", "stop")
    assert done.lines() == [f"Stopping standalonejob daemon (pid: {pid}) on host {HOST}."]
    assert watch.look().processes_beyond(before) == []
    assert list((cluster.state / "run").iterdir()) == []
    assert cluster.script("standalone-job.sh", "start", str(waits), str(gate)).returncode == 0
    cluster.kill("standalonejob")
    wait_until("the end of everything", lambda: watch.look().processes_beyond(before) == [])
    done = cluster.script("standalone-job.sh", "start", str(tmp_path / "missing.py"))
    assert done.returncode == 1
    assert "missing.py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_daemons_in_the_foreground(cluster: StandingCluster, program: Write) -> None:
    started = []
    try:
        for script in ("jobmanager.sh", "taskmanager.sh"):
            command = [str(CHECKOUT / "bin" / script), "start-foreground"]
            environment = cluster.flink.environment(cluster.env)
            started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        wait_until("the endpoint", (cluster.state / "jm" / "endpoint.json").exists)
        cluster.await_task_managers(1)
        assert cluster.pid("standalonesession") == started[0].pid
        job = "env.from_collection([41]).map(lambda v: v + 1).print()\nenv.execute()\n"
        assert cluster.run(program("one.py", job)).returncode == 0
    finally:
        texts = []
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            texts.append(process.communicate(timeout=20)[0])
    assert [process.returncode for process in started] == [0, 0]
    assert texts[1] == f"Starting standalonesession as a console application on host {HOST}.\n"
    assert texts[0].splitlines() == [f"Starting taskexecutor as a console application on host {HOST}.", "42"]


def test_task_managers_on_other_hosts_are_reached_by_ssh(cluster: StandingCluster) -> None:
    cluster.configure({}, ["localhost", "elsewhere"])
    done = cluster.script("start-cluster.sh")
    assert done.returncode == 1
    assert "cannot reach a JobManager at localhost: set jobmanager.rpc.address" in done.stderr
    cluster.configure(
        {"jobmanager.rpc.address": "127.0.0.2", "jobmanager.bind-host": "0.0.0.0"}, ["localhost", "elsewhere"]
    )
    tools = cluster.flink.root / "bin"
    tools.mkdir()
    ssh = tools / "ssh"
    # The other host: this one, with files of its own.
    ssh.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$*" >>"$HOME/ssh.log"\nwhile [ "$1" != -- ]; do shift; done\n'
        'XDG_STATE_HOME="$HOME/e" exec sh -c "$3"\n'
    )
    ssh.chmod(0o755)
    env = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "FLINK_SSH_OPTS": "-p 2222"}
    try:
        done = cluster.script("start-cluster.sh", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        cluster.await_task_managers(2)
    finally:
        done = cluster.script("stop-cluster.sh", env=env)
    assert done.returncode == 0
    assert done.stdout.count("Stopping taskexecutor daemon (pid: ") == 2
    log = (cluster.flink.home / "ssh.log").read_text()
    assert log.startswith("-p 2222 -- elsewhere env FLINK_CONF_DIR=")
    assert (cluster.flink.home / "s").exists()
    assert next((cluster.flink.home / "s").rglob("secret")).read_text() not in log
