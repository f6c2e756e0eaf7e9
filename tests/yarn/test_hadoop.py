"""The Hadoop of the tests is a real one: every daemon serves, can be disturbed and comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hadoop.cluster import DAEMONS, ENDED, Hadoop, NotReady, wait_until


def submit(hadoop: Hadoop, command: str, queue: str = "default") -> str:
    """Have YARN run a shell command as an ApplicationMaster, once; its output is the log `out.log`."""
    application: str = hadoop.rm("cluster/apps/new-application", "POST", {})["application-id"]
    hadoop.rm(
        "cluster/apps",
        "POST",
        {
            "application-id": application,
            "application-name": "shell",
            "application-type": "shell",
            "queue": queue,
            "max-app-attempts": 1,
            "resource": {"memory": 128, "vCores": 1},
            "am-container-spec": {"commands": {"command": f"exec > <LOG_DIR>/out.log 2>&1; {command}"}},
        },
    )
    return application


def test_all_daemons_are_up(hadoop: Hadoop, capsys: pytest.CaptureFixture[str]) -> None:
    """Six processes run, and how long they took is printed."""
    with capsys.disabled():
        sys.stdout.write(f"\nHadoop was up after {hadoop.start_seconds:.1f} s\n")
    assert sorted(hadoop.running()) == sorted(DAEMONS)


def test_two_nodes_and_two_queues(hadoop: Hadoop) -> None:
    """YARN sees two hosts, and applications may ask for either queue."""
    nodes = hadoop.nodes()
    assert [node["state"] for node in nodes] == ["RUNNING", "RUNNING"]
    assert len({node["nodeHostName"] for node in nodes}) == 2
    assert hadoop.queues() == ["default", "etl"]


def test_daemons_listen_on_loopback_only(hadoop: Hadoop) -> None:
    """Nothing outside this machine can reach a service."""
    ports = {int(port) for service, port in hadoop.addresses.items() if "_" in service}
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    hosts = {int(local.partition(":")[2], 16): local[:8] for _, local, _, state, *_ in listening if state == "0A"}
    # Addresses are in the order of the machine's bytes: 127 is the last one.
    assert {port: host for port, host in hosts.items() if port in ports and not host.endswith("7F")} == {}
    assert len(ports & hosts.keys()) >= len(DAEMONS)


def test_files_through_webhdfs_and_the_command(hadoop: Hadoop, hdfs_folder: str, tmp_path: Path) -> None:
    """What one way writes the other reads."""
    content = bytes(range(256)) * 1000
    hadoop.put(f"{hdfs_folder}/a", content)
    hadoop.run("hdfs", "dfs", "-get", f"{hdfs_folder}/a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == content
    hadoop.run("hadoop", "fs", "-put", str(tmp_path / "a"), f"{hdfs_folder}/b")
    assert hadoop.get(f"{hdfs_folder}/b") == content
    assert hadoop.names(hdfs_folder) == ["a", "b"]


def test_a_missing_file_is_told_from_other_errors(hadoop: Hadoop, hdfs_folder: str) -> None:
    """Reading what is not there raises what Python raises for local files."""
    with pytest.raises(FileNotFoundError):
        hadoop.get(f"{hdfs_folder}/nothing")


def test_an_application_runs_in_a_container_and_leaves_its_log(hadoop: Hadoop) -> None:
    """A container of queue `etl` runs a command; `yarn logs` finds what it printed; nothing is left of it."""
    application = submit(hadoop, "echo from the container $CONTAINER_ID", queue="etl")
    wait_until("the application ends", lambda: hadoop.application(application)["state"] in ENDED)
    assert hadoop.application(application)["queue"].endswith("etl")
    # Logs are aggregated some time after the end.
    wait_until("the log is there", lambda: "from the container container_" in _log(hadoop, application))
    hadoop.assert_nothing_left(application)


def _log(hadoop: Hadoop, application: str) -> str:
    command = ["yarn", "logs", "-applicationId", application, "-log_files", "out.log"]
    return subprocess.run(command, env=hadoop.env, capture_output=True, text=True, timeout=120, check=False).stdout


def _sleeping(hadoop: Hadoop, application: str) -> list[str]:
    return [each for each in hadoop.processes(application) if each.endswith(": sleep 1000")]


def test_what_an_application_left_is_noticed(hadoop: Hadoop) -> None:
    """An application that still runs is no application that left nothing, and its processes are known."""
    application = submit(hadoop, "sleep 1000")
    wait_until("the container runs", lambda: _sleeping(hadoop, application))
    with pytest.raises(AssertionError, match="sleep 1000"):
        hadoop.assert_nothing_left(application, seconds=0.1)
    hadoop.kill_application(application)
    hadoop.assert_nothing_left(application)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_killed_daemon_is_started_again(hadoop: Hadoop, name: str) -> None:
    """Each daemon can crash alone, and serves again at its old address."""
    hadoop.kill(name)
    assert name not in hadoop.running()
    hadoop.start(name)
    assert sorted(hadoop.running()) == sorted(DAEMONS)


def test_containers_survive_their_node_manager(hadoop: Hadoop) -> None:
    """A NodeManager that crashes and returns finds its containers again."""
    application = submit(hadoop, "sleep 1000")
    wait_until("the container runs", lambda: _sleeping(hadoop, application))
    host = hadoop.application(application)["amHostHttpAddress"].partition(":")[0]
    name = next(name for name in ("nodemanager1", "nodemanager2") if hadoop.addresses[name] == host)
    before = _sleeping(hadoop, application)
    hadoop.kill(name)
    hadoop.start(name)
    assert _sleeping(hadoop, application) == before
    hadoop.kill_application(application)
    hadoop.assert_nothing_left(application)


def test_a_halted_daemon_goes_on(hadoop: Hadoop) -> None:
    """A halted ZooKeeper accepts connections and answers nothing, until it is resumed."""
    hadoop.stop("zookeeper")
    with pytest.raises(NotReady):
        hadoop.wait_for("zookeeper", seconds=0.1)
    hadoop.resume("zookeeper")
    hadoop.wait_for("zookeeper")
