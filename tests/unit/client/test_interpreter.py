"""Which Python runs a program, and a program in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow_yarn.client.interpreter import client_executable, site_packages
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.errors import ConfigurationError

BOOTSTRAP = Path(__file__).resolve().parents[3] / "pyflow_yarn" / "client" / "bootstrap.py"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("PYFLINK_CLIENT_EXECUTABLE", raising=False)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment of this Python that holds nothing."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([os.path.realpath(sys.executable), "-m", "venv", "--without-pip", place], check=True)
    return place


def test_nothing_said_means_this_one() -> None:
    assert client_executable({}) == sys.executable


def test_the_order_of_what_may_be_said(environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.symlink_to("/bin/sh")
    third = tmp_path / "third"
    third.symlink_to("/bin/sh")
    monkeypatch.setenv("VIRTUAL_ENV", str(environment))
    assert client_executable({}) == str(environment / "bin" / "python")
    monkeypatch.setenv("PYFLINK_CLIENT_EXECUTABLE", str(other))
    assert client_executable({}) == str(other)
    assert client_executable({"python.client.executable": str(third)}) == str(third)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert client_executable({"python.client.executable": "third"}) == str(third)


def test_other_names_of_this_one_are_recognised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert client_executable({}) == sys.executable
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    assert client_executable({"python.client.executable": str(link / "bin" / "python")}) == sys.executable


@pytest.mark.parametrize("name", ["/nowhere/python", "no-such-python", "/tmp"])
def test_an_interpreter_that_is_none(name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"The Python interpreter '{name}' .python.client.executable. does not"
    ):
        client_executable({"python.client.executable": name})


def test_an_active_environment_that_was_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    with pytest.raises(ConfigurationError, match="The active virtual environment '/nowhere' has no bin/python"):
        client_executable({})


# -- in the other interpreter --


def bootstrap(python: Path, specification: object, version: str = "") -> subprocess.CompletedProcess[str]:
    read, write = os.pipe()
    os.write(write, json.dumps(specification).encode())
    os.close(write)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    paths = [os.pathsep.join(source_roots()), os.pathsep.join(site_packages())]
    try:
        return subprocess.run(
            [python, BOOTSTRAP, str(read), version or own, *paths],
            pass_fds=[read],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": ""},
        )
    finally:
        os.close(read)


def test_a_program_in_an_environment_without_our_libraries(environment: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\nprint(sys.prefix, sys.argv[1:], sys.path[0])\n"
        "assert not any(path.endswith('pyflow_yarn/client') for path in sys.path)\n"
        "from pyflow_yarn.datastream import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection([1]).print()\nenv.execute()\n"
    )
    program = {"script": str(script), "arguments": ["a", "b"]}
    done = bootstrap(environment / "bin" / "python", {"program": program, "configuration": {}, "plan_only": True})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("----------------------- Execution Plan")
    failing = {"program": {**program, "script": str(tmp_path / "fails.py")}, "configuration": {}, "plan_only": True}
    (tmp_path / "fails.py").write_text(script.read_text().split("from")[0] + "raise SystemExit('ends')\n")
    done = bootstrap(environment / "bin" / "python", failing)
    assert (done.returncode, done.stderr) == (1, "ends\n")
    assert done.stdout == f"{environment} ['a', 'b'] {tmp_path}\n"


def test_an_interpreter_of_another_version_needs_the_libraries_itself(environment: Path) -> None:
    done = bootstrap(environment / "bin" / "python", {}, version="3.99")
    assert done.returncode == 31
    assert done.stdout == ""
    assert "lacks msgspec, cloudpickle, mmh3, setproctitle" in done.stderr
    assert "this installation's own libraries are for version 3.99" in done.stderr
