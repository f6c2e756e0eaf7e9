"""The TaskManager's connection with its JobManager: sessions, registration, leader epochs, silence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from pyflow_runtime.highavailability.epochs import Epochs
from pyflow_runtime.taskexecutor.effects import (
    CancelTimer,
    CloseSession,
    Effect,
    OpenSession,
    SendToJobManager,
    SetTimer,
)
from pyflow_runtime.taskexecutor.messages import (
    FromTaskManagerMessage,
    RegisterTaskManager,
    RegistrationAccepted,
    RegistrationRefused,
    ToTaskManagerMessage,
)
from pyflow_yarn.configuration import options

RECONNECT_LIMIT = 2_000
ANSWER_PATIENCE = 10_000
REGISTRATION_TIMER = "registration"
SILENCE_TIMER = "silence"
ABANDON_TIMER = "abandon"
GIVE_UP_TIMER = "give-up"


class ConnectionState(Enum):
    """Where the connection stands."""

    WAITING = "waiting"
    CONNECTING = "connecting"
    REGISTERING = "registering"
    REGISTERED = "registered"
    CLOSED = "closed"


class JobManagerConnection:
    """Keeps one session at a time; says whether a message counts and whether a new leader has taken over."""

    def __init__(self, registration: RegisterTaskManager, configuration: Mapping[str, str]) -> None:
        self.registration = registration
        self.state = ConnectionState.WAITING
        self.session = 0
        self.epochs = Epochs()
        self.heartbeat_timeout = options.HEARTBEAT_TIMEOUT.read(configuration)
        self.last_heard = 0
        self._initial_pause = max(1, options.CLUSTER_REGISTRATION_INITIAL_TIMEOUT.read(configuration))
        self._longest_pause = options.CLUSTER_REGISTRATION_MAX_TIMEOUT.read(configuration)
        self._refused_pause = options.CLUSTER_REGISTRATION_REFUSED_REGISTRATION_DELAY.read(configuration)
        self._give_up_after = options.TASKMANAGER_REGISTRATION_TIMEOUT.read(configuration)
        self._pause = self._initial_pause
        self._silence_timer_at = 0
        self._opened_at = 0

    @property
    def epoch(self) -> int:
        """The highest leader epoch accepted so far."""
        return self.epochs.current

    def send(self, message: FromTaskManagerMessage, out: list[Effect]) -> None:
        """To the JobManager if registered; what is lost otherwise is repeated with the heartbeats."""
        if self.state is ConnectionState.REGISTERED:
            out.append(SendToJobManager(session=self.session, message=message))

    def start(self, now: int, out: list[Effect]) -> None:
        """The process has started."""
        out.append(SetTimer(key=GIVE_UP_TIMER, at=now + self._give_up_after))
        self._connect(out)

    def stop(self, out: list[Effect]) -> None:
        """The process ends as planned."""
        if self.state is not ConnectionState.WAITING:
            out.append(CloseSession(session=self.session))
        self.state = ConnectionState.CLOSED

    def opened(self, session: int, now: int, out: list[Effect]) -> None:
        """The session is connected: introduce ourselves."""
        if session != self.session or self.state is not ConnectionState.CONNECTING:
            return
        self.state = ConnectionState.REGISTERING
        self._opened_at = now
        self._register(now, out)

    def closed(self, session: int, now: int, out: list[Effect]) -> None:
        """The session is gone: try again, sooner at first."""
        if session != self.session or self.state in (ConnectionState.WAITING, ConnectionState.CLOSED):
            return
        self._lost(now, min(self._pause, RECONNECT_LIMIT), out)

    def accepts(self, session: int, message: ToTaskManagerMessage) -> bool:
        """Whether a message counts: of the present session and leader, and after its registration."""
        if session != self.session:
            return False
        if isinstance(message, RegistrationAccepted | RegistrationRefused):
            return self.state in (ConnectionState.REGISTERING, ConnectionState.REGISTERED)
        return self.state is ConnectionState.REGISTERED and self.epochs.is_current(message.epoch)

    def accepted(self, message: RegistrationAccepted, now: int, out: list[Effect]) -> bool:
        """The JobManager took us; True if it is a new leader, so that all work of older ones must end."""
        if self.epochs.is_stale(message.epoch):
            # A deposed leader that does not know it yet: never work for it, look for the new one.
            out.append(CloseSession(session=self.session))
            self._lost(now, self._refused_pause, out)
            return False
        new_leader = self.epochs.advance(message.epoch)
        if self.state is not ConnectionState.REGISTERED:
            out.extend(CancelTimer(key=key) for key in (REGISTRATION_TIMER, ABANDON_TIMER, GIVE_UP_TIMER))
        self.state = ConnectionState.REGISTERED
        self.heartbeat_timeout = message.heartbeat_timeout
        self._pause = self._initial_pause
        self.heard(now)
        self._silence_timer_at = now + self.heartbeat_timeout
        out.append(SetTimer(key=SILENCE_TIMER, at=self._silence_timer_at))
        return new_leader

    def refused(self, now: int, out: list[Effect]) -> None:
        """The JobManager does not want us: ask again much later."""
        if self.state is ConnectionState.REGISTERING:
            out.append(CloseSession(session=self.session))
            self._lost(now, self._refused_pause, out)

    def heard(self, now: int) -> None:
        """The JobManager gave a sign of life."""
        self.last_heard = now

    def registration_timer(self, now: int, out: list[Effect]) -> None:
        """Time to connect or to introduce ourselves again."""
        if self.state is ConnectionState.WAITING:
            self._connect(out)
        elif self.state is ConnectionState.REGISTERING and now - self._opened_at < ANSWER_PATIENCE:
            self._register(now, out)
        elif self.state is ConnectionState.REGISTERING:
            # Somebody took the connection and says nothing: perhaps a frozen leader, and another one is in office.
            out.append(CloseSession(session=self.session))
            self._lost(now, min(self._pause, RECONNECT_LIMIT), out)

    def silence_timer(self, now: int, out: list[Effect]) -> None:
        """If the JobManager has been silent for the heartbeat time-out, the session is worth nothing."""
        if self.state is not ConnectionState.REGISTERED:
            return
        if now - self.last_heard >= self.heartbeat_timeout:
            out.append(CloseSession(session=self.session))
            self._lost(now, self._initial_pause, out)
            return
        self._silence_timer_at = self.last_heard + self.heartbeat_timeout
        out.append(SetTimer(key=SILENCE_TIMER, at=self._silence_timer_at))

    def _connect(self, out: list[Effect]) -> None:
        self.session += 1
        self.state = ConnectionState.CONNECTING
        out.append(OpenSession(session=self.session))

    def _register(self, now: int, out: list[Effect]) -> None:
        out.append(SendToJobManager(session=self.session, message=self.registration))
        out.append(SetTimer(key=REGISTRATION_TIMER, at=now + self._pause))
        self._lengthen_pause()

    def _lost(self, now: int, pause: int, out: list[Effect]) -> None:
        if self.state is ConnectionState.REGISTERED:
            out.append(CancelTimer(key=SILENCE_TIMER))
            out.append(SetTimer(key=ABANDON_TIMER, at=now + self.heartbeat_timeout))
            out.append(SetTimer(key=GIVE_UP_TIMER, at=now + self._give_up_after))
        self.state = ConnectionState.WAITING
        out.append(SetTimer(key=REGISTRATION_TIMER, at=now + pause))
        self._lengthen_pause()

    def _lengthen_pause(self) -> None:
        self._pause = min(self._pause * 2, self._longest_pause)
