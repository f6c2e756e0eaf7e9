"""The process of a job's coordinator: the transport around ``coordinator.process``.

<settings file, which is removed>
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, cast

import msgspec

from pyflow_runtime.coordinator.messages import CoordinatorStarted, EndCoordination, ToCoordinatorMessage
from pyflow_runtime.coordinator.process import JobCoordinator
from pyflow_runtime.coordinator.settings import CoordinatorSettings
from pyflow_runtime.operators.failures import ProgramSources
from pyflow_runtime.processes.control import die_with_parent, run_and_exit, set_title, start_logging
from pyflow_runtime.rpc.errors import ConnectionLost
from pyflow_runtime.rpc.frames import MessageSocket
from pyflow_runtime.rpc.handshake import connect_unix

logger = logging.getLogger(__name__)
_A_LONG_TIME = 3600.0
_LAST_WORDS_SECONDS = 5.0


def main() -> None:
    """The program."""
    file = Path(sys.argv[1])
    settings = read_settings(file)
    die_with_parent(settings.parent)
    run_and_exit(lambda: run(settings))


def run_forked(file: Path) -> int:
    """The process, forked by a supervisor; the exit code."""
    os.setpgid(0, 0)
    return run(read_settings(file))


def read_settings(file: Path) -> CoordinatorSettings:
    """The settings, and the file that held the token is gone."""
    settings = msgspec.msgpack.decode(file.read_bytes(), type=CoordinatorSettings)
    file.unlink()
    return settings


def run(settings: CoordinatorSettings) -> int:
    """Coordinate until the job has ended or the JobManager has gone; the exit code."""
    environment = settings.environment
    set_title(f"pyflow coordinator {environment.job.job_name}")
    start_logging(Path(settings.log_file), settings.log_level, rotate=False)
    sys.path[:0] = environment.python_path
    if environment.working_directory:
        os.chdir(environment.working_directory)
    sources = ProgramSources.load(environment.sources, environment.python_path)
    sources.install()
    frames = connect_unix(settings.rpc_socket, "coordinator", settings.job_id, incarnation=str(settings.incarnation))
    connection: MessageSocket[Any] = MessageSocket(frames, cast("type[Any]", ToCoordinatorMessage))
    try:
        connection.send(CoordinatorStarted(job_id=settings.job_id, pid=os.getpid(), token=settings.token))
        _converse(connection, JobCoordinator(sources))
    except ConnectionLost as error:
        logger.info("the JobManager needs no coordinator any more: %s", error)
    finally:
        connection.close()
    return 0


def _converse(connection: MessageSocket[Any], coordinator: JobCoordinator) -> None:
    while True:
        try:
            message = connection.wait_message(_A_LONG_TIME)
        except TimeoutError:
            continue
        for answer in coordinator.handle(message):
            connection.send(answer)
            while not connection.drain(_A_LONG_TIME):
                logger.warning("the JobManager has not read for an hour")
        if isinstance(message, EndCoordination):
            connection.drain(_LAST_WORDS_SECONDS)
            return


if __name__ == "__main__":
    main()
