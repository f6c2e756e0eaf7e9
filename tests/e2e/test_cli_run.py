"""``flink run`` from start to exit: what users see when things go wrong. The fixtures check that nothing is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Completed, Flink

pytestmark = pytest.mark.slow

BLOCK = f"\n{'-' * 60}\n The program finished with the following exception:\n\n"
SUBMITTED = re.compile(r"^Job has been submitted with JobID ([0-9a-f]{32})$", re.MULTILINE)
HEAD = """\
import os, sys, time
from pyflow_yarn.common import Encoder, WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
env = StreamExecutionEnvironment.get_execution_environment()
def lines(path):
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    return env.from_source(source, WatermarkStrategy.no_watermarks(), "text")
def files(path):
    return FileSink.for_row_format(path, Encoder.simple_string_encoder()).build()
"""
STUCK = """
def stuck(value):
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass
env.from_collection([1]).map(stuck).print()
env.execute()
"""
SLOW = """
slow = env.from_collection(list(range(10**5))).map(lambda value: time.sleep(0.01) or value)
slow.filter(lambda value: False).print()
env.execute()
"""
SECONDS = 30

Write = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Write:
    """``program(text)`` writes a script with the usual imports and an environment ``env``."""

    def write(text: str, name: str = "job.py", head: str = HEAD) -> Path:
        path = tmp_path / name
        path.write_text(head + text)
        return path

    return write


def failed(done: Completed, code: int = 31) -> list[str]:
    """The lines in the block on stderr."""
    assert done.returncode == code, done
    assert done.stderr.startswith(BLOCK), done.stderr
    lines = done.stderr.removeprefix(BLOCK).splitlines()
    assert len(lines) <= 25
    assert "pyflow_runtime" not in done.stderr
    assert "pyflow_yarn" not in done.stderr
    return lines


def test_the_lines_of_a_job_in_their_order(flink: Flink, program: Write) -> None:
    done = flink("run", program("env.from_collection([1]).map(lambda v: v + 1).print()\nenv.execute('a name')\n"))
    assert (done.returncode, done.stderr) == (0, "")
    match = SUBMITTED.search(done.stdout)
    assert match is not None
    assert sorted(done.lines()[:2]) == ["2", f"Job has been submitted with JobID {match[1]}"]
    assert done.lines()[2:4] == ["Program execution finished", f"Job with JobID {match[1]} has finished."]
    assert re.fullmatch(r"Job Runtime: \d+ ms", done.lines()[4])
    assert done.stdout.endswith(" ms\n\n")


def test_several_jobs_share_a_cluster(flink: Flink, program: Write) -> None:
    text = (
        "for number in range(3):\n    env.from_collection([number]).print()\n    env.execute()\n"
        "with env.from_collection(list(range(3000))).execute_and_collect() as results:\n    print(sum(results))\n"
    )
    done = flink("run", program(text))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(set(SUBMITTED.findall(done.stdout))) == 4
    assert [line for line in done.lines() if line.isdecimal()] == ["0", "1", "2", str(sum(range(3000)))]


def test_collecting_may_stop_early(flink: Flink, program: Write) -> None:
    text = (
        "from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource\n"
        "source = NumberSequenceSource(1, 10**15)\n"
        "numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), 'numbers')\n"
        "with numbers.execute_and_collect() as results:\n    print(next(results))\n"
    )
    done = flink("run", program(text))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.lines()[-1] == "1"


def test_a_job_in_the_background_is_waited_for(flink: Flink, program: Write) -> None:
    text = (
        "env.from_collection([1]).map(lambda v: time.sleep(1) or v).print()\nenv.execute_async()\nprint('main ends')\n"
    )
    done = flink("run", program(text))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.lines()[-1] == "1"


def test_modules_beside_the_script_travel_with_it(flink: Flink, program: Write, tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("def double(value):\n    return value * 2\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "late.py").write_text("def plus(value):\n    return value + 1\n")
    text = (
        "import neighbour\n"
        "def late(value):\n    from package import late\n    return late.plus(value)\n"
        "env.from_collection([20]).map(neighbour.double).map(late).print()\nenv.execute()\n"
    )
    done = flink("run", program(text), cwd=Path("/"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "41" in done.lines()


def test_files_of_the_command_line(flink: Flink, program: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "helper_of_mine.py").write_text("def f(value):\n    return value + 1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "greeting.txt").write_text("hello")
    subprocess.run([sys.executable, "-m", "zipfile", "-c", "data.zip", "data"], cwd=tmp_path, check=True)
    text = (
        "import helper_of_mine\n"
        "def read(value):\n    with open('things/data/greeting.txt') as file:\n        return file.read() * value\n"
        "env.from_collection([1]).map(helper_of_mine.f).map(read).print()\nenv.execute()\n"
    )
    script = program(text)
    done = flink(
        *("run", "-pyfs", tmp_path / "other" / "helper_of_mine.py", "-pyarch", f"{tmp_path}/data.zip#things"),
        *("-py", script),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "hellohello" in done.lines()


# -- errors of the program --


def test_a_function_that_raises(flink: Flink, program: Write) -> None:
    text = (
        "def check(value):\n    if value == 2:\n        raise ValueError(f'cannot take {value}')\n    return value\n"
        "env.from_collection([1, 2, 3]).map(check).name('Checker').print()\nenv.execute()\n"
    )
    path = program(text)
    lines = failed(flink("run", path))
    first = HEAD.count("\n") + 1
    assert lines[:5] == [
        "Operator 'Checker' failed (subtask 1/1, attempt 0).",
        f"  declared at: job.py:{first + 4}",
        "  record: 2",
        "Traceback (most recent call last):",
        f'  File "{path}", line {first + 2}, in check',
    ]
    assert lines[5] == "    raise ValueError(f'cannot take {value}')"
    assert lines[-1] == "ValueError: cannot take 2"


def test_a_function_that_raises_after_its_files_are_gone(flink: Flink, program: Write, tmp_path: Path) -> None:
    neighbour = tmp_path / "neighbour.py"
    neighbour.write_text("def check(value):\n    return 1 // value  # here\n")
    text = (
        "import neighbour\n"
        f"paths = [__file__, {str(neighbour)!r}]\n"
        "def wait(value):\n"
        "    while any(map(os.path.exists, paths)):\n        time.sleep(0.01)\n"
        "    return neighbour.check(value)  # there\n"
        "env.from_collection([0]).map(wait).print()\n"
        "client = env.execute_async()\n"
        "for path in paths:\n    os.remove(path)\n"
        "client.get_job_execution_result().result()\n"
    )
    path = program(text)
    lines = failed(flink("run", path))
    assert not path.exists()
    assert lines[-1].startswith("ZeroDivisionError: ")
    assert "    return neighbour.check(value)  # there" in lines
    assert "    return 1 // value  # here" in lines


def test_a_function_that_cannot_be_pickled(flink: Flink, program: Write) -> None:
    text = (
        "import threading\nlock = threading.Lock()\n"
        "env.from_collection([1]).map(lambda v: lock and v).print()\nenv.execute()\n"
    )
    done = flink("run", program(text))
    lines = failed(done)
    assert done.stdout == ""
    assert lines[0].startswith(f"The function of operator 'Map' (job.py:{HEAD.count(chr(10)) + 3}) captures 'lock'")
    assert len(lines) == 2


def test_a_program_without_a_job(flink: Flink, program: Write) -> None:
    done = flink("run", program("print('nothing to run')\n"))
    assert (done.returncode, done.stdout) == (0, "nothing to run\n")
    assert done.stderr == (
        "WARNING: The program didn't contain a Flink job. Perhaps you forgot to call execute() on the execution"
        " environment.\n"
    )


def test_main_that_raises(flink: Flink, program: Write) -> None:
    path = program("def main():\n    return {}['key']\n\nmain()\n", head="")
    assert failed(flink("run", path)) == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 4, in <module>',
        "    main()",
        f'  File "{path}", line 2, in main',
        "    return {}['key']",
        "KeyError: 'key'",
    ]


# -- errors of the data --


def test_an_input_that_is_missing(flink: Flink, program: Write) -> None:
    lines = failed(flink("run", program("lines('/nowhere/words.txt').print()\nenv.execute()\n")))
    assert lines[-1] == "The input path '/nowhere/words.txt' does not exist."


def test_a_line_that_cannot_be_decoded(flink: Flink, program: Write, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"good\nb\xffad\n")
    lines = failed(flink("run", program(f"lines({str(tmp_path / 'bad.txt')!r}).print()\nenv.execute()\n")))
    assert "bad.txt' is not valid utf-8 at byte 6 (line 2)" in lines[-1]


def test_an_input_that_cannot_be_read(flink: Flink, program: Write, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "secret.txt").chmod(0)
    lines = failed(flink("run", program(f"lines({str(tmp_path / 'secret.txt')!r}).print()\nenv.execute()\n")))
    assert lines[-1].endswith("secret.txt' cannot be read: check its permissions.")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_becomes_full(flink: Flink, program: Write, small_disk: Path) -> None:
    text = (
        "env.from_collection(list(range(2000))).flat_map(lambda v: [f'{v:01000}'] * 10)"
        f".sink_to(files({str(small_disk / 'out')!r}))\nenv.execute()\n"
    )
    lines = failed(flink("run", program(text)))
    assert "no space left on device" in lines[-1]
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


# -- errors of options and of the machine --


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["-p", "many"], 1, "The parallelism must be a positive number: many"),
        (["-d"], 1, 'Detached mode (-d) is not possible with the target "local"'),
    ],
)
def test_bad_options(flink: Flink, program: Write, words: list[str], code: int, text: str) -> None:
    done = flink("run", *words, program(""))
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(text)
    assert done.stdout.endswith("\n\nUse the help option (-h or --help) to get help on the command.\n")


def test_a_bad_value_of_the_configuration(flink: Flink, program: Write) -> None:
    lines = failed(flink("run", "-Dtaskmanager.numberOfTaskSlots=many", program("")))
    assert len(lines) == 1
    assert lines[0].startswith(
        "'many' is not a valid value of taskmanager.numberOfTaskSlots (from the command line): allowed is a"
    )


def test_a_misspelt_key_is_warned_about(flink: Flink, program: Write) -> None:
    done = flink("run", "-Dparalelism.default=2", program("env.from_collection([1]).print()\nenv.execute()\n"))
    assert done.returncode == 0
    assert "did you mean 'parallelism.default'" in done.stderr


def test_a_port_in_use(flink: Flink, program: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = "env.from_collection([1]).print()\nenv.execute()\n"
        assert failed(flink("run", f"-Drest.port={port}", program(text))) == [
            f"Port {port} is in use: set rest.port to another port, or to 0 for any free one."
        ]


def test_more_parallelism_than_slots(flink: Flink, program: Write) -> None:
    text = "env.from_collection([1]).rebalance().map(lambda v: v).print()\nenv.execute()\n"
    begin = time.monotonic()
    lines = failed(flink("run", "-p", "3", "-Dtaskmanager.numberOfTaskSlots=2", program(text)))
    assert time.monotonic() - begin < 10
    assert "the job needs 3 slots, the cluster has 2" in lines[-1]


def test_a_worker_that_ends_by_itself(flink: Flink, program: Write) -> None:
    lines = failed(
        flink("run", program("env.from_collection([1]).map(lambda v: os._exit(3)).print()\nenv.execute()\n"))
    )
    assert "exited with code 3" in lines[-1]


def started(client: subprocess.Popen[str]) -> str:
    """The id of the job that the client has submitted."""
    assert client.stdout is not None
    line = client.stdout.readline()
    match = SUBMITTED.match(line)
    assert match is not None, line
    return match[1]


@pytest.mark.parametrize("signals", [1, 2, 3])
def test_ctrl_c_while_a_function_is_stuck(flink: Flink, program: Write, signals: int) -> None:
    client = flink.start("run", program(STUCK))
    job = started(client)
    time.sleep(0.5)
    begin = time.monotonic()
    for _ in range(signals):
        client.send_signal(signal.SIGINT)
        time.sleep(0.2)
    _, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == 130
    assert time.monotonic() - begin < 15
    assert stderr.startswith(f"Job {job} ")
    assert "Traceback" not in stderr


def test_list_and_cancel_of_a_local_cluster(flink: Flink, program: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = flink.start("run", f"-Drest.port={port}", program(SLOW))
    job = started(client)
    listed = flink("list", "-m", f"127.0.0.1:{port}")
    assert (listed.returncode, listed.stderr) == (0, "")
    row = rf"^\d\d\.\d\d\.\d{{4}} \d\d:\d\d:\d\d : {job} : .* \((RUNNING|CREATED)\)$"
    assert re.search(row, listed.stdout, re.MULTILINE)
    cancelled = flink("cancel", "-m", f"127.0.0.1:{port}", job)
    assert cancelled == Completed(0, f"Cancelling job {job}.\nCancelled job {job}.\n", "")
    _, stderr = client.communicate(timeout=SECONDS)
    assert (client.returncode, stderr) == (31, f"{BLOCK}Job {job} was cancelled.\n")


@pytest.fixture
def running_cluster(flink: Flink, program: Write) -> Iterator[str]:
    """The address of a cluster that somebody else's client has started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    client = flink.start("run", f"-Drest.port={address.rpartition(':')[2]}", program(SLOW, "host.py"))
    started(client)
    yield address
    client.send_signal(signal.SIGTERM)
    client.communicate(timeout=SECONDS)


