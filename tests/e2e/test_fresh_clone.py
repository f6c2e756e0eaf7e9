"""What a newcomer does: the README's first command in a fresh copy, with each Python that there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.packaging.test_distribution import not_shipped

CHECKOUT = Path(__file__).resolve().parents[2]
IMPORT_ALL = """
import importlib, pathlib, sys, warnings
warnings.simplefilter("error")
for root, package in zip(sys.argv[1::2], sys.argv[2::2]):
    for file in sorted(pathlib.Path(root, package).rglob("*.py")):
        importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
print("all imported")
"""

pytestmark = pytest.mark.timeout(400)


def pythons() -> list[str]:
    """This Python, and of the others that the project supports those that are installed here."""
    found = {sys.version_info[:2]: sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for minor in (11, 12, 13):
        candidates = [shutil.which(f"python3.{minor}"), *map(str, pyenv.glob(f"versions/3.{minor}.*/bin/python3"))]
        for path in candidates:
            if path and (3, minor) not in found:
                done = subprocess.run([path, "-I", "-c", "import ensurepip"], capture_output=True, check=False)
                if done.returncode == 0:
                    found[3, minor] = path
    return list(found.values())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "fresh clone"
    shutil.copytree(CHECKOUT, clone, ignore=lambda folder, names: [name for name in names if not_shipped(name)])
    return clone


def first_command(readme: str) -> list[str]:
    found = re.search(r"```sh\n(.*)\n", readme)
    assert found
    return found[1].split()


@pytest.mark.parametrize("python", pythons())
def test_the_first_command(clone: Path, tmp_path: Path, python: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    unwanted = ("PYTHON", "FLINK_", "VIRTUAL_ENV", "XDG_", "PYFLOW_PYTHON", "PYFLOW_CACHE_DIR")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    environ |= {"HOME": str(home), "PYFLOW_PYTHON": python}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=clone, env=environ, capture_output=True, text=True, timeout=300, check=False)

    command = first_command((clone / "README.md").read_text(encoding="utf-8"))
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "first start: building the virtual environment" in done.stderr
    counts = Counter((clone / "examples" / "data" / "the_river.txt").read_text(encoding="utf-8").split())
    printed = [line for line in done.stdout.splitlines() if re.fullmatch(r"\S+ \d+", line)]
    assert sorted(printed) == sorted(f"{word} {count}" for word, count in counts.items())

    environ.pop("PYFLOW_PYTHON")
    again = run(*command)
    assert (again.returncode, again.stderr) == (0, ""), "the second start builds nothing"

    (place,) = (path for path in (clone / ".pyflow").glob("venv-*") if path.is_dir())
    roots = (clone, "pyflow_yarn", clone / "runtime", "pyflow_runtime")
    imported = run(place / "bin" / "python", "-P", "-c", IMPORT_ALL, *roots)
    assert imported.stdout == "all imported\n", imported.stderr
    assert not list(home.rglob("*pyflow*")), "everything is in the checkout, nothing in the home"
