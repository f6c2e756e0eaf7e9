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

UNPACKED = re.compile(r".*/usercache/[^/]+/filecache/\d+/(environment|pyflow)\.tar\.gz\.unpacked")
PROGRAM = """
import importlib.util, json, sys
import pyflow_yarn
from pyflow_yarn.datastream import StreamExecutionEnvironment

def here():
    return {
        "prefix": sys.prefix,
        "code": pyflow_yarn.__path__[0].rpartition("/")[0],
        "brought": [name for name in ("of_the_environment", "of_the_users") if importlib.util.find_spec(name)],
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
        return self._flink(
            "run",
            "-t",
            "yarn-application",
            *options,
            *words,
            env={**self._hadoop.exports, **self.variables},
            timeout=300,
        )

    def told(self, *options: str) -> list[dict[str, Any]]:
        """What main() and the worker tell."""
        done = self.run(*options)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert fate(self._hadoop, application_of(done)) == ("FINISHED", "SUCCEEDED", "")
        return [json.loads((self._folder / name).read_text()) for name in ("main", "worker")]


@pytest.fixture
def program(flink: Flink, hadoop: Hadoop, tmp_path: Path) -> Told:
    return Told(flink, hadoop, tmp_path)


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


def test_an_interpreter_that_nodes_have_not(program: Told, hadoop: Hadoop) -> None:
    done = program.run("-pyexec", "/nowhere/python")
    assert done.returncode == 1
    state, status, diagnostics = fate(hadoop, application_of(done))
    assert (state, status) == ("FINISHED", "FAILED")
    assert f"exit code {WRONG_NODE}" in diagnostics
