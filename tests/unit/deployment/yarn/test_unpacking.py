"""The shell's part on the nodes, run by real shells."""

from __future__ import annotations

import io
import os
import platform
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from pyflow_yarn.deployment.yarn.unpacking import (
    CANNOT_UNPACK,
    DAMAGED_ARCHIVE,
    LINGER,
    NO_ARCHIVE,
    PRELUDE,
    WRONG_NODE,
    unpack_code,
    unpack_environment,
    use_python,
)
from tests.hadoop.cluster import wait_until
from tests.privileges import let_permissions_hold

NAME = "environment.tar.gz"
MACHINE = platform.machine()
WORKS = "#!/bin/sh\nexit 0\n"


class Node:
    """A node with one archive in YARN's cache, and containers that link it."""

    def __init__(self, folder: Path, interpreter: str = WORKS) -> None:
        self.cache = folder / "filecache" / "10"
        self.cache.mkdir(parents=True)
        self.folder = folder
        self.archive = self.cache / NAME
        self.unpacked = self.cache / f"{NAME}.unpacked"
        self.tools = folder / "tools"
        self.tools.mkdir()
        with tarfile.open(self.archive, "w:gz") as tar:
            for name, content in (("bin/python", interpreter.encode()), ("lib/data", os.urandom(100_000))):
                member = tarfile.TarInfo(name)
                member.mode, member.size = 0o755, len(content)
                tar.addfile(member, io.BytesIO(content))

    def container(self, name: str = "container") -> Path:
        """A container's working directory."""
        container = self.folder / name
        container.mkdir(exist_ok=True)
        if not (container / NAME).is_symlink():
            (container / NAME).symlink_to(self.archive)
        return container

    def tool(self, name: str, text: str) -> None:
        """Have a program of the node's replaced by this script."""
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def start(self, container: Path, commands: str = "", shell: str = "sh") -> subprocess.Popen[str]:
        """A container that prints which interpreter it has; unprivileged, and in a process group of its own."""
        commands = commands or unpack_environment(NAME, MACHINE, 0)
        return subprocess.Popen(
            [shell, "-eu", "-c", f'{PRELUDE}{commands}echo "$python"'],
            cwd=container,
            env={"PATH": f"{self.tools}:/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=let_permissions_hold,
        )

    def run(self, container: Path, commands: str = "", shell: str = "sh") -> tuple[int, str, str]:
        """Exit code, and what a container printed and complained of."""
        process = self.start(container, commands, shell)
        output, complaints = process.communicate(timeout=60)
        return process.returncode, output.strip(), complaints.strip()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_interpreter_is_beside_the_archive(node: Node, shell: str) -> None:
    assert node.run(node.container(), shell=shell) == (0, f"{node.unpacked}/bin/python", "")
    assert (node.unpacked / "lib" / "data").stat().st_size == 100_000
    assert sorted(path.name for path in node.cache.iterdir()) == [NAME, f"{NAME}.unpacked", f"{NAME}.unpacked.lock"]


def test_containers_that_start_together_unpack_once(node: Node) -> None:
    calls = node.folder / "calls"
    node.tool("tar", f'echo called >>{calls}; exec /usr/bin/tar "$@"')
    started = [node.start(node.container(f"container-{index}")) for index in range(6)]
    for process in started:
        output, complaints = process.communicate(timeout=60)
        assert (process.returncode, output.strip(), complaints) == (0, f"{node.unpacked}/bin/python", "")
    assert node.run(node.container())[0] == 0
    assert calls.read_text() == "called\n"


def test_what_a_killed_container_has_left_is_no_environment(node: Node) -> None:
    begun = node.folder / "begun"
    node.tool("tar", f'/usr/bin/tar "$@"; : >{begun}; exec sleep 600')
    process = node.start(node.container())
    wait_until("tar has been called", begun.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert list(node.cache.glob("*.new.*"))
    assert not node.unpacked.exists()
    (node.tools / "tar").unlink()
    assert node.run(node.container("next")) == (0, f"{node.unpacked}/bin/python", "")
    assert not list(node.cache.glob("*.new.*"))


def test_a_shell_that_is_killed_leaves_the_lock_to_who_still_writes(node: Node) -> None:
    begun = node.folder / "begun"
    gate = node.folder / "gate"
    os.mkfifo(gate)
    node.tool("tar", f'if [ -e {begun} ]; then exec /usr/bin/tar "$@"; fi; : >{begun}; read line <{gate}')
    first = node.start(node.container())
    wait_until("tar has been called", begun.exists)
    os.kill(first.pid, signal.SIGKILL)
    second = node.start(node.container("next"))
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.3)
    gate.write_text("go on\n")
    first.communicate(timeout=60)
    output, complaints = second.communicate(timeout=60)
    assert (output.strip(), complaints) == (f"{node.unpacked}/bin/python", "")


@pytest.mark.parametrize("marker", [None, "another boot of the node\n"])
def test_what_may_not_have_reached_the_disk_is_unpacked_anew(node: Node, marker: str | None) -> None:
    assert node.run(node.container())[0] == 0
    (node.unpacked / "lib" / "data").write_bytes(b"")
    (node.unpacked / ".complete").unlink()
    if marker is not None:
        (node.unpacked / ".complete").write_text(marker)
    assert node.run(node.container()) == (0, f"{node.unpacked}/bin/python", "")
    assert (node.unpacked / "lib" / "data").stat().st_size == 100_000


def test_where_the_cache_cannot_be_written_each_container_has_its_own(node: Node) -> None:
    node.cache.chmod(0o555)
    container = node.container()
    assert node.run(container) == (0, f"{container}/{NAME}.unpacked/bin/python", "")
    assert node.run(container) == (0, f"{container}/{NAME}.unpacked/bin/python", "")
    assert [path.name for path in node.cache.iterdir()] == [NAME]
    node.cache.chmod(0o755)


def test_a_lock_that_is_never_released_makes_a_container_help_itself(node: Node) -> None:
    node.tool("flock", '[ "$(readlink /proc/self/fd/9)" != ' + f"{node.unpacked}.lock ]")
    container = node.container()
    assert node.run(container) == (0, f"{container}/{NAME}.unpacked/bin/python", "")


def test_a_full_disk(node: Node) -> None:
    node.tool("tar", 'echo "tar: lib/data: Cannot write: No space left on device" >&2; exit 2')
    code, output, complaint = node.run(node.container())
    assert (code, output) == (CANNOT_UNPACK, "")
    assert complaint == (
        f"pyflow: {platform.node()}: cannot unpack {NAME} in {node.container()}:"
        " tar: lib/data: Cannot write: No space left on device: make room for it (yarn.nodemanager.local-dirs)."
    )
    assert not [*node.cache.glob("*.new.*"), *node.container().glob("*.new.*")]


def test_a_full_disk_of_the_cache_alone(node: Node) -> None:
    node.tool(
        "tar",
        f'case "$*" in *{node.unpacked}*) echo "tar: x: Cannot write: No space left on device" >&2; exit 2;; esac\n'
        'exec /usr/bin/tar "$@"',
    )
    container = node.container()
    assert node.run(container) == (0, f"{container}/{NAME}.unpacked/bin/python", "")


@pytest.mark.parametrize("damage", ["cut", "no archive at all"])
def test_a_damaged_archive(node: Node, damage: str) -> None:
    content = node.archive.read_bytes()
    node.archive.write_bytes(content[: len(content) // 2] if damage == "cut" else b"<html>")
    code, output, complaint = node.run(node.container())
    assert (code, output) == (DAMAGED_ARCHIVE, "")
    assert complaint.startswith(
        f"pyflow: {platform.node()}: cannot unpack {NAME} in {node.container()}: the archive is"
    )
    assert complaint.endswith(": delete it below .flink/cache on HDFS, and submit again.")
    assert len(complaint.splitlines()) == 1
    assert not [*node.cache.glob("*.new.*"), *node.container().glob("*.new.*")]


def test_an_archive_that_yarn_has_not_brought(node: Node) -> None:
    container = node.folder / "empty"
    container.mkdir()
    assert node.run(container)[0] == NO_ARCHIVE
    assert node.run(container)[2] == f"pyflow: {platform.node()}: {NAME} is not in this container: submit again."


def test_another_architecture(node: Node) -> None:
    code, _, complaint = node.run(node.container(), unpack_environment(NAME, "sparc64", 0))
    assert code == WRONG_NODE
    assert complaint == (
        f"pyflow: {platform.node()}: this node's processor is {MACHINE}, and the Python environment is for sparc64:"
        " have nodes chosen by a label (yarn.application.node-label), or name an archive that was made on one with"
        " -pyarch, and its interpreter with -pyexec."
    )
    assert not node.unpacked.exists()


def test_an_old_glibc(tmp_path: Path) -> None:
    node = Node(tmp_path, "#!/bin/sh\necho 'version GLIBC_2.99 not found' >&2\nexit 1\n")
    node.tool("getconf", "echo glibc 2.17")
    code, _, complaint = node.run(node.container(), unpack_environment(NAME, MACHINE, 99))
    assert code == WRONG_NODE
    assert complaint == (
        f"pyflow: {platform.node()}: cannot unpack {NAME} in {node.container()}: this node has glibc 2.17, and the"
        " Python environment needs glibc 2.99: submit from a machine whose Linux is as old as the nodes', or name an"
        " archive that was made on one with -pyarch, and its interpreter with -pyexec."
    )
    assert not node.unpacked.exists()


def test_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    node = Node(tmp_path, "#!/bin/sh\necho 'cannot open shared object file' >&2\nexit 127\n")
    code, _, complaint = node.run(node.container())
    assert code == WRONG_NODE
    assert complaint.endswith(
        ": its interpreter does not work on this node (status 127: cannot open shared object file): submit from a"
        " machine whose Linux is as old as the nodes', or name an archive that was made on one with -pyarch, and its"
        " interpreter with -pyexec."
    )


def test_it_lingers_for_whoever_wants_to_know_why(node: Node) -> None:
    node.tool("sleep", f'echo "$1" >{node.folder}/slept')
    assert node.run(node.container(), f"{LINGER}=7\n{use_python('/nowhere/python')}")[0] == WRONG_NODE
    assert (node.folder / "slept").read_text() == "7\n"


def test_code_needs_no_trial(node: Node) -> None:
    commands = f"{unpack_code(NAME)}python=$code\n"
    assert node.run(node.container(), commands) == (0, str(node.unpacked), "")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("exit 0", ""),
        (
            "echo 'it is Python 3.9, and jobs need 3.11 or later' >&2; exit 1",
            "its interpreter does not work on this node (status 1: it is Python 3.9, and jobs need 3.11 or later):"
            " install Python 3.11 or later there with pyflow's requirements, or leave python.executable (-pyexec) out,"
            " and nodes get a copy of the client's environment.",
        ),
        (None, "its interpreter does not work on this node (status 127: "),
    ],
)
def test_an_interpreter_that_nodes_have(node: Node, script: str | None, complaint: str) -> None:
    if script is not None:
        node.tool("python of ours", script)
    path = f"{node.tools}/python of ours"
    code, output, said = node.run(node.container(), use_python(path))
    assert (code, output) == ((WRONG_NODE, "") if complaint else (0, path))
    assert f"{path} (python.executable): {complaint}" in said if complaint else not said
