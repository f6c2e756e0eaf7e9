"""Restart, failover and scheduling."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import ConfigOption, choice, duration, integer, number

RESTART_STRATEGY_TYPE: ConfigOption[str | None] = ConfigOption(
    "restart-strategy.type",
    choice(
        "none",
        "fixed-delay",
        "failure-rate",
        "exponential-delay",
        aliases={
            "off": "none",
            "disable": "none",
            "fixeddelay": "fixed-delay",
            "failurerate": "failure-rate",
            "exponentialdelay": "exponential-delay",
        },
    ),
    None,
    "What happens after a failure: `none` (also `off`, `disable`), or a restart after a pause: `fixed-delay` for a"
    " number of times, `failure-rate` as long as failures are rare, `exponential-delay` with pauses that grow; unset"
    " means none.",
    ("restart-strategy",),
)
RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS: ConfigOption[int] = ConfigOption(
    "restart-strategy.fixed-delay.attempts", integer(0, 2**31 - 1), 1, "How often a failed job is restarted."
)
RESTART_STRATEGY_FIXED_DELAY_DELAY: ConfigOption[int] = ConfigOption(
    "restart-strategy.fixed-delay.delay", duration(), 1000, "Pause before each restart."
)
RESTART_STRATEGY_FAILURE_RATE_MAX_FAILURES_PER_INTERVAL: ConfigOption[int] = ConfigOption(
    "restart-strategy.failure-rate.max-failures-per-interval",
    integer(1, 2**31 - 1),
    1,
    "How many failures within an interval are followed by a restart; one more fails the job.",
)
RESTART_STRATEGY_FAILURE_RATE_FAILURE_RATE_INTERVAL: ConfigOption[int] = ConfigOption(
    "restart-strategy.failure-rate.failure-rate-interval",
    duration(1),
    60_000,
    "The interval in which failures are counted.",
)
RESTART_STRATEGY_FAILURE_RATE_DELAY: ConfigOption[int] = ConfigOption(
    "restart-strategy.failure-rate.delay", duration(), 1000, "Pause before each restart."
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_INITIAL_BACKOFF: ConfigOption[int] = ConfigOption(
    "restart-strategy.exponential-delay.initial-backoff", duration(1), 1000, "The first pause, and the shortest."
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_MAX_BACKOFF: ConfigOption[int] = ConfigOption(
    "restart-strategy.exponential-delay.max-backoff", duration(1), 60_000, "The longest pause."
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_BACKOFF_MULTIPLIER: ConfigOption[float] = ConfigOption(
    "restart-strategy.exponential-delay.backoff-multiplier",
    number(1.0),
    1.5,
    "How many times as long as the one before the next pause is.",
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_JITTER_FACTOR: ConfigOption[float] = ConfigOption(
    "restart-strategy.exponential-delay.jitter-factor",
    number(0.0, 1.0),
    0.1,
    "By which share of it a pause is made longer or shorter, so that jobs that failed together do not come back"
    " together.",
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_RESET_BACKOFF_THRESHOLD: ConfigOption[int] = ConfigOption(
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    duration(1),
    3_600_000,
    "After which time without failures the pauses and the attempts begin again.",
)
RESTART_STRATEGY_EXPONENTIAL_DELAY_ATTEMPTS_BEFORE_RESET_BACKOFF: ConfigOption[int] = ConfigOption(
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    integer(1, 2**31 - 1),
    2**31 - 1,
    "How often a job is restarted before that time is reached; one more failure fails it. Failures until the restart"
    " that is due count as one.",
)
JOBMANAGER_EXECUTION_FAILOVER_STRATEGY: ConfigOption[str] = ConfigOption(
    "jobmanager.execution.failover-strategy",
    choice("region", "full"),
    "region",
    "What is restarted after a failure: the `region` of connected tasks, or the `full` job.",
)
SLOT_REQUEST_TIMEOUT: ConfigOption[int] = ConfigOption(
    "slot.request.timeout",
    duration(),
    300_000,
    "How long a job waits for slots before it fails.",
    ("slotmanager.request-timeout",),
)
TASK_CANCELLATION_INTERVAL: ConfigOption[int] = ConfigOption(
    "task.cancellation.interval",
    duration(),
    5_000,
    "After which time a task that ignores its cancellation is sent SIGTERM. The reference system's default is 30 s.",
)
TASK_CANCELLATION_TIMEOUT: ConfigOption[int] = ConfigOption(
    "task.cancellation.timeout",
    duration(),
    10_000,
    "After which time the worker process of such a task is killed; 0 waits for ever. The reference system's default is"
    " 3 min, and it ends the whole TaskManager.",
)
