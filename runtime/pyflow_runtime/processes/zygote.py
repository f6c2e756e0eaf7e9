"""The zygote: a warm process with one thread, from which slot workers are forked in about two milliseconds.

Workers do not stay its children. Each is forked twice, so that its parent ends at once and the TaskManager, which
adopts orphans, becomes its parent: it sees the worker's end itself, the worker dies with the TaskManager, and the
zygote's own death harms nobody.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import select
import socket
import struct
import time
from pathlib import Path

from pyflow_runtime.processes.control import (
    count_threads,
    die_with_parent,
    flush_output,
    freeze,
    reset_signals,
    run_and_exit,
    set_title,
    start_logging,
)
from pyflow_runtime.rpc.errors import ConnectionLost
from pyflow_runtime.rpc.frames import FrameSocket, MessageSocket
from pyflow_runtime.worker.messages import ForkFailed, ForkWorker, WorkerForked

logger = logging.getLogger(__name__)
_PID = struct.Struct("!q")

LAST_ERROR = "last-error"
WARM_MODULES = (
    "cloudpickle",
    "mmh3",
    "msgspec",
    "pyflow_yarn.datastream",
    "pyflow_runtime.network",
    "pyflow_runtime.operators",
    "pyflow_runtime.state",
    "pyflow_runtime.worker.process",
    "pyflow_runtime.entrypoint.coordinator",
)


def warm_up() -> None:
    """Import what every slot worker needs, so that workers find it in memory and share its pages."""
    # Libraries that users import later must not bring a pool of threads into every slot.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for module in WARM_MODULES:
        importlib.import_module(module)


def run_zygote(control: socket.socket, parent: int, name: str, log_file: Path, log_level: str) -> int:
    """Fork workers on request until the TaskManager (``parent``) closes ``control``."""
    set_title(f"pyflow zygote {name}")
    start_logging(log_file, log_level, rotate=False)
    warm_up()
    freeze()
    if (threads := count_threads()) != 1:
        raise RuntimeError(f"the zygote has {threads} threads: a module that it imports starts threads")
    connection: MessageSocket[ForkWorker] = MessageSocket(FrameSocket(control), ForkWorker)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        poll.poll()
        try:
            for request in connection.receive():
                connection.send(_fork_worker(request, parent, control))
                connection.drain(5.0)
        except ConnectionLost:
            return 0


def _fork_worker(request: ForkWorker, parent: int, control: socket.socket) -> WorkerForked | ForkFailed:
    worker_id = request.settings.worker_id
    flush_output()
    reading, writing = os.pipe()
    try:
        middle = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return ForkFailed(worker_id=worker_id, reason=f"a process could not be forked: {error.strerror or error}")
    if middle == 0:
        run_and_exit(lambda: _middle(request, parent, control, reading, writing))
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read(_PID.size)
    os.waitpid(middle, 0)
    if len(answer) < _PID.size:
        return ForkFailed(worker_id=worker_id, reason="a process could not be forked: see the TaskManager's log")
    return WorkerForked(worker_id=worker_id, pid=_PID.unpack(answer)[0])


def _middle(request: ForkWorker, parent: int, control: socket.socket, reading: int, writing: int) -> int:
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        run_and_exit(lambda: _worker(request, parent, own, control, (reading, writing)))
    os.write(writing, _PID.pack(pid))
    return 0


def _worker(request: ForkWorker, parent: int, middle: int, control: socket.socket, pipe: tuple[int, int]) -> int:
    reset_signals()
    for descriptor in pipe:
        os.close(descriptor)
    control.close()
    os.setpgid(0, 0)
    while os.getppid() == middle:
        time.sleep(0.0002)  # until the middle process has ended: then the TaskManager is the parent
    die_with_parent(parent)
    settings = request.settings
    set_title(f"pyflow worker {settings.task_manager_id}/{settings.slot}")
    from pyflow_runtime.worker.process import run_worker

    try:
        run_worker(settings)
    except Exception as error:
        # For whoever tells the user how the worker ended; the log has the traceback.
        with contextlib.suppress(OSError):
            Path(settings.directory, LAST_ERROR).write_text(f"{type(error).__name__}: {error}"[:1000])
        raise
    return 0
