"""How a failure is shown: the user's frames, none of ours, the cause last, at most 25 lines."""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

from pyflow_yarn import errors
from pyflow_yarn.deployment.layout import package_root
from pyflow_yarn.errors import MAX_RENDERED_LINES, Domain, FailureInfo, PyflowError

RULE = "-" * 60
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_ROOTS = tuple(os.path.join(package_root(), name) + os.sep for name in ("pyflow_yarn", "runtime/pyflow_runtime"))


def is_ours(file: str) -> bool:
    """Whether a frame of that file is internal: our packages and the import system."""
    return file.startswith(_ROOTS) or file.startswith("<frozen ")


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of a traceback that belong to the user or to libraries of the user, outermost first."""
    return [frame for frame in traceback.extract_tb(trace) if not is_ours(frame.filename)]


def describe(error: BaseException) -> str:
    """The text of a failure that ends a program: one sentence for an error of ours, a trimmed traceback for others."""
    failure = getattr(error, "failure", None)
    if isinstance(failure, FailureInfo):
        return render(failure)
    if isinstance(error, PyflowError):
        frames = user_frames(error.__traceback__)
        if error.domain is Domain.USER and frames:
            last = frames[-1]
            return f'{error}\n  File "{last.filename}", line {last.lineno}, in {last.name}'
        return str(error)
    return "\n".join(traceback_lines(error))


def headline(error: BaseException) -> str:
    """The same in one line: what, and where in the user's files if it is the user's."""
    failure = getattr(error, "failure", None)
    if isinstance(failure, FailureInfo):
        return failure.headline()
    if isinstance(error, SystemExit):
        return f"The program ended with sys.exit({error.code!r})."
    if isinstance(error, PyflowError):
        return str(error).split("\n", 1)[0]
    text = traceback.format_exception_only(error)[-1].strip().split("\n", 1)[0]
    frames = user_frames(error.__traceback__)
    return f"{text} ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else text


def render(failure: FailureInfo) -> str:
    """The failure of a job; where it is an error of ours, its sentence says all and the name of its class nothing."""
    text = failure.render()
    prefix = f"{failure.exception}: "
    first, found, last = text.rpartition(prefix)
    ours = isinstance(getattr(errors, failure.exception, None), type)
    return first + last if found and ours and last.startswith(failure.message.split("\n", 1)[0]) else text


def traceback_lines(error: BaseException) -> list[str]:
    """What python would print without our frames, shortened in the middle."""
    lines: list[str] = []
    for link, separator in _chain(error):
        if separator:
            lines += ["", separator, ""]
        lines += _one(link)
    if len(lines) > MAX_RENDERED_LINES:
        head = MAX_RENDERED_LINES // 4
        lines = [*lines[:head], "  ...", *lines[-(MAX_RENDERED_LINES - head - 1) :]]
    return lines


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """The exceptions that led to this one, the first cause first, each with the line that stands before it."""
    chain: list[tuple[BaseException, str]] = []
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if current.__cause__ is not None:
            chain.append((current, _CAUSE))
            current = current.__cause__
        elif current.__context__ is not None and not current.__suppress_context__:
            chain.append((current, _CONTEXT))
            current = current.__context__
        else:
            chain.append((current, ""))
            current = None
    chain.reverse()
    first = chain[0][0]
    return [(first, ""), *chain[1:]]


def _one(error: BaseException) -> list[str]:
    failure = getattr(error, "failure", None)
    if isinstance(failure, FailureInfo):
        return render(failure).split("\n")
    lines: list[str] = []
    frames = user_frames(error.__traceback__)
    if frames:
        lines.append("Traceback (most recent call last):")
        for entry in traceback.StackSummary.from_list(frames).format():
            # Without the markers (^^^^) below the line: they take room that frames need.
            lines += [line for line in entry.rstrip("\n").split("\n") if line.strip(" ~^")]
    for entry in traceback.format_exception_only(error):
        lines += entry.rstrip("\n").split("\n")
    return lines


def error_block(text: str) -> str:
    """The frame in which the command line shows what ended a program."""
    return f"\n{RULE}\n The program finished with the following exception:\n\n{text}\n"


def show_error_block(error: BaseException) -> None:
    """Print the frame with the failure on stderr, after everything that stdout holds."""
    _show(error_block(describe(error)))


def show_exit(exit: SystemExit) -> None:
    """The same for a program that ended itself: its number in the frame, or the text that it gave as it is."""
    number = isinstance(exit.code, int)
    _show(error_block(f"Python process exits with code: {exit.code}") if number else f"{exit.code}\n")


def _show(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
