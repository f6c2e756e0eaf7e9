"""``flink info --svg``: where the picture goes, and what goes nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.cli.conftest import Ran
from tests.unit.cli.test_run import PROGRAM, write
from tests.unit.cli.test_texts import BLOCK, HINT

Cli = Callable[..., Ran]
NAMED = PROGRAM + "env.execute(sys.argv[1] if len(sys.argv) > 1 else 'a plan')"


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Programs replace ``__main__``, ``sys.argv`` and the path."""
    main, arguments, path = sys.modules["__main__"], list(sys.argv), list(sys.path)
    yield
    sys.modules["__main__"], sys.argv[:], sys.path[:] = main, arguments, path


def title(picture: str) -> str | None:
    return ElementTree.fromstring(picture).findtext("{http://www.w3.org/2000/svg}title")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--svg", "job.py"], "a plan"),
        (["-svg", "job.py", "x", "-p", "3"], "x"),
        (["--svg", "-", "job.py"], "a plan"),
        (["--svg", "-py", "job.py"], "a plan"),
        (["-py", "job.py", "--svg"], "a plan"),
        (["--svg", "-p", "3", "job.py", "--svg"], "--svg"),
    ],
)
def test_without_a_file_the_picture_goes_to_stdout(cli: Cli, tmp_path: Path, words: list[str], expected: str) -> None:
    write(tmp_path, "print('held back')\n" + NAMED)
    ran = cli("info", *words)
    assert (ran.code, ran.err) == (0, "")
    assert title(ran.out) == expected


@pytest.mark.parametrize("words", [["--svg", "plan.svg"], ["--svg=plan.svg"], ["-svg", "./plan.svg"]])
def test_a_picture_in_a_file(cli: Cli, tmp_path: Path, words: list[str]) -> None:
    write(tmp_path, "import os\nos.chdir('conf')\n" + NAMED)
    assert cli("info", *words, "job.py", "Ünïcode") == Ran(0, "", "")
    assert title((tmp_path / "plan.svg").read_text(encoding="utf-8")) == "Ünïcode"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "job.py", "plan.svg"]


def test_a_picture_shows_the_parallelism_of_the_command_line(cli: Cli, tmp_path: Path) -> None:
    assert "parallelism 3" in cli("info", "-p", "3", "--svg", write(tmp_path, NAMED)).out


def test_what_children_of_the_program_write_is_not_in_the_picture(tmp_path: Path) -> None:
    program = write(tmp_path, "import os\nos.system('echo child')\nos.write(1, b'bytes\\n')\n" + NAMED)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pyflow_yarn.cli.main", "info", "--svg", str(program)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "FLINK_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "child\nbytes\n")
    assert title(done.stdout) == "a plan"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("conf", "it is a directory"),
        ("nowhere/plan.svg", "the directory '{}/nowhere' does not exist"),
        ("job.py/plan.svg", "the directory '{}/job.py' does not exist"),
        ("/dev/full", "no space left on device"),
        ("n" * 300, "file name too long"),
    ],
)
def test_a_file_that_cannot_be_written(cli: Cli, tmp_path: Path, file: str, reason: str) -> None:
    write(tmp_path, NAMED)
    ran = cli("info", "--svg", file, "job.py")
    sentence = f"The picture cannot be written to '{tmp_path / file}': {reason.format(tmp_path)}.\n"
    assert ran == Ran(1, "", sentence)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "job.py"]


def test_no_picture_replaces_a_program(cli: Cli, tmp_path: Path) -> None:
    program = write(tmp_path, NAMED)
    ran = cli("info", "--svg=job.py", "job.py")
    assert ran == Ran(1, f"'job.py' is a Python program: name another file for the picture (--svg).{HINT}", "")
    assert program.read_text() == NAMED


def test_a_program_without_a_job_has_no_picture(cli: Cli, tmp_path: Path) -> None:
    ran = cli("info", "--svg", write(tmp_path, "print('nothing')"))
    assert (ran.code, ran.out) == (1, "")
    assert "The program didn't contain a Flink job." in ran.err


def test_a_program_that_fails_leaves_the_old_picture(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "plan.svg").write_text("old")
    ran = cli("info", "--svg", "plan.svg", write(tmp_path, "print('before')\n1 / 0\n"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("before\n" + BLOCK)
    assert (tmp_path / "plan.svg").read_text() == "old"


def test_the_help_shows_the_option(cli: Cli) -> None:
    assert "\n     -svg <file> " in cli("info", "-h").out
