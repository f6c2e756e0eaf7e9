"""``python job.py``: the program starts by itself, with the same cluster and the same lines as in ``flink run``."""

from __future__ import annotations

import atexit
import os
import sys
from types import TracebackType

from pyflow_yarn.client.configuration import configuration_directory, warn_about, with_defaults
from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.failures import describe, traceback_lines
from pyflow_yarn.client.launch import ProgramExecutor, submitting_executor
from pyflow_yarn.client.registered import BY_CONFIGURATION, on_registered_cluster
from pyflow_yarn.client.signals import EXIT_INTERRUPTED
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.configuration.options import EXECUTION_TARGET
from pyflow_yarn.deployment.local import LocalCluster
from pyflow_yarn.deployment.targets import LOCAL, YARN_APPLICATION, YARN_PER_JOB, YARN_SESSION, chosen_target
from pyflow_yarn.errors import ConfigurationError, PyflowError


def start() -> ProgramExecutor:
    """An executor on the configured target; a local cluster ends when this process does."""
    session = _Session()
    sys.excepthook = session.on_exception
    configuration = load(configuration_directory(), {})
    warn_about(configuration)
    effective = on_registered_cluster(with_defaults(configuration), {}, for_program=True, named_by=BY_CONFIGURATION)
    return session.begin(effective)


class _Session:
    """Ends a local cluster with the process, and shows what ended the program."""

    def __init__(self) -> None:
        self.cluster: LocalCluster | None = None
        self.executor: ProgramExecutor | None = None
        self.failed = False
        self.previous_hook = sys.excepthook
        self.process = os.getpid()

    def begin(self, configuration: dict[str, str]) -> ProgramExecutor:
        """The executor on the target; ``ConfigurationError`` for one that programs do not start on by themselves."""
        target = chosen_target(configuration)
        if target == YARN_APPLICATION:
            raise ConfigurationError(
                f'The target "{YARN_APPLICATION}" runs main() on the cluster, and here it runs already: start the'
                f' program with flink run -t {YARN_APPLICATION}, or set {EXECUTION_TARGET.key} to "{YARN_SESSION}",'
                f' "{YARN_PER_JOB}" or "{LOCAL}".'
            )
        if target == LOCAL:
            self.cluster = LocalCluster(configuration)
            executor: ProgramExecutor = ClusterExecutor(configuration, self.cluster)
        else:
            executor = submitting_executor(configuration)
        self.executor = executor
        atexit.register(self.finish, executor)
        return executor

    def on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Show an uncaught exception without our frames; Ctrl-C cancels the jobs first."""
        self.failed = True
        if isinstance(error, KeyboardInterrupt):
            if self.executor is not None:
                self.executor.interrupted()
        elif isinstance(error, PyflowError):
            sys.stdout.flush()
            sys.stderr.write(describe(error) + "\n")
        elif self.previous_hook is sys.__excepthook__:
            sys.stderr.write("\n".join(traceback_lines(error)) + "\n")
        else:
            self.previous_hook(kind, error, trace)

    def finish(self, executor: ProgramExecutor) -> None:
        """Wait for jobs that ``execute_async`` left running, then end the cluster."""
        if os.getpid() != self.process:
            return
        failure: BaseException | None = None
        try:
            failure = self._await_jobs(executor)
            executor.close()
            if self.cluster is not None:
                self.cluster.stop()
        except KeyboardInterrupt as interrupt:
            # One more while everything was ended in order: the cluster has been killed instead.
            failure = interrupt
        if failure is not None:
            # Too late for an exception: let the other exit functions run, then tell the truth by the exit code.
            atexit.unregister(self.finish)
            atexit._run_exitfuncs()
            sys.stdout.flush()
            os._exit(EXIT_INTERRUPTED if isinstance(failure, KeyboardInterrupt) else 1)

    def _await_jobs(self, executor: ProgramExecutor) -> BaseException | None:
        """Wait for jobs that ``execute_async`` left running; what went wrong with them."""
        try:
            if not self.failed:
                executor.wait_for_unfinished()
        except KeyboardInterrupt as interrupt:
            executor.interrupted()
            return interrupt
        except PyflowError as error:
            sys.stderr.write(describe(error) + "\n")
            return error
        return None
