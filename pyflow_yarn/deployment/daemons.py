"""Processes of a standing cluster on this host: started into the background, known by pid files, stopped.

A pid file's first line is the process, its second the moment of its start: a number that meanwhile belongs to another
process, or a file that somebody else put there, never leads to a signal. Files are named as Flink's are.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from pyflow_yarn.deployment import state
from pyflow_yarn.deployment.layout import run_module_code
from pyflow_yarn.errors import ClusterError, ConfigurationError, ExternalError

START_SECONDS = 60.0
STOP_SECONDS = 20.0
KILL_SECONDS = 10.0
LOCK_SECONDS = 90.0
MOST_INSTANCES = 1000
_PAUSE = 0.02


class Service(NamedTuple):
    """A kind of daemon: its name in files and texts, its program, and how its directories are called."""

    name: str
    module: str
    directory: str
    single: bool


SESSION = Service("standalonesession", "pyflow_runtime.entrypoint.jobmanager", state.JOB_MANAGER, single=True)
TASK_EXECUTOR = Service("taskexecutor", "pyflow_runtime.entrypoint.taskmanager", "t", single=False)
STANDALONE_JOB = Service("standalonejob", "pyflow_yarn.cli.application", state.JOB_MANAGER, single=True)


class Instance(NamedTuple):
    """A daemon as its pid file describes it."""

    number: int
    pid_file: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Whether that very process runs."""
        return self.pid > 0 and start_of(self.pid) == self.started


class Ready(msgspec.Struct):
    """The line that a daemon writes when it has begun, or when it cannot."""

    error: str = ""
    rest_address: str = ""
    rpc_address: str = ""


class Places:
    """Where the daemons of this user keep their files on this host."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        base = state.state_directory(environment)
        self.state = state.private_folder(base)
        self.pids = environment.get("FLINK_PID_DIR") or os.path.join(base, "run")
        self.logs = environment.get("FLINK_LOG_DIR") or os.path.join(base, "log")
        self.user = environment.get("FLINK_IDENT_STRING") or environment.get("USER") or _user()
        if "/" in self.user:
            raise ConfigurationError(f"FLINK_IDENT_STRING is part of names of files, so '{self.user}' cannot be used.")
        self.host = os.uname().nodename

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (self.pids, self.logs):
            try:
                os.makedirs(folder, 0o700, exist_ok=True)
            except OSError as error:
                raise ExternalError(f"The folder {folder} cannot be made: {error.strerror}.") from None

    def stem(self, service: Service, number: int) -> str:
        """The name of an instance's files."""
        return f"flink-{self.user}-{service.name}-{number}-{self.host}"

    def directory(self, service: Service, number: int) -> str:
        """The private directory of an instance."""
        return os.path.join(self.state, service.directory + ("" if service.single else str(number)))

    def lock_file(self, service: Service, number: int) -> str:
        """The file that an instance and everything it forked holds a lock on."""
        return f"{self.directory(service, number)}.lock"

    def instances(self, service: Service) -> list[Instance]:
        """What the pid files say, by number; files that are not this user's are no pid files."""
        found = []
        start, end = f"flink-{self.user}-{service.name}-", f"-{self.host}.pid"
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.pids):
                number = name.removeprefix(start).removesuffix(end)
                if name == f"{start}{number}{end}" and number.isdecimal():
                    path = os.path.join(self.pids, name)
                    pid, _, started = state.read_private(path).partition("\n")
                    found.append(Instance(int(number), path, int(pid) if pid.isdecimal() else 0, started.strip()))
        return sorted(found)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def start_of(pid: int) -> str:
    """When a process of this user was started, in a form that no other process ever has; "" if there is none."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return ""
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"started:{fields[19]}:{boot}"


class Slot(NamedTuple):
    """A number that is free for a new instance, with the lock that keeps it so."""

    number: int
    lock: int


def take_number(places: Places, service: Service) -> Slot:
    """The lowest free number; what a killed instance left in its directory is removed, except a JobManager's jobs."""
    taken = {instance.number for instance in places.instances(service) if instance.alive()}
    for number in range(1 if service.single else MOST_INSTANCES):
        if number in taken:
            continue
        # Clients look at a JobManager's lock for a moment.
        lock = state.take_lock(places.lock_file(service, number), 1.0 if service.single else 0.0)
        if lock is not None:
            directory = places.directory(service, number)
            if not service.single:
                shutil.rmtree(directory, ignore_errors=True)
            state.private_folder(directory)
            return Slot(number, lock)
    raise ClusterError(f"No number is free for another {service.name} daemon on host {places.host}.")


