"""Our own packages as an archive."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import own_code
from pyflow_yarn.deployment.yarn.own_code import OwnCode


def packed(code: OwnCode) -> bytes:
    target = io.BytesIO()
    code.pack(target)
    return target.getvalue()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Other packages under our names."""
    for name in ("pyflow_yarn", "pyflow_runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("def fail():\n    raise ValueError('of the test')\n")
    (tmp_path / "pyflow_yarn" / "_dist").mkdir()
    (tmp_path / "pyflow_yarn" / "_dist" / "flink").touch()
    (tmp_path / "pyflow_yarn" / "data.json").write_text("{}")
    monkeypatch.setattr(own_code, "source_roots", lambda: [str(tmp_path)])
    return tmp_path


def test_both_packages_and_nothing_else(sources: Path) -> None:
    tag = sys.implementation.cache_tag
    with tarfile.open(fileobj=io.BytesIO(packed(OwnCode.of_this_installation()))) as tar:
        names = tar.getnames()
    assert names == [
        "pyflow_runtime/__init__.py",
        f"pyflow_runtime/__pycache__/__init__.{tag}.pyc",
        "pyflow_yarn/__init__.py",
        f"pyflow_yarn/__pycache__/__init__.{tag}.pyc",
        "pyflow_yarn/data.json",
    ]


def test_equal_code_has_equal_bytes_and_one_key(sources: Path) -> None:
    first, second = OwnCode.of_this_installation(), OwnCode.of_this_installation()
    assert first.key == second.key
    assert packed(first) == packed(second)
    (sources / "pyflow_runtime" / "__init__.py").write_text("x = 1\n")
    assert OwnCode.of_this_installation().key != first.key


def test_tracebacks_show_lines_of_unpacked_code(sources: Path, tmp_path: Path) -> None:
    code = OwnCode.of_this_installation()
    with tarfile.open(fileobj=io.BytesIO(packed(code))) as tar:
        tar.extractall(tmp_path / "node", filter="data")
    run = "import sys; sys.path.insert(0, sys.argv[1]); import pyflow_yarn; pyflow_yarn.fail()"
    done = subprocess.run(
        [sys.executable, "-I", "-v", "-c", run, tmp_path / "node"], capture_output=True, text=True, check=False
    )
    file = tmp_path / "node" / "pyflow_yarn" / "__init__.py"
    assert f'File "{file}", line 2, in fail\n    raise ValueError(' in done.stderr
    assert f"code object from '{file.parent}/__pycache__/" in done.stderr, "it was not compiled again"


def test_this_installation() -> None:
    places = {file.place for file in OwnCode.of_this_installation().files}
    assert {"pyflow_yarn/cli/main.py", "pyflow_runtime/entrypoint/jobmanager.py", "pyflow_runtime/py.typed"} <= places
