"""From an exception to a ``FailureInfo``: the user's frames, the operator, the record, and nothing of ours.

Runs once per failure, after the fact: nothing here costs anything while records flow. It must not raise, whatever
the exception is like: its ``repr``, its ``str`` and the record's ``repr`` are the user's code too.
"""

from __future__ import annotations

import errno
import linecache
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import CodeType, TracebackType
from typing import Any

import msgspec

import pyflow_runtime
import pyflow_yarn
from pyflow_yarn.errors import MAX_RECORD_CHARACTERS, Domain, FailureInfo, Frame, PyflowError, UserFunctionError

GENERATED_PREFIX = "<pyflow chain "
_MAX_FRAMES = 30
_MAX_NOTES = 6
_MAX_MESSAGE = 2000
_OUR_DIRECTORIES = tuple(
    os.path.dirname(os.path.abspath(package.__file__ or "")) + os.sep for package in (pyflow_yarn, pyflow_runtime)
)
_EXTERNAL_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EPIPE,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENOTCONN,
    }
)


class TaskCancelled(BaseException):
    """Raised inside a user function by the signal that ends a task which does not return."""


class OperatorFailure(Exception):
    """An exception of user code together with the place it happened."""

    def __init__(self, place: Place, error: BaseException) -> None:
        super().__init__(place.operator)
        self.place = place
        self.error = error


@dataclass(frozen=True)
class Place:
    """Where an exception was raised: an operator as the user knows it, and what it was working on.

    ``has_record`` and ``has_key`` tell a record None from no record. ``code`` is that of a user's lambda whose body
    was inlined into generated source: its frame is shown although it never existed.
    """

    operator: str = ""
    declared_at: str = ""
    record: Any = None
    has_record: bool = False
    key: Any = None
    has_key: bool = False
    code: CodeType | None = None
    note: str = ""


class ProgramSources:
    """The program's source texts, which travelled with the job because its files may be gone from this machine."""

    def __init__(self, texts: dict[str, str] | None = None, python_path: list[str] | None = None) -> None:
        self.texts = texts or {}
        self._prefixes = tuple(os.path.abspath(entry).rstrip(os.sep) + os.sep for entry in python_path or [] if entry)

    @classmethod
    def load(cls, path: str, python_path: list[str] | None = None) -> ProgramSources:
        """Read the msgpack map at ``path`` ("" means there is none)."""
        if not path:
            return cls(python_path=python_path)
        with open(path, "rb") as file:
            return cls(msgspec.msgpack.decode(file.read(), type=dict[str, str]), python_path)

    def install(self) -> None:
        """Give ``linecache`` the texts, so that tracebacks which the user's code prints have their lines too."""
        for name, text in self.texts.items():
            lines = text.splitlines(keepends=True)
            # A modification time of None keeps linecache.checkcache from dropping what is not on disk.
            linecache.cache[name] = (len(text), None, lines, name)

    def line(self, file: str, number: int) -> str:
        """A source line without its indentation, or "" if nobody has it."""
        text = self.texts.get(file)
        if text is None:
            return linecache.getline(file, number).strip()
        lines = text.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def shown(self, file: str) -> str:
        """A file name as the user knows it: shipped modules without the directory they were unpacked into."""
        for prefix in self._prefixes:
            if file.startswith(prefix):
                return file[len(prefix) :]
        return file


NO_SOURCES = ProgramSources()


def describe(
    error: BaseException,
    *,
    sources: ProgramSources = NO_SOURCES,
    place: Place | None = None,
    task: str = "",
    subtask: int = -1,
    parallelism: int = 0,
    attempt: int = 0,
    task_manager: str = "",
    endpoint: str = "",
) -> FailureInfo:
    """The failure as it travels: never raises, never holds a reference to the exception."""
    if isinstance(error, OperatorFailure):
        place = error.place
        error = error.error
    if place is None:
        place = Place()
    if isinstance(error, UserFunctionError):
        failure = error.failure
    else:
        frames = _frames(error.__traceback__, sources)
        if place.code is not None:
            frames = [*frames, _frame(place.code, place.code.co_firstlineno, sources)]
        failure = FailureInfo(
            exception=_type_name(error),
            message=_message(error),
            domain=_domain(error),
            frames=frames,
            notes=_notes(error, sources, place),
        )
    return msgspec.structs.replace(
        failure,
        operator=failure.operator or place.operator,
        declared_at=failure.declared_at or place.declared_at,
        record=short_repr(place.record) if place.has_record else failure.record,
        key=short_repr(place.key) if place.has_key else failure.key,
        task=task,
        subtask=subtask,
        parallelism=parallelism,
        attempt=attempt,
        task_manager=task_manager,
        endpoint=endpoint,
        timestamp=int(time.time() * 1000),
    )


