"""A TaskManager's process, with the test as its JobManager."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyflow_runtime.blob.messages import BlobChunk, FetchBlob
from pyflow_runtime.rpc.errors import AuthenticationError
from pyflow_runtime.rpc.frames import FrameKind, encode_frame
from pyflow_runtime.rpc.handshake import Hello, connect_unix
from pyflow_runtime.rpc.session import Conversation, Session, serve
from pyflow_runtime.taskexecutor.messages import (
    AllocateSlot,
    FreeSlot,
    FromTaskManagerMessage,
    HeartbeatReport,
    HeartbeatRequest,
    JobEnvironment,
    RegisterTaskManager,
    RegistrationAccepted,
    SlotFailed,
    SlotReady,
    TaskManagerLeaving,
    ToTaskManager,
)
from pyflow_yarn.deployment.layout import source_roots
from pyflow_yarn.errors import ExternalError
from pyflow_yarn.graph.job_graph import Artifact, ArtifactKind
from tests.integration.embedded_cluster import alive, descendants

pytestmark = pytest.mark.slow

DEADLINE = 15.0
SECRET = "5" * 64
CONTENT = bytes(range(256)) * 100


class JobManager:
    """Remembers what it hears; answers nothing by itself but blobs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.sessions: list[Session] = []
        self.fetched: list[tuple[str, int]] = []
        self.hellos: list[Hello] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        listening = socket.socket(socket.AF_UNIX)
        self._path.unlink(missing_ok=True)
        listening.bind(str(self._path))
        listening.listen()
        self._server = await serve(listening, self._conversation)

    def _conversation(self, hello: Hello) -> Conversation:
        self.hellos.append(hello)
        return Conversation(
            FromTaskManagerMessage,
            lambda session, message: self.messages.put_nowait(message),
            FetchBlob,
            self._blob,
            opened=self.sessions.append,
        )

    async def _blob(self, session: Session, request: FetchBlob) -> BlobChunk:
        self.fetched.append((request.key, request.offset))
        if request.key != hashlib.sha256(CONTENT).hexdigest():
            raise ExternalError(f"There is no blob {request.key}.")
        return BlobChunk(data=CONTENT[request.offset : request.offset + 10_000], size=len(CONTENT))

    def send(self, message: ToTaskManager) -> None:
        self.sessions[-1].send(message)

    async def expect(self, kind: type[Any]) -> Any:
        """The next message of that type; others are passed over."""
        async with asyncio.timeout(DEADLINE):
            while not isinstance(message := await self.messages.get(), kind):
                continue
            return message

    async def accept(self, epoch: int = 1) -> RegisterTaskManager:
        registration = await self.expect(RegisterTaskManager)
        assert isinstance(registration, RegisterTaskManager)
        self.send(
            RegistrationAccepted(epoch=epoch, job_manager_id="jm", heartbeat_interval=1000, heartbeat_timeout=50_000)
        )
        return registration

    async def report(self, epoch: int = 1) -> HeartbeatReport:
        self.send(HeartbeatRequest(epoch=epoch, sequence=7))
        report = await self.expect(HeartbeatReport)
        assert isinstance(report, HeartbeatReport)
        assert report.sequence == 7
        return report

    async def allocate(self, *artifacts: Artifact, epoch: int = 1, allocation: str = "a1") -> None:
        environment = JobEnvironment(
            job_id="1" * 32,
            job_name="job",
            python_executable="",
            artifacts=list(artifacts),
            configuration={},
            job_parameters={},
        )
        self.send(AllocateSlot(epoch=epoch, allocation_id=allocation, slot=1, environment=environment))

    async def stop(self) -> None:
        for session in self.sessions:
            session.close("the test has ended")
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="t") as path:
        yield Path(path)


def run(folder: Path, body: Callable[[JobManager, subprocess.Popen[bytes]], Awaitable[None]]) -> None:
    """Run a conversation with a TaskManager of two slots, then end it orderly."""
    configuration = {"taskmanager.numberOfTaskSlots": "2", "taskmanager.host": "here"}
    (folder / "conf.json").write_text(json.dumps(configuration))
    (folder / "secret").write_text(SECRET)
    command = [sys.executable, "-m", "pyflow_runtime.entrypoint.taskmanager", "--directory", str(folder / "d")]
    command += ["--configuration", str(folder / "conf.json"), "--jobmanager", f"unix:{folder}/jm"]
    command += ["--secret-file", str(folder / "secret")]

    async def main() -> None:
        job_manager = JobManager(folder / "jm")
        await job_manager.start()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(source_roots())}
        process = subprocess.Popen(command, env=environment)
        try:
            await body(job_manager, process)
            process.terminate()
            await job_manager.expect(TaskManagerLeaving)
            assert await asyncio.to_thread(process.wait, 10) == 0
        finally:
            process.kill()
            process.wait()
            await job_manager.stop()

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


