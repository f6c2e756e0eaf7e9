"""``run`` and ``info`` up to the point where a cluster begins, and ``run`` against a scripted one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Ran
from tests.unit.cli.test_texts import BLOCK, HINT
from tests.unit.client.fake_rest import JOB, Answer, FakeRest

Cli = Callable[..., Ran]

PROGRAM = f"""
import sys
from pyflow_yarn.common import Configuration
from pyflow_yarn.datastream import StreamExecutionEnvironment
configuration = Configuration()
configuration.set_string("$internal.pipeline.job-id", "{JOB}")
env = StreamExecutionEnvironment.get_execution_environment(configuration)
env.from_collection([1, 2, 3]).map(lambda value: value + 1).print()
"""


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Programs replace ``__main__``, ``sys.argv`` and the path."""
    main, arguments, path = sys.modules["__main__"], list(sys.argv), list(sys.path)
    yield
    sys.modules["__main__"], sys.argv[:], sys.path[:] = main, arguments, path


def write(folder: Path, text: str, name: str = "job.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.py"], "The program 'missing.py' does not exist."),
        (["-py", "missing.py"], "The program 'missing.py' does not exist."),
        (["-py", "conf"], "The program 'conf' is a directory: name the script in it."),
        (["-py", "hdfs:///job.py"], "The program 'hdfs:///job.py' is not a local file: copy it to this machine first."),
        (["-pyfs", "missing.zip", "job.py"], "The file 'missing.zip' given with -pyfs does not exist."),
        (["-pyarch", "missing.zip#x", "job.py"],
         "The archive 'missing.zip' given with -pyarch (python.archives) does not exist."),
        (["-pyreq", "missing.txt", "job.py"],
         "The file 'missing.txt' given with -pyreq (python.requirements) does not exist."),
        (["-pyclientexec", "/nowhere/python", "job.py"],
         "The Python interpreter '/nowhere/python' (python.client.executable) does not exist or cannot be executed."),
        (["-pyexec", "/nowhere/python", "job.py"],
         "The Python interpreter '/nowhere/python' given with -pyexec (python.executable) does not exist or cannot be"
         " executed."),
        (["-t", "kubernetes-application", "job.py"],
         'The target "kubernetes-application" is not available yet: targets on Kubernetes come in a later version.'
         ' Available are "local", "remote", "yarn-session", "yarn-application", "yarn-per-job".'),
        (["-Dparallelism.default=many", "job.py"], None),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_before_anything_starts(
    cli: Cli, tmp_path: Path, words: list[str], sentence: str | None
) -> None:
    write(tmp_path, "raise AssertionError('the program ran')")
    ran = cli("run", *words)
    assert (ran.code, ran.out) == (31, "")
    assert ran.err.startswith(BLOCK + (sentence or "'many' is not a valid value of parallelism.default"))
    assert ran.err.count("\n") == 5


def test_detached_mode_needs_a_cluster_that_stays(cli: Cli, tmp_path: Path) -> None:
    ran = cli("run", "-d", write(tmp_path, PROGRAM))
    assert ran.code == 1
    assert ran.out.startswith('Detached mode (-d) is not possible with the target "local"')
    assert ran.out.endswith(HINT)


def test_programs_for_the_jvm_are_refused(cli: Cli, tmp_path: Path) -> None:
    ran = cli("run", write(tmp_path, "", "job.jar"))
    assert ran.code == 1
    assert "is no Python program (*.py): programs for the JVM cannot run here." in ran.out


def test_options_of_an_inactive_flavour_are_warned_about(cli: Cli, tmp_path: Path) -> None:
    ran = cli("info", "-t", "local", "-ynm", "x", "-yqu", "q", write(tmp_path, PROGRAM + "env.execute()"))
    assert ran.code == 0
    assert ran.err == "WARNING: The YARN options -ynm, -yqu have no effect on this target.\n"


# -- info --


def test_info_shows_the_plan_and_starts_nothing(cli: Cli, tmp_path: Path) -> None:
    ran = cli("info", write(tmp_path, PROGRAM + "print('held back')\nenv.execute()\nraise AssertionError('went on')"))
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "----------------------- Execution Plan -----------------------"
    assert lines[-3:] == ["-" * 62, "", "No description provided."]
    assert lines[1:3] == ["{", '  "nodes": [']
    assert "held back" not in ran.out


def test_info_uses_the_parallelism_of_the_command_line(cli: Cli, tmp_path: Path) -> None:
    assert '"parallelism": 3' in cli("info", "-p", "3", write(tmp_path, PROGRAM + "env.execute()")).out


def test_info_of_a_program_without_a_job(cli: Cli, tmp_path: Path) -> None:
    ran = cli("info", write(tmp_path, "print('nothing')"))
    assert ran.code == 1
    assert "The program didn't contain a Flink job." in ran.err