@contextmanager
def failing_at(place: Place) -> Iterator[None]:
    """Whatever is raised inside (but the end of a task) gets this place, unless it has one."""
    try:
        yield
    except (OperatorFailure, TaskCancelled):
        raise
    except BaseException as error:
        raise OperatorFailure(place, error) from error


def with_record(place: Place, record: Any) -> Place:
    """The same place, working on a record."""
    return replace(place, record=record, has_record=True)


def short_repr(value: Any) -> str:
    """``repr`` cut to ``MAX_RECORD_CHARACTERS``; survives values whose ``repr`` raises."""
    limit = MAX_RECORD_CHARACTERS
    try:
        # A text of gigabytes is not copied for its first 400 characters.
        long = isinstance(value, str | bytes | bytearray) and len(value) > limit
        text = repr(value[:limit] if long else value)
    except BaseException as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    text = text.replace("\n", "\\n")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def unpickling_error(error: BaseException, operator: str) -> UserFunctionError:
    """What a worker says when it cannot load the function of an operator."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        message = (
            f"the function of '{operator}' needs the module '{error.name}', which the workers do not have: ship it with"
            f" -pyfs {top}.py (or the directory of the package '{top}'), or install it with -pyreq"
        )
    elif isinstance(error, AttributeError | ImportError):
        message = (
            f"the function of '{operator}' could not be loaded on a worker ({_message(error)}): the workers see another"
            " version of that module than your program; ship yours with -pyfs"
        )
    else:
        message = (
            f"the function of '{operator}' could not be loaded on a worker: {_type_name(error)}: {_message(error)}"
        )
    return UserFunctionError(FailureInfo(exception=_type_name(error), message=message, operator=operator))


def _type_name(error: BaseException) -> str:
    kind = type(error)
    if isinstance(error, PyflowError) or kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as broken:
        return f"<its text cannot be had: str() raises {type(broken).__name__}>"
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _domain(error: BaseException) -> Domain:
    if isinstance(error, PyflowError):
        return error.domain
    if isinstance(error, OSError) and error.errno in _EXTERNAL_ERRORS:
        return Domain.EXTERNAL
    return Domain.USER


def is_ours(file: str) -> bool:
    """Whether frames of that file belong to the project and not to the user."""
    return file.startswith((GENERATED_PREFIX, "<frozen ", *_OUR_DIRECTORIES))


def _frame(code: CodeType, line: int, sources: ProgramSources) -> Frame:
    file = code.co_filename
    return Frame(file=sources.shown(file), line=line, function=code.co_name, code=sources.line(file, line))


def _frames(trace: TracebackType | None, sources: ProgramSources) -> list[Frame]:
    codes: list[tuple[CodeType, int]] = []
    for frame, line in traceback.walk_tb(trace):
        if not is_ours(frame.f_code.co_filename):
            codes.append((frame.f_code, line))
    if len(codes) > _MAX_FRAMES:  # a recursion: its beginning and its end tell the story
        half = _MAX_FRAMES // 2
        codes = codes[:half] + codes[-half:]
    return [_frame(code, line, sources) for code, line in codes]


def _headline(error: BaseException, sources: ProgramSources) -> str:
    message = _message(error).split("\n", 1)[0]
    text = f"{_type_name(error)}: {message}" if message else _type_name(error)
    frames = _frames(error.__traceback__, sources)
    return f'{text} (File "{frames[-1].file}", line {frames[-1].line})' if frames else text


def _notes(error: BaseException, sources: ProgramSources, place: Place) -> list[str]:
    notes = [place.note] if place.note else []
    seen = {id(error)}
    current: BaseException = error
    while len(notes) < _MAX_NOTES:
        following, how = current.__cause__, "Caused by"
        if following is None and not current.__suppress_context__:
            following, how = current.__context__, "While handling"
        if following is None or id(following) in seen:
            break
        seen.add(id(following))
        notes.append(f"{how}: {_headline(following, sources)}")
        current = following
    if isinstance(error, BaseExceptionGroup):
        notes.extend(f"In the group: {_headline(inner, sources)}" for inner in error.exceptions)
    added = getattr(error, "__notes__", None)
    if isinstance(added, list):
        notes.extend(str(note).split("\n", 1)[0] for note in added if isinstance(note, str))
    return notes[:_MAX_NOTES]
