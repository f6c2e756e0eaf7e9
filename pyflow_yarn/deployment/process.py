"""A child process known by its pid: it stays ours when this process replaces itself with another program."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, or rather the parent's thread that started it."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ChildProcess:
    """A direct child. ``returncode`` is None while it runs, negative for a signal."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    @classmethod
    def spawn(cls, command: list[str], descriptors: Sequence[int]) -> ChildProcess:
        """Start a program in a session of its own, without standard input; it inherits these descriptors.

        A session of its own: Ctrl-C at the terminal is for the client alone.
        """
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        return cls(
            os.posix_spawn(
                command[0],
                command,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT],
            )
        )

    def poll(self) -> int | None:
        """The return code, or None while the process runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else in this process reaped it (a program that waits for any child).
                self.returncode = 0
            else:
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int | None:
        """The return code as soon as the process has ended; None if it still runs after ``timeout`` seconds."""
        if self.poll() is None:
            try:
                descriptor = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return self.poll()
            try:
                select.select([descriptor], [], [], timeout)
            finally:
                os.close(descriptor)
        return self.poll()

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.returncode = -signal.SIGKILL
