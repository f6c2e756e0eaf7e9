"""Seeing children end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pyflow_runtime.processes.children import Children


def run(body: Callable[[Children], Awaitable[None]]) -> None:
    async def main() -> None:
        children = Children()
        children.start()
        try:
            await body(children)
        finally:
            children.stop()

    asyncio.run(main())


def test_programs_are_run_to_their_end(tmp_path: Path) -> None:
    async def body(children: Children) -> None:
        with open(tmp_path / "out", "wb") as output:
            codes = await asyncio.gather(
                children.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], output=output),
                *(children.run(["/bin/sh", "-c", f"exit {code}"]) for code in range(5)),
                children.run(["/bin/sh", "-c", "kill -9 $$"]),
            )
        assert codes == [3, 0, 1, 2, 3, 4, -9]
        assert (tmp_path / "out").read_text() == "out\nerr\n"

    run(body)


def test_a_child_that_ended_before_it_was_watched_is_not_forgotten() -> None:
    async def body(children: Children) -> None:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        children.reap()
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        children.watch(pid, ended.set_result)
        assert await asyncio.wait_for(ended, 5) == 5

    run(body)


def test_what_a_child_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    async def body(children: Children) -> None:
        file = tmp_path / "pid"
        assert await children.run(["/bin/sh", "-c", f"sleep 600 & echo $! > {file}"]) == 0
        pid = int(file.read_text())
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                return
            if state == "Z":
                return
            await asyncio.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        pytest.fail("it is still there")

    run(body)


def test_cancelling_kills() -> None:
    async def body(children: Children) -> None:
        task = asyncio.create_task(children.run([sys.executable, "-c", "import time; time.sleep(600)"]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        end = time.monotonic() + 5
        while Path("/proc/self/task", str(os.getpid()), "children").read_text().strip():
            assert time.monotonic() < end
            await asyncio.sleep(0.005)

    run(body)
