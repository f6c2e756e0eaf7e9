"""What can go wrong on a channel.

ClusterError
└── ChannelBroken        the other end of a channel is gone
    └── ChannelRefused   the other end does not want this channel: one of the two attempts is stale
"""

from __future__ import annotations

from pyflow_yarn.errors import ClusterError


class ChannelBroken(ClusterError):
    """The other end of a channel is gone; ``peer`` is its worker's id."""

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(f"The data connection with worker {peer} broke: {reason}.")
        self.peer = peer
        self.reason = reason


class ChannelRefused(ChannelBroken):
    """The other end does not want this channel: one of the two attempts is stale."""
