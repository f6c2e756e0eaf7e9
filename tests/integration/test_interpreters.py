"""Jobs with interpreters and packages of their own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.errors import PyflowError
from tests.integration.embedded_cluster import EmbeddedCluster, embedded_cluster

pytestmark = pytest.mark.slow

SITE = next(path for path in sys.path if path.endswith("site-packages"))


def virtual_environment(place: Path, *, with_our_dependencies: bool) -> Path:
    """The interpreter of a new virtual environment, without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    if with_our_dependencies:
        (next(place.glob("lib/python*/site-packages")) / "base.pth").write_text(f"{SITE}\n")
    return place / "bin" / "python"


def wheel(folder: Path, version: str = "1.0", name: str = "greeting") -> Path:
    """A wheel with one module, made by hand."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"HELLO = 'hello from {version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def ask_worker(cluster: EmbeddedCluster, environment: StreamExecutionEnvironment, question: str) -> str:
    """What an expression gives in a worker."""

    def answer(text: str) -> str:
        import importlib

        module, _, attribute = text.partition(":")
        return str(getattr(importlib.import_module(module), attribute))

    with environment.from_collection([question]).map(lambda text: answer(text)).execute_and_collect() as results:
        (only,) = results
        return str(only)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_workers_run_with_the_named_interpreter(tmp_path: Path) -> None:
    python = virtual_environment(tmp_path / "v", with_our_dependencies=True)
    with embedded_cluster({"python.executable": str(python)}) as cluster:
        environment = cluster.environment()
        assert ask_worker(cluster, environment, "sys:executable") == str(python)
        assert ask_worker(cluster, cluster.environment(), "sys:prefix") == str(tmp_path / "v")


def test_an_interpreter_of_our_version_needs_nothing_of_ours(tmp_path: Path) -> None:
    python = virtual_environment(tmp_path / "v", with_our_dependencies=False)
    with embedded_cluster({"python.executable": str(python)}) as cluster:
        assert ask_worker(cluster, cluster.environment(), "sys:executable") == str(python)


def pretending(place: Path, python: Path, version: str) -> Path:
    """An interpreter that says that it is of another version."""
    place.write_text(
        f"#!{python}\nimport sys\nsys.version_info = {version}\ncode = sys.argv[2]\n"
        "sys.argv = ['-c', *sys.argv[3:]]\nexec(code)\n"
    )
    place.chmod(0o755)
    return place


def test_what_an_interpreter_of_another_version_lacks_is_said(tmp_path: Path) -> None:
    python = virtual_environment(tmp_path / "v", with_our_dependencies=False)
    other = pretending(tmp_path / "python3.99", python, "(3, 99, 0)")
    with (
        embedded_cluster({"python.executable": str(other), "restart-strategy.type": "none"}) as cluster,
        pytest.raises(PyflowError, match=rf"The Python interpreter {python} lacks msgspec, cloudpickle.*: install"),
    ):
        ask_worker(cluster, cluster.environment(), "sys:executable")


def test_an_interpreter_that_is_too_old_is_said(tmp_path: Path) -> None:
    old = pretending(tmp_path / "python3.8", Path(sys.executable), "(3, 8, 1)")
    with (
        embedded_cluster({"python.executable": str(old), "restart-strategy.type": "none"}) as cluster,
        pytest.raises(PyflowError, match=r"is version 3\.8, but jobs need 3\.11 or later"),
    ):
        ask_worker(cluster, cluster.environment(), "sys:executable")


def test_an_interpreter_that_is_none_is_said(tmp_path: Path) -> None:
    with (
        embedded_cluster({"python.executable": "/bin/false", "restart-strategy.type": "none"}) as cluster,
        pytest.raises(PyflowError, match="could not be started with /bin/false"),
    ):
        ask_worker(cluster, cluster.environment(), "sys:executable")


def test_requirements_become_an_environment_that_is_kept(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("greeting==1.0\n")
    with embedded_cluster({"restart-strategy.type": "none"}) as cluster:
        environment = cluster.environment()
        environment.set_python_requirements(str(requirements), str(tmp_path / "wheels"))
        assert ask_worker(cluster, environment, "greeting:HELLO") == "hello from 1.0"
        kept = list((tmp_path / "cache" / "pyflow-yarn" / "environments").glob("*/pyflow-complete"))
        assert len(kept) == 1
        stamp = kept[0].stat().st_mtime_ns
        environment = cluster.environment()
        environment.set_python_requirements(str(requirements), str(tmp_path / "wheels"))
        assert ask_worker(cluster, environment, "greeting:HELLO") == "hello from 1.0"
        assert kept[0].stat().st_mtime_ns == stamp


def test_a_failed_installation_gives_the_reason(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("greeting==2.0\n")
    with embedded_cluster({"restart-strategy.type": "none"}) as cluster:
        environment = cluster.environment()
        environment.set_python_requirements(str(requirements), str(tmp_path / "wheels"))
        with pytest.raises(PyflowError, match=r"Installing the packages of .* failed: ERROR: .*greeting==2\.0"):
            ask_worker(cluster, environment, "greeting:HELLO")
        assert not list((tmp_path / "cache").rglob("pyflow-complete"))
