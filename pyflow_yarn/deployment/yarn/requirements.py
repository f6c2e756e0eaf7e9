"""The packages of ``-pyreq``, installed on the client into a folder that is packed with its environment."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pyflow_yarn.deployment.yarn.environment import Environment
from pyflow_yarn.errors import UserError

_COMPLETE = ".pyflow-complete"
_NOT_FOR_PIP = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PYTHONHOME")


def with_requirements(environment: Environment, requirements: Path, packages: Path | None, cache: Path) -> Environment:
    """This process's environment with the packages that a requirements file asks for and it has not.

    They are installed once for the same file and the same environment. ``packages`` is a folder to install from
    instead of a package index; what of it has changed is told by names and sizes.
    """
    if not any(os.path.isdir(os.path.join(folder, "pip")) for folder in environment.layout.packages):
        raise UserError(
            f"The requirements {requirements} (python.requirements) cannot be installed: {sys.executable} has no pip."
            f" Install it ({sys.executable} -m ensurepip), or name an archive with -pyarch and its interpreter with"
            " -pyexec."
        )
    digest = hashlib.sha256(f"{environment.key}\n".encode() + requirements.read_bytes())
    if packages is not None:
        for file in sorted(packages.rglob("*")):
            digest.update(f"{file.relative_to(packages)} {file.stat().st_size}\0".encode())
    place = cache / f"requirements-{digest.hexdigest()[:32]}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / _COMPLETE).exists():
            shutil.rmtree(place, ignore_errors=True)
            _install(place, environment.layout.packages, requirements, packages)
            (place / _COMPLETE).touch()
    return environment.with_packages(str(_site(place)), cache)


def _install(place: Path, folders: Sequence[str], requirements: Path, packages: Path | None) -> None:
    """Into a virtual environment that sees the packages of ours: pip installs what is missing or another version."""
    log = place.with_suffix(".log")
    _run([sys.executable, "-I", "-m", "venv", "--without-pip", str(place)], log, "Making a virtual environment")
    ours = _site(place) / "pyflow.pth"
    ours.write_text("".join(f"import site; site.addsitedir({folder!r})\n" for folder in folders))
    offline = ["--no-index", "--find-links", str(packages)] if packages is not None else []
    _run(
        [
            *(str(place / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"),
            *(*offline, "-r", str(requirements)),
        ],
        log,
        f"Installing the packages of {requirements} (python.requirements)",
    )
    ours.unlink()
    log.unlink()


def _run(command: list[str], log: Path, what: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_PIP}
    with open(log, "wb") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables, check=False
        )
    if done.returncode != 0:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
        raise UserError(f"{what} failed: {(errors or lines or ['it said nothing'])[-1]} (all of it is in {log}).")


def _site(place: Path) -> Path:
    return place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
