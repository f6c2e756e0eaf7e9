"""What a process of the cluster does to itself, and how one is forked from a warm parent."""

from __future__ import annotations

import ctypes
import gc
import logging
import logging.handlers
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import setproctitle

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_DESCRIPTORS = 65_536
_LOG_FORMAT = "%(asctime)s %(levelname)-5s %(name)s %(message)s"
_HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)

logger = logging.getLogger(__name__)


def _prctl(option: int, argument: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when ``parent`` (a pid, which must be the parent) ends.

    The signal is bound to the *thread* that forked: parents fork from their main thread only.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it ended between the fork and the call


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends (``PR_SET_CHILD_SUBREAPER``)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system lets us: a worker has a connection to each worker it exchanges with.

    Children inherit it. It is enough for 8,000 workers (``docs/adr/0001``); a limit of millions would slow down
    programs that close every descriptor there may be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def set_title(text: str) -> None:
    """The name of this process in ``ps``."""
    setproctitle.setproctitle(text)


def reset_signals() -> None:
    """Undo what a forked process inherits of its parent's signal handling."""
    signal.set_wakeup_fd(-1)
    for number in _HANDLED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def start_logging(file: Path, level: str, *, rotate: bool, max_files: int = 10) -> None:
    """Send every log record to a file, none to the console.

    One process owns (``rotate``) the file; others (slot workers) may append to it and follow its rotation.
    """
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler: logging.Handler
    if rotate:
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=10 * 1024 * 1024, backupCount=max_files, encoding="utf-8", delay=True
        )
    else:
        handler = logging.handlers.WatchedFileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = False  # a full disk must not print tracebacks at the user's console


def count_threads() -> int:
    """Threads of this process, also those that Python does not know of."""
    return len(os.listdir("/proc/self/task"))


def fork(main: Callable[[], int], *, close: Iterable[int] = ()) -> int:
    """Run ``main`` in a child process that dies with this one; its pid. ``close``: descriptors it must not keep.

    There must be one thread only: locks that other threads hold would stay locked in the child for ever.
    """
    if (threads := count_threads()) != 1:
        raise RuntimeError(f"a process with {threads} threads must not fork")
    flush_output()
    parent = os.getpid()
    # A signal to the child before it has reset its handlers would run the parent's, and be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED_SIGNALS)
    try:
        pid = os.fork()
    finally:
        if os.getpid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid:
        return pid
    run_and_exit(lambda: _child(main, parent, close))


def _child(main: Callable[[], int], parent: int, close: Iterable[int]) -> int:
    reset_signals()
    die_with_parent(parent)
    for descriptor in close:
        os.close(descriptor)
    return main()


def run_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run ``main`` and end the process with its result, whatever happens; nothing of the parent's stack is run."""
    code = 1
    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        logger.exception("process %d ends", os.getpid())
    finally:
        try:
            flush_output()
            logging.shutdown()
        finally:
            os._exit(code)


def flush_output() -> None:
    """Write out what Python holds back of standard output and error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed, or the reader has gone: nobody to tell


def freeze() -> None:
    """Keep the garbage collector away from everything that exists, so that forked children share its pages."""
    gc.collect()
    gc.freeze()


def describe_exit(status: int) -> str:
    """How a process ended, in words; ``status`` as of ``os.waitstatus_to_exitcode``."""
    if status >= 0:
        return f"it exited with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (out of memory, or killed by hand)" if -status == signal.SIGKILL else ""
    return f"it was killed by {name}{hint}"


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process and its group, if it leads one; it may be gone."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_children(seconds: float) -> bool:
    """Kill and reap all children of this process, and theirs, which it adopts when they end; True if none is left.

    What a user's function started and left behind is among them, also in a session of its own.
    """
    own = os.getpid()
    deadline = time.monotonic() + seconds
    while not reap_everything(min(deadline, time.monotonic() + 0.05)):
        if time.monotonic() >= deadline:
            return False
        for task in os.listdir("/proc/self/task"):
            for pid in Path(f"/proc/{own}/task/{task}/children").read_text().split():
                signal_process(int(pid), signal.SIGKILL)
    return True


def reap_everything(deadline: float, died: Callable[[int], None] = lambda pid: None) -> bool:
    """Wait for all children, also adopted ones, until ``deadline`` (monotonic seconds); True if none is left."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid:
            died(pid)
        elif time.monotonic() >= deadline:
            return False
        else:
            time.sleep(0.002)
