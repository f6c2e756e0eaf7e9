"""Runs a user's program in this process against a cluster, and ends both in order whatever happens."""

from __future__ import annotations

import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import msgspec

from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.failures import show_error_block, show_exit
from pyflow_yarn.client.program import Program
from pyflow_yarn.datastream.execution import set_executor
from pyflow_yarn.deployment.cluster import Cluster
from pyflow_yarn.deployment.local import Handover, LocalCluster
from pyflow_yarn.deployment.remote import RemoteCluster

EXIT_OK = 0
EXIT_PROGRAM_FAILED = 31
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
NO_JOB = "The program didn't contain a Flink job. Perhaps you forgot to call execute() on the execution environment."


class Launch(msgspec.Struct, kw_only=True):
    """What the command line has decided: the program, its effective configuration, and where it runs.

    ``cluster`` is set when the process that started the local cluster has become another interpreter. ``picture`` is
    the file for a plan as a picture, "-" for the standard output.
    """

    program: Program
    configuration: dict[str, str]
    plan_only: bool = False
    picture: str = ""
    cluster: Handover | None = None
    python_executable: str = ""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: the same as Ctrl-C, with another exit code."""


def resume(specification: bytes) -> int:
    """Go on with a launch in the interpreter that this process has become."""
    launch = msgspec.json.decode(specification, type=Launch)
    if launch.plan_only:
        from pyflow_yarn.client.plan import show_plan

        return show_plan(launch)
    if launch.cluster is not None:
        return run(launch, LocalCluster.take_over(launch.cluster))
    return run(launch, RemoteCluster(launch.configuration))


def run(launch: Launch, cluster: Cluster) -> int:
    """Run the program and give the client's exit code; a cluster that ends with the client has ended then."""
    executor = ClusterExecutor(launch.configuration, cluster, launch.python_executable)
    code = EXIT_OK
    try:
        with _terminable():
            try:
                set_executor(executor)
                code = _run_program(launch.program, executor)
            except KeyboardInterrupt as signalled:
                code = _signal_code(signalled)
                executor.interrupted()
            finally:
                set_executor(None)
                executor.close()
                cluster.stop()
    except KeyboardInterrupt as signalled:
        # One more while everything was ended in order: the cluster has been killed instead.
        code = code or _signal_code(signalled)
    return code


def _signal_code(signalled: KeyboardInterrupt) -> int:
    return EXIT_TERMINATED if isinstance(signalled, Terminated) else EXIT_INTERRUPTED


def _run_program(program: Program, executor: ClusterExecutor) -> int:
    try:
        program.run()
    except SystemExit as exit:
        code = _exit_code(exit)
        if code != EXIT_OK:
            return code
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise
        show_error_block(error)
        return EXIT_PROGRAM_FAILED
    sys.stdout.flush()
    if not executor.jobs:
        sys.stderr.write(f"WARNING: {NO_JOB}\n")
    try:
        executor.wait_for_unfinished()
    except Exception as error:
        show_error_block(error)
        return EXIT_PROGRAM_FAILED
    return EXIT_OK


def _output_is_closed() -> bool:
    """Whether nobody reads our output any more (``flink run job.py | head -1``)."""
    poll = select.poll()
    poll.register(1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _exit_code(exit: SystemExit) -> int:
    """The client's exit code for ``sys.exit(...)``: a Python program that does not exit with 0 has failed."""
    if exit.code is None or exit.code == 0:
        return EXIT_OK
    show_exit(exit)
    return EXIT_PROGRAM_FAILED


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the program the way Ctrl-C does."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
