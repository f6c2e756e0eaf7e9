"""The local cluster's life, with a small program in the place of its processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.layout import base_directory, private_directory, run_module_code
from pyflow_yarn.deployment.local import ENTRYPOINT, LocalCluster
from pyflow_yarn.errors import ClusterError, ExternalError

SUPERVISOR = """#!{python}
import json, os, signal, sys, time
assert sys.argv[1:3] == ["-P", "-c"] and "{entrypoint}" in sys.argv[3], sys.argv
options = dict(zip(sys.argv[4::2], sys.argv[5::2]))
directory = options["--directory"]
parent, ready = int(options["--parent-fd"]), int(options["--ready-fd"])
def say(**line):
    os.write(ready, json.dumps(line).encode() + b"\\n")
{body}
"""
READY = 'say(rest_address="127.0.0.1:1234", token_file=os.path.join(directory, "token"))\n'
UNTIL_THE_CLIENT_GOES = "assert os.read(parent, 1) == b''\nimport shutil; shutil.rmtree(directory)\n"


@pytest.fixture
def supervisor(tmp_path: Path) -> Callable[[str], str]:
    """``supervisor(body)`` makes an interpreter that takes the arguments of the cluster's first process."""

    def make(body: str) -> str:
        path = tmp_path / "python"
        path.write_text(SUPERVISOR.format(python=sys.executable, entrypoint=ENTRYPOINT, body=body))
        path.chmod(0o755)
        return str(path)

    return make


def test_a_cluster_begins_and_ends(supervisor: Callable[[str], str]) -> None:
    cluster = LocalCluster({"a": "b"}, supervisor(READY + UNTIL_THE_CLIENT_GOES)).start()
    directory = Path(cluster.directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert json.loads((directory / "conf.json").read_text()) == {"a": "b"}
    assert stat.S_IMODE((directory / "token").stat().st_mode) == 0o600
    token = (directory / "token").read_text()
    assert len(token) == 64
    assert cluster.endpoint() == cluster.endpoint() == Endpoint("127.0.0.1:1234", token)
    cluster.check()
    cluster.stop()
    assert not directory.exists()
    cluster.stop()


def test_it_starts_at_the_first_question(supervisor: Callable[[str], str]) -> None:
    cluster = LocalCluster({}, supervisor(READY + UNTIL_THE_CLIENT_GOES))
    assert cluster.directory == ""
    cluster.stop()
    assert cluster.endpoint().address == "127.0.0.1:1234"
    cluster.stop()


def test_its_own_session_keeps_it_from_the_terminals_signals(supervisor: Callable[[str], str]) -> None:
    cluster = LocalCluster({}, supervisor("assert os.getsid(0) == os.getpid()\n" + READY + UNTIL_THE_CLIENT_GOES))
    assert cluster.endpoint().address
    cluster.stop()


def test_why_it_cannot_start_is_told(supervisor: Callable[[str], str]) -> None:
    cluster = LocalCluster({}, supervisor('say(error="Port 8081 is in use."); sys.exit(1)'))
    with pytest.raises(ClusterError, match=r"^Port 8081 is in use\.$"):
        cluster.endpoint()
    cluster.stop()


@pytest.mark.parametrize(
    ("body", "how"),
    [("sys.exit(3)", "ended with exit code 3"), ("os.kill(os.getpid(), 9)", "was ended by SIGKILL")],
)
def test_a_start_that_ends_without_a_word(supervisor: Callable[[str], str], body: str, how: str) -> None:
    cluster = LocalCluster({}, supervisor(body)).start()
    with pytest.raises(ClusterError, match=f"could not start: its first process {how}"):
        cluster.endpoint()
    directory = cluster.directory
    cluster.stop()
    assert not os.path.exists(directory)


def test_a_cluster_that_dies_is_noticed(supervisor: Callable[[str], str]) -> None:
    cluster = LocalCluster({}, supervisor(READY + "os.kill(os.getpid(), 9)"))
    cluster.endpoint()
    deadline = time.monotonic() + 10
    with pytest.raises(ClusterError, match="The local cluster is gone: its first process was ended by SIGKILL"):
        while time.monotonic() < deadline:
            cluster.check()
            time.sleep(0.01)
    cluster.stop()


def test_no_interpreter_or_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = LocalCluster({}, str(tmp_path / "nowhere"))
    with pytest.raises(ClusterError, match=r"cannot be started with .*/nowhere: No such file or directory"):
        cluster.start()
    assert not os.path.exists(cluster.directory)
    monkeypatch.setattr("pyflow_yarn.deployment.layout.base_directory", lambda: "/proc/nowhere")
    with pytest.raises(ExternalError, match="The local cluster cannot keep its files in /proc/nowhere"):
        LocalCluster({}).start()


def test_a_cluster_that_does_not_end_is_killed(
    supervisor: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyflow_yarn.deployment.local.STOP_TIMEOUT", 0.1)
    cluster = LocalCluster({}, supervisor(READY + "time.sleep(60)"))
    cluster.endpoint()
    directory = cluster.directory
    cluster.stop()
    assert not os.path.exists(directory)


def test_another_program_can_take_the_cluster_over(supervisor: Callable[[str], str]) -> None:
    first = LocalCluster({}, supervisor(READY + UNTIL_THE_CLIENT_GOES)).start()
    handover = first.hand_over()
    assert os.get_inheritable(handover.parent_fd)
    assert os.get_inheritable(handover.ready_fd)
    first._parent_fd = first._ready_fd = -1  # its program would be gone: children forked here must not close them again
    second = LocalCluster.take_over(handover)
    assert not os.get_inheritable(handover.parent_fd)
    assert second.endpoint().address == "127.0.0.1:1234"
    second.stop()
    assert not os.path.exists(handover.directory)


# -- where things are --


def test_private_directories_are_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short = Path("/tmp") / f"s{os.getpid()}"
    short.mkdir()
    try:
        monkeypatch.setenv("TMPDIR", str(short))
        assert base_directory() == str(short)
        path = Path(private_directory())
        assert path.parent == short
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        path.rmdir()
    finally:
        short.rmdir()
    long = tmp_path / ("x" * 60)
    long.mkdir()
    for unusable in (long, Path("/nowhere")):
        monkeypatch.setenv("TMPDIR", str(unusable))
        assert base_directory() == "/tmp"


def test_children_find_our_packages() -> None:
    code = run_module_code("pyflow_runtime.rpc.frames").replace("import main; sys.exit(main())", "import FrameSocket")
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
