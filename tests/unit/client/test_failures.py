"""How what ended a program is shown."""

from __future__ import annotations

import pytest

from pyflow_yarn.client.failures import describe, error_block
from pyflow_yarn.client.job_client import JobFailedError
from pyflow_yarn.errors import (
    ClusterError,
    ConfigurationError,
    Domain,
    FailureInfo,
    Frame,
    UserError,
    UserFunctionError,
)


def caught(action: object) -> BaseException:
    try:
        action()  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_plain_exception_has_its_frames_and_no_more_than_25_lines() -> None:
    def deep(depth: int) -> None:
        if depth % 2:
            deep(depth - 1)
        if depth:
            deep(depth - 1)
        raise ValueError("first\nsecond")

    lines = describe(caught(lambda: deep(100))).split("\n")
    assert len(lines) == 25
    assert lines[0] == "Traceback (most recent call last):"
    assert "  ..." in lines
    assert lines[-2:] == ["ValueError: first", "second"]


def test_frames_of_ours_are_left_out() -> None:
    from pyflow_yarn.client.program import Program

    text = describe(caught(Program(script="/nowhere.py").check))
    assert text.startswith("The program '/nowhere.py' does not exist.\n  File ")
    assert "pyflow_yarn" not in text


def test_the_cause_comes_first_and_the_last_exception_last() -> None:
    def chained() -> None:
        try:
            try:
                raise KeyError("a")
            except KeyError as error:
                raise TypeError("b") from error
        except TypeError:
            raise ValueError("c")  # noqa: B904

    lines = describe(caught(chained)).split("\n")
    order = [line for line in lines if line.startswith(("KeyError", "TypeError", "ValueError", "The above", "During"))]
    assert order == [
        "KeyError: 'a'",
        "The above exception was the direct cause of the following exception:",
        "TypeError: b",
        "During handling of the above exception, another exception occurred:",
        "ValueError: c",
    ]

    def silent() -> None:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("c") from None

    assert "KeyError" not in describe(caught(silent))


def test_a_cycle_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert describe(one).endswith("ValueError: one")


def test_errors_of_ours_are_a_sentence() -> None:
    def user() -> None:
        raise UserError("A sentence.")

    text = describe(caught(user))
    assert text.startswith(f'A sentence.\n  File "{__file__}", line ')
    assert text.endswith(", in user")
    for error in (ClusterError("Gone."), ConfigurationError("Wrong.")):
        with pytest.raises(type(error)) as info:
            raise error
        assert describe(info.value) == str(error)


def test_failures_of_jobs_are_shown_as_the_cluster_tells_them() -> None:
    failure = FailureInfo(
        exception="ValueError",
        message="bad",
        operator="Map",
        subtask=1,
        parallelism=2,
        frames=[Frame("job.py", 3, "f", "g()")],
    )
    expected = [
        "Operator 'Map' failed (subtask 2/2, attempt 0).",
        "Traceback (most recent call last):",
        '  File "job.py", line 3, in f',
        "    g()",
        "ValueError: bad",
    ]
    assert describe(UserFunctionError(failure)).split("\n") == expected
    assert describe(JobFailedError(failure)).split("\n") == expected

    def wrapped() -> None:
        raise RuntimeError("my program gives up") from UserFunctionError(failure)

    lines = describe(caught(wrapped)).split("\n")
    assert lines[:5] == expected
    assert lines[-1] == "RuntimeError: my program gives up"


def test_the_class_of_our_own_errors_says_nothing() -> None:
    failure = FailureInfo(exception="ExternalError", message="The disk is full.", domain=Domain.EXTERNAL)
    assert describe(JobFailedError(failure)) == "The disk is full."
    foreign = FailureInfo(exception="WorkerLostException", message="It is gone.", domain=Domain.CLUSTER)
    assert describe(JobFailedError(foreign)) == "WorkerLostException: It is gone."


def test_the_block() -> None:
    assert error_block("text") == f"\n{'-' * 60}\n The program finished with the following exception:\n\ntext\n"
