"""The fence of the JobStore under every interleaving: leaders that are deposed at any step, crash, or meet errors.

Each client is a thread that stands still before and after each step of the file system until the test lets it go on.
"""

from __future__ import annotations

import errno
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from pyflow_runtime.executiongraph.states import JobStatus
from pyflow_runtime.highavailability.directory_store import DirectoryJobStore
from pyflow_runtime.highavailability.job_store import JobCommit, JobResult, StaleEpochError, StoredJobs
from pyflow_yarn.errors import ExternalError, PyflowError
from pyflow_yarn.graph.job_graph import JobGraph
from tests.unit.filesystem.memory import MemoryFileSystem, Node, fails

DIRECTORY = "/storage/jobstore"
JOBS = ("a" * 32,)
BLOBS = ("b" * 64,)
CLIENTS = st.integers(0, 2)
ALL = 1000
STEPS = st.one_of(st.just(ALL), st.integers(0, 12))


class Crashed(BaseException):
    """The process of a client is no more."""


class Client:
    """One process with a store of its own; it goes on only when told."""

    def __init__(self, tree: dict[str, Node]) -> None:
        self.files = MemoryFileSystem(tree, self._pause)
        self.epoch = 0
        self.disturbed = False
        self.dead = False
        self.running = False
        self._fault: OSError | None = None
        self._result: Any = None
        self._go, self._paused = threading.Semaphore(0), threading.Semaphore(0)

    def start(self, call: Callable[[], Any]) -> None:
        """Begin, up to the first step."""
        self.running, self.disturbed = True, False

        def run() -> None:
            try:
                self._result = call()
            except (PyflowError, Crashed) as error:
                self._result = error
            self.running = False
            self._paused.release()

        threading.Thread(target=run, daemon=True).start()
        self._paused.acquire()

    def step(self, fault: OSError | None = None) -> None:
        """Go on to the next step; with a fault that step fails."""
        self._fault, self.disturbed = fault, self.disturbed or fault is not None
        self._go.release()
        self._paused.acquire()

    def crash(self) -> None:
        """Never do anything again."""
        self.dead = True
        while self.running:
            self.step()

    def result(self) -> Any:
        """What came out, after all steps."""
        while self.running:
            self.step()
        return self._result

    def _pause(self) -> None:
        if not self.dead:
            self._paused.release()
            self._go.acquire()
        if self.dead:
            raise Crashed
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


class Lead(NamedTuple):
    """What a new leader has claimed and found."""

    store: DirectoryJobStore
    epoch: int
    stored: StoredJobs


def lead(files: MemoryFileSystem) -> Lead:
    """Become leader."""
    store = DirectoryJobStore(DIRECTORY, files=files)
    epoch = store.claim_epoch()
    return Lead(store, epoch, store.recover())


class Job(NamedTuple):
    """What a store says about a job: the name of its graph, the payload of its commit, its result."""

    graph: str = ""
    commit: bytes = b""
    result: JobStatus | None = None


State = Job | bool
Value = str | bytes | JobStatus | bool


def after(state: State, value: Value) -> State:
    """The state of a job, or whether there is a blob, after a write."""
    if isinstance(value, bool):
        return value
    assert isinstance(state, Job)
    if isinstance(value, JobStatus):
        return Job(result=value)
    if state.result is not None:
        return state
    return state._replace(graph=value) if isinstance(value, str) else state._replace(commit=value)


def found(stored: StoredJobs) -> dict[str, State]:
    """The states that a leader has found."""
    states: dict[str, State] = {key: key in stored.blobs for key in BLOBS}
    graphs = {graph.job_id: graph.name for graph in stored.graphs}
    commits = {commit.job_id: commit.payload for commit in stored.commits}
    results = {result.job_id: result.status for result in stored.results}
    for job in JOBS:
        states[job] = Job(graphs.get(job, ""), commits.get(job, b""), results.get(job))
    return states


def graph(job: str, name: str) -> JobGraph:
    return JobGraph(job_id=job, name=name, vertices=[], edges=[])


def write(store: DirectoryJobStore, key: str, value: Value, epoch: int) -> None:
    """One write of a leader."""
    if isinstance(value, bool):
        if value:
            store.put_blob(key, [b"1", b"2"], epoch)
        else:
            store.delete_blobs([key], epoch)
    elif isinstance(value, JobStatus):
        store.put_result(JobResult(job_id=key, status=value), epoch)
    elif isinstance(value, bytes):
        store.put_commit(JobCommit(job_id=key, payload=value), epoch)
    else:
        store.put_job(graph(key, value), epoch)


class Write(NamedTuple):
    """A write under way; ``legal``: its leader was the leader when it began; ``before``: what was possible then."""

    key: str
    value: Value
    legal: bool
    before: set[State]


