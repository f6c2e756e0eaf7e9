"""``python job.py``: the program starts by itself, with the same cluster and the same lines as in ``flink run``."""

from __future__ import annotations

import atexit
import os
import sys
from types import TracebackType

from pyflow_yarn.client.configuration import configuration_directory, warn_about, with_defaults
from pyflow_yarn.client.executor import ClusterExecutor
from pyflow_yarn.client.failures import describe, traceback_lines
from pyflow_yarn.client.registered import BY_CONFIGURATION, on_registered_cluster
from pyflow_yarn.configuration.loading import load
from pyflow_yarn.deployment.cluster import Cluster
from pyflow_yarn.deployment.local import LocalCluster
from pyflow_yarn.deployment.remote import RemoteCluster
from pyflow_yarn.deployment.targets import LOCAL, chosen_target
from pyflow_yarn.errors import PyflowError


def start() -> ClusterExecutor:
    """An executor on the configured target; a local cluster ends when this process does."""
    configuration = load(configuration_directory(), {})
    warn_about(configuration)
    effective = on_registered_cluster(with_defaults(configuration), {}, for_program=True, named_by=BY_CONFIGURATION)
    local = chosen_target(effective) == LOCAL
    cluster: Cluster = LocalCluster(effective) if local else RemoteCluster(effective)
    session = _Session(cluster, ClusterExecutor(effective, cluster))
    atexit.register(session.finish)
    session.previous_hook = sys.excepthook
    sys.excepthook = session.on_exception
    return session.executor


class _Session:
    """Ends the cluster with the process, and shows what ended the program."""

    def __init__(self, cluster: Cluster, executor: ClusterExecutor) -> None:
        self.cluster = cluster
        self.executor = executor
        self.failed = False
        self.previous_hook = sys.__excepthook__
        self.process = os.getpid()

    def on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Show an uncaught exception without our frames; Ctrl-C cancels the jobs first."""
        self.failed = True
        if isinstance(error, KeyboardInterrupt):
            self.executor.interrupted()
        elif isinstance(error, PyflowError):
            sys.stdout.flush()
            sys.stderr.write(describe(error) + "\n")
        elif self.previous_hook is sys.__excepthook__:
            sys.stderr.write("\n".join(traceback_lines(error)) + "\n")
        else:
            self.previous_hook(kind, error, trace)

    def finish(self) -> None:
        """Wait for jobs that ``execute_async`` left running, then end the cluster."""
        if os.getpid() != self.process:
            return
        failure: BaseException | None = None
        try:
            failure = self._await_jobs()
            self.executor.close()
            self.cluster.stop()
        except KeyboardInterrupt as interrupt:
            # One more while everything was ended in order: the cluster has been killed instead.
            failure = interrupt
        if failure is not None:
            # Too late for an exception: let the other exit functions run, then tell the truth by the exit code.
            atexit.unregister(self.finish)
            atexit._run_exitfuncs()
            sys.stdout.flush()
            os._exit(130 if isinstance(failure, KeyboardInterrupt) else 1)

    def _await_jobs(self) -> BaseException | None:
        """Wait for jobs that ``execute_async`` left running; what went wrong with them."""
        try:
            if not self.failed:
                self.executor.wait_for_unfinished()
        except KeyboardInterrupt as interrupt:
            self.executor.interrupted()
            return interrupt
        except PyflowError as error:
            sys.stderr.write(describe(error) + "\n")
            return error
        return None