def test_programs_on_a_cluster_that_runs_already(flink: Flink, program: Write, running_cluster: str) -> None:
    remote = ("run", "-m", running_cluster)
    done = flink(*remote, program("env.from_collection([1]).print()\nenv.execute('remote')\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Program execution finished" in done.stdout
    done = flink(*remote, program("print(sum(env.from_collection([1, 2]).execute_and_collect()))\n"))
    assert (done.returncode, done.stderr, done.lines()[-1]) == (0, "", "3")
    done = flink(*remote, program("env.from_collection([0]).map(lambda v: 1 // v).print()\nenv.execute()\n"))
    assert failed(done)[-1].startswith("ZeroDivisionError: ")
    detached = flink(*remote, "-d", program(SLOW))
    assert (detached.returncode, detached.stderr) == (0, "")
    match = SUBMITTED.fullmatch(detached.stdout.strip())
    assert match is not None
    assert f" : {match[1]} : " in flink("list", "-m", running_cluster).stdout
    assert flink("cancel", "-m", running_cluster, match[1]).returncode == 0


@pytest.mark.parametrize("cancels", [False, True])
def test_ctrl_c_on_a_cluster_that_goes_on(flink: Flink, program: Write, running_cluster: str, cancels: bool) -> None:
    client = flink.start("run", *(["-sae"] if cancels else []), "-m", running_cluster, program(SLOW))
    job = started(client)
    client.send_signal(signal.SIGINT)
    _, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode == 130
    hint = f"is still running; cancel it with: flink cancel -m {running_cluster} {job}"
    assert stderr == f"Job {job} {'was cancelled.' if cancels else hint}\n"


# -- the same without the command line, and with other interpreters --


@pytest.fixture
def python(flink: Flink, tmp_path: Path) -> str:
    """The python of the project's environment."""
    (tmp_path / "which.py").write_text("import sys\nprint(sys.executable)\n")
    done = flink("run", tmp_path / "which.py")
    assert done.returncode == 0, done
    return done.stdout.strip()


def directly(flink: Flink, python: str, *words: str | Path) -> Completed:
    """Run a program without the command line."""
    flink.command = (python,)
    return flink(*words)


@pytest.fixture
def environment(python: str, tmp_path: Path) -> Path:
    """A virtual environment of the same Python version that holds nothing of ours."""
    place = tmp_path / "venv"
    subprocess.run([os.path.realpath(python), "-m", "venv", "--without-pip", place], check=True)
    return place


def test_python_runs_a_program_the_same_way(flink: Flink, python: str, program: Write) -> None:
    path = program("env.from_collection([1]).map(lambda v: v + 1).print()\nenv.execute()\n")
    own, direct = flink("run", path), directly(flink, python, path)
    assert (direct.returncode, direct.stderr) == (0, "")

    def shape(done: Completed) -> list[str]:
        return sorted(re.sub(r"[0-9a-f]{32}|\d+ ms", "*", line) for line in done.lines())

    assert shape(direct) == shape(own)


def test_python_shows_a_failure_the_same_way(flink: Flink, python: str, program: Write) -> None:
    path = program("env.from_collection([0]).map(lambda v: 1 // v).print()\nenv.execute()\n")
    own, direct = flink("run", path), directly(flink, python, path)
    assert direct.returncode == 1
    assert direct.stderr.splitlines() == failed(own)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nowhere", '"nowhere" is not a valid target.'),
        (
            "yarn-application",
            'The target "yarn-application" runs main() on the cluster, and here it runs already: start',
        ),
        ("yarn-session", "No cluster id was specified."),
        ("yarn-per-job", "Neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set: set HADOOP_CONF_DIR"),
    ],
)
def test_python_refuses_a_target_in_a_sentence(
    flink: Flink, python: str, program: Write, tmp_path: Path, target: str, sentence: str
) -> None:
    (tmp_path / "config.yaml").write_text(f"execution.target: {target}\n")
    flink.command = (python,)
    path = program("env.from_collection([1]).print()\nenv.execute()\n")
    done = flink(path, env={"FLINK_CONF_DIR": str(tmp_path)})
    assert done.returncode == 1, done
    assert done.stderr.startswith(sentence), done
    assert "Traceback" not in done.stderr


