"""Runs a user's program in this process against a cluster, and ends both in order whatever happens."""

from __future__ import annotations

import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from pyflow_yarn.client.clusters import running_cluster
from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.failures import show_error_block, show_exit
from pyflow_yarn.client.program import Program
from pyflow_yarn.client.signals import exit_code, interrupted_by
from pyflow_yarn.datastream.execution import Executor, set_executor
from pyflow_yarn.deployment.cluster import Cluster
from pyflow_yarn.deployment.local import Handover, LocalCluster
from pyflow_yarn.deployment.targets import YARN_APPLICATION, YARN_PER_JOB, chosen_target
from pyflow_yarn.errors import PyflowError

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_PROGRAM_FAILED = 31
NO_JOB = "The program didn't contain a Flink job. Perhaps you forgot to call execute() on the execution environment."


class Launch(msgspec.Struct, kw_only=True):
    """What the command line has decided: the program, its effective configuration, and where it runs.

    ``cluster`` is set when the process that started the local cluster has become another interpreter. ``picture`` is
    the file for a plan as a picture, "-" for the standard output. ``graph``: the file of a job that stands in the place
    of the program.
    """

    program: Program
    configuration: dict[str, str]
    plan_only: bool = False
    picture: str = ""
    cluster: Handover | None = None
    graph: str = ""
    python_executable: str = ""


def resume(specification: bytes) -> int:
    """Go on with a launch in the interpreter that this process has become."""
    launch = msgspec.json.decode(specification, type=Launch)
    if launch.plan_only:
        from pyflow_yarn.client.plan import show_plan

        return show_plan(launch)
    if launch.cluster is not None:
        return run(launch, LocalCluster.take_over(launch.cluster))
    return run_on_target(launch)


def run_on_target(launch: Launch) -> int:
    """Run the program on clusters that go on without this client."""
    if chosen_target(launch.configuration) == YARN_APPLICATION:
        from pyflow_yarn.client.yarn import run_application

        try:
            return run_application(launch.program, launch.configuration)
        except PyflowError as error:
            # The program has not begun: this is no failure of a Python program.
            show_error_block(error)
            return EXIT_ERROR
    return _run(launch.program, submitting_executor(launch.configuration))


def submitting_executor(configuration: Mapping[str, str]) -> ProgramExecutor:
    """The executor of a program whose ``main()`` runs here, and its jobs on clusters that go on without it."""
    if chosen_target(configuration) == YARN_PER_JOB:
        from pyflow_yarn.client.per_job import PerJobExecutor

        return PerJobExecutor(configuration)
    return ClusterExecutor(configuration, running_cluster(configuration))


def run(launch: Launch, cluster: Cluster) -> int:
    """Run the program and give the client's exit code; a cluster that ends with the client has ended then."""
    executor = ClusterExecutor(launch.configuration, cluster, launch.python_executable)
    return _run(launch.program, executor, cluster.stop)


class ProgramExecutor(Executor, Protocol):
    """What this module wants of an executor besides."""

    @property
    def jobs(self) -> Sequence[object]:
        """The jobs that were submitted."""

    def wait_for_unfinished(self) -> None:
        """Wait for jobs that would end with this process."""

    def interrupted(self) -> None:
        """Ctrl-C or SIGTERM."""

    def close(self) -> None:
        """Close connections."""


def _run(program: Program, executor: ProgramExecutor, stop: Callable[[], None] = lambda: None) -> int:
    code = EXIT_OK
    try:
        with interrupted_by(signal.SIGTERM):
            try:
                set_executor(executor)
                ending = run_program(program, executor)
                ending.show()
                code = ending.code
            except KeyboardInterrupt as signalled:
                code = exit_code(signalled)
                executor.interrupted()
            finally:
                set_executor(None)
                executor.close()
                stop()
    except KeyboardInterrupt as signalled:
        # One more while everything was ended in order: the cluster has been killed instead.
        code = code or exit_code(signalled)
    return code


class Ending(NamedTuple):
    """How a program has ended, with its jobs: ``error`` is what made it fail."""

    error: BaseException | None = None

    @property
    def code(self) -> int:
        """The client's exit code; that of ``sys.exit(...)`` plays no part: what is not 0 is a failure."""
        return EXIT_OK if self.error is None else EXIT_PROGRAM_FAILED

    def show(self) -> None:
        """Print on stderr what made it fail."""
        if isinstance(self.error, SystemExit):
            show_exit(self.error)
        elif self.error is not None:
            show_error_block(self.error)


def run_program(program: Program, executor: ProgramExecutor) -> Ending:
    """Run a program to its end, and wait for what must not be left running."""
    try:
        program.run()
    except SystemExit as exit:
        if exit.code:
            return Ending(exit)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise
        return Ending(error)
    sys.stdout.flush()
    if not executor.jobs:
        sys.stderr.write(f"WARNING: {NO_JOB}\n")
    try:
        executor.wait_for_unfinished()
    except Exception as error:
        return Ending(error)
    return Ending()


def _output_is_closed() -> bool:
    """Whether nobody reads our output any more (``flink run job.py | head -1``)."""
    poll = select.poll()
    poll.register(1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
