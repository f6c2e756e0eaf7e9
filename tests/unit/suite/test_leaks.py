"""The suite's own leak check finds what it is for, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks import SHARED_MEMORY, Watch

CHECKOUT = Path(__file__).resolve().parents[3]
SLEEPER = "import time; time.sleep(60)"
ORPHAN = f"""
import subprocess, sys
nowhere = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=True, stdout=nowhere, stderr=nowhere)
print(child.pid)
"""
MAPPING = "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); print(flush=True); input()"


@pytest.fixture
def inner() -> Iterator[Watch]:
    inner = Watch()
    yield inner
    inner.close()


def test_a_child_and_its_end_are_seen(inner: Watch) -> None:
    before = inner.look()
    child = subprocess.Popen([sys.executable, "-c", SLEEPER])
    try:
        (found,) = inner.left_since(before, grace=0)
        assert f"process {child.pid}" in found
        assert "time.sleep" in found
    finally:
        child.kill()
        child.wait()
    assert inner.left_since(before) == []


def test_an_orphan_is_seen(inner: Watch) -> None:
    before = inner.look()
    pid = int(subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True).stdout)
    try:
        (found,) = inner.left_since(before, grace=0)
        assert f"process {pid}" in found
    finally:
        os.kill(pid, 9)
    assert inner.left_since(before) == []


def test_a_child_that_was_not_waited_for_is_seen(inner: Watch) -> None:
    before = inner.look()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    (found,) = inner.left_since(before, grace=0)
    assert "never waited for" in found
    os.waitpid(pid, 0)
    assert inner.left_since(before) == []


def test_a_forked_child_is_seen(inner: Watch) -> None:
    before = inner.look()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writing)
            os.read(reading, 1)
        finally:
            os._exit(0)
    try:
        os.close(reading)
        (found,) = inner.left_since(before, grace=0)
        assert f"process {pid}" in found
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def test_what_descends_from_an_older_process_is_excused(inner: Watch) -> None:
    grandparent = "import subprocess, sys; sys.stdin.readline(); subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", grandparent], stdin=subprocess.PIPE) as shared:
        before = inner.look()
        assert shared.stdin is not None
        shared.stdin.write(b"\n")
        shared.stdin.flush()
        while not inner.look().processes - before.processes:
            pass
        assert inner.look().beyond(before) == []


def test_processes_of_others_are_not_ours(inner: Watch) -> None:
    numbers = {process.pid for process in inner.look().processes}
    assert os.getppid() not in numbers
    assert os.getpid() not in numbers
    assert 1 not in numbers


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_listening_socket_is_seen(inner: Watch, tmp_path: Path, family: socket.AddressFamily) -> None:
    before = inner.look()
    with socket.socket(family) as listening:
        listening.bind(str(tmp_path / "s") if family == socket.AF_UNIX else ("localhost", 0))
        assert inner.left_since(before, grace=0) == []
        listening.listen()
        (found,) = inner.left_since(before, grace=0)
        assert "listening socket" in found
    assert inner.left_since(before) == []


def test_shared_memory_is_seen(inner: Watch) -> None:
    before = inner.look()
    path = SHARED_MEMORY / f"pyflow-test-{os.getpid()}"
    path.touch()
    try:
        (found,) = [found for found in inner.left_since(before, grace=0) if path.name in found]
        assert "shared memory" in found
    finally:
        path.unlink()


def test_shared_memory_of_others_is_excused(inner: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SHARED_MEMORY / f"pyflow-test-{os.getpid()}"
    before = inner.look()
    path.write_bytes(b"content")
    try:
        assert inner.left_since(before, grace=0)
        with subprocess.Popen(
            [sys.executable, "-c", MAPPING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            assert len(inner.left_since(before, grace=0)) == 2, "our process, and what it has mapped"
            monkeypatch.setattr(inner, "_processes", list)
            assert inner.left_since(before, grace=0) == []
    finally:
        path.unlink()


def test_a_temporary_folder_is_seen(inner: Watch) -> None:
    before = inner.look()
    folder = tempfile.mkdtemp(prefix="pyflow-")
    (found,) = inner.left_since(before, grace=0)
    assert folder in found
    os.rmdir(folder)
    assert inner.left_since(before) == []


@pytest.mark.slow
def test_a_session_with_a_leak_fails(tmp_path: Path) -> None:
    """Not only the parts work: a test that leaves an orphan is an error, and so is a fixture of the session's scope."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_leaking.py").write_text(
        f"""
import os, subprocess, sys, pytest

def test_clean(): pass

def test_leaks_an_orphan():
    done = subprocess.run([sys.executable, "-c", {ORPHAN!r}], capture_output=True, text=True)
    open({str(tmp_path / "pid")!r}, "w").write(done.stdout)

@pytest.fixture(scope="module")
def wide():
    open(os.environ["TMPDIR"] + "/pyflow-left", "w").close()

def test_uses_what_lives_longer(wide): pass
"""
    )
    arguments = ["-p", "no:cacheprovider", "--import-mode=importlib", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *arguments, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'runtime'}"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    pid = (tmp_path / "pid").read_text().strip()
    assert "3 passed, 2 errors" in done.stdout
    assert f"The test left behind:\n  process {pid} " in done.stdout
    assert "The test session left behind:\n  temporary file or folder " in done.stdout
    assert done.returncode == 1
    assert not Path(f"/proc/{pid}").exists(), "the process that was left should have been ended"
