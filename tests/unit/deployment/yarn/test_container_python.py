"""Which Python containers are given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn import container_python as module
from pyflow_yarn.deployment.yarn.container_python import container_python, requirements_are_packed
from pyflow_yarn.deployment.yarn.environment import Environment
from pyflow_yarn.deployment.yarn.staging import Content, Staging
from pyflow_yarn.errors import ConfigurationError
from pyflow_yarn.yarn import LocalFile, Visibility
from tests.unit.deployment.yarn.test_brought import AARCH64, CONDA, VENV, archive, program


class Cache(Staging):
    """A cache in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def stage(self, content: Content, name: str, visibility: Visibility = Visibility.APPLICATION) -> LocalFile:
        path = f"{content.key}/{name}"
        if path not in self.content:
            self.content[path] = b"".join(content.chunks())
            assert content.size == len(self.content[path])
        return LocalFile(path, visibility=visibility)


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """And an environment whose archive is a few bytes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Environment, "pack", lambda self, target: target.write(b"packed"))
    return Cache()


def test_a_copy_of_this_environment_and_our_code(staging: Cache, tmp_path: Path) -> None:
    python = container_python({}, staging)
    assert set(python.files) == {"environment.tar.gz", "pyflow.tar.gz"}
    assert {file.visibility for file in python.files.values()} == {Visibility.PRIVATE}
    assert {file.source for file in python.files.values()} == set(staging.content)
    assert container_python({}, staging).files == python.files
    assert len(staging.content) == 2
    assert list((tmp_path / "cache" / "pyflow-yarn" / "yarn").iterdir())


def test_an_interpreter_of_the_nodes_needs_no_copy(staging: Cache) -> None:
    python = container_python({"python.executable": "/opt/python/bin/python3"}, staging)
    assert set(python.files) == {"pyflow.tar.gz"}
    assert "python=/opt/python/bin/python3\n" in python.commands


def test_what_containers_run(staging: Cache, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("import sys\ndef main():\n    print(sys.argv[1:], sys.path[-1])\n    return 5\n")
    run = container_python({}, staging).run("told")
    done = subprocess.run(
        ["sh", "-euc", f"python={sys.executable}; code='{tmp_path}'; {run}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, f"[] {tmp_path}\n"), done.stderr


@pytest.mark.parametrize(
    ("configuration", "packed"),
    [
        ({}, False),
        ({"python.requirements": "/x/requirements.txt"}, True),
        ({"python.requirements": "/x/requirements.txt#/x/wheels"}, True),
        ({"python.requirements": "hdfs:///x/requirements.txt"}, False),
        ({"python.requirements": "/x/requirements.txt", "python.executable": "/usr/bin/python3"}, False),
        ({"python.requirements": "/x/requirements.txt", "python.executable": "env/bin/python"}, False),
    ],
)
def test_whose_packages_are_packed(configuration: dict[str, str], packed: bool) -> None:
    assert requirements_are_packed(configuration) is packed


def test_packages_of_requirements_are_packed(staging: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "more").mkdir()
    asked: list[object] = []

    def installed(environment: Environment, file: Path, packages: Path | None, cache: Path) -> Environment:
        asked.append((file, packages))
        return environment.with_packages(str(tmp_path / "more"), cache)

    monkeypatch.setattr(module, "with_requirements", installed)
    more = container_python({"python.requirements": "/x/requirements.txt#/x/wheels"}, staging)
    assert asked == [(Path("/x/requirements.txt"), Path("/x/wheels"))]
    assert more.files["environment.tar.gz"] != container_python({}, staging).files["environment.tar.gz"]


def of_this_version(contents: dict[str, bytes | str]) -> dict[str, bytes | str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {name.replace("3.11", version): content for name, content in contents.items()}


def test_an_archive_is_looked_at_before_anything_is_staged(staging: Cache, tmp_path: Path) -> None:
    other = AARCH64 if os.uname().machine == "x86_64" else 62
    contents = {**CONDA, "./bin/python": program(other)}
    path = archive(tmp_path / "env.tar.gz", of_this_version(contents))
    named = {"python.archives": f"{path}#env", "python.executable": "env/bin/python"}
    with pytest.raises(
        ConfigurationError, match=f"is for .*, and what else runs on the nodes is for {os.uname().machine}"
    ):
        container_python(named, staging)
    with pytest.raises(ConfigurationError, match=r"holds no bin/python4 \(python.executable\)"):
        container_python({**named, "python.executable": "env/bin/python4"}, staging)
    assert not staging.content


def test_an_archive_that_needs_a_python_is_told(
    staging: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "env.tar.gz", of_this_version(dict(VENV)))
    container_python({"python.archives": f"{path}#env", "python.executable": "env/venv/bin/python"}, staging)
    sentence = f"The archive {path} does not stand on its own: nodes need the Python in /usr/bin/python3 as well"
    assert sentence in capsys.readouterr().out
