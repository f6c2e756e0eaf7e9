"""What a JobManager and its supervisor say to each other gets there, and the JobManager knows when."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from pyflow_runtime.dispatcher.shell.supervisor_link import SupervisorLink
from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    StartTaskManager,
    TaskManagerJoined,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket


def test_what_the_kernel_does_not_take_at_once_comes_later_and_is_not_recorded() -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair()
        link, supervisor = (
            SupervisorLink(ours),
            MessageSocket(FrameSocket(theirs), cast("type[Any]", ToSupervisorMessage)),
        )
        link.start(lambda message: None)
        count = 0
        while link.record(StartTaskManager(slots=1)):
            count += 1
        assert not link.record(TaskManagerJoined(task_manager_id="t1"))
        heard: list[ToSupervisorMessage] = []
        async with asyncio.timeout(10):
            while len(heard) < count + 2:
                await asyncio.sleep(0)
                heard += supervisor.receive()
        assert heard[-1] == TaskManagerJoined(task_manager_id="t1")
        async with asyncio.timeout(10):
            while not link.record(TaskManagerJoined(task_manager_id="t2")):
                await asyncio.sleep(0)
        supervisor.close()
        assert not link.record(TaskManagerJoined(task_manager_id="t3"))
        ours.close()

    asyncio.run(body())


def test_all_who_want_to_hear_do() -> None:
    async def body() -> None:
        ours, theirs = socket.socketpair()
        heard: list[tuple[str, AboutTaskManager]] = []
        link, supervisor = SupervisorLink(ours), MessageSocket(FrameSocket(theirs), object)
        link.hear(lambda message: heard.append(("first", message)))
        link.start(lambda message: heard.append(("second", message)))
        message = TaskManagerStarted(task_manager_id="t1", slots=1, join_token="x")
        supervisor.send(message)
        async with asyncio.timeout(10):
            while len(heard) < 2:
                await asyncio.sleep(0)
        assert heard == [("first", message), ("second", message)]
        supervisor.close()
        ours.close()

    asyncio.run(body())
