"""What is shipped is the tree: no file of it is left out, and nothing else comes in."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MAPPED = {
    "pyflow_yarn": "pyflow_yarn",
    "runtime/pyflow_runtime": "pyflow_runtime",
    "bin": "pyflow_yarn/_dist/bin",
    "conf": "pyflow_yarn/_dist/conf",
}
DISTRIBUTIONS = {"yaml": "PyYAML", "python_multipart": "python-multipart", "hdfs_native": "hdfs-native"}
# What a library of ours needs and does not ask for.
FOR_OTHERS = {"setuptools"}
# Used where they are installed (numpy, pyarrow) or where the Python is new enough (compression, of 3.14).
OPTIONAL = {"compression", "numpy", "pyarrow"}
NEVER_SHIPPED = (".git", "__pycache__", "*.pyc", "*.egg-info", "build", "dist")


def not_shipped(name: str) -> bool:
    """What .gitignore names, and what git itself keeps."""
    ignored = (line.strip("/") for line in (CHECKOUT / ".gitignore").read_text().split())
    return any(fnmatch(name, pattern) for pattern in (*NEVER_SHIPPED, *ignored))


def tree(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not not_shipped(name)]
        for name in files:
            if not not_shipped(name):
                yield str((Path(folder) / name).relative_to(root))


def packages(root: Path, prefix: str) -> set[str]:
    found = {str(path.parent.relative_to(root)) for path in root.rglob("__init__.py")}
    return {prefix if name == "." else f"{prefix}.{name.replace('/', '.')}" for name in found}


def test_every_package_is_listed() -> None:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    listed = parser["options"]["packages"].split()
    expected = packages(CHECKOUT / "pyflow_yarn", "pyflow_yarn") | packages(
        CHECKOUT / "runtime" / "pyflow_runtime", "pyflow_runtime"
    )
    expected |= {"pyflow_yarn._dist.bin", "pyflow_yarn._dist.conf"}
    assert sorted(set(listed) ^ expected) == [], "setup.cfg, [options] packages"
    assert len(listed) == len(set(listed))


def test_what_is_required_is_what_is_imported() -> None:
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    lines = parser["options"]["install_requires"].strip().splitlines()
    required = {re.split(r"[<>=]", line)[0].strip() for line in lines}
    imported: set[str] = set()
    for root in ("pyflow_yarn", "runtime/pyflow_runtime"):
        for path in (CHECKOUT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported.update(name.name.partition(".")[0] for name in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"pyflow_yarn", "pyflow_runtime", *OPTIONAL}
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} == required - FOR_OTHERS


def test_every_folder_with_modules_is_a_package() -> None:
    """A folder without ``__init__.py`` works in a checkout and is missing from the wheel."""
    for root in (CHECKOUT / "pyflow_yarn", CHECKOUT / "runtime" / "pyflow_runtime"):
        for path in root.rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution and the wheel made from it; the build works on a copy, the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("build") / "pyflow-yarn"
    shutil.copytree(CHECKOUT, copy, ignore=lambda folder, names: [name for name in names if not_shipped(name)])
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(copy.parent / "out"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"python -m build fails: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return copy.parent / "out"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_is_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    expected = {f"{target}/{name}" for source, target in MAPPED.items() for name in tree(CHECKOUT / source)}
    assert sorted(shipped - expected) == []
    assert sorted(expected - shipped) == []
    assert modes["pyflow_yarn/_dist/bin/flink"] & 0o111


@pytest.mark.slow
def test_the_source_distribution_is_the_tree(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    made = {name for name in shipped if name == "PKG-INFO" or name.startswith("pyflow_yarn.egg-info/")}
    expected = set(tree(CHECKOUT))
    assert sorted(shipped - made - expected) == []
    assert sorted(expected - shipped) == [], "MANIFEST.in"


@pytest.mark.slow
def test_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    assert "Name: pyflow-yarn" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert "Requires-Python: >=3.11" in lines
    assert "# pyflow-yarn" in lines, "the README is the description"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_installed_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """The console script, the shipped configuration and a job, with no checkout in sight."""
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the wheel cannot be installed (is there a network?): {done.stderr[-3000:]}"
    unwanted = ("PYTHON", "FLINK_", "VIRTUAL_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    version = run(place / "bin" / "flink", "--version")
    assert version.startswith("Version: ")
    (shipped,) = place.glob("lib/python3.*/site-packages/pyflow_yarn/_dist/bin/flink")
    assert run(shipped, "--version") == version
    found = "from pyflow_yarn.configuration import distribution as d; print(d.conf_directory(), d.bin_directory())"
    for folder in run(place / "bin" / "python", "-c", found).split():
        assert folder.startswith(str(place))
    assert (place / "lib").exists()
    assert "river 8" in run(place / "bin" / "flink", "run", CHECKOUT / "examples" / "word_count.py").splitlines()
