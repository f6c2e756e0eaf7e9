"""Forking, dying with the parent, and saying how a process ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyflow_runtime.processes.control import describe_exit
from pyflow_runtime.processes.files import remove_directory


def run_program(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "program.py"
    file.write_text(text)
    return subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=30, check=False)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_forked_child_dies_with_its_parent(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
from pyflow_runtime.processes.control import fork

def child():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)

pid = fork(child)
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run_program(program, tmp_path)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.005)
    assert not alive(pid)


def test_a_launched_program_dies_with_its_parent(tmp_path: Path) -> None:
    program = """
import os, signal, subprocess, sys
command = [sys.executable, "-c", "from pyflow_runtime.processes.launch import main; main()", str(os.getpid())]
child = subprocess.Popen([*command, "/bin/sh", "-c", "echo $$; exec sleep 600"], stdout=subprocess.PIPE, text=True)
print(child.stdout.readline(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(run_program(program, tmp_path).stdout)
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.005)
    assert not alive(pid)


def test_exit_codes_of_forked_children(tmp_path: Path) -> None:
    program = """
import os, sys
from pyflow_runtime.processes.control import describe_exit, fork

def status(main):
    return os.waitstatus_to_exitcode(os.waitpid(fork(main), 0)[1])

def boom():
    raise ValueError("no")

print("before", end=" ")
print(status(lambda: 0), status(lambda: 7), status(boom), status(lambda: sys.exit(3)), status(lambda: sys.exit("x")))
"""
    done = run_program(program, tmp_path)
    assert done.stdout == "before 0 7 1 3 1\n", "and what was printed before a fork is printed once"


def test_a_process_with_threads_refuses_to_fork(tmp_path: Path) -> None:
    program = """
import threading
from pyflow_runtime.processes.control import fork
release = threading.Event()
threading.Thread(target=release.wait).start()
try:
    fork(lambda: 0)
except RuntimeError as error:
    print(error)
release.set()
"""
    assert run_program(program, tmp_path).stdout == "a process with 2 threads must not fork\n"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "it exited with code 0"),
        (3, "it exited with code 3"),
        (-signal.SIGSEGV, "it was killed by SIGSEGV"),
        (-signal.SIGKILL, "it was killed by SIGKILL (out of memory, or killed by hand)"),
        (-99, "it was killed by signal 99"),
    ],
)
def test_ends_in_words(status: int, text: str) -> None:
    assert describe_exit(status) == text


def test_any_directory_can_be_removed(tmp_path: Path) -> None:
    inner = tmp_path / "d" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    os.chmod(inner, 0o500)
    os.symlink("/", tmp_path / "d" / "link")
    remove_directory(tmp_path / "d")
    assert os.listdir(tmp_path) == []
    remove_directory(tmp_path / "d")
