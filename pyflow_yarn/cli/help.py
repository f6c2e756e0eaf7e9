"""The help texts, laid out as Flink's: 80 columns, options by name, descriptions in a column of their own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pyflow_yarn.cli.options import ACTIONS, FLAVOURS, HELP, Action, Option

_WIDTH = 80
_INDENT = " " * 5


def _names(option: Option) -> str:
    names = f"-{option.short}" if option.short == option.long else f"-{option.short},--{option.long}"
    return f"{names} <{option.argument}>" if option.arguments else names


def option_lines(options: Iterable[Option]) -> list[str]:
    """The lines that describe these options; hidden ones are left out."""
    shown = sorted((option for option in options if not option.hidden), key=lambda option: option.short.lower())
    if not shown:
        return []
    column = len(_INDENT) + max(len(_names(option)) for option in shown) + 3
    lines = []
    for option in shown:
        first, *more = textwrap.wrap(option.description, _WIDTH - column) or [""]
        lines.append(f"{_INDENT}{_names(option)}".ljust(column) + first)
        lines += [" " * column + line for line in more]
    return lines


def action_help(action: Action) -> str:
    """What ``flink <action> -h`` prints."""
    lines = [
        "",
        f'Action "{action.name}" {action.summary}',
        "",
        f"  Syntax: {action.syntax}",
        f'  "{action.name}" action options:',
        *option_lines((HELP, *(action.help_options or action.options))),
    ]
    for name, options in FLAVOURS.items():
        lines += [f"  Options for {name} mode:", *option_lines(options), ""]
    return "\n".join(lines)


def full_help() -> str:
    """What ``flink -h`` prints."""
    return "\n".join(
        [
            "./flink <ACTION> [OPTIONS] [ARGUMENTS]",
            "",
            "The following actions are available:",
            *(action_help(action) for action in ACTIONS.values()),
            "",
        ]
    )
