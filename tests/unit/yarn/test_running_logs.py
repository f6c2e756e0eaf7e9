"""Logs of a running application, asked of YARN over HTTP."""

from __future__ import annotations

import pytest

from pyflow_yarn.yarn import node_manager
from pyflow_yarn.yarn.container_logs import LogFile
from pyflow_yarn.yarn.node_manager import NodeManagers
from pyflow_yarn.yarn.resource_manager import RefusedError, ResourceManager
from pyflow_yarn.yarn.running_logs import GAP, MOST_LOOKS, RunningLogs
from tests.unit.yarn.fake_yarn import APPLICATION, MASTER, FakeYarn, container

LOG = "jobmanager.log"
WORKER = "taskmanager.log"


def running_logs(yarn: FakeYarn) -> RunningLogs:
    return RunningLogs(ResourceManager([f"http://{yarn.node}"], "ann"), NodeManagers("http", "ann"), APPLICATION)


def found(yarn: FakeYarn) -> list[tuple[str, str]]:
    return [(file.container, file.name) for file in running_logs(yarn).files()]


def test_what_yarn_writes_itself_is_no_log() -> None:
    logs = {(MASTER, name): b"x" for name in ("launch_container.sh", "directory.info", "prelaunch.out", LOG)}
    with FakeYarn(logs=logs) as yarn:
        assert found(yarn) == [(MASTER, LOG)]


def test_containers_that_have_ended_are_found() -> None:
    second = container(1, attempt=2)
    logs = {(one, LOG): b"x" for one in (MASTER, container(3), container(3 + GAP), second)}
    with FakeYarn(logs=logs, running=[second], masters=[MASTER, second]) as yarn:
        assert [one for one, _ in found(yarn)] == [MASTER, container(3), container(3 + GAP), second]


def test_containers_that_come_later_are_seen() -> None:
    with FakeYarn(logs={(MASTER, LOG): b"x"}) as yarn:
        logs = running_logs(yarn)
        assert len(logs.files()) == 1
        yarn.running.append(container(7))
        yarn.logs[container(7), WORKER] = b"y"
        assert [file.container for file in logs.files()] == [MASTER, container(7)]
        # It ends, and nobody lists it any more.
        yarn.running.pop()
        for _ in range(MOST_LOOKS + 2):
            yarn.asked.clear()
            assert [file.container for file in logs.files()] == [MASTER, container(7)]
        assert not any(container(7) in path for path in yarn.asked)


def test_a_file_is_read_from_an_offset_on_also_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_manager, "MARGIN", 3)
    monkeypatch.setattr(node_manager, "PIECE", 4)
    content = bytes(range(65, 91))
    with FakeYarn(logs={(MASTER, LOG): content}) as yarn:
        logs = running_logs(yarn)
        (file,) = logs.files()
        for offset in range(27):
            assert b"".join(logs.read(file, offset)) == content[offset:]
        # It grows by more than the margin, between the two requests and between two answers.
        yarn.grown = b"0123456789"
        assert b"".join(logs.read(file, 20)) == content[20:] + yarn.grown * 3


def test_a_file_that_is_shorter_than_before_tells_nothing() -> None:
    with FakeYarn(logs={(MASTER, LOG): b"new\nEnd of it"}) as yarn:
        assert b"".join(running_logs(yarn).read(LogFile(MASTER, yarn.node, LOG, 40), 30)) == b""


def test_a_node_that_does_not_answer_is_told() -> None:
    with FakeYarn() as gone:
        silent = gone.node
    with FakeYarn(logs={(MASTER, LOG): b"x"}, running=[MASTER, container(2)]) as yarn:
        yarn.nodes = [yarn.node, silent]
        logs = running_logs(yarn)
        assert [file.container for file in logs.files()] == []
        (problem,) = logs.problems
        assert problem.startswith(f"The NodeManager at {silent} does not answer (")
        assert problem.endswith(": the logs of its containers are missing here.")
        yarn.nodes = [yarn.node]
        assert [file.container for file in logs.files()] == [MASTER]
        assert logs.problems == []


def test_logs_of_others_are_refused() -> None:
    text = "org.apache.YarnException: User [ann] is not authorized to view the logs for application x"
    with FakeYarn(refusal=text, logs={(MASTER, LOG): b"x"}) as yarn:
        with pytest.raises(RefusedError, match=r"^The NodeManager at \S+ refuses it \(User \[ann\] is not .* x\): ask"):
            running_logs(yarn).files()
        with pytest.raises(RefusedError):
            list(running_logs(yarn).read(LogFile(MASTER, yarn.node, LOG, 1), 0))


def test_what_is_gone_is_no_error() -> None:
    with FakeYarn(refusal="Unknown container.") as yarn:
        logs = running_logs(yarn)
        assert logs.files() == []
        assert list(logs.read(LogFile(MASTER, yarn.node, LOG, 1), 0)) == []
        assert logs.problems == []