class Fence(RuleBasedStateMachine):
    """The model: what may be in the store, given what leaders did before they were deposed."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: dict[str, Node] = {}
        self.clients = [Client(self.tree) for _ in range(3)]
        self.leads: dict[Client, Lead] = {}
        self.writes: dict[Client, Write] = {}
        self.claimed: set[int] = set()
        self.possible: dict[str, set[State]] = {job: {Job()} for job in JOBS}
        self.possible |= {blob: {False} for blob in BLOBS}
        # What the first leader found that came while a write was under way.
        self.seen: dict[Client, State] = {}

    def current(self) -> int:
        """The newest epoch, in truth."""
        files = MemoryFileSystem(self.tree)
        names = [found.path for found in files.list(DIRECTORY)] if files.status(DIRECTORY) else []
        epochs = [re.fullmatch(r".*/epoch-(\d+)", name) for name in names]
        return max((int(match[1]) for match in epochs if match), default=0)

    @rule(number=CLIENTS)
    def takes_over(self, number: int) -> None:
        self.becomes_leader(number, ALL)

    @rule(number=CLIENTS, steps=STEPS)
    def becomes_leader(self, number: int, steps: int) -> None:
        client = self.clients[number]
        if not client.running:
            self.leads.pop(client, None)
            client.start(lambda: lead(client.files))
            self.go_on(client, steps)

    @rule(
        number=CLIENTS,
        job=st.sampled_from(JOBS),
        value=st.sampled_from(["g1", "g2", b"c1", b"c2", JobStatus.FINISHED, JobStatus.FAILED]),
        steps=STEPS,
    )
    def writes_about_a_job(self, number: int, job: str, value: Value, steps: int) -> None:
        self.begin(self.clients[number], job, value, steps)

    @rule(number=CLIENTS, blob=st.sampled_from(BLOBS), there=st.booleans(), steps=STEPS)
    def writes_a_blob(self, number: int, blob: str, there: bool, steps: int) -> None:
        self.begin(self.clients[number], blob, there, steps)

    def begin(self, client: Client, key: str, value: Value, steps: int) -> None:
        """A leader, in office or deposed, begins to write."""
        if client.running or client not in self.leads:
            return
        leader = self.leads[client]
        before = set(self.possible[key])
        legal = leader.epoch == self.current()
        if legal:
            self.possible[key] |= {after(state, value) for state in before}
        self.writes[client] = Write(key, value, legal, before)
        client.start(lambda: write(leader.store, key, value, leader.epoch))
        self.go_on(client, steps)

    @rule(number=CLIENTS, steps=STEPS, fault=st.sampled_from([None, "error", "crash"]))
    def goes_on(self, number: int, steps: int, fault: str | None) -> None:
        client = self.clients[number]
        if not client.running:
            return
        if fault == "crash":
            client.crash()
            for known in (self.leads, self.writes, self.seen):
                known.pop(client, None)
            self.clients[number] = Client(self.tree)
            return
        if fault == "error":
            client.step(fails(errno.EIO))
        self.go_on(client, steps)

    def go_on(self, client: Client, steps: int) -> None:
        """Some steps of what a client does."""
        for _ in range(steps):
            if client.running:
                client.step()
        self.look_at(client)

    def look_at(self, client: Client) -> None:
        """Judge what a client has done, if it has."""
        if client.running:
            return
        result, under_way, seen = client.result(), self.writes.pop(client, None), self.seen.pop(client, None)
        if isinstance(result, Lead):
            self.judge_leader(client, result)
        elif under_way is not None:
            self.judge_write(client, under_way, seen, result)
        else:
            assert result is None or isinstance(result, ExternalError)
            assert client.disturbed or result is None, result

    def judge_leader(self, client: Client, result: Lead) -> None:
        assert result.epoch not in self.claimed
        self.claimed.add(result.epoch)
        self.leads[client] = result
        if result.epoch != self.current():
            return
        assert result.epoch == max(self.claimed)
        states = found(result.stored)
        for key, state in states.items():
            assert state in self.possible[key], f"{key} is {state}, and can be {self.possible[key]}"
            self.now_is(key, {state})
        for writer, under_way in self.writes.items():
            self.seen.setdefault(writer, states[under_way.key])

    def judge_write(self, client: Client, done: Write, seen: State | None, result: Any) -> None:
        deposed = self.leads[client].epoch != self.current()
        if result is None and deposed and done.value is False:
            pass  # to delete what is not there is nothing
        elif result is None:
            assert done.legal, "a deposed leader has written"
            if seen is None:
                self.now_is(done.key, {after(state, done.value) for state in done.before})
            else:
                assert after(seen, done.value) == seen, "a leader has read, and did not see what was written"
        elif isinstance(result, StaleEpochError):
            assert deposed
        else:
            assert isinstance(result, ExternalError)
            assert client.disturbed, result

    def now_is(self, key: str, states: set[State]) -> None:
        """What is known; but a deletion under way may happen under a newer leader, too."""
        deleted = any(write.key == key and write.value is False for write in self.writes.values())
        self.possible[key] = states | {False} if deleted else states

    def teardown(self) -> None:
        for client in self.clients:
            client.crash()
        last = lead(MemoryFileSystem(self.tree))
        for key, state in found(last.stored).items():
            assert state in self.possible[key], f"{key} is {state}, and can be {self.possible[key]}"
        names = [found.path for found in MemoryFileSystem(self.tree).list(DIRECTORY)]
        assert names == [f"{DIRECTORY}/epoch-{last.epoch}", f"{DIRECTORY}/format"]


TestFence = pytest.mark.slow(Fence.TestCase)
TestFence.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
