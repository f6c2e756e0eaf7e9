"""The TaskManager's side of zygotes, with the test as the zygote."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from pyflow_runtime.rpc.frames import FrameKind, FrameSocket, MessageSocket
from pyflow_runtime.taskexecutor.shell import zygotes
from pyflow_runtime.taskexecutor.shell.zygotes import Zygote, ZygoteLost, ZygoteUnusable
from pyflow_runtime.worker.messages import ForkFailed, ForkWorker, WorkerForked, WorkerSettings
from pyflow_yarn.errors import ClusterError


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def settings(worker_id: str) -> WorkerSettings:
    return WorkerSettings(
        worker_id=worker_id,
        task_manager_id="t",
        slot=0,
        directory="",
        control_path="",
        bind_host="",
        host="",
        host_id="",
        transport="auto",
        secret="",
    )


def run(process: subprocess.Popen[bytes], body: Callable[[Zygote, MessageSocket[ForkWorker]], Awaitable[None]]) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        zygote = Zygote(ours, process.pid)
        other: MessageSocket[ForkWorker] = MessageSocket(FrameSocket(theirs), ForkWorker)
        try:
            async with asyncio.timeout(10):
                await body(zygote, other)
        finally:
            zygote.close()
            other.close()

    asyncio.run(main())


async def request(other: MessageSocket[ForkWorker]) -> str:
    while not (messages := other.receive()):
        await asyncio.sleep(0.001)
    return messages[0].settings.worker_id


def test_answers_find_who_asked(process: subprocess.Popen[bytes]) -> None:
    async def body(zygote: Zygote, other: MessageSocket[Any]) -> None:
        asking = [asyncio.create_task(zygote.fork(settings(name))) for name in ("a", "b")]
        await asyncio.sleep(0)
        await request(other)
        other.send(ForkFailed(worker_id="b", reason="there is no memory"))
        other.send(WorkerForked(worker_id="unknown", pid=1))
        other.send(WorkerForked(worker_id="a", pid=77))
        assert await asking[0] == 77
        with pytest.raises(ClusterError, match="could not be started: there is no memory"):
            await asking[1]

    run(process, body)


def test_its_end_is_told_to_all_who_wait(process: subprocess.Popen[bytes]) -> None:
    async def body(zygote: Zygote, other: MessageSocket[Any]) -> None:
        asking = asyncio.create_task(zygote.fork(settings("a")))
        await asyncio.sleep(0)
        other.close()
        with pytest.raises(ZygoteLost):
            await asking
        with pytest.raises(ZygoteLost):
            await zygote.fork(settings("b"))

    run(process, body)


def test_what_an_interpreter_lacks_is_its_last_word(process: subprocess.Popen[bytes]) -> None:
    async def body(zygote: Zygote, other: MessageSocket[Any]) -> None:
        asking = asyncio.create_task(zygote.fork(settings("a")))
        await asyncio.sleep(0)
        other.frames.send(FrameKind.CLOSE, b"It lacks everything.")
        with pytest.raises(ZygoteUnusable, match=r"^It lacks everything\.$"):
            await asking

    run(process, body)


def test_one_that_is_stuck_is_killed(process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygotes, "FORK_SECONDS", 0.05)

    async def body(zygote: Zygote, other: MessageSocket[Any]) -> None:
        with pytest.raises(ZygoteLost, match=r"did not answer within 0\.05 s"):
            await zygote.fork(settings("a"))
        assert await asyncio.to_thread(process.wait, 5) == -signal.SIGKILL

    run(process, body)
