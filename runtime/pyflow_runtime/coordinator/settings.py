"""What a coordinator process is told at its start, in a private file that it removes."""

from __future__ import annotations

import msgspec

from pyflow_runtime.worker.messages import WorkerEnvironment


class CoordinatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``token`` proves to the JobManager that this is the process it started; ``parent`` is the JobManager's pid."""

    job_id: str
    incarnation: int
    token: str
    rpc_socket: str
    environment: WorkerEnvironment
    parent: int
    log_file: str
    log_level: str
