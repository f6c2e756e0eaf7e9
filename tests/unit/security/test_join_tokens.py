"""A join token is open for one use, whatever dies in between."""

from __future__ import annotations

import collections

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from pyflow_runtime.processes.supervision import (
    AboutTaskManager,
    TaskManagerEnded,
    TaskManagerJoined,
    TaskManagerPlaced,
    TaskManagerStarted,
    ToSupervisorMessage,
)
from pyflow_runtime.security.admission import AdmissionBySecret, AdmissionByToken
from pyflow_runtime.security.join_tokens import JoinRefusedError, JoinTokens


def started(member: str, token: str) -> TaskManagerStarted:
    return TaskManagerStarted(task_manager_id=member, slots=1, join_token=token)


def ended(member: str) -> TaskManagerEnded:
    return TaskManagerEnded(task_manager_id=member, reason="it was killed", wanted=False)


def test_a_token_is_good_for_one_use() -> None:
    tokens = JoinTokens()
    tokens.started("t1", "secret")
    assert tokens.open("t1") == tokens.open("t1") == "secret"
    tokens.use("t1")
    for ask in (tokens.open, tokens.use):
        with pytest.raises(JoinRefusedError, match="'t1' may not join: its join token has been used"):
            ask("t1")


def test_who_has_no_container_may_not_join() -> None:
    tokens = JoinTokens()
    tokens.started("t1", "secret")
    tokens.ended("t1")
    tokens.ended("t2")
    for member in ("t1", "t2", ""):
        for ask in (tokens.open, tokens.use):
            with pytest.raises(JoinRefusedError, match="may not join: it has no container, or none any more"):
                ask(member)


def test_a_start_that_is_told_again_opens_nothing() -> None:
    tokens = JoinTokens()
    tokens.started("t1", "secret")
    tokens.use("t1")
    tokens.started("t1", "secret")
    with pytest.raises(JoinRefusedError):
        tokens.open("t1")


def test_the_secret_alone_admits_anybody_again_and_again() -> None:
    admission = AdmissionBySecret()
    for _ in range(2):
        assert admission.token("t1") == ""
        admission.join("t1")


def test_the_supervisor_is_told_before_a_key_is_signed() -> None:
    told: list[ToSupervisorMessage] = []

    def record(message: ToSupervisorMessage) -> bool:
        told.append(message)
        return True

    admission = AdmissionByToken(record)
    for message in (started("t1", "a"), TaskManagerPlaced(task_manager_id="t1", node="n"), started("t2", "")):
        admission.handle(message)
    assert admission.token("t1") == "a"
    admission.join("t1")
    assert told == [TaskManagerJoined(task_manager_id="t1")]
    for member in ("t1", "t2"):
        with pytest.raises(JoinRefusedError, match="has been used"):
            admission.join(member)
    assert len(told) == 1


def test_what_the_supervisor_cannot_be_told_does_not_happen() -> None:
    admission = AdmissionByToken(lambda message: False)
    admission.handle(started("t1", "a"))
    with pytest.raises(JoinRefusedError, match="its supervisor cannot be told"):
        admission.join("t1")
    with pytest.raises(JoinRefusedError, match="has been used"):
        admission.token("t1")


class Joining(RuleBasedStateMachine):
    """A supervisor, its JobManagers one after the other, and TaskManagers; what is said is heard later, or never."""

    members: Bundle[str] = Bundle("members")

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.tokens: dict[str, str] = {}
        self.gone: set[str] = set()
        self.certificates: collections.Counter[str] = collections.Counter()
        # What is in the socket pair, in both directions.
        self.down: collections.deque[AboutTaskManager] = collections.deque()
        self.up: collections.deque[ToSupervisorMessage] = collections.deque()
        self.admission = self.new_job_manager()

    def new_job_manager(self) -> AdmissionByToken:
        def record(message: ToSupervisorMessage) -> bool:
            self.up.append(message)
            return True

        self.down = collections.deque(started(member, token) for member, token in self.tokens.items())
        return AdmissionByToken(record)

    @rule(target=members)
    def start(self) -> str:
        self.number += 1
        member = f"t{self.number}"
        self.tokens[member] = f"token of {member}"
        self.down.append(started(member, self.tokens[member]))
        return member

    @rule(member=members)
    def end(self, member: str) -> None:
        self.gone.add(member)
        if self.tokens.pop(member, None) is not None:
            self.down.append(ended(member))

    @precondition(lambda self: self.down)
    @rule()
    def hear(self) -> None:
        self.admission.handle(self.down.popleft())

    @rule()
    def hear_everything(self) -> None:
        while self.down:
            self.hear()

    @precondition(lambda self: self.up)
    @rule()
    def supervisor_hears(self) -> None:
        message = self.up.popleft()
        assert isinstance(message, TaskManagerJoined)
        if message.task_manager_id in self.tokens:
            self.tokens[message.task_manager_id] = ""

    @rule(member=members, dies=st.booleans())
    def join(self, member: str, dies: bool) -> None:
        may = self.certificates[member] == 0 and member not in self.gone and self.tokens.get(member) and not self.down
        try:
            token = self.admission.token(member)
            assert token == f"token of {member}"
            self.admission.join(member)
        except JoinRefusedError:
            assert not may, "its only use is not taken from it"
            return
        if dies:
            self.job_manager_dies()  # before or after the answer: nobody can tell
        self.certificates[member] += 1

    @rule()
    def job_manager_dies(self) -> None:
        while self.up:
            self.supervisor_hears()
        self.admission = self.new_job_manager()

    @invariant()
    def nobody_joins_twice(self) -> None:
        assert not [member for member, count in self.certificates.items() if count > 1]

    @invariant()
    def who_is_known_to_be_gone_does_not_join(self) -> None:
        if not self.down:
            for member in self.gone:
                with pytest.raises(JoinRefusedError):
                    self.admission.token(member)


TestJoining = Joining.TestCase
