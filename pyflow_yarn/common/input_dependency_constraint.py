"""When a task is scheduled, as old programs say it."""

from __future__ import annotations

from enum import Enum

__all__ = ["InputDependencyConstraint"]


class InputDependencyConstraint(Enum):
    """Whether any or all inputs must be there before a task is scheduled."""

    ANY = 0
    ALL = 1
