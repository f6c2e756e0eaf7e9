"""Entry point of the command line: finds the action, turns what it raises into Flink's texts and exit codes.

Exit codes: 0 success, 1 wrong arguments and failed cluster actions, 31 a Python program that fails or whose
job does, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from pyflow_yarn.cli.options import ACTIONS, FLAVOURS, GENERAL, HELP
from pyflow_yarn.cli.parser import ArgumentError, CommandLine, parse
from pyflow_yarn.client.signals import exit_code

EXIT_OK = 0
EXIT_ERROR = 1
HELP_HINT = "Use the help option (-h or --help) to get help on the command."
ALIASES = {"run-application": "run"}

_INVALID_ACTION = """"{}" is not a valid action.

Valid actions are "run", "list", "info", "savepoint", "stop", or "cancel".

Specify the version option (-v or --version) to print Flink version.

Specify the help option (-h or --help) to get help on the command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the answer is the exit code."""
    return guarded(dispatch, list(sys.argv[1:] if arguments is None else arguments))


def guarded(command: Callable[[list[str]], int], words: list[str]) -> int:
    """Run a command whose reader may go, whose user may lose patience, and in which there may be a fault."""
    _open_closed_streams()
    try:
        code = command(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone (flink list | head): nothing is left to say, also not at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    except Exception:
        return _internal_error()
    return code


def _open_closed_streams() -> None:
    """Standard streams that were closed before the start (``flink list >&-``) lead nowhere from now on.

    Otherwise the next file or pipe would get their numbers, and children would print into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            os.set_inheritable(descriptor, True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _internal_error() -> int:
    """An exception that none of us foresaw: the only traceback of ours that a user ever sees."""
    import traceback

    from pyflow_yarn.client.failures import error_block

    sys.stderr.write(error_block(f"This is a fault of pyflow-yarn itself; please report it.\n{traceback.format_exc()}"))
    return EXIT_ERROR


def dispatch(words: list[str]) -> int:
    """Find the action of a command line and run it."""
    if not words:
        _print_full_help()
        print("Please specify an action.")
        return EXIT_ERROR
    name = ALIASES.get(words[0], words[0])
    if name in ("-h", "--help"):
        _print_full_help()
        return EXIT_OK
    if name in ("-v", "--version"):
        print(version_line())
        return EXIT_OK
    if name not in ACTIONS:
        print(_INVALID_ACTION.format(words[0]))
        return EXIT_ERROR
    action = ACTIONS[name]
    try:
        options = (*GENERAL, *action.options, *(option for flavour in FLAVOURS.values() for option in flavour))
        line = parse(options, words[1:], action.stops_at_non_option)
        if line.has(HELP):
            from pyflow_yarn.cli.help import action_help

            print(action_help(action))
            return EXIT_OK
        return _handler(name)(line)
    except ArgumentError as error:
        print(f"{error}\n\n{HELP_HINT}")
        return EXIT_ERROR


def _handler(name: str) -> Callable[[CommandLine], int]:
    if name == "run":
        from pyflow_yarn.cli.run import run

        return run
    if name == "info":
        from pyflow_yarn.cli.run import info

        return info
    if name == "config":
        from pyflow_yarn.cli.config import config

        return config
    if name == "logs":
        from pyflow_yarn.cli.logs import logs

        return logs
    from pyflow_yarn.cli import jobs

    return jobs.HANDLERS[name]


def _print_full_help() -> None:
    from pyflow_yarn.cli.help import full_help

    print(full_help())


def version_line() -> str:
    """Version and, in a checkout, the commit."""
    from pyflow_yarn.version import VERSION

    commit = _commit()
    return f"Version: {VERSION}" + (f", Commit ID: {commit}" if commit else "")


def _commit() -> str:
    """The abbreviated commit of the checkout, read from its files; "" outside of one."""
    from pyflow_yarn.deployment.layout import package_root

    git = os.path.join(package_root(), ".git")
    try:
        with open(os.path.join(git, "HEAD"), encoding="ascii") as file:
            head = file.read().strip()
        reference = head.removeprefix("ref: ")
        if reference == head:
            return head[:7]
        loose = os.path.join(git, *reference.split("/"))
        if os.path.isfile(loose):
            with open(loose, encoding="ascii") as file:
                return file.read().strip()[:7]
        with open(os.path.join(git, "packed-refs"), encoding="utf-8") as file:
            return next((line[:7] for line in file if line.rstrip().endswith(f" {reference}")), "")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
