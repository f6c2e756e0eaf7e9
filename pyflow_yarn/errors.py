"""Every error that pyflow-yarn raises on purpose, and the one form in which a failure travels.

PyflowError                       domain    retry hint
├── UserError                     user      never      the program: its functions, its data, its graph
│   ├── UserFunctionError         user      never      a user function raised; carries a FailureInfo
│   └── NotYetSupportedError      user      never      the reference system has it, this version has not
├── ConfigurationError            config    never      a key, an option or a file the user wrote is wrong
├── ClusterError                  cluster   maybe      JobManager, TaskManager or worker misbehaved or died
│   ├── JobNotFoundError          cluster   never
│   ├── NoResourceAvailableError  cluster   maybe      slots wanted that nobody offers
│   └── IllegalTransitionError    cluster   never      a state machine was asked for a move it does not have
└── ExternalError                 external  retry      a file system, a network, a disk
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MAX_RENDERED_LINES = 25
MAX_RECORD_CHARACTERS = 400


class Domain(StrEnum):
    """Whose failure it is."""

    USER = "user"
    CONFIGURATION = "configuration"
    CLUSTER = "cluster"
    EXTERNAL = "external"


class RetryHint(StrEnum):
    """Whether trying the same thing again can help."""

    NEVER = "never"
    MAYBE = "maybe"
    RETRY = "retry"


class PyflowError(Exception):
    """Root of the tree above. ``str(error)`` is one sentence: what is wrong and what to do."""

    domain = Domain.CLUSTER
    retry_hint = RetryHint.MAYBE


class UserError(PyflowError):
    """The user's program is at fault."""

    domain = Domain.USER
    retry_hint = RetryHint.NEVER


class NotYetSupportedError(UserError, NotImplementedError):
    """A feature of the reference system that this version lacks."""


class ConfigurationError(PyflowError, ValueError):
    """A configuration key, command-line option or configuration file is wrong."""

    domain = Domain.CONFIGURATION
    retry_hint = RetryHint.NEVER


class ClusterError(PyflowError):
    """A process of the cluster misbehaved, died or could not be reached."""


class JobNotFoundError(ClusterError, LookupError):
    """No job has that id."""

    retry_hint = RetryHint.NEVER


class NoResourceAvailableError(ClusterError):
    """The slots a job wants cannot be had."""


class IllegalTransitionError(ClusterError):
    """A state machine was asked for a move that its table does not have."""

    retry_hint = RetryHint.NEVER


class ExternalError(PyflowError):
    """Something outside the project failed: a file system, a network, a disk."""

    domain = Domain.EXTERNAL
    retry_hint = RetryHint.RETRY


class Frame(msgspec.Struct, frozen=True):
    """One line of a user's traceback; ``code`` is the source line without indentation."""

    file: str
    line: int
    function: str
    code: str = ""


class FailureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task (or a job) failed, in the only form that crosses a process boundary.

    ``frames`` hold the user's own frames, outermost first, and none of ours. ``subtask`` counts
    from 0. ``record`` and ``key`` are truncated ``repr`` texts. ``timestamp`` is epoch milliseconds.
    """

    exception: str
    message: str
    domain: Domain = Domain.USER
    frames: list[Frame] = []
    notes: list[str] = []
    operator: str = ""
    declared_at: str = ""
    task: str = ""
    subtask: int = -1
    parallelism: int = 0
    attempt: int = 0
    record: str | None = None
    key: str | None = None
    task_manager: str = ""
    endpoint: str = ""
    timestamp: int = 0

    def headline(self) -> str:
        """The last line of the rendered text: exception and message."""
        first = self.message.split("\n", 1)[0]
        return f"{self.exception}: {first}" if first else self.exception

    def render(self) -> str:
        """The failure as a user reads it: where, on which record, the user's frames, the cause last.

        At most ``MAX_RENDERED_LINES`` lines: middle frames give way first.
        """
        head: list[str] = []
        if self.operator:
            where = f" (subtask {self.subtask + 1}/{self.parallelism}, attempt {self.attempt})"
            head.append(f"Operator '{self.operator}' failed{where if self.subtask >= 0 else ''}.")
        if self.declared_at:
            head.append(f"  declared at: {self.declared_at}")
        if self.key is not None:
            head.append(f"  key: {self.key}")
        if self.record is not None:
            head.append(f"  record: {self.record}")
        tail = [*self.notes[:3], *f"{self.exception}: {self.message}".rstrip(": ").split("\n")[:4]]
        body: list[str] = []
        if self.frames:
            frames = [
                line
                for frame in self.frames
                for line in (
                    f'  File "{frame.file}", line {frame.line}, in {frame.function}',
                    *([f"    {frame.code}"] if frame.code else []),
                )
            ]
            room = MAX_RENDERED_LINES - len(head) - len(tail) - 1
            if len(frames) > room:
                keep = room - 1
                frames = [*frames[: keep // 4 * 2], "  ...", *frames[-(keep - keep // 4 * 2) :]]
            body = ["Traceback (most recent call last):", *frames]
        return "\n".join([*head, *body, *tail])


class UserFunctionError(UserError):
    """A user function raised; ``failure`` tells where and on which record."""

    def __init__(self, failure: FailureInfo) -> None:
        super().__init__(failure.headline())
        self.failure = failure
