"""The packed environment of this very process, on a node that has neither our paths nor our libraries."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn.environment import ARCHIVE_NAME, Environment
from pyflow_yarn.deployment.yarn.own_code import ARCHIVE_NAME as CODE_NAME
from pyflow_yarn.deployment.yarn.own_code import OwnCode
from pyflow_yarn.deployment.yarn.unpacking import CANNOT_UNPACK, PRELUDE, unpack_code
from tests.conftest import CHECKOUT

# glibc with its data, and the libraries of GCC's programs: docs/adr/0008-how-a-python-environment-gets-to-the-nodes.md.
OF_THE_NODE = re.compile(
    r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+)\.so.*|LC_.*|gconv.*|locale-.*)"
)
PROGRAM = """
import json, subprocess, sys
import bz2, ctypes, curses, decimal, lzma, readline, sqlite3, ssl, uuid, zlib
import cryptography.x509, grpc, hdfs_native, mmh3, msgspec, numpy, pyarrow.parquet, skein, yaml
sys.path.insert(0, sys.argv[1])
import pyflow_runtime.entrypoint.taskmanager, pyflow_yarn.datastream
assert int(numpy.arange(3) @ numpy.arange(3)) == 5
assert sqlite3.connect(":memory:").execute("select 2").fetchone() == (2,)
ssl.create_default_context()
child = subprocess.run([sys.executable, "-c", "import sys, numpy; print(sys.prefix)"], capture_output=True)
print(json.dumps({
    "child": child.stdout.decode().strip(),
    "prefix": sys.prefix,
    "path": sys.path,
    "modules": [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)],
    "mapped": sorted({line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "/" in line}),
}))
"""


def node_command(command: list[str], hidden: list[str]) -> list[str]:
    """A command for which each of these folders is an empty disk of 1 MB: in a mount namespace of its own.

    Where namespaces are not to be had, the command runs without: what it tells of itself must prove the same.
    """
    mounts = [f"mount -t tmpfs -o size=1m tmpfs '{folder}'" for folder in hidden]
    for flags in (["-m"], ["-r", "-m"]):
        if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0:
            return ["unshare", *flags, "sh", "-ec", " && ".join([*mounts, 'exec "$@"']), "sh", *command]
    return command


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YARN's cache on a node, with environment and code."""
    folder = tmp_path_factory.mktemp("node")
    for name, content in (
        (ARCHIVE_NAME, Environment.of_this_process(folder)),
        (CODE_NAME, OwnCode.of_this_installation()),
    ):
        (folder / name).mkdir()
        with open(folder / name / name, "wb") as target:
            content.pack(target)
    return folder


@pytest.fixture
def container(cache: Path, tmp_path: Path) -> Path:
    """The working directory of a container."""
    for name in (ARCHIVE_NAME, CODE_NAME):
        (tmp_path / name).symlink_to(cache / name / name)
    return tmp_path


def script(cache: Path, command: str) -> str:
    return PRELUDE + Environment.of_this_process(cache).unpack_command() + unpack_code(CODE_NAME) + command


def test_everything_runs_without_our_paths(cache: Path, container: Path) -> None:
    (container / "program.py").write_text(PROGRAM)
    hidden = [str(CHECKOUT), sys.prefix, sys.base_prefix, str(Path.home() / ".local")]
    if sys.base_prefix in ("/usr", "/usr/local"):
        # The node's tools are there as well.
        hidden = [folder for folder in hidden if folder != sys.base_prefix]
        hidden.append(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    hidden = [folder for folder in dict.fromkeys(hidden) if os.path.isdir(folder)]
    # A folder inside one that is hidden already is gone.
    hidden = [folder for folder in hidden if not any(folder.startswith(f"{other}/") for other in hidden)]
    done = subprocess.run(
        node_command(["sh", "-eu", "-c", script(cache, 'exec "$python" program.py "$code"')], hidden),
        cwd=container,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    unpacked = f"{cache}/{ARCHIVE_NAME}/{ARCHIVE_NAME}.unpacked"
    code = f"{cache}/{CODE_NAME}/{CODE_NAME}.unpacked"
    assert told["prefix"] == told["child"] == unpacked
    assert [place for place in told["path"] if not place.startswith((unpacked, code, str(container)))] == []
    assert [file for file in told["modules"] if not file.startswith((unpacked, code, str(container)))] == []
    outside = [file for file in told["mapped"] if not file.startswith(unpacked)]
    assert [file for file in outside if not OF_THE_NODE.fullmatch(os.path.basename(file))] == []
    assert not list(Path(code).rglob("*.pyc.*")), "nothing was compiled again"


def test_a_full_disk(tmp_path: Path) -> None:
    disk, tools = tmp_path / "disk", tmp_path / "tools"
    disk.mkdir()
    tools.mkdir()
    (tmp_path / "zeros").write_bytes(bytes(3 << 20))
    with tarfile.open(tmp_path / ARCHIVE_NAME, "w:gz") as tar:
        tar.add(tmp_path / "zeros", "zeros")
    shell = ["sh", "-c", f"cd {disk}; cp ../{ARCHIVE_NAME} .; {PRELUDE}{unpack_code(ARCHIVE_NAME)}"]
    command = node_command(shell, [str(disk)])
    if command is shell:
        # Without a disk of its own, a node whose tar says the same.
        (tools / "tar").write_text('#!/bin/sh\necho "tar: zeros: Cannot write: No space left on device" >&2\nexit 2\n')
        (tools / "tar").chmod(0o755)
    done = subprocess.run(command, env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == CANNOT_UNPACK, done.stderr
    sentence = (
        rf"pyflow: \S+: cannot unpack {ARCHIVE_NAME} in {disk}: tar: .*(Wrote only \d+ of|No space left on device).*\n"
    )
    assert re.fullmatch(sentence, done.stderr)
