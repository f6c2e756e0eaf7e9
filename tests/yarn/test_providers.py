"""Daemons run in a container where a Docker engine answers; the engine of these tests is a script that has none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hadoop.cluster import choose_addresses, wait_until
from tests.hadoop.installation import IMAGE, Installation, Unavailable, install, install_kerberos
from tests.hadoop.providers import CHECKOUT, COMPOSE, provide

# Notes what it is asked, and runs what would run in the container, with the container's variables.
ENGINE = """#!{python}
import json, os, sys
from pathlib import Path
import yaml
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == {broken!r}:
    sys.exit("Cannot connect to the Docker daemon.")
if "run" in sys.argv:
    service = yaml.safe_load(os.path.expandvars(Path(sys.argv[3]).read_text().replace(":?", "")))["services"]["hadoop"]
    Path({log!r} + ".service").write_text(json.dumps(service))
    command = sys.argv[sys.argv.index("hadoop") + 1:]
    os.execvpe(command[0], command, {{"PATH": {path!r}, "JAVA_HOME": {java!r}, **service["environment"]}})
"""


class Engine:
    """What the command `docker` was asked."""

    def __init__(self, folder: Path, broken: str) -> None:
        self._log = folder / "asked"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        java = str(install().java_home)
        text = ENGINE.format(python=sys.executable, log=str(self._log), broken=broken, path=path, java=java)
        (folder / "docker").write_text(text)
        (folder / "docker").chmod(0o755)

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    @property
    def service(self) -> dict[str, Any]:
        """The service of the compose file that it ran, with its variables filled in."""
        service: dict[str, Any] = json.loads(self._log.with_name("asked.service").read_text())
        return service


def _engine(monkeypatch: pytest.MonkeyPatch, folder: Path, switch: str = "", broken: str = "") -> Engine:
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYFLOW_HADOOP", switch)
    return Engine(folder, broken)


@pytest.fixture
def installation() -> Installation:
    return install()


def test_a_container_runs_the_guardian_that_the_machine_runs_too(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _engine(monkeypatch, tmp_path / "bin")
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "addresses.json").write_text(json.dumps(choose_addresses()))
    daemons = provide(cluster, installation)
    try:
        daemons.start("zookeeper")
        log = cluster / "logs" / "zookeeper.log"
        wait_until("ZooKeeper serves", lambda: "binding to port" in log.read_text())
        assert daemons.running() == ["zookeeper"]
    finally:
        daemons.close()
    guardian = str(CHECKOUT / "tests/hadoop/guardian.py")
    assert engine.asked == [
        ["compose", "version"],
        ["info"],
        [*COMPOSE[1:], "build", "--quiet"],
        [*COMPOSE[1:], "run", "--rm", "--no-TTY", "hadoop", "python3", "-P", guardian],
    ]
    volumes = [volume.removesuffix(":ro").split(":") for volume in engine.service["volumes"]]
    assert {outside for outside, inside in volumes} >= {str(CHECKOUT), str(cluster), str(installation.home)}
    assert all(outside == inside and Path(outside).exists() for outside, inside in volumes)
    assert engine.service["network_mode"] == engine.service["pid"] == "host"


def test_the_image_has_the_interpreter_where_the_checkout_looks_for_it(tmp_path: Path) -> None:
    lines = (IMAGE / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    service = yaml.safe_load(Path(COMPOSE[-1]).read_text())["services"]["hadoop"]
    assert service["build"]["args"].keys() == {re.split("[ =]", line)[1] for line in lines if line.startswith("ARG ")}
    interpreter = tmp_path / "usr" / "bin" / "python3"
    command = next(line for line in lines if line.startswith("RUN") and "$PYTHON" in line).removeprefix("RUN ")
    subprocess.run(["sh", "-ec", command], env={**os.environ, "PYTHON": str(interpreter)}, check=True)
    assert interpreter.readlink() == Path("/usr/local/bin/python3")


@pytest.mark.parametrize(
    ("switch", "broken", "told"),
    [
        ("docker", "compose", "docker has no command compose: start"),
        ("docker", "info", "no Docker engine answers: start the engine, or set it to 'native'"),
        ("podman", "", "PYFLOW_HADOOP is 'podman': set it to 'docker' or 'native'"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, broken: str, told: str
) -> None:
    _engine(monkeypatch, tmp_path / "bin", switch, broken)
    with pytest.raises(Unavailable, match=told):
        provide(tmp_path, installation)


def test_who_may_not_install_kerberos_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"apt install krb5-kdc krb5-admin-server krb5-user\)\.$"):
        install_kerberos()


@pytest.mark.parametrize(("switch", "broken", "asked"), [("", "info", 2), ("native", "", 0)])
def test_without_an_engine_or_on_demand_daemons_are_processes_of_the_machine(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, broken: str, asked: int
) -> None:
    engine = _engine(monkeypatch, tmp_path / "bin", switch, broken)
    daemons = provide(tmp_path, installation)
    assert daemons.running() == []
    daemons.close()
    assert len(engine.asked) == asked
    assert not any("run" in words for words in engine.asked)


def test_a_container_that_does_not_start_is_told(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text('#!/bin/sh\ncase "$*" in *" run "*) exit 125 ;; esac\n')
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYFLOW_HADOOP", "docker")
    daemons = provide(tmp_path, installation)
    with pytest.raises(Unavailable, match="The guardian of the cluster has ended with 125"):
        daemons.running()
    daemons.close()
