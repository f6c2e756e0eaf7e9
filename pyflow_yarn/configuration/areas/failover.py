"""Restart, failover and scheduling."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import ConfigOption, choice, duration, integer

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
    "What happens after a failure: `none` (also `off`, `disable`) or `fixed-delay`; unset means none.",
    ("restart-strategy",),
)
RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS: ConfigOption[int] = ConfigOption(
    "restart-strategy.fixed-delay.attempts", integer(0, 2**31 - 1), 1, "How often a failed job is restarted."
)
RESTART_STRATEGY_FIXED_DELAY_DELAY: ConfigOption[int] = ConfigOption(
    "restart-strategy.fixed-delay.delay", duration(), 1000, "Pause before each restart."
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
