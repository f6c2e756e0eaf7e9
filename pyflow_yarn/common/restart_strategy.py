"""What happens after a failure, as objects."""

from __future__ import annotations

from datetime import timedelta

from pyflow_yarn.common.configuration import Configuration

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]


def _interval(name: str, value: int | timedelta | None) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return timedelta(milliseconds=value)
    raise TypeError(f"The parameter '{name}' only supports integer and datetime.timedelta, not {type(value)}.")


def _text(interval: timedelta) -> str:
    return f"{interval // timedelta(milliseconds=1)} ms"


class RestartStrategyConfiguration:
    """What happens after a failure; ``write_to`` says it in configuration keys."""

    def get_description(self) -> str:
        """The description that the web interface shows."""
        raise NotImplementedError

    def write_to(self, configuration: Configuration) -> None:
        """Set the matching keys."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(vars(self).values())))


class RestartStrategies:
    """Makes restart strategies."""

    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A failed job is not restarted."""

        def get_description(self) -> str:
            return "Restart deactivated."

        def write_to(self, configuration: Configuration) -> None:
            configuration.set_string("restart-strategy.type", "none")

    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A failed job is restarted a fixed number of times, after a pause each."""

        def __init__(self, restart_attempts: int, delay_between_attempts_interval: int | timedelta) -> None:
            self._attempts = restart_attempts
            self._delay = _interval("delay_between_attempts_interval", delay_between_attempts_interval)

        def get_restart_attempts(self) -> int:
            """How often."""
            return self._attempts

        def get_delay_between_attempts_interval(self) -> timedelta:
            """The pause."""
            return self._delay

        def get_description(self) -> str:
            return f"Restart with fixed delay ({_text(self._delay)}). #{self._attempts} restart attempts."

        def write_to(self, configuration: Configuration) -> None:
            configuration.set_string("restart-strategy.type", "fixed-delay")
            configuration.set_integer("restart-strategy.fixed-delay.attempts", self._attempts)
            configuration.set_string("restart-strategy.fixed-delay.delay", _text(self._delay))

    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """A failed job is restarted as long as failures are rare enough."""

        def __init__(
            self,
            max_failure_rate: int,
            failure_interval: int | timedelta,
            delay_between_attempts_interval: int | timedelta,
        ) -> None:
            self._rate = max_failure_rate
            self._interval = _interval("failure_interval", failure_interval)
            self._delay = _interval("delay_between_attempts_interval", delay_between_attempts_interval)

        def get_max_failure_rate(self) -> int:
            """Failures allowed within the interval."""
            return self._rate

        def get_failure_interval(self) -> timedelta:
            """The interval."""
            return self._interval

        def get_delay_between_attempts_interval(self) -> timedelta:
            """The pause before each restart."""
            return self._delay

        def get_description(self) -> str:
            return (
                f"Failure rate restart with maximum of {self._rate} failures within interval {_text(self._interval)}"
                f" and fixed delay {_text(self._delay)}."
            )

        def write_to(self, configuration: Configuration) -> None:
            configuration.set_string("restart-strategy.type", "failure-rate")
            configuration.set_integer("restart-strategy.failure-rate.max-failures-per-interval", self._rate)
            configuration.set_string("restart-strategy.failure-rate.failure-rate-interval", _text(self._interval))
            configuration.set_string("restart-strategy.failure-rate.delay", _text(self._delay))

    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The cluster's configuration decides."""

        def get_description(self) -> str:
            return "Cluster level default restart strategy"

        def write_to(self, configuration: Configuration) -> None:
            configuration.remove_config("restart-strategy.type")

    @staticmethod
    def no_restart() -> RestartStrategies.NoRestartStrategyConfiguration:
        """A failed job is not restarted."""
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> RestartStrategies.FallbackRestartStrategyConfiguration:
        """The cluster's configuration decides."""
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: int | timedelta
    ) -> RestartStrategies.FixedDelayRestartStrategyConfiguration:
        """So many restarts, each after a pause in milliseconds or as a ``timedelta``."""
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(restart_attempts, delay_between_attempts)

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: int | timedelta, delay_interval: int | timedelta
    ) -> RestartStrategies.FailureRateRestartStrategyConfiguration:
        """Restarts after a pause, as long as there are at most so many failures within the interval."""
        return RestartStrategies.FailureRateRestartStrategyConfiguration(failure_rate, failure_interval, delay_interval)
