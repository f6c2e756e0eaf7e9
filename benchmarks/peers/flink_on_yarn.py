"""Flink on YARN as a peer: what the package apache-flink brings, and a Java job compiled against it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from peers.environments import REQUIREMENTS, java_home, python_of

MAIN_CLASS = "SequenceToFile"
PACKAGE = REQUIREMENTS["pyflink"][0].replace("==", " ")
SOURCE = Path(__file__).with_name(f"{MAIN_CLASS}.java")


def flink_home() -> Path:
    """The folder of the distribution; ``PeerUnavailableError`` if it cannot be had."""
    find = "import pyflink, pathlib; print(pathlib.Path(pyflink.__file__).parent)"
    command = [python_of("pyflink"), "-c", find]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def compile_job(home: Path, folder: Path) -> Path:
    """A jar of the Java job."""
    classes, jar, tools = folder / "classes", folder / "sequence-to-file.jar", f"{java_home()}/bin"
    compiler = [f"{tools}/javac", "--release", "17", "-cp", f"{home}/lib/*", "-d", str(classes), str(SOURCE)]
    packer = [f"{tools}/jar", "--create", "--file", str(jar), "--main-class", MAIN_CLASS, "-C", str(classes), "."]
    folder.mkdir(parents=True, exist_ok=True)
    for command in (compiler, packer):
        subprocess.run(command, check=True)
    return jar