def test_main_and_workers_run_in_the_active_environment(flink: Flink, program: Write, environment: Path) -> None:
    packages = next(environment.glob("lib/python3*/site-packages"))
    (packages / "only_there.py").write_text("")
    text = (
        "import only_there\n"
        "def f(value):\n    import only_there\n    return sys.prefix\n"
        "print('main', sys.prefix)\nenv.from_collection([1]).map(f).print()\nenv.execute()\n"
    )
    for words, variables in (
        ((), {"VIRTUAL_ENV": str(environment)}),
        (("-pyclientexec", environment / "bin" / "python"), {}),
        ((), {"PYFLINK_CLIENT_EXECUTABLE": str(environment / "bin" / "python")}),
    ):
        done = flink("run", *words, program(text), env=variables)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert f"main {environment}" in done.lines()
        assert str(environment) in done.lines()


def test_ctrl_c_in_another_interpreter(flink: Flink, program: Write, environment: Path) -> None:
    client = flink.start("run", program(SLOW), env={"VIRTUAL_ENV": str(environment)})
    job = started(client)
    client.send_signal(signal.SIGINT)
    _, stderr = client.communicate(timeout=SECONDS)
    assert (client.returncode, stderr) == (130, f"Job {job} was cancelled.\n")


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_in_a_program_of_its_own(flink: Flink, python: str, program: Write, signals: int) -> None:
    flink.command = (python,)
    client = flink.start(program(SLOW))
    job = started(client)
    for _ in range(signals):
        client.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, stderr = client.communicate(timeout=SECONDS)
    assert client.returncode in (-signal.SIGINT, 130)
    assert stderr.startswith(f"Job {job} ")
    assert stderr.count("\n") == 1


def test_a_job_of_its_own_in_the_background_that_fails(flink: Flink, python: str, program: Write) -> None:
    text = "env.from_collection([0]).map(lambda v: 1 // v).print()\nenv.execute_async()\nprint('end of main')\n"
    done = directly(flink, python, program(text))
    assert done.returncode == 1
    assert done.lines()[-1] == "end of main"
    assert "ZeroDivisionError: " in done.stderr
    assert "pyflow_yarn" not in done.stderr
