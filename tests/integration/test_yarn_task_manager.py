"""The process of a TaskManager in a container of YARN, with the test as its JobManager and as YARN."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyflow_runtime.processes.supervision import TaskManagerStarted
from pyflow_runtime.rpc.handshake import JOB_MANAGER, JOINING, Hello
from pyflow_runtime.rpc.session import Conversation, serve
from pyflow_runtime.rpc.tls import server_tls
from pyflow_runtime.security.admission import AdmissionByToken
from pyflow_runtime.security.authority import CertificateAuthority
from pyflow_runtime.security.joining import joining_conversation
from pyflow_runtime.taskexecutor.messages import FromTaskManagerMessage, RegisterTaskManager
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.yarn.application_file import (
    JOB_MANAGER_VARIABLE,
    JOIN_TOKEN_VARIABLE,
    TASK_MANAGER_FILE_NAME,
    TASK_MANAGER_VARIABLE,
    TaskManagerFile,
    write_application_file,
)

pytestmark = pytest.mark.slow

DEADLINE = 30.0
NAME = "taskmanager-1-1"


def start(folder: Path, address: str) -> subprocess.Popen[bytes]:
    """What YARN does with the container's script."""
    folder.mkdir()
    configuration = {"security.ssl.internal.enabled": "true", "taskmanager.numberOfTaskSlots": "1"}
    write_application_file(folder / TASK_MANAGER_FILE_NAME, TaskManagerFile(configuration=configuration, secret="s3"))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, source_roots())),
        "NM_HOST": "127.0.0.1",
        "LOG_DIRS": str(folder),
        TASK_MANAGER_VARIABLE: NAME,
        JOB_MANAGER_VARIABLE: address,
        JOIN_TOKEN_VARIABLE: "its own",
    }
    command = [sys.executable, "-m", "pyflow_runtime.entrypoint.yarn_taskmanager"]
    return subprocess.Popen(command, cwd=folder, env=environment)


def test_it_joins_once_and_ends_with_a_sentence_if_it_may_not(tmp_path: Path) -> None:
    async def body() -> None:
        authority = CertificateAuthority(tmp_path / "ca")
        admission = AdmissionByToken(lambda message: True)
        admission.handle(TaskManagerStarted(task_manager_id=NAME, slots=1, join_token="its own"))
        registered: asyncio.Queue[RegisterTaskManager] = asyncio.Queue()

        def conversation(hello: Hello) -> Conversation:
            if hello.role == JOINING:
                return joining_conversation(authority, admission)
            return Conversation(FromTaskManagerMessage, lambda session, message: registered.put_nowait(message))

        listening = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        accepting = await serve(
            listening,
            conversation,
            secret="s3",
            tls=server_tls(authority.equip(tmp_path / "jm", JOB_MANAGER), names_members=True),
            token=lambda hello: admission.token(hello.identity) if hello.role == JOINING else "",
        )
        first = start(tmp_path / "first", address)
        async with asyncio.timeout(DEADLINE):
            assert (await registered.get()).task_manager_id == NAME
        first.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, DEADLINE) == 0
        second = start(tmp_path / "second", address)
        assert await asyncio.to_thread(second.wait, DEADLINE) == 1
        log = (tmp_path / "second" / "taskmanager.log").read_text()
        reason = f"the cluster at {address} cannot be joined: '{NAME}' may not join: its join token has been used"
        assert f"the TaskManager ends: {reason}\n" in log
        assert "Traceback" not in log
        assert "its own" not in log
        accepting.close()
        await accepting.wait_closed()

    asyncio.run(body())
