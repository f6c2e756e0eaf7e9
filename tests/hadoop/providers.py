"""Who runs the daemons of a cluster: this machine, or a container where a Docker engine answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hadoop.installation import IMAGE, Installation, Unavailable, run

SWITCH = "PYFLOW_HADOOP"
CHECKOUT = Path(__file__).resolve().parents[2]
GUARDIAN = Path(__file__).with_name("guardian.py")
ENTRYPOINT = IMAGE / "entrypoint.py"
COMPOSE = ("docker", "compose", "-f", str(CHECKOUT / "docker" / "compose.yaml"))
ENGINE_SECONDS = 20.0
STOP_SECONDS = 60.0


class Daemons:
    """The daemons of one cluster by their names, below a guardian that does not outlive its starter."""

    def __init__(self, folder: Path, python: Sequence[str], environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._python = python[-1]
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self._guardian = subprocess.Popen(
            [*python, "-P", str(GUARDIAN)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, name: str) -> None:
        """Start a daemon; it need not be ready yet."""
        command = [self._python, "-P", str(ENTRYPOINT), str(self._folder), name]
        self._ask(do="start", name=name, command=command, log=str(self._folder / "logs" / f"{name}.log"))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a daemon a signal; after SIGKILL, return when it has ended."""
        self._ask(do="signal", name=name, signal=number, wait=number == signal.SIGKILL)

    def running(self) -> list[str]:
        """The names of the daemons that run."""
        return list(self._ask(do="look")["running"])

    def close(self) -> None:
        """End all daemons and whatever they started."""
        assert self._guardian.stdin is not None and self._guardian.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._guardian.stdin.close()
        self._guardian.wait(STOP_SECONDS)
        self._guardian.stdout.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._guardian.stdin is not None and self._guardian.stdout is not None
        try:
            self._guardian.stdin.write(json.dumps(request) + "\n")
            self._guardian.stdin.flush()
            line = self._guardian.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unavailable(f"The guardian of the cluster has ended with {self._guardian.wait(STOP_SECONDS)}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer


def provide(folder: Path, installation: Installation) -> Daemons:
    """Daemons in a container where an engine answers, else as processes of this machine; PYFLOW_HADOOP decides."""
    wanted = os.environ.get(SWITCH, "")
    if wanted not in ("", "docker", "native"):
        raise Unavailable(f"{SWITCH} is '{wanted}': set it to 'docker' or 'native', or unset it.")
    if wanted != "native":
        reason = _no_engine()
        if not reason:
            return _in_container(folder, installation)
        if wanted:
            raise Unavailable(f"{SWITCH} is 'docker', and {reason}: start the engine, or set it to 'native'.")
    return Daemons(folder, [sys.executable], {**os.environ, **installation.environment()})


def _no_engine() -> str:
    """Why there is no container here; empty if there can be one."""
    if not shutil.which("docker"):
        return "there is no command docker"
    for command, lack in (
        (["docker", "compose", "version"], "docker has no command compose"),
        (["docker", "info"], "no Docker engine answers"),
    ):
        try:
            if subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS, check=False).returncode:
                return lack
        except subprocess.TimeoutExpired:
            return lack
    return ""


def _in_container(folder: Path, installation: Installation) -> Daemons:
    environment = {**os.environ, **_variables(folder, installation)}
    run([*COMPOSE, "build", "--quiet"], "Docker could not build the image of the nodes", environment)
    return Daemons(folder, [*COMPOSE, "run", "--rm", "--no-TTY", "hadoop", "python3"], environment)


def _variables(folder: Path, installation: Installation) -> dict[str, str]:
    """What `compose.yaml` asks for."""
    python = Path(sys.executable)
    # A virtual environment in the checkout is there in the container too, but not the interpreter that it leads to.
    while python.is_relative_to(CHECKOUT) and python.is_symlink():
        python = python.parent / python.readlink()
    return {
        "PYFLOW_CHECKOUT": str(CHECKOUT),
        "PYFLOW_HADOOP_HOME": str(installation.home),
        "PYFLOW_CLUSTER": str(folder),
        "PYFLOW_USER": f"{os.getuid()}:{os.getgid()}",
        "PYFLOW_PYTHON_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "PYFLOW_PYTHON": str(python),
    }
