"""Joining a cluster that talks TLS: who knows its secret gets a certificate for a key of its own."""

from __future__ import annotations

from pathlib import Path

from pyflow_runtime.rpc.handshake import JOINING, ClientHandshake
from pyflow_runtime.rpc.session import Conversation, connect
from pyflow_runtime.rpc.tls import joining_tls
from pyflow_runtime.security.authority import new_key, write_member
from pyflow_runtime.security.messages import JoinCluster, Joined

_TIMEOUT = 20.0


async def join(address: str, member: str, secret: str, directory: Path) -> None:
    """Have the JobManager at ``address`` sign a new key; the member's files come into ``directory``.

    The handshake proves that the server knows the secret and shows its own certificate: what it answers can be
    trusted. Raises ``RpcError`` with a sentence.
    """
    key, request = new_key(member)
    handshake = ClientHandshake(JOINING, member, secret=secret)
    session = await connect(address, handshake, Conversation(), tls=joining_tls())
    try:
        answer = await session.request(JoinCluster(request=request), Joined, _TIMEOUT)
    finally:
        session.close("joined")
    write_member(directory, answer.authority, answer.certificate, key)
