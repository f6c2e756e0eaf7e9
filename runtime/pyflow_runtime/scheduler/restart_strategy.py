"""Restart strategies: whether and when a failed job, or a region of it, runs again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pyflow_yarn.configuration import options
from pyflow_yarn.errors import NotYetSupportedError


class RestartStrategy(Protocol):
    """Asked once for each failure (failures of one moment count once)."""

    def restart_delay(self) -> int | None:
        """Count a failure: milliseconds to wait before the restart, None if there is none."""

    @property
    def description(self) -> str:
        """The reference system's name of it, with its parameters."""


class NoRestart:
    """The first failure is the job's."""

    description = "NoRestartBackoffTimeStrategy"

    def restart_delay(self) -> int | None:
        """Never."""
        return None


class FixedDelay:
    """A number of restarts, with the same pause before each."""

    def __init__(self, attempts: int, delay: int) -> None:
        self._attempts = attempts
        self._delay = delay
        self._failures = 0

    def restart_delay(self) -> int | None:
        """The delay, as often as attempts were granted."""
        self._failures += 1
        return self._delay if self._failures <= self._attempts else None

    @property
    def description(self) -> str:
        """With its parameters."""
        return (
            f"FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={self._attempts},"
            f" backoffTimeMS={self._delay})"
        )


def restart_strategy(configuration: Mapping[str, str]) -> RestartStrategy:
    """The strategy that a job's configuration asks for; without checkpoints, unset means none."""
    kind = options.RESTART_STRATEGY_TYPE.read(configuration)
    if kind is None or kind == "none":
        return NoRestart()
    if kind == "fixed-delay":
        return FixedDelay(
            options.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS.read(configuration),
            options.RESTART_STRATEGY_FIXED_DELAY_DELAY.read(configuration),
        )
    raise NotYetSupportedError(
        f"The restart strategy {kind} is not supported yet: set restart-strategy.type to none or fixed-delay."
    )
