"""Which Python containers run: a copy of the client's environment, with what ``-pyreq`` asks for, or the nodes' own."""

from __future__ import annotations

import getpass
import json
import re
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pyflow_yarn.deployment.yarn.unpacking import WRONG_NODE
from tests.conftest import CHECKOUT, Completed, Flink
from tests.hadoop.cluster import Hadoop
from tests.yarn.test_application import application_of, fate
from tests.yarn.test_session import Sessions

UNPACKED = re.compile(r".*/usercache/[^/]+/filecache/\d+/(environment|pyflow)\.tar\.gz\.unpacked")
PROGRAM = """
import json, sys
from importlib.util import find_spec
import pyflow_yarn
from pyflow_yarn.datastream import StreamExecutionEnvironment

def here():
    return {
        "prefix": sys.prefix,
        "code": pyflow_yarn.__path__[0].rpartition("/")[0],
        "brought": [name for name in ("of_the_environment", "of_the_users") if find_spec(name)],
    }

def tell(output):
    with open(output, "w") as file:
        json.dump(here(), file)
    return output

with open(sys.argv[1], "w") as file:
    json.dump(here(), file)
env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([sys.argv[2]]).map(tell).print()
env.execute("tells where it is")
"""


class Told:
    """A program on YARN that tells where its main() and its worker are."""

    def __init__(self, flink: Flink, hadoop: Hadoop, folder: Path) -> None:
        self._flink, self._hadoop, self._folder = flink, hadoop, folder
        self.variables = dict[str, str]()
        (folder / "tells.py").write_text(PROGRAM)

    def run(self, *options: str) -> Completed:
        """How its client ended."""
        words = (self._folder / "tells.py", self._folder / "main", self._folder / "worker")
        target = () if "-t" in options else ("-t", "yarn-application")
        return self._flink(
            "run",
            *target,
            *options,
            *words,
            env={**self._hadoop.exports, **self.variables},
            timeout=300,
        )

    def told(self, *options: str, attempts: int = 1) -> list[dict[str, Any]]:
        """What main() and the worker tell."""
        done = self.run(*options)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert fate(self._hadoop, application_of(done), attempts) == ("FINISHED", "SUCCEEDED", "")
        return [json.loads((self._folder / name).read_text()) for name in ("main", "worker")]


@pytest.fixture
def program(flink: Flink, hadoop: Hadoop, tmp_path: Path) -> Told:
    return Told(flink, hadoop, tmp_path)


@pytest.fixture
def sessions(flink: Flink, hadoop: Hadoop) -> Sessions:
    return Sessions(flink, hadoop)


def cached(hadoop: Hadoop) -> dict[str, int]:
    """The archives of environments in the user's cache on HDFS, and when they came."""
    user = getpass.getuser()
    result = {}
    for key in hadoop.names(f"/user/{user}/.flink/cache"):
        if key.startswith("python-"):
            path = f"/user/{user}/.flink/cache/{key}/environment.tar.gz"
            result[key] = json.loads(hadoop.webhdfs("GET", path, "GETFILESTATUS"))["FileStatus"]["modificationTime"]
    return result


def test_containers_have_a_copy_of_the_clients_environment(program: Told, hadoop: Hadoop) -> None:
    for place in program.told():
        assert UNPACKED.fullmatch(place["prefix"])
        assert UNPACKED.fullmatch(place["code"])
        assert not place["brought"]
    before = cached(hadoop)
    assert before
    program.told()
    assert cached(hadoop) == before, "nothing was packed and sent again"


def test_the_active_environment_is_copied_with_packages_of_requirements(program: Told, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "of_the_environment.py").touch()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "of_the_users-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("of_the_users.py", "x = 1\n")
        wheel.writestr(
            "of_the_users-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: of_the_users\nVersion: 1.0\n"
        )
        wheel.writestr(
            "of_the_users-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("of_the_users-1.0.dist-info/RECORD", "")
    (tmp_path / "requirements.txt").write_text("of_the_users\n")
    program.variables["VIRTUAL_ENV"] = str(tmp_path / "venv")
    for place in program.told("-pyreq", f"{tmp_path / 'requirements.txt'}#{wheels}"):
        assert place["brought"] == ["of_the_environment", "of_the_users"]
        assert UNPACKED.fullmatch(place["prefix"])


def test_an_interpreter_of_the_nodes_needs_no_copy(program: Told) -> None:
    for place in program.told("-pyexec", sys.executable):
        assert place["prefix"] == sys.prefix
        # It has our packages installed.
        assert place["code"] == str(CHECKOUT)


WRONG = re.compile(
    r"The application (application_\d+_\d+) has no Python that works: \S+: /nowhere/python \(python\.executable\): its"
    r" interpreter does not work on this node \(status 127: .*No such file or directory\): install Python 3\.11 or"
    r" later there with pyflow's requirements, or leave python\.executable \(-pyexec\) out, and nodes get a copy of the"
    r" client's environment\.\n"
)


@pytest.mark.parametrize(
    ("target", "attempts", "code"),
    [("yarn-application", 2, 1), ("yarn-application -d", 1, 1), ("yarn-per-job", 1, 31), ("yarn-session", 1, 1)],
)
def test_an_interpreter_that_nodes_have_not(
    target: str, attempts: int, code: int, program: Told, sessions: Sessions, hadoop: Hadoop
) -> None:
    options = ("-Dpython.executable=/nowhere/python", f"-Dyarn.application-attempts={attempts}")
    in_session = target == "yarn-session"
    done = sessions.run("-d", *options) if in_session else program.run("-t", *target.split(), *options)
    assert done.returncode == code, done
    (application,) = WRONG.findall(done.stderr)
    assert done.stderr.rpartition("\n\n")[2].count("\n") == 1
    state, status, diagnostics = fate(hadoop, application, attempts)
    assert (state, status) == ("FINISHED", "FAILED")
    assert f"exit code {WRONG_NODE}" in diagnostics


def broken_where(condition: str, folder: Path) -> str:
    """An interpreter that does not work where the shell finds the condition true."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nif {condition}; then echo "no disk" >&2; exit 5; fi\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_an_interpreter_that_one_node_has_not_costs_an_attempt(program: Told, tmp_path: Path) -> None:
    python = broken_where('[ "${CONTAINER_ID%_01_000001}" != "$CONTAINER_ID" ]', tmp_path)
    program.told("-pyexec", python, attempts=2)


def test_an_interpreter_that_does_not_work_for_task_managers(program: Told, tmp_path: Path) -> None:
    python = broken_where('[ -n "$BROKEN" ]', tmp_path)
    done = program.run(
        *("-pyexec", python, "-Dcontainerized.taskmanager.env.BROKEN=1"),
        *("-Dslot.request.timeout=5 s", "-Dresourcemanager.start-worker.max-failure-rate=1"),
    )
    assert done.returncode == 31, done
    assert re.search(
        r"TaskManagers ended within a minute before they were ready, the last one taskmanager-1-\d+ on \S+: \S+:"
        rf" {python} \(python\.executable\): its interpreter does not work on this node \(status 5: no disk\): install",
        done.stderr,
    )