class Daemon:
    """One instance that is being started. Close it when its start has succeeded or failed."""

    def __init__(self, places: Places, service: Service) -> None:
        self._places = places
        self._service = service
        self._slot = take_number(places, service)
        stem = places.stem(service, self._slot.number)
        self.directory = places.directory(service, self._slot.number)
        self.pid_file = os.path.join(places.pids, f"{stem}.pid")
        self.log_file = os.path.join(places.logs, f"{stem}.log")
        self.out_file = os.path.join(places.logs, f"{stem}.out")

    def close(self) -> None:
        """The lock is the daemon's from now on, if it runs."""
        os.close(self._slot.lock)

    def _command(self, configuration: Mapping[str, str], arguments: list[str]) -> list[str]:
        file = os.path.join(self.directory, "conf.json")
        state.write_private(file, msgspec.json.encode(dict(configuration)).decode())
        own = ["--configuration", file, "--directory", self.directory, "--log-file", self.log_file]
        return [sys.executable, "-P", "-c", run_module_code(self._service.module), *own, *arguments]

    def _write_pid(self, pid: int) -> None:
        state.write_private(self.pid_file, f"{pid}\n{start_of(pid)}\n")

    def become(self, configuration: Mapping[str, str], arguments: list[str], words: Sequence[str] = ()) -> None:
        """Go on as the daemon, in the foreground."""
        os.set_inheritable(self._slot.lock, True)
        command = self._command(configuration, [*arguments, *words])
        self._write_pid(os.getpid())
        sys.stdout.flush()
        os.execv(command[0], command)

    def spawn(self, configuration: Mapping[str, str], arguments: list[str], words: Sequence[str] = ()) -> Ready:
        """Start it in the background and wait until it has begun; ``ClusterError`` with its own words if it cannot.

        ``words`` come last on its command line.
        """
        reading, writing = os.pipe()
        try:
            command = self._command(configuration, [*arguments, "--ready-fd", str(writing), *words])
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            for descriptor in (writing, self._slot.lock):
                os.set_inheritable(descriptor, True)
            pid = os.posix_spawn(
                command[0],
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self.out_file, flags, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP],
            )
        except OSError as error:
            os.close(reading)
            raise ExternalError(
                f"The {self._service.name} daemon cannot be started, with its output in {self.out_file}:"
                f" {error.strerror}."
            ) from None
        finally:
            os.close(writing)
        try:
            self._write_pid(pid)
            return self._await_ready(reading)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                os.unlink(self.pid_file)
            raise
        finally:
            os.close(reading)

    def _await_ready(self, descriptor: int) -> Ready:
        ready = read_ready(descriptor)
        if ready is None:
            raise ClusterError(
                f"The {self._service.name} daemon did not start: its output is in {self.out_file}, its log in"
                f" {self.log_file}."
            )
        if ready.error:
            raise ClusterError(ready.error)
        return ready


def read_ready(descriptor: int) -> Ready | None:
    """The line that a daemon writes when it has begun; None if it ended before, or takes too long."""
    received = b""
    deadline = time.monotonic() + START_SECONDS
    while not received.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        more = os.read(descriptor, 4096) if readable else b""
        if not more:
            return None
        received += more
    return msgspec.json.decode(received, type=Ready)


# -- stopping --


def stop(places: Places, service: Service, instance: Instance) -> bool:
    """End a daemon and everything it started; False if it was not running anymore. Its pid file is removed."""
    found = False
    with _handle(instance) as handle:
        if handle is not None:
            found = True
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            signal.pidfd_send_signal(handle, signal.SIGCONT)
            if not _ended(handle, STOP_SECONDS):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _ended(handle, KILL_SECONDS)
    _remove(instance.pid_file)
    _remove_directory(places, service, instance.number)
    return found


@contextlib.contextmanager
def _handle(instance: Instance) -> Iterator[int | None]:
    """A descriptor of the process: it was opened before the process was recognized, so it can mean no other."""
    handle = None
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(instance.pid) if instance.pid > 0 else None
    try:
        yield handle if instance.alive() else None
    except ProcessLookupError:
        pass
    finally:
        if handle is not None:
            os.close(handle)


def _ended(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])


def _remove_directory(places: Places, service: Service, number: int) -> None:
    """When the last process of the instance has gone."""
    lock = state.take_lock(places.lock_file(service, number), KILL_SECONDS)
    if lock is None:
        return
    try:
        shutil.rmtree(places.directory(service, number), ignore_errors=True)
    finally:
        os.close(lock)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
