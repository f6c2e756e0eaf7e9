"""How a program's job reaches a cluster: the executor that a client installs before it runs ``main()``.

A program never names a cluster. ``StreamExecutionEnvironment.execute()`` prepares a job and hands it to the executor
of this process. The command line installs one with ``set_executor``; a program started as ``python job.py`` gets
the one of ``pyflow_yarn.client.executor.default_executor()``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from pyflow_yarn.graph.job_graph import ArtifactKind, JobGraph

if TYPE_CHECKING:
    from pyflow_yarn.common.job_client import JobClient


class JobFile(NamedTuple):
    """A local file or directory that has to travel with a job; the fields are those of ``Artifact``."""

    kind: ArtifactKind
    path: str
    name: str
    target: str = ""


class PreparedJob(msgspec.Struct, frozen=True):
    """A job as the program declared it: ``graph`` has no artifacts yet, ``files`` are what to ship.

    ``stream_plan()`` is the text that ``flink info`` shows.
    """

    graph: JobGraph
    files: tuple[JobFile, ...] = ()
    stream_plan: Callable[[], str] = str


class ResultPage(NamedTuple):
    """Records of a collect operator; ``last``: nothing follows."""

    records: list[Any]
    last: bool


class Executor(Protocol):
    """What a client offers to the program it runs."""

    @property
    def configuration(self) -> Mapping[str, str]:
        """The effective configuration before the program: configuration file, then command line."""

    def execute(self, job: PreparedJob, attached: bool) -> JobClient:
        """Submit; returns when the cluster has accepted the job. ``attached``: the program will wait for its end.

        ``get_job_execution_result().result()`` of the answer raises what made the job fail.
        """

    def fetch_results(self, job_id: str, operator_id: str, offset: int) -> ResultPage:
        """Records of a collect operator from ``offset`` on; all before it may be forgotten.

        Waits a moment when there are none yet (then an empty page); raises what made the job fail.
        """


_executor: Executor | None = None


def set_executor(executor: Executor | None) -> None:
    """Install the executor of this process; None removes it."""
    global _executor
    _executor = executor


def get_executor() -> Executor:
    """The installed executor, else the client's default one."""
    global _executor
    if _executor is None:
        from pyflow_yarn.client.executor import default_executor

        _executor = default_executor()
    return _executor
