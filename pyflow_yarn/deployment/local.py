"""Target ``local``: a cluster of processes on this machine that lives as long as the client.

The client starts one process, ``pyflow_runtime.entrypoint.embedded``, which starts all others. That process ends, and
everything with it, when the pipe ``parent-fd`` closes: a killed client leaves nothing behind.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Mapping

import msgspec

from pyflow_yarn.deployment.cluster import Endpoint
from pyflow_yarn.deployment.layout import private_directory, run_module_code
from pyflow_yarn.deployment.process import ChildProcess
from pyflow_yarn.errors import ClusterError, ExternalError

ENTRYPOINT = "pyflow_runtime.entrypoint.embedded"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
LOCK_FILE = "supervisor.lock"
LOCK_TIMEOUT = 3.0


class _Ready(msgspec.Struct):
    """The line on ready-fd: where the REST server listens, or one sentence why there is none."""

    rest_address: str = ""
    token_file: str = ""
    error: str = ""


class Handover(msgspec.Struct):
    """What the next program of this process needs to own the cluster instead."""

    directory: str
    pid: int
    parent_fd: int
    ready_fd: int


class LocalCluster:
    """The embedded cluster. ``start`` returns at once; ``endpoint`` waits until it is ready."""

    ends_with_client = True

    def __init__(self, configuration: Mapping[str, str], executable: str = sys.executable) -> None:
        self.directory = ""
        self._configuration = dict(configuration)
        self._executable = executable
        self._process: ChildProcess | None = None
        self._parent_fd = -1
        self._ready_fd = -1
        self._received = b""
        self._endpoint: Endpoint | None = None

    def start(self) -> LocalCluster:
        """Start the processes, without waiting for them."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        executable = self._executable
        try:
            self.directory = private_directory()
            self._write("conf.json", msgspec.json.encode(self._configuration))
            self._write("token", os.urandom(32).hex().encode())
        except OSError as error:
            raise ExternalError(
                f"The local cluster cannot keep its files in {error.filename or self.directory}: {error.strerror}."
                " Free some space there, or name another directory in TMPDIR."
            ) from None
        read_parent, self._parent_fd = os.pipe()
        self._ready_fd, write_ready = os.pipe()
        arguments = ["--directory", self.directory, "--parent-fd", str(read_parent), "--ready-fd", str(write_ready)]
        try:
            self._process = ChildProcess.spawn(
                [executable, "-P", "-c", run_module_code(ENTRYPOINT), *arguments], (read_parent, write_ready)
            )
        except OSError as error:
            raise ClusterError(f"The local cluster cannot be started with {executable}: {error.strerror}.") from None
        finally:
            os.close(read_parent)
            os.close(write_ready)
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A process that the program forks does not own the cluster, nor does it keep the cluster alive."""
        self._close_descriptors()
        self._process = None
        self.directory = ""

    def _close_descriptors(self) -> None:
        for descriptor in (self._parent_fd, self._ready_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._parent_fd = self._ready_fd = -1

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(os.path.join(self.directory, name), flags, 0o600), "wb") as file:
            file.write(content)

    # -- replacing this process by another interpreter, which then owns the cluster --

    def hand_over(self) -> Handover:
        """Let the descriptors survive an exec."""
        assert self._process is not None
        for descriptor in (self._parent_fd, self._ready_fd):
            os.set_inheritable(descriptor, True)
        return Handover(self.directory, self._process.pid, self._parent_fd, self._ready_fd)

    @classmethod
    def take_over(cls, handover: Handover) -> LocalCluster:
        """Own the cluster that the program before started."""
        cluster = cls({})
        cluster.directory = handover.directory
        cluster._process = ChildProcess(handover.pid)
        cluster._parent_fd, cluster._ready_fd = handover.parent_fd, handover.ready_fd
        for descriptor in (handover.parent_fd, handover.ready_fd):
            os.set_inheritable(descriptor, False)
        return cluster

    # -- life --

    def endpoint(self) -> Endpoint:
        """Where the REST server is; starts the processes if nobody has, and waits until they are ready."""
        if self._process is None:
            self.start()
        if self._endpoint is None:
            self._endpoint = self._await_ready()
        return self._endpoint

    def _await_ready(self) -> Endpoint:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._received.endswith(b"\n"):
            readable, _, _ = select.select([self._ready_fd], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise ClusterError(f"The local cluster was not ready after {START_TIMEOUT:.0f} seconds.")
            received = os.read(self._ready_fd, 4096)
            if not received:
                raise ClusterError(f"The local cluster could not start: its first process {self._ending()}.")
            self._received += received
        ready = msgspec.json.decode(self._received, type=_Ready)
        if ready.error:
            raise ClusterError(ready.error)
        token = ""
        if ready.token_file:
            with open(ready.token_file, encoding="ascii") as file:
                token = file.read().strip()
        return Endpoint(ready.rest_address, token)

    def _ending(self) -> str:
        code = self._process.wait(STOP_TIMEOUT) if self._process is not None else None
        if code is None:
            return "gave up"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def check(self) -> None:
        """``ClusterError`` if the processes have ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ClusterError(f"The local cluster is gone: its first process {self._ending()}.")

    def stop(self) -> None:
        """End every process and remove the directory."""
        process, self._process = self._process, None
        self._close_descriptors()
        try:
            if process is not None:
                process.wait(STOP_TIMEOUT)
        finally:
            # Still there after that time, or a second Ctrl-C: all others die with the first process.
            previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            try:
                if process is not None:
                    process.kill()
                self._remove_directory()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _remove_directory(self) -> None:
        """Normally the cluster's first process has done it."""
        if self.directory and os.path.isdir(self.directory):
            import shutil

            self._await_last_process()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _await_last_process(self) -> None:
        """Every process of the cluster holds a lock on a file of the directory as long as it lives."""
        import fcntl

        try:
            lock = os.open(os.path.join(self.directory, LOCK_FILE), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT
            while time.monotonic() < deadline:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    time.sleep(0.01)
                else:
                    return
        finally:
            os.close(lock)
