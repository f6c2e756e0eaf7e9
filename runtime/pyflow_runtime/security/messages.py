"""What a process says that wants to belong to the cluster, and the answer."""

from __future__ import annotations

import msgspec


class JoinCluster(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A signing request (PEM) for a key that only the joining process knows."""

    request: bytes


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates (PEM): of the cluster's authority, and the member's own."""

    authority: bytes
    certificate: bytes
