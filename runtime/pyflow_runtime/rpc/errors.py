"""What can go wrong between two processes.

ClusterError
└── RpcError                  a conversation between two processes failed
    ├── ProtocolError         the peer says what the protocol does not know
    ├── ConnectionLost        the peer has gone
    │   └── PeerClosed        it said why before it did
    ├── AuthenticationError   the peer did not prove that it belongs to this cluster
    ├── DeadlineExceeded      no answer came in time
    └── RemoteError           the peer answered a request with an error
"""

from __future__ import annotations

from pyflow_yarn.errors import ClusterError


class RpcError(ClusterError):
    """A conversation between two processes failed."""


class ProtocolError(RpcError):
    """The peer says what the protocol does not know."""


class ConnectionLost(RpcError, ConnectionError):
    """The peer has gone."""


class PeerClosed(ConnectionLost):
    """The peer ended the conversation and said why: that is the message."""


class AuthenticationError(RpcError):
    """The peer did not prove that it belongs to this cluster."""


class DeadlineExceeded(RpcError, TimeoutError):
    """No answer came in time."""


class RemoteError(RpcError):
    """The peer answered a request with an error; ``error_type`` is the name of its class there."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
