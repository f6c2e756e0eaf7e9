"""Which processes may still join a cluster that gives each of them a token: pure state, like the machines."""

from __future__ import annotations

from pyflow_runtime.rpc.errors import AuthenticationError


class JoinRefusedError(AuthenticationError):
    """A process may not join the cluster under its name; asking again would not help."""


class JoinTokens:
    """A token is open from the start of its member until it has been used once, or the member has ended.

    Nothing opens it again: the supervisor's word that a member has started is repeated to each JobManager, and may be
    older than the use.
    """

    def __init__(self) -> None:
        # "" for a token that has been used.
        self._tokens: dict[str, str] = {}

    def started(self, member: str, token: str) -> None:
        """It is coming; ``token`` is "" if it has joined already."""
        self._tokens.setdefault(member, token)

    def ended(self, member: str) -> None:
        """It will never come, or come back; its name is not given again."""
        self._tokens.pop(member, None)

    def open(self, member: str) -> str:
        """Its token; ``JoinRefusedError`` unless that is open."""
        token = self._tokens.get(member)
        if token is None:
            raise JoinRefusedError(f"{member!r} may not join: it has no container, or none any more")
        if not token:
            raise JoinRefusedError(f"{member!r} may not join: its join token has been used")
        return token

    def use(self, member: str) -> None:
        """It joins; ``JoinRefusedError`` unless its token is open."""
        self.open(member)
        self._tokens[member] = ""
