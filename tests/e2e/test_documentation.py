"""What the guide shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import CHECKOUT, Flink


def blocks(page: str, language: str) -> list[str]:
    """The code of a page that is marked with this language ("": with none)."""
    text = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    return [code for marked, code in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL) if marked == language]


def test_the_first_program(flink: Flink, tmp_path: Path) -> None:
    (program,) = blocks("getting_started.md", "python")
    (tmp_path / "first.py").write_text(program)
    done = flink("run", "first.py")
    assert (done.returncode, done.stderr) == (0, "")
    printed = [line for line in done.lines() if line.startswith("(")]
    assert printed == ["(to,1)", "(be,1)", "(or,1)", "(not,1)", "(to,2)", "(be,2)"]


def test_a_failure_looks_as_described(flink: Flink, tmp_path: Path) -> None:
    (program,) = blocks("errors.md", "python")
    (shown,) = blocks("errors.md", "")
    (tmp_path / "job.py").write_text(program)
    done = flink("run", "job.py")
    assert done.returncode == 31
    assert done.stderr.endswith(shown.replace("/home/ada", str(tmp_path)))
