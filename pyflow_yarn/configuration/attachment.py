"""How long a job lives without its client: the client and the cluster go by the same rule."""

from __future__ import annotations

from collections.abc import Mapping

from pyflow_yarn.configuration.options import (
    CLIENT_HEARTBEAT_TIMEOUT,
    EXECUTION_ATTACHED,
    EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT,
)


def client_timeout(configuration: Mapping[str, str]) -> int | None:
    """Milliseconds of silence of its client that cancel a job; None if it outlives its client."""
    ends = EXECUTION_ATTACHED.read(configuration) and EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT.read(configuration)
    return CLIENT_HEARTBEAT_TIMEOUT.read(configuration) if ends else None
