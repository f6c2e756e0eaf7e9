"""The rules of docs/architecture.md that a program can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ROOTS = ("pyflow_yarn", "runtime/pyflow_runtime", "bin", "examples", "benchmarks", "tests")
MOST_LINES = 800


def modules(*roots: str) -> Iterator[Path]:
    for root in roots or ROOTS:
        yield from sorted(path for path in (CHECKOUT / root).rglob("*.py") if "__pycache__" not in path.parts)


def test_layers_and_contracts() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", command, "--no-logo", "--no-cache"],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'runtime'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_no_module_is_too_long() -> None:
    long = {
        str(path.relative_to(CHECKOUT)): lines
        for path in modules()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long, f"more than {MOST_LINES} lines, divide them by what they are about: {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = []
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(CHECKOUT)))
    assert not silent, f"modules without a docstring: {silent}"


def test_annotations_are_never_evaluated() -> None:
    without = []
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        code = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        imports = [node for node in code if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        if code and not any(name.name == "annotations" for node in imports for name in node.names):
            without.append(str(path.relative_to(CHECKOUT)))
    assert not without, f"modules without `from __future__ import annotations`: {without}"


def test_public_names_have_docstrings() -> None:
    """Classes and functions at the top of a module; a method that overrides another inherits its sentence."""
    silent = []
    for path in modules("pyflow_yarn", "runtime/pyflow_runtime"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            if any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list):
                continue
            if not ast.get_docstring(node):
                silent.append(f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.name}")
    assert not silent, "public names without a docstring:\n  " + "\n  ".join(silent)


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later_in_the_code(mark: str) -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{number}"
        for path in modules()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if mark in line.partition("#")[2].split()
    ]
    assert not found


def test_a_tiny_job_starts_without_heavy_libraries() -> None:
    """What is imported at the start is paid for by every job."""
    program = """
import sys
import pyflow_yarn.cli.main, pyflow_yarn.common, pyflow_yarn.datastream
heavy = {"numpy", "pandas", "pyarrow", "grpc", "rich", "cryptography", "starlette", "uvicorn", "asyncio", "jinja2"}
print(*sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'runtime'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
