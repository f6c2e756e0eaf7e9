"""Seeing child processes end, in a process that runs asyncio: one place reaps all of them.

Also adopted ones: a slot worker is forked by the zygote but becomes the TaskManager's child, and what a user's
function started and left behind is adopted as well.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from pyflow_runtime.processes.control import signal_process

logger = logging.getLogger(__name__)
_REMEMBERED = 1000


class Children:
    """The children of this process. After ``start`` nobody else in the process may wait for children."""

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}
        self._early: collections.OrderedDict[int, int] = collections.OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to watch, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def stop(self) -> None:
        """Stop watching."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCHLD)
            self._loop = None

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call ``ended(status)`` (as of ``os.waitstatus_to_exitcode``) once, from the loop, when the child has ended.

        It may have ended already: statuses of children that nobody watched yet are remembered.
        """
        assert self._loop is not None
        if pid in self._early:
            self._loop.call_soon(ended, self._early.pop(pid))
        else:
            self._watched[pid] = ended

    def reap(self) -> None:
        """Collect every child that has ended."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            # While it is not reaped its number is not reused: what is left of its process group can be ended safely.
            if pid in self._watched:
                signal_process(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            callback = self._watched.pop(pid, None)
            if callback is not None:
                callback(code)
            else:
                self._early[pid] = code
                while len(self._early) > _REMEMBERED:
                    self._early.popitem(last=False)

    def spawn(
        self,
        arguments: Sequence[str],
        ended: Callable[[int], None],
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        output: IO[Any] | int | None = None,
    ) -> int:
        """Start a program in a process group of its own; its pid. ``output``: for stdout and stderr, if not ours.

        Called in the main thread, because children may ask the kernel to die with the thread that made them.
        """
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            env=environment,
            pass_fds=pass_fds,
            process_group=0,
        )

        def finish(status: int) -> None:
            process.returncode = status  # Popen must not wait for it: it has been reaped
            ended(status)

        self.watch(process.pid, finish)
        return process.pid

    async def run(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: IO[Any] | int | None = None,
    ) -> int:
        """Run a program to its end; its status. Cancelling kills it."""
        assert self._loop is not None
        done: asyncio.Future[int] = self._loop.create_future()

        def ended(status: int) -> None:
            if not done.done():
                done.set_result(status)

        pid = self.spawn(arguments, ended, environment=environment, output=output)
        try:
            return await done
        except asyncio.CancelledError:
            signal_process(pid, signal.SIGKILL)
            raise
