"""What the supervisor on YARN tells a JobManager that it starts in place of one that died."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from pyflow_runtime.entrypoint.application_master import ApplicationMaster
from pyflow_runtime.processes.children import Children
from pyflow_runtime.processes.layout import Layout
from pyflow_runtime.processes.supervision import (
    FromSupervisorMessage,
    StartTaskManager,
    TaskManagerJoined,
    TaskManagerStarted,
)
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_yarn.yarn import Containers
from pyflow_yarn.yarn.application_file import JOIN_TOKEN_VARIABLE, ApplicationFile

APPLICATION = ApplicationFile(
    configuration={}, folders="/none", secret="s3", token="t", pages="p", worker_memory_mb=1, queue="q"
)


class JobManagers:
    """In the place of processes: the test holds their end of the socket pair."""

    def __init__(self) -> None:
        self.link: MessageSocket[Any]
        self.end: Callable[[int], None]

    def spawn(self, command: list[str], ended: Callable[[int], None], pass_fds: tuple[int, ...] = ()) -> int:
        self.link = MessageSocket(
            FrameSocket(socket.socket(fileno=os.dup(pass_fds[2]))), cast("type[Any]", FromSupervisorMessage)
        )
        self.end = ended
        return 1

    async def hear(self, count: int) -> dict[str, str]:
        """The join token of each TaskManager, when that many have been told of."""
        tokens: dict[str, str] = {}
        async with asyncio.timeout(10):
            while len(tokens) < count:
                await asyncio.sleep(0)
                self.link.flush()
                for message in self.link.receive():
                    assert isinstance(message, TaskManagerStarted)
                    tokens[message.task_manager_id] = message.join_token
        return tokens


class Asked:
    """In the place of YARN: what was asked for."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    def request(self, name: str, environment: Mapping[str, str]) -> None:
        self.tokens[name] = environment[JOIN_TOKEN_VARIABLE]


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as rest, socket.create_server(("127.0.0.1", 0)) as rpc:
        yield rest, rpc


def supervise(
    sockets: tuple[socket.socket, socket.socket],
    directory: Path,
    body: Callable[[ApplicationMaster, JobManagers, Asked], Awaitable[None]],
) -> None:
    async def main() -> None:
        master = ApplicationMaster(
            APPLICATION, "/none", Layout(directory), 1, lambda: cast(Containers, Asked()), "127.0.0.1", sockets
        )
        job_managers, asked = JobManagers(), Asked()
        master._children = cast(Children, job_managers)
        master._containers = cast(Containers, asked)
        master._start_job_manager()
        await body(master, job_managers, asked)
        job_managers.link.close()
        master._drop_link()

    asyncio.run(main())


def test_a_join_counts_that_a_job_manager_told_before_it_died(
    sockets: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    async def body(master: ApplicationMaster, job_managers: JobManagers, asked: Asked) -> None:
        for _ in range(2):
            job_managers.link.send(StartTaskManager(slots=1))
        tokens = await job_managers.hear(2)
        assert tokens == asked.tokens
        assert len({*tokens.values()}) == 2
        job_managers.link.send(TaskManagerJoined(task_manager_id="taskmanager-1-1"))
        job_managers.link.send(TaskManagerJoined(task_manager_id="nobody"))
        job_managers.link.close()
        master._task_manager_ended("taskmanager-1-2", "It is told to a dead one.")
        job_managers.end(-9)
        assert await job_managers.hear(1) == {"taskmanager-1-1": ""}

    supervise(sockets, tmp_path, body)


def test_a_job_manager_is_told_of_more_than_the_kernel_takes_at_once(
    sockets: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    async def body(master: ApplicationMaster, job_managers: JobManagers, asked: Asked) -> None:
        for _ in range(2000):
            job_managers.link.send(StartTaskManager(slots=1))
        tokens = await job_managers.hear(2000)
        job_managers.link.close()
        job_managers.end(-9)
        assert await job_managers.hear(2000) == tokens

    supervise(sockets, tmp_path, body)
