"""Restart strategies, each against a simple model of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_runtime.scheduler.restart_strategy import (
    ExponentialDelay,
    FailureRate,
    FixedDelay,
    NoRestart,
    Restart,
    restart_strategy,
)
from pyflow_yarn.common import Configuration
from pyflow_yarn.common.restart_strategy import RestartStrategies
from pyflow_yarn.errors import ConfigurationError

EXPONENTIAL = {"restart-strategy.type": "exponential-delay"}
NO_JITTER = {**EXPONENTIAL, "restart-strategy.exponential-delay.jitter-factor": "0"}
ATTEMPTS = "restart-strategy.exponential-delay.attempts-before-reset-backoff"
RATE = {"restart-strategy.type": "failure-rate"}
HOUR = 3_600_000

pauses = st.lists(st.integers(0, 5_000), max_size=40)


def times(gaps: list[int]) -> list[int]:
    now, result = 1_000, []
    for gap in gaps:
        now += gap
        result.append(now)
    return result


@pytest.mark.parametrize("word", [None, "none", "off", "disable", "OFF", "None"])
def test_no_strategy_means_no_restart(word: str | None) -> None:
    for key in ("restart-strategy.type", "restart-strategy"):
        strategy = restart_strategy({} if word is None else {key: word})
        assert strategy.failed(0) is None
        assert strategy.description == "NoRestartBackoffTimeStrategy"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("fixed-delay", "fixeddelay", "FixedDelay"), "FixedDelayRestartBackoffTimeStrategy("),
        (("failure-rate", "failurerate"), "FailureRateRestartBackoffTimeStrategy("),
        (("exponential-delay", "exponentialdelay"), "ExponentialDelayRestartBackoffTimeStrategy("),
    ],
)
def test_spellings(words: tuple[str, ...], name: str) -> None:
    for word in words:
        assert restart_strategy({"restart-strategy.type": word}).description.startswith(name)


def test_a_strategy_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError):
        restart_strategy({"restart-strategy.type": "perhaps"})


# ---- fixed-delay ----


def test_fixed_delay_has_the_defaults_of_the_reference_system() -> None:
    strategy = restart_strategy({"restart-strategy.type": "fixed-delay"})
    assert [strategy.failed(0) for _ in range(3)] == [Restart(1_000), None, None]


@given(attempts=st.integers(0, 20), delay=st.integers(0, 10_000), gaps=pauses)
def test_fixed_delay_restarts_so_many_times(attempts: int, delay: int, gaps: list[int]) -> None:
    strategy = FixedDelay(attempts, delay)
    answers = [strategy.failed(now) for now in times(gaps)]
    assert answers == [Restart(delay) if number < attempts else None for number in range(len(gaps))]


# ---- failure-rate ----


def test_failure_rate_has_the_defaults_of_the_reference_system() -> None:
    strategy = restart_strategy(RATE)
    assert strategy.description == (
        "FailureRateRestartBackoffTimeStrategy(failuresIntervalMS=60000,backoffTimeMS=1000,maxFailuresPerInterval=1)"
    )
    assert [strategy.failed(now) for now in (0, 60_001, 120_001)] == [Restart(1_000), Restart(1_000), None]


@given(limit=st.integers(1, 6), interval=st.integers(1, 10_000), gaps=pauses)
def test_failure_rate_tolerates_so_many_failures_within_an_interval(limit: int, interval: int, gaps: list[int]) -> None:
    strategy, failures = FailureRate(limit, interval, 7), times(gaps)
    for count, now in enumerate(failures, start=1):
        lately = sum(now - earlier <= interval for earlier in failures[:count])
        assert strategy.failed(now) == (Restart(7) if lately <= limit else None)


def test_strategies_of_programs_for_1_x_are_understood() -> None:
    for given_as, description in (
        (RestartStrategies.no_restart(), NoRestart.description),
        (RestartStrategies.fixed_delay_restart(4, 10_000), FixedDelay(4, 10_000).description),
        (RestartStrategies.failure_rate_restart(5, 10_000, 5_000), FailureRate(5, 10_000, 5_000).description),
    ):
        configuration = Configuration()
        given_as.write_to(configuration)
        assert restart_strategy(configuration.to_dict()).description == description


# ---- exponential-delay ----


def test_exponential_delay_has_the_defaults_of_the_reference_system() -> None:
    assert restart_strategy(EXPONENTIAL).description == (
        "ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS=1000, maxBackoffMS=60000, backoffMultiplier=1.5,"
        " resetBackoffThresholdMS=3600000, jitterFactor=0.1, attemptsBeforeResetBackoff=2147483647)"
    )
    strategy, now, waited = restart_strategy(NO_JITTER), 0, []
    for _ in range(14):
        restart = strategy.failed(now)
        assert restart is not None and restart.new_attempt
        waited.append(restart.delay)
        now += restart.delay + 1
    assert waited[:5] == [1_000, 1_500, 2_250, 3_375, 5_062]
    assert waited[-2:] == [60_000, 60_000]


def test_an_hour_of_health_begins_again() -> None:
    for health, delay in ((HOUR - 1, 1_500), (HOUR, 1_000)):
        strategy = restart_strategy({**NO_JITTER, ATTEMPTS: "2"})
        assert strategy.failed(0) == Restart(1_000)
        assert strategy.failed(1_000 + health) == Restart(delay)


def test_failures_until_the_restart_that_is_due_are_one_attempt() -> None:
    strategy = restart_strategy({**NO_JITTER, ATTEMPTS: "1"})
    assert strategy.failed(5_000) == Restart(1_000)
    assert strategy.failed(5_000) == Restart(1_000, new_attempt=False)
    assert strategy.failed(6_000) == Restart(0, new_attempt=False)
    assert strategy.failed(6_001) is None


class ExponentialModel:
    """The pauses without jitter, computed from the number of attempts alone."""

    def __init__(self, initial: int, longest: int, multiplier: float, health: int, attempts: int) -> None:
        self.initial, self.longest, self.multiplier = initial, longest, multiplier
        self.health, self.attempts = health, attempts
        self.count = 0
        self.due: int | None = None

    def failed(self, now: int) -> tuple[str, float]:
        if self.due is not None and now <= self.due:
            return "merged", self.due - now
        if self.due is not None and now - self.due >= self.health:
            self.count = 0
        if self.count >= self.attempts:
            return "over", 0
        backoff = min(self.initial * self.multiplier**self.count, self.longest)
        self.count += 1
        return "restart", backoff


@given(
    initial=st.integers(1, 2_000),
    more=st.integers(0, 20_000),
    multiplier=st.floats(1, 4),
    jitter=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    health=st.integers(1, 20_000),
    attempts=st.integers(1, 12),
    seed=st.text(max_size=40),
    gaps=pauses,
)
def test_exponential_delay_as_its_model(
    initial: int, more: int, multiplier: float, jitter: float, health: int, attempts: int, seed: str, gaps: list[int]
) -> None:
    longest = initial + more
    strategy = ExponentialDelay(initial, longest, multiplier, jitter, health, attempts, seed)
    again = ExponentialDelay(initial, longest, multiplier, jitter, health, attempts, seed)
    model = ExponentialModel(initial, longest, multiplier, health, attempts)
    for now in times(gaps):
        answer = strategy.failed(now)
        assert again.failed(now) == answer
        what, backoff = model.failed(now)
        if what == "over":
            assert answer is None
            continue
        assert answer is not None
        assert answer.new_attempt == (what == "restart")
        if what == "merged":
            assert answer.delay == backoff
            continue
        assert initial <= answer.delay <= longest
        assert abs(answer.delay - backoff) <= max(1, backoff * jitter + 2)
        model.due = now + answer.delay


def test_jitter_scatters_jobs_that_fail_together() -> None:
    configuration = {**EXPONENTIAL, "restart-strategy.exponential-delay.initial-backoff": "10 s"}
    delays = []
    for number in range(200):
        strategy = restart_strategy(configuration, f"{number:032x}/1")
        strategy.failed(0)
        second = strategy.failed(100_000)
        assert second is not None
        delays.append(second.delay)
    assert 13_500 <= min(delays) < 13_700
    assert 16_300 < max(delays) <= 16_500
    assert len(set(delays)) > 150


def test_a_first_pause_longer_than_the_longest() -> None:
    with pytest.raises(ConfigurationError, match="is greater than"):
        restart_strategy({**EXPONENTIAL, "restart-strategy.exponential-delay.initial-backoff": "2 min"})