def test_it_registers_and_reports(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        registration = await job_manager.accept()
        assert (registration.slots, registration.host, registration.pid) == (2, "here", process.pid)
        assert registration.hardware.cpu_cores >= 1
        assert 0 < registration.hardware.free_memory <= registration.hardware.physical_memory
        assert registration.process_memory > registration.managed_memory > registration.network_memory > 0
        hello = job_manager.hellos[0]
        assert (hello.identity, hello.incarnation) == (registration.task_manager_id, registration.incarnation)
        report = await job_manager.report()
        assert [slot.allocation_id for slot in report.slots] == ["", ""]
        assert SECRET not in "".join(file.read_text() for file in (folder / "d" / "logs").iterdir())

    run(folder, body)


def test_a_slot_gets_a_worker_and_the_worker_ends_with_it(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        await job_manager.accept()
        await job_manager.allocate()
        ready = await job_manager.expect(SlotReady)
        assert (ready.allocation_id, ready.slot) == ("a1", 1)
        directory = folder / "d" / "w1"
        assert ready.address.unix_path.startswith(str(directory))
        (worker,) = (pid for pid, title in descendants(process.pid).items() if title.startswith("pyflow worker"))
        job_manager.send(FreeSlot(epoch=1, allocation_id="a1"))
        await until(lambda: not alive(worker))
        await until(lambda: not directory.exists())
        await until(lambda: not list((folder / "d" / "jobs").iterdir()))
        assert [slot.allocation_id for slot in (await job_manager.report()).slots] == ["", ""]

    run(folder, body)


def test_a_lost_session_is_opened_again_and_nothing_else_is_lost(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        first = await job_manager.accept()
        await job_manager.allocate()
        await job_manager.expect(SlotReady)
        job_manager.sessions[-1].close("for a test")
        second = await job_manager.accept()
        assert second.incarnation == first.incarnation
        assert (await job_manager.report()).slots[1].allocation_id == "a1"
        transport = job_manager.sessions[-1]._transport
        assert transport is not None
        transport.write(encode_frame(FrameKind.MESSAGE, b"\xc1"))
        assert "could not be read" in await job_manager.sessions[-1].wait_closed()
        await job_manager.accept()
        assert (await job_manager.report()).slots[1].allocation_id == "a1"

    run(folder, body)


def test_the_work_of_an_older_leader_ends(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        await job_manager.accept(epoch=1)
        await job_manager.allocate()
        await job_manager.expect(SlotReady)
        job_manager.sessions[-1].close("another leader")
        await job_manager.accept(epoch=2)
        assert (await job_manager.report(epoch=2)).slots[1].allocation_id == ""
        await job_manager.allocate(epoch=2, allocation="b1")
        assert (await job_manager.expect(SlotReady)).allocation_id == "b1"

    run(folder, body)


def test_blobs_come_in_pieces_and_once(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        key = hashlib.sha256(CONTENT).hexdigest()
        artifact = Artifact(kind=ArtifactKind.CACHED_FILE, name="data", blob=key, size=len(CONTENT))
        await job_manager.accept()
        await job_manager.allocate(artifact)
        await job_manager.expect(SlotReady)
        assert job_manager.fetched == [(key, offset) for offset in (0, 10_000, 20_000)]
        assert (folder / "d" / "cache" / key).read_bytes() == CONTENT
        job_manager.send(FreeSlot(epoch=1, allocation_id="a1"))
        await job_manager.allocate(artifact, allocation="a2")
        await job_manager.expect(SlotReady)
        assert len(job_manager.fetched) == 3

    run(folder, body)


def test_a_blob_that_cannot_be_had_fails_the_slot_with_a_sentence(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        await job_manager.accept()
        await job_manager.allocate(Artifact(kind=ArtifactKind.CACHED_FILE, name="data", blob="0" * 64, size=1))
        failed = await job_manager.expect(SlotFailed)
        assert failed.failure.message.startswith("A file of the job cannot be fetched from the JobManager: There is no")
        await until(lambda: not list((folder / "d").glob("w*")))
        assert [slot.allocation_id for slot in (await job_manager.report()).slots] == ["", ""]

    run(folder, body)


def test_strangers_are_not_admitted_as_workers(folder: Path) -> None:
    async def body(job_manager: JobManager, process: subprocess.Popen[bytes]) -> None:
        await job_manager.accept()
        with pytest.raises(AuthenticationError, match="there is no worker stranger here"):
            await asyncio.to_thread(connect_unix, str(folder / "d" / "ctl.sock"), "worker", "stranger")

    run(folder, body)