def test_info_of_a_program_that_fails(cli: Cli, tmp_path: Path) -> None:
    ran = cli("info", write(tmp_path, "print('before')\n1 / 0\n"))
    assert ran.code == 1
    assert ran.out == "before\n"
    assert ran.err.endswith("ZeroDivisionError: division by zero\n")


# -- run on a scripted cluster --


def run(cli: Cli, rest: FakeRest, *words: str | Path) -> Ran:
    return cli("run", "-m", rest.address, *words)


def test_a_job_that_succeeds(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed(seen="7")
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + "print(env.execute('name').get_net_runtime())"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"Job has been submitted with JobID {JOB}\n"
        "Program execution finished\n"
        f"Job with JobID {JOB} has finished.\n"
        "Job Runtime: 42 ms\n"
        "Accumulator Results: \n"
        "- seen (int): 7\n"
        "\n"
        "42\n"
    )


def test_detached_only_the_id_is_printed(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    ran = run(cli, fake_rest, "-d", write(tmp_path, PROGRAM + "env.execute()"))
    assert ran == Ran(0, f"Job has been submitted with JobID {JOB}\n", "")


def test_program_arguments_and_surroundings_are_those_of_python(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "beside.py").write_text("NAME = __name__\n")
    text = (
        "import os, sys, beside\n"
        "print(__name__, sys.argv, sys.path[0] == os.path.dirname(os.path.realpath(__file__)), beside.NAME)\n"
        "print(os.path.isabs(__file__), sys.modules['__main__'].__dict__ is globals(), os.getcwd())\n"
    )
    write(folder, text)
    ran = run(cli, fake_rest, "-p", "2", "program/job.py", "-p", "7", "--input", "x y")
    assert ran.code == 0
    assert ran.out == (f"__main__ ['program/job.py', '-p', '7', '--input', 'x y'] True beside\nTrue True {tmp_path}\n")


def test_a_program_without_a_job_warns(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    ran = run(cli, fake_rest, write(tmp_path, "print('only this')"))
    assert (ran.code, ran.out) == (0, "only this\n")
    assert ran.err.startswith("WARNING: The program didn't contain a Flink job. Perhaps you forgot to call execute()")


@pytest.mark.parametrize(
    ("text", "code", "err"),
    [
        ("import sys; sys.exit(0)", 0, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(7)", 31, f"{BLOCK}Python process exits with code: 7\n"),
        ("import sys; sys.exit('sorry')", 31, "sorry\n"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_exit_codes_of_programs(cli: Cli, fake_rest: FakeRest, tmp_path: Path, text: str, code: int, err: str) -> None:
    ran = run(cli, fake_rest, write(tmp_path, text))
    assert ran.code == code
    if code:
        assert ran.err == err


def test_an_exception_of_the_program_shows_the_users_frames_only(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    path = write(tmp_path, "def deep(n):\n    return deep(n - 1) if n else 1 / 0\n\ndeep(50)\n")
    ran = run(cli, fake_rest, path)
    assert ran.code == 31
    assert ran.out == ""
    text = ran.err.removeprefix(BLOCK)
    assert text.startswith(f'Traceback (most recent call last):\n  File "{path}", line 4, in <module>\n    deep(50)\n')
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert len(text.splitlines()) <= 25
    assert "pyflow_yarn" not in text
    assert "runpy" not in text


def test_a_syntax_error_shows_the_line(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    path = write(tmp_path, "x = (1,\nprint(\n")
    ran = run(cli, fake_rest, path)
    assert ran.code == 31
    assert ran.err.startswith(f'{BLOCK}  File "{path}", line ')
    assert "SyntaxError" in ran.err


def test_a_chain_of_exceptions_ends_with_the_last(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    text = "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('no k') from e\n"
    ran = run(cli, fake_rest, write(tmp_path, text))
    lines = ran.err.splitlines()
    assert lines[-1] == "ValueError: no k"
    assert "KeyError: 'k'" in lines
    assert "The above exception was the direct cause of the following exception:" in lines


def test_a_failed_job_shows_its_failure_as_the_cluster_tells_it(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    info = {
        "exception": "ValueError",
        "message": "bad value",
        "domain": "user",
        "frames": [{"file": "job.py", "line": 9, "function": "<lambda>", "code": "raise"}],
        "operator": "Map",
        "subtask": 0,
        "parallelism": 2,
        "record": "3",
    }
    fake_rest.ends(JOB, "FAILED", {"class": "ValueError", "stack-trace": "text", "failure-info": info})
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + "env.execute()\nprint('went on')"))
    assert ran.code == 31
    assert ran.out == f"Job has been submitted with JobID {JOB}\n"
    assert ran.err == (
        f"{BLOCK}Operator 'Map' failed (subtask 1/2, attempt 0).\n"
        "  record: 3\n"
        "Traceback (most recent call last):\n"
        '  File "job.py", line 9, in <lambda>\n'
        "    raise\n"
        "ValueError: bad value\n"
    )


def test_a_program_may_handle_the_failure_of_its_job(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    info = {"exception": "ValueError", "message": "bad value"}
    fake_rest.ends(JOB, "FAILED", {"class": "ValueError", "stack-trace": "text", "failure-info": info})
    text = "from pyflow_yarn.errors import UserFunctionError\ntry:\n    env.execute()\nexcept UserFunctionError as e:\n"
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + text + "    print(e, e.failure.exception)\n"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "ValueError: bad value ValueError"


def test_a_job_cancelled_by_somebody_else(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    fake_rest.ends(JOB, "CANCELED")
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + "env.execute()"))
    assert ran.code == 31
    assert ran.err == f"{BLOCK}Job {JOB} was cancelled.\n"


def test_a_refused_job_is_one_sentence(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    fake_rest.routes["POST /v1/jobs"] = Answer(500, {"errors": ["The job needs 4 slots, the cluster has 2."]})
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + "env.execute()"))
    assert ran.code == 31
    assert ran.err == f"{BLOCK}The job needs 4 slots, the cluster has 2.\n"


def test_two_jobs_one_after_the_other(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    text = PROGRAM + "env.execute('one')\nenv.from_collection([1]).print()\nenv.execute('two')\n"
    ran = run(cli, fake_rest, write(tmp_path, text))
    assert ran.code == 0
    assert ran.out.count("Job has been submitted") == ran.out.count("Program execution finished") == 2


def test_a_mistake_in_building_the_job_names_the_users_line(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    text = (
        "from pyflow_yarn.datastream import StreamExecutionEnvironment\n"
        "StreamExecutionEnvironment.get_execution_environment().execute()\n"
    )
    path = write(tmp_path, text)
    ran = run(cli, fake_rest, path)
    assert ran.code == 31
    assert ran.err == (
        f'{BLOCK}No operators defined in streaming topology. Cannot execute.\n  File "{path}", line 2, in <module>\n'
    )


def test_ctrl_c_leaves_the_jobs_of_a_remote_cluster_running(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    program = write(tmp_path, PROGRAM + "env.execute_async()\nraise KeyboardInterrupt")
    ran = run(cli, fake_rest, program)
    hint = f"flink cancel -m {fake_rest.address} {JOB}"
    assert (ran.code, ran.err) == (130, f"Job {JOB} is still running; cancel it with: {hint}\n")


def test_ctrl_c_with_sae_cancels_them(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(202, {})
    fake_rest.ends(JOB, "CANCELED")
    program = write(tmp_path, PROGRAM + "env.execute_async()\nraise KeyboardInterrupt")
    ran = run(cli, fake_rest, "-sae", program)
    assert (ran.code, ran.err) == (130, f"Job {JOB} was cancelled.\n")
    assert len(fake_rest.sent("PATCH", f"/v1/jobs/{JOB}")) == 1


def test_modules_in_files_of_the_command_line(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    package = tmp_path / "libraries" / "tools_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("WHERE = 'directory'\n")
    (tmp_path / "single_of_mine.py").write_text("WHERE = 'file'\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    program = write(folder, "import tools_of_mine, single_of_mine\nprint(tools_of_mine.WHERE, single_of_mine.WHERE)")
    ran = run(cli, fake_rest, "-pyfs", "libraries,single_of_mine.py", "-py", program)
    assert ran.out == "directory file\n"


def test_a_module_as_the_program(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    package = tmp_path / "libraries" / "program_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys\nprint('package', __name__, __package__, sys.argv[1:])\n")
    (package / "part.py").write_text("import sys\nprint('module', __name__, __package__, sys.argv[1:])\n")
    ran = run(cli, fake_rest, "-pyfs", "libraries", "-pym", "program_of_mine.part", "a", "-b")
    assert ran.out == "module __main__ program_of_mine ['a', '-b']\n"
    assert run(cli, fake_rest, "-pyfs", "libraries", "-pym", "program_of_mine", "a").out.startswith("package __main__")
    missing = run(cli, fake_rest, "-pyfs", "libraries", "-pym", "nowhere_to_be_found")
    assert missing.code == 31
    assert "No module named 'nowhere_to_be_found' (option -pym) was found in libraries." in missing.err


def test_a_job_that_the_program_itself_cancels_is_no_failure(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    fake_rest.succeed()
    fake_rest.routes[f"PATCH /v1/jobs/{JOB}"] = Answer(202, {})
    fake_rest.ends(JOB, "CANCELED")
    ran = run(cli, fake_rest, write(tmp_path, PROGRAM + "env.execute_async().cancel().result()"))
    assert (ran.code, ran.err) == (0, "")


def test_tracebacks_show_what_ran_and_not_what_the_file_is_now(cli: Cli, fake_rest: FakeRest, tmp_path: Path) -> None:
    path = write(tmp_path, "import pathlib\npathlib.Path(__file__).write_text('other\\n' * 3)\n1 / 0  # as it was\n")
    assert "    1 / 0  # as it was\n" in run(cli, fake_rest, path).err
