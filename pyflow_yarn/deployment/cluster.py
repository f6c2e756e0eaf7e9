"""What the client knows of a cluster: where its REST server is, and whether it ends with the client."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Endpoint(NamedTuple):
    """A REST server: ``address`` is ``host:port``; ``token`` is "" where none is wanted."""

    address: str
    token: str = ""


class Cluster(Protocol):
    """A cluster that jobs can be submitted to."""

    ends_with_client: bool
    """Whether the cluster, and every job on it, ends when this process does."""

    def endpoint(self) -> Endpoint:
        """Where the REST server is; waits until the cluster is ready. ``ClusterError`` if it is not to be had."""

    def check(self) -> Endpoint | None:
        """Where the REST server is by now, if it may move; ``ClusterError`` if the cluster is known to have ended."""

    def stop(self) -> None:
        """End a cluster that ends with the client; let go of any other."""
