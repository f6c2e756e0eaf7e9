"""Restart strategies: whether and when a failed job, or a region of it, runs again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pyflow_yarn.configuration import options
from pyflow_yarn.errors import ConfigurationError

_MASK = 2**64 - 1


class Restart(NamedTuple):
    """Run again after so many milliseconds; ``new_attempt``: not just together with a restart that is due anyway."""

    delay: int
    new_attempt: bool = True


class RestartStrategy(Protocol):
    """Asked once for each failure (failures of one moment count once)."""

    def failed(self, now: int) -> Restart | None:
        """Count a failure: when to run again, None if that is the end."""

    @property
    def description(self) -> str:
        """The reference system's name of it, with its parameters."""


class NoRestart:
    """The first failure is the job's."""

    description = "NoRestartBackoffTimeStrategy"

    def failed(self, now: int) -> Restart | None:
        """Never."""
        return None


class FixedDelay:
    """A number of restarts, with the same pause before each."""

    def __init__(self, attempts: int, delay: int) -> None:
        self._attempts = attempts
        self._delay = delay
        self._failures = 0

    def failed(self, now: int) -> Restart | None:
        """The delay, as often as attempts were granted."""
        self._failures += 1
        return Restart(self._delay) if self._failures <= self._attempts else None

    @property
    def description(self) -> str:
        """With its parameters."""
        return (
            f"FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={self._attempts},"
            f" backoffTimeMS={self._delay})"
        )


class FailureRate:
    """Restarts as long as no interval sees more than a number of failures, with the same pause before each.

    The limit is what is tolerated, as the reference system documents it; its code gives up one failure earlier, which
    with the default of 1 is no restart at all.
    """

    def __init__(self, max_failures: int, interval: int, delay: int) -> None:
        self._max_failures = max_failures
        self._interval = interval
        self._delay = delay
        self._failures: deque[int] = deque()

    def failed(self, now: int) -> Restart | None:
        """The delay, unless too much failed lately; a failure exactly one interval ago still counts."""
        while self._failures and now - self._failures[0] > self._interval:
            self._failures.popleft()
        self._failures.append(now)
        return Restart(self._delay) if len(self._failures) <= self._max_failures else None

    @property
    def description(self) -> str:
        """With its parameters."""
        return (
            f"FailureRateRestartBackoffTimeStrategy(failuresIntervalMS={self._interval},"
            f"backoffTimeMS={self._delay},maxFailuresPerInterval={self._max_failures})"
        )


class ExponentialDelay:
    """Restarts after pauses that grow; a time without failures begins again with the first pause.

    Failures until the restart that is due count as one attempt. ``seed`` makes the jitter: jobs that fail together
    come back one after the other, and the same job with the same failures always waits as long.
    """

    def __init__(
        self,
        initial_backoff: int,
        max_backoff: int,
        multiplier: float,
        jitter_factor: float,
        reset_threshold: int,
        max_attempts: int,
        seed: str,
    ) -> None:
        if initial_backoff > max_backoff:
            raise ConfigurationError(
                f"restart-strategy.exponential-delay.initial-backoff ({initial_backoff} ms) is greater than"
                f" restart-strategy.exponential-delay.max-backoff ({max_backoff} ms): lower the one or raise the other."
            )
        self._initial_backoff = initial_backoff
        self._max_backoff = max_backoff
        self._multiplier = multiplier
        self._jitter_factor = jitter_factor
        self._reset_threshold = reset_threshold
        self._max_attempts = max_attempts
        self._seed = int.from_bytes(seed.encode(), "big") % (_MASK - 58)
        self._draws = 0
        self._attempts = 0
        self._backoff = float(initial_backoff)
        self._restart_at: int | None = None

    def failed(self, now: int) -> Restart | None:
        """The next pause, or what is left of the present one."""
        if self._restart_at is not None:
            if now <= self._restart_at:
                return Restart(self._restart_at - now, new_attempt=False)
            if now - self._restart_at >= self._reset_threshold:
                self._attempts = 0
                self._backoff = float(self._initial_backoff)
        if self._attempts >= self._max_attempts:
            return None
        delay = self._jittered()
        self._attempts += 1
        self._backoff = min(self._backoff * self._multiplier, float(self._max_backoff))
        self._restart_at = now + delay
        return Restart(delay)

    def _jittered(self) -> int:
        backoff = int(self._backoff)
        reach = int(backoff * self._jitter_factor)
        self._draws += 1
        offset = _scattered(self._seed + self._draws) % (2 * reach + 1) - reach
        return max(self._initial_backoff, min(backoff + offset, self._max_backoff))

    @property
    def description(self) -> str:
        """With its parameters."""
        return (
            f"ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS={self._initial_backoff},"
            f" maxBackoffMS={self._max_backoff}, backoffMultiplier={self._multiplier},"
            f" resetBackoffThresholdMS={self._reset_threshold}, jitterFactor={self._jitter_factor},"
            f" attemptsBeforeResetBackoff={self._max_attempts})"
        )


def _scattered(number: int) -> int:
    """The splitmix64 finalizer: neighbours come out far apart."""
    number = number * 0x9E3779B97F4A7C15 & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31


def restart_strategy(configuration: Mapping[str, str], seed: str = "") -> RestartStrategy:
    """The strategy that a job's configuration asks for; without checkpoints, unset means none."""
    kind = options.RESTART_STRATEGY_TYPE.read(configuration)
    if kind == "fixed-delay":
        return FixedDelay(
            options.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS.read(configuration),
            options.RESTART_STRATEGY_FIXED_DELAY_DELAY.read(configuration),
        )
    if kind == "failure-rate":
        return FailureRate(
            options.RESTART_STRATEGY_FAILURE_RATE_MAX_FAILURES_PER_INTERVAL.read(configuration),
            options.RESTART_STRATEGY_FAILURE_RATE_FAILURE_RATE_INTERVAL.read(configuration),
            options.RESTART_STRATEGY_FAILURE_RATE_DELAY.read(configuration),
        )
    if kind == "exponential-delay":
        return ExponentialDelay(
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_INITIAL_BACKOFF.read(configuration),
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_MAX_BACKOFF.read(configuration),
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_BACKOFF_MULTIPLIER.read(configuration),
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_JITTER_FACTOR.read(configuration),
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_RESET_BACKOFF_THRESHOLD.read(configuration),
            options.RESTART_STRATEGY_EXPONENTIAL_DELAY_ATTEMPTS_BEFORE_RESET_BACKOFF.read(configuration),
            seed,
        )
    return NoRestart()
