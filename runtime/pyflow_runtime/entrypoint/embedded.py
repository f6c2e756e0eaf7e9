"""The supervisor of the embedded cluster: one warm process with one thread that forks all others.

It owns the listening sockets, so that a JobManager that crashed is back in place at the same address. It knows two
things about the world: the client (end of file on ``--parent-fd`` means that it has gone) and its children.

    python -m pyflow_runtime.entrypoint.embedded --directory D [--parent-fd N] [--ready-fd M]
"""

from __future__ import annotations

import argparse
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pyflow_runtime.entrypoint import janitor
from pyflow_runtime.entrypoint.memory import embedded_memory
from pyflow_runtime.entrypoint.sockets import address_of, listen_rest, listen_unix, report_ready
from pyflow_runtime.processes.control import (
    adopt_orphans,
    describe_exit,
    fork,
    freeze,
    raise_descriptor_limit,
    reap_everything,
    set_title,
    signal_process,
    start_logging,
)
from pyflow_runtime.processes.files import remove_directory
from pyflow_runtime.processes.layout import Layout, read_configuration, read_secret
from pyflow_runtime.processes.restarts import RestartLimit
from pyflow_runtime.processes.supervision import (
    CoordinatorEnded,
    CoordinatorForked,
    ForkCoordinator,
    FromSupervisorMessage,
    StartTaskManager,
    StopTaskManager,
    TaskManagerEnded,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.rpc.errors import RpcError
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_yarn.configuration import options
from pyflow_yarn.errors import PyflowError

logger = logging.getLogger(__name__)

ORDERLY_END_SECONDS = 3.0
KILL_SECONDS = 5.0


class TaskManagerProcess:
    """A TaskManager that runs, or is about to."""

    def __init__(self, number: int, slots: int) -> None:
        self.number = number
        self.id = f"taskmanager-{number}"
        self.slots = slots
        self.pid = 0
        self.unwanted = False


class Supervisor:
    """See the module. ``run`` returns the exit code."""

    def __init__(self, layout: Layout, configuration: Mapping[str, str], parent_fd: int, ready_fd: int) -> None:
        self._layout = layout
        self._configuration = configuration
        self._parent_fd = parent_fd
        self.ready_fd = ready_fd
        self._selector = selectors.DefaultSelector()
        self._signals_read, self._signals_write = socket.socketpair()
        self._signals_read.setblocking(False)
        self._signals_write.setblocking(False)
        self._rest: socket.socket | None = None
        self._rpc: socket.socket | None = None
        self._job_manager = 0
        self._driver: MessageSocket[ToSupervisorMessage] | None = None
        self._task_managers: list[TaskManagerProcess] = []
        self._coordinators: dict[int, str] = {}
        self._next_number = 1
        self._restarts = RestartLimit()
        self._exit: int | None = None
        self._lock_fd = -1

    def run(self) -> int:
        """Start the cluster and keep it until it, or its client, has ended."""
        layout = self._layout
        layout.check()
        if logs := options.ENV_LOG_DIR.read(self._configuration):
            layout.logs = Path(logs)
        self._lock_fd = janitor.lock(layout)
        try:
            self._install_signals()
            read_secret(layout.token, create=True)
            read_secret(layout.secret, create=True)
            embedded_memory(self._configuration, initial_slots(self._configuration))  # or the sentence why it cannot be
            self._rest = listen_rest(self._configuration)
            self._rpc = listen_unix(layout.rpc_socket)
            level = options.ENV_LOG_LEVEL.read(self._configuration)
            start_logging(layout.logs / "supervisor.log", level, rotate=True)
            self._report({"rest_address": address_of(self._rest), "token_file": str(layout.token)})
            set_title("pyflow supervisor")
            # The JobManager first: it imports its web server while this process imports what workers need.
            first = self._new_task_manager(initial_slots(self._configuration))
            self._start_job_manager()
            self._start_task_manager(first)
            janitor.sweep(layout.directory.parent)
            while self._exit is None:
                self._wait()
            return self._exit
        finally:
            self._end_everything()

    # ---- starting ----

    def _install_signals(self) -> None:
        adopt_orphans()
        signal.set_wakeup_fd(self._signals_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: None)
        self._selector.register(self._signals_read, selectors.EVENT_READ, self._on_signals)
        if self._parent_fd >= 0:
            self._selector.register(self._parent_fd, selectors.EVENT_READ, self._on_parent)

    def _report(self, line: Mapping[str, str]) -> None:
        report_ready(self.ready_fd, line)
        self.ready_fd = -1

    def _own_descriptors(self) -> list[int]:
        """What no child keeps."""
        own = [self._selector_fd(), self._signals_read.fileno(), self._signals_write.fileno()]
        if self._parent_fd >= 0:
            own.append(self._parent_fd)
        if self._driver is not None:
            own.append(self._driver.fileno())
        return own

    def _not_for_jobs(self) -> list[int]:
        """What only a JobManager keeps, too."""
        return self._own_descriptors() + [sock.fileno() for sock in (self._rest, self._rpc) if sock is not None]

    def _selector_fd(self) -> int:
        assert isinstance(self._selector, selectors.EpollSelector)
        return self._selector.fileno()

    def _start_job_manager(self) -> None:
        from pyflow_runtime.entrypoint.jobmanager import run_embedded

        freeze()
        ours, theirs = socket.socketpair()
        layout, configuration, rest, rpc = self._layout, self._configuration, self._rest, self._rpc
        assert rest is not None
        assert rpc is not None
        self._job_manager = fork(
            lambda: run_embedded(layout, configuration, rest, rpc, theirs),
            close=[*self._own_descriptors(), ours.fileno()],
        )
        theirs.close()
        self._driver = MessageSocket(FrameSocket(ours), ToSupervisorMessage)  # type: ignore[arg-type]
        self._selector.register(ours, selectors.EVENT_READ, self._on_driver)
        for task_manager in self._task_managers:
            self._tell(TaskManagerStarted(task_manager_id=task_manager.id, slots=task_manager.slots))
        logger.info("JobManager started as process %d", self._job_manager)

    def _new_task_manager(self, slots: int) -> TaskManagerProcess:
        task_manager = TaskManagerProcess(self._next_number, slots)
        self._next_number += 1
        self._task_managers.append(task_manager)
        self._tell(TaskManagerStarted(task_manager_id=task_manager.id, slots=slots))
        return task_manager

    def _start_task_manager(self, task_manager: TaskManagerProcess) -> None:
        from pyflow_runtime.entrypoint.taskmanager import run_embedded
        from pyflow_runtime.processes.zygote import warm_up

        self._make_certificates()
        warm_up()
        freeze()
        layout, configuration = self._layout, self._configuration
        number, slots = task_manager.number, task_manager.slots
        task_manager.pid = fork(lambda: run_embedded(layout, configuration, number, slots), close=self._not_for_jobs())
        logger.info("%s with %d slots started as process %d", task_manager.id, slots, task_manager.pid)

    def _make_certificates(self) -> None:
        wanted = options.TASKMANAGER_NETWORK_TRANSPORT.read(self._configuration) == "tls"
        directory = self._layout.certificates
        if not wanted or directory.exists():
            return

        def make() -> int:
            from pyflow_runtime.security.authority import CertificateAuthority

            CertificateAuthority(self._layout.authority).equip(directory, "worker")
            return 0

        # In a process of its own: the library is large, and its pages would be in every worker.
        os.waitpid(fork(make), 0)

    def _fork_coordinator(self, file: str) -> None:
        from pyflow_runtime.entrypoint.coordinator import run_forked

        pid = fork(lambda: run_forked(Path(file)), close=self._not_for_jobs())
        self._coordinators[pid] = file
        self._tell(CoordinatorForked(file=file, pid=pid))
        logger.info("a job coordinator started as process %d", pid)

    # ---- living ----

    def _wait(self) -> None:
        for key, _ in self._selector.select():
            key.data()

    def _on_parent(self) -> None:
        if not os.read(self._parent_fd, 4096):
            logger.info("the client has gone: the cluster ends")
            self._finish(0)

    def _on_signals(self) -> None:
        numbers = set(self._signals_read.recv(4096))
        if numbers & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
            logger.info("asked to end by a signal")
            self._finish(0)
        if signal.SIGCHLD in numbers:
            self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self._job_manager:
                self._job_manager_ended(code)
            elif pid in self._coordinators:
                self._tell(CoordinatorEnded(file=self._coordinators.pop(pid), status=code))
            else:
                self._task_manager_ended(pid, code)
                self._kill_orphans()

    def _kill_orphans(self) -> None:
        """What the functions of a killed TaskManager's workers started is adopted by this process, and ends here.

        Each that ends may leave others behind, and its own end is a reason to look again.
        """
        ours = {self._job_manager, *self._coordinators, *(task_manager.pid for task_manager in self._task_managers)}
        for pid in _children():
            if pid not in ours:
                signal_process(pid, signal.SIGKILL)

    def _task_manager_ended(self, pid: int, code: int) -> None:
        for task_manager in self._task_managers:
            if task_manager.pid == pid:
                self._task_managers.remove(task_manager)
                reason = f"process {pid}: {describe_exit(code)}"
                if code > 0:
                    reason += _last_error(self._layout.logs / f"{task_manager.id}.log")
                logger.warning("%s has ended, %s", task_manager.id, reason)
                self._tell(
                    TaskManagerEnded(task_manager_id=task_manager.id, reason=reason, wanted=task_manager.unwanted)
                )
                return

    def _job_manager_ended(self, code: int) -> None:
        self._drop_driver()
        self._job_manager = 0
        for coordinator in self._coordinators:
            signal_process(coordinator, signal.SIGKILL)  # the next JobManager starts its own
        if code == 0:
            logger.info("the JobManager has ended the cluster")
            self._finish(0)
            return
        logger.error("the JobManager has died: %s", describe_exit(code))
        if reason := self._restarts.died(time.monotonic(), describe_exit(code)):
            last = _last_error(self._layout.logs / "jobmanager.log")
            sys.stderr.write(f"{reason}: the cluster gives up{last}.\n")
            self._finish(1)
        elif self._exit is None:
            self._start_job_manager()

    def _drop_driver(self) -> None:
        if self._driver is not None:
            self._selector.unregister(self._driver)
            self._driver.close()
            self._driver = None

    def _on_driver(self) -> None:
        if self._driver is None:
            return  # its process was reaped in the same turn
        try:
            messages = self._driver.receive()
        except RpcError:
            self._drop_driver()  # its process is about to be reaped
            return
        for message in messages:
            if isinstance(message, StartTaskManager):
                self._start_task_manager(self._new_task_manager(message.slots))
            elif isinstance(message, ForkCoordinator):
                self._fork_coordinator(message.file)
            elif isinstance(message, StopTaskManager):
                self._stop_task_manager(message)

    def _stop_task_manager(self, message: StopTaskManager) -> None:
        for task_manager in self._task_managers:
            if task_manager.id == message.task_manager_id and task_manager.pid:
                task_manager.unwanted = not message.kill
                os.kill(task_manager.pid, signal.SIGKILL if message.kill else signal.SIGTERM)

    def _tell(self, message: FromSupervisorMessage) -> None:
        if self._driver is not None:
            try:
                self._driver.send(message)
            except RpcError:
                self._drop_driver()

    # ---- ending ----

    def _finish(self, code: int) -> None:
        if self._exit is None:
            self._exit = code

    def _end_everything(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for sock in (self._rest, self._rpc):
            if sock is not None:
                sock.close()
        pids = (self._job_manager, *(task_manager.pid for task_manager in self._task_managers))
        children = {pid for pid in (*pids, *self._coordinators) if pid}
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        if not reap_everything(time.monotonic() + ORDERLY_END_SECONDS, children.discard):
            for pid in list(children):
                os.kill(pid, signal.SIGKILL)
            # Workers are killed by the kernel when their TaskManager is, become children of this process, and are
            # waited for: only then nobody writes into the directory any more.
            end = time.monotonic() + KILL_SECONDS
            while not reap_everything(min(end, time.monotonic() + 0.1), children.discard) and time.monotonic() < end:
                for pid in _children():
                    signal_process(pid, signal.SIGKILL)
        logging.shutdown()
        remove_directory(self._layout.directory)
        os.close(self._lock_fd)


def _children() -> list[int]:
    own = os.getpid()
    text = Path(f"/proc/{own}/task/{own}/children").read_text()
    return [int(number) for number in text.split()]


def _last_error(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line and not line.startswith(" ") and "Error" in line), "")
    return f" ({last[:300]})" if last else ""


def initial_slots(configuration: Mapping[str, str]) -> int:
    """Slots of the first TaskManager: as configured, else enough for a job of the default parallelism."""
    if options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.is_set(configuration):
        return options.TASKMANAGER_NUMBER_OF_TASK_SLOTS.read(configuration)
    return min(
        options.PARALLELISM_DEFAULT.read(configuration), options.SLOTMANAGER_NUMBER_OF_SLOTS_MAX.read(configuration)
    )


def main(arguments: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="pyflow_runtime.entrypoint.embedded")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--parent-fd", type=int, default=-1)
    parser.add_argument("--ready-fd", type=int, default=-1)
    given = parser.parse_args(arguments)
    raise_descriptor_limit()
    if os.getpgrp() != os.getpid():
        os.setsid()  # Ctrl-C at the terminal is for the client alone
    for descriptor in (given.parent_fd, given.ready_fd):
        if descriptor >= 0:
            os.set_inheritable(descriptor, False)
    layout = Layout(given.directory.absolute())
    try:
        configuration = read_configuration(layout.configuration)
        supervisor = Supervisor(layout, configuration, given.parent_fd, given.ready_fd)
    except PyflowError as error:
        return _refused(str(error), given.ready_fd)
    try:
        return supervisor.run()
    except PyflowError as error:
        return _refused(str(error), supervisor.ready_fd)
    except OSError as error:
        where = f" with {error.filename}" if error.filename else ""
        return _refused(f"The local cluster cannot go on{where}: {error.strerror or error}.", supervisor.ready_fd)


def _refused(sentence: str, ready_fd: int) -> int:
    if ready_fd >= 0:
        report_ready(ready_fd, {"error": sentence})
    else:
        sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
