"""Joining a cluster that talks TLS: who may gets a certificate for a key of its own."""

from __future__ import annotations

import logging
from pathlib import Path

from pyflow_runtime.rpc.errors import AuthenticationError, RemoteError
from pyflow_runtime.rpc.handshake import JOINING, ClientHandshake
from pyflow_runtime.rpc.session import Conversation, Session, connect
from pyflow_runtime.rpc.tls import joining_tls
from pyflow_runtime.security.admission import Admission
from pyflow_runtime.security.authority import CertificateAuthority, new_key, write_member
from pyflow_runtime.security.join_tokens import JoinRefusedError
from pyflow_runtime.security.messages import JoinCluster, Joined

logger = logging.getLogger(__name__)

_TIMEOUT = 20.0


async def join(address: str, member: str, secret: str, token: str, directory: Path) -> None:
    """Have the JobManager at ``address`` sign a new key; the member's files come into ``directory``.

    The handshake proves that the server knows the secret and the token, and shows its own certificate: what it answers
    can be trusted. ``JoinRefusedError`` if it says no, another ``RpcError`` if it says nothing.
    """
    key, request = new_key(member)
    handshake = ClientHandshake(JOINING, member, secret=secret, token=token)
    try:
        session = await connect(address, handshake, Conversation(), tls=joining_tls())
        try:
            answer = await session.request(JoinCluster(request=request), Joined, _TIMEOUT)
        finally:
            session.close("joined")
    except (AuthenticationError, RemoteError) as error:
        raise JoinRefusedError(f"the cluster at {address} cannot be joined: {error}") from error
    write_member(directory, answer.authority, answer.certificate, key)


def joining_conversation(authority: CertificateAuthority, admission: Admission) -> Conversation:
    """The JobManager's side, after the handshake."""

    async def sign(session: Session, request: JoinCluster) -> Joined:
        member = session.peer.identity
        certificate = authority.sign(request.request, member)
        try:
            admission.join(member)
        except JoinRefusedError as refusal:
            logger.warning("%s", refusal)
            raise
        logger.info("%s has joined the cluster", member)
        return Joined(authority=authority.certificate, certificate=certificate)

    return Conversation(requests=JoinCluster, request=sign)
