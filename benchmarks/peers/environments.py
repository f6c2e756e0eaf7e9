"""Environments of the peers, made on demand: ``python benchmarks/peers/environments.py [PEER ...]`` prints them.

Each peer has a virtual environment of its own, ``.pyflow/peers/<peer>-<hash>``, named by a hash of the Python version
and the requirements. It is complete when its file ``complete`` exists; one without was interrupted and is built again.
Tests never build one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / ".pyflow" / "peers"

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    # setuptools: Beam, below PyFlink, imports pkg_resources, which later versions do not have.
    "pyflink": ("apache-flink==2.3.0", "setuptools<81"),
    "bytewax": ("bytewax==0.21.1",),
    "pathway": ("pathway==0.33.0",),
}
JAVA_PEERS = frozenset({"pyflink"})
JAVA_WANTED = 17


class PeerUnavailableError(Exception):
    """Why a peer cannot be measured here: one sentence."""


def place_of(peer: str, home: Path = HOME) -> Path:
    """Where the environment of a peer is, or will be."""
    wanted = "\n".join((sys.version, *REQUIREMENTS[peer]))
    return home / f"{peer}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"


def python_of(peer: str, home: Path = HOME) -> str:
    """The interpreter of a peer's environment, which is built if need be; ``PeerUnavailableError`` if that fails."""
    if peer in JAVA_PEERS:
        java_home()
    place = place_of(peer, home)
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home / f"{peer}.lock"):
        if not (place / "complete").exists():
            _build(place, peer)
    return str(place / "bin" / "python")


def java_home() -> str:
    """A Java that PyFlink runs on: JAVA_HOME, that of PATH, or of the system; ``PeerUnavailableError`` if none."""
    named = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [Path(named)] if named else []
    candidates += [Path(on_path).resolve().parents[1]] if on_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    for candidate in candidates:
        if java_version(candidate) == JAVA_WANTED:
            return str(candidate)
    raise PeerUnavailableError(
        f"PyFlink needs Java {JAVA_WANTED}, and there is none: install it (Debian: openjdk-17-jre-headless)"
        " or name it in JAVA_HOME."
    )


def java_version(home: Path) -> int | None:
    """The major version of the Java in a folder, None if there is none that says."""
    if not (home / "bin" / "java").exists():
        return None
    try:
        lines = (home / "release").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("JAVA_VERSION="):
            major = line.removeprefix("JAVA_VERSION=").strip('"').partition(".")[0]
            return int(major) if major.isdigit() else None
    return None


def _build(place: Path, peer: str) -> None:
    print(f"benchmarks: building the environment of {peer} in {place} (minutes) ...", file=sys.stderr, flush=True)
    if place.exists():
        shutil.rmtree(place)
    base = getattr(sys, "_base_executable", None) or sys.executable
    pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    log = place.with_name(place.name + ".log")
    with log.open("wb") as output:
        for command in ([base, "-I", "-m", "venv", str(place)], [*pip, "--progress-bar", "off", *REQUIREMENTS[peer]]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
            if done.returncode:
                raise PeerUnavailableError(f"{peer} could not be installed: see the end of {log} for what went wrong.")
    log.unlink()
    (place / "complete").write_text("\n".join(REQUIREMENTS[peer]) + "\n")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held until the block or the process ends: two runs at once build an environment once."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build the named environments, or all; 1 if one could not be built."""
    names = sys.argv[1:] or list(REQUIREMENTS)
    if unknown := set(names) - set(REQUIREMENTS):
        print(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(REQUIREMENTS)}", file=sys.stderr)
        return 1
    failed = False
    for name in names:
        try:
            print(python_of(name))
        except PeerUnavailableError as error:
            print(error, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
