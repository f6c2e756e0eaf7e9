"""Joining over a real socket: what it takes, and how often."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pyflow_runtime.processes.supervision import TaskManagerEnded, TaskManagerStarted
from pyflow_runtime.rpc.errors import AuthenticationError
from pyflow_runtime.rpc.handshake import JOB_MANAGER, JOINING, ClientHandshake, Hello
from pyflow_runtime.rpc.session import Conversation, connect, serve
from pyflow_runtime.rpc.tls import joining_tls, mutual_tls, server_tls
from pyflow_runtime.security.admission import Admission, AdmissionBySecret, AdmissionByToken
from pyflow_runtime.security.authority import CertificateAuthority, new_key
from pyflow_runtime.security.join_tokens import JoinRefusedError
from pyflow_runtime.security.joining import join, joining_conversation
from pyflow_runtime.security.messages import JoinCluster, Joined


def by_token() -> AdmissionByToken:
    """For ``t1`` with the token ``its own``; ``t3`` has ended."""
    admission = AdmissionByToken(lambda message: True)
    admission.handle(TaskManagerStarted(task_manager_id="t1", slots=1, join_token="its own"))
    admission.handle(TaskManagerStarted(task_manager_id="t3", slots=1, join_token="of old"))
    admission.handle(TaskManagerEnded(task_manager_id="t3", reason="it was killed", wanted=False))
    return admission


def with_job_manager(
    directory: Path, admission: Admission, body: Callable[[str], Awaitable[None]], secret: str = "s3"
) -> None:
    """Run the body with the address of something that admits and signs like a JobManager."""
    authority = CertificateAuthority(directory / "ca")
    tls = server_tls(authority.equip(directory / "jm", JOB_MANAGER), names_members=True)

    def conversation(hello: Hello) -> Conversation:
        return joining_conversation(authority, admission) if hello.role == JOINING else Conversation()

    def token(hello: Hello) -> str:
        return admission.token(hello.identity) if hello.role == JOINING else ""

    async def main() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        accepting = await serve(listening, conversation, secret=secret, tls=tls, token=token)
        await body(address)
        accepting.close()
        await accepting.wait_closed()
        await asyncio.sleep(0)

    asyncio.run(main())


async def speak_as(address: str, identity: str, certificates: Path, server: str = JOB_MANAGER) -> None:
    """Open a TaskManager's session."""
    handshake = ClientHandshake("taskmanager", identity, secret="s3", server_name=server)
    session = await connect(address, handshake, Conversation(), tls=mutual_tls(certificates, server=False))
    session.close("that was all")
    await session.wait_closed()


def test_secret_and_token_open_the_cluster_once(tmp_path: Path) -> None:
    async def body(address: str) -> None:
        await join(address, "t1", "s3", "its own", tmp_path / "t1")
        await speak_as(address, "t1", tmp_path / "t1")
        for token in ("its own", ""):
            with pytest.raises(JoinRefusedError, match="'t1' may not join: its join token has been used"):
                await join(address, "t1", "s3", token, tmp_path / "again")

    with_job_manager(tmp_path, by_token(), body)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("member", "secret", "token", "why"),
    [
        ("t1", "s3", "", "does not know this cluster's secret"),
        ("t1", "s3", "another", "does not know this cluster's secret"),
        ("t1", "", "its own", "none is configured"),
        ("t1", "s4", "its own", "does not know this cluster's secret"),
        ("t2", "s3", "its own", "it has no container"),
        ("t3", "s3", "of old", "it has no container, or none any more"),
    ],
)
def test_neither_alone_opens_it(tmp_path: Path, member: str, secret: str, token: str, why: str) -> None:
    async def body(address: str) -> None:
        with pytest.raises(JoinRefusedError, match=why):
            await join(address, member, secret, token, tmp_path / "new")
        await join(address, "t1", "s3", "its own", tmp_path / "t1")  # and takes nothing from who may

    with_job_manager(tmp_path, by_token(), body)
    assert not (tmp_path / "new").exists()


def test_of_two_at_once_one_joins(tmp_path: Path) -> None:
    """Both have proved the token before one has used it; and a session that has joined cannot do so again."""

    async def body(address: str) -> None:
        shake = [ClientHandshake(JOINING, "t1", secret="s3", token="its own") for _ in range(2)]
        first, second = [await connect(address, each, Conversation(), tls=joining_tls()) for each in shake]
        await first.request(JoinCluster(request=new_key("t1")[1]), Joined, 10)
        for session in (first, second):
            with pytest.raises(Exception, match="'t1' may not join: its join token has been used"):
                await session.request(JoinCluster(request=new_key("t1")[1]), Joined, 10)
            session.close("done")
            await session.wait_closed()

    with_job_manager(tmp_path, by_token(), body)


def test_who_knows_the_secret_but_not_the_token_is_no_job_manager(tmp_path: Path) -> None:
    async def body(address: str) -> None:
        with pytest.raises(JoinRefusedError, match="the server does not know"):
            await join(address, "t1", "s3", "its own", tmp_path / "t1")

    with_job_manager(tmp_path, AdmissionBySecret(), body)
    assert not (tmp_path / "t1").exists()


def test_started_by_hand_the_secret_is_enough(tmp_path: Path) -> None:
    async def body(address: str) -> None:
        for member in ("any", "any", "x" * 100):
            await join(address, member, "s3", "", tmp_path / member)
            await speak_as(address, member, tmp_path / member)

    with_job_manager(tmp_path, AdmissionBySecret(), body)


def test_a_member_speaks_in_its_own_name(tmp_path: Path) -> None:
    async def body(address: str) -> None:
        await join(address, "t1", "s3", "its own", tmp_path / "t1")
        for identity in ("t2", "", "t1" + "x" * 100):
            with pytest.raises(AuthenticationError, match=f"taskmanager {identity} has shown the certificate of 't1'"):
                await speak_as(address, identity, tmp_path / "t1")
        await speak_as(address, "t1", tmp_path / "t1")

    with_job_manager(tmp_path, by_token(), body)


def test_no_member_is_taken_for_the_job_manager(tmp_path: Path) -> None:
    async def body(address: str) -> None:
        with pytest.raises(JoinRefusedError, match="'jobmanager' may not join: that is the name of the JobManager"):
            await join(address, JOB_MANAGER, "s3", "", tmp_path / "false")
        await join(address, "t1", "s3", "", tmp_path / "t1")
        with pytest.raises(AuthenticationError, match="the server has shown the certificate of 'jobmanager'"):
            await speak_as(address, "t1", tmp_path / "t1", server="somebody")
        await speak_as(address, "t1", tmp_path / "t1")

    with_job_manager(tmp_path, AdmissionBySecret(), body)
