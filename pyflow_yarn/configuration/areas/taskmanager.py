"""TaskManager: slots, addresses, memory and network."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import (
    ConfigOption,
    choice,
    duration,
    integer,
    number,
    size,
    text,
)

_MB = 1024**2

TASKMANAGER_NUMBER_OF_TASK_SLOTS: ConfigOption[int] = ConfigOption(
    "taskmanager.numberOfTaskSlots",
    integer(1, 4096),
    1,
    "Number of slots of a TaskManager, each a process of its own. With target `local`, unset means: as many as needed.",
)
TASKMANAGER_HOST: ConfigOption[str | None] = ConfigOption(
    "taskmanager.host",
    text(),
    None,
    "Host under which a TaskManager is reached by others.",
    ("taskmanager.hostname",),
)
TASKMANAGER_BIND_HOST: ConfigOption[str | None] = ConfigOption(
    "taskmanager.bind-host", text(), None, "Interface on which a TaskManager listens."
)
TASKMANAGER_DATA_PORT: ConfigOption[int] = ConfigOption(
    "taskmanager.data.port", integer(0, 65535), 0, "Port for data between workers; 0 takes any free one."
)
TASKMANAGER_RESOURCE_ID: ConfigOption[str | None] = ConfigOption(
    "taskmanager.resource-id", text(), None, "Id of the TaskManager; unset: a generated one."
)
TASKMANAGER_REGISTRATION_TIMEOUT: ConfigOption[int] = ConfigOption(
    "taskmanager.registration.timeout",
    duration(),
    300_000,
    "After which time without a JobManager the TaskManager gives up and ends.",
    ("taskmanager.maxRegistrationDuration",),
)
TASKMANAGER_LOAD_BALANCE_MODE: ConfigOption[str] = ConfigOption(
    "taskmanager.load-balance.mode",
    choice("NONE", "MIN_RESOURCES", "SLOTS", "TASKS"),
    "NONE",
    "How slots are chosen: one TaskManager after the other (`NONE`), the fullest first (`MIN_RESOURCES`), or spread"
    " evenly by slots or by tasks.",
)
TASKMANAGER_MEMORY_PROCESS_SIZE: ConfigOption[int | None] = ConfigOption(
    "taskmanager.memory.process.size",
    size(),
    1728 * _MB,
    "Memory of a TaskManager with all its worker processes: supervisor, network, managed memory, and the slots' own.",
)
TASKMANAGER_MEMORY_FLINK_SIZE: ConfigOption[int | None] = ConfigOption(
    "taskmanager.memory.flink.size",
    size(),
    None,
    "Memory without the supervisor's share: network, managed memory and the slots' own.",
)
TASKMANAGER_MEMORY_TASK_HEAP_SIZE: ConfigOption[int | None] = ConfigOption(
    "taskmanager.memory.task.heap.size",
    size(),
    None,
    "Memory of all slots for Python objects of user functions; unset: what the other parts leave.",
)
TASKMANAGER_MEMORY_MANAGED_SIZE: ConfigOption[int | None] = ConfigOption(
    "taskmanager.memory.managed.size",
    size(),
    None,
    "Managed memory (state, sorting, spilling), split evenly among the slots; unset: the fraction below.",
    ("taskmanager.memory.size",),
)
TASKMANAGER_MEMORY_MANAGED_FRACTION: ConfigOption[float] = ConfigOption(
    "taskmanager.memory.managed.fraction",
    number(0, 1),
    0.4,
    "Managed memory as a share of `taskmanager.memory.flink.size`.",
    ("taskmanager.memory.fraction",),
)
TASKMANAGER_MEMORY_NETWORK_FRACTION: ConfigOption[float] = ConfigOption(
    "taskmanager.memory.network.fraction",
    number(0, 1),
    0.1,
    "Memory of buffers between workers as a share of `taskmanager.memory.flink.size`.",
    ("taskmanager.network.memory.fraction",),
)
TASKMANAGER_MEMORY_NETWORK_MIN: ConfigOption[int] = ConfigOption(
    "taskmanager.memory.network.min", size(), 64 * _MB, "Least of it.", ("taskmanager.network.memory.min",)
)
TASKMANAGER_MEMORY_NETWORK_MAX: ConfigOption[int | None] = ConfigOption(
    "taskmanager.memory.network.max",
    size(),
    None,
    "Most of it; unset: no bound.",
    ("taskmanager.network.memory.max",),
)
TASKMANAGER_MEMORY_JVM_OVERHEAD_FRACTION: ConfigOption[float] = ConfigOption(
    "taskmanager.memory.jvm-overhead.fraction",
    number(0, 1),
    0.1,
    "Memory of the supervisor process as a share of the process size (there is no JVM; the name is Flink's).",
)
TASKMANAGER_MEMORY_JVM_OVERHEAD_MIN: ConfigOption[int] = ConfigOption(
    "taskmanager.memory.jvm-overhead.min", size(), 64 * _MB, "Least of it. The reference system's default is 192 mb."
)
TASKMANAGER_MEMORY_JVM_OVERHEAD_MAX: ConfigOption[int] = ConfigOption(
    "taskmanager.memory.jvm-overhead.max", size(), 1024 * _MB, "Most of it."
)
TASKMANAGER_NETWORK_TRANSPORT: ConfigOption[str] = ConfigOption(
    "taskmanager.network.transport",
    choice("auto", "unix", "tcp", "tls"),
    "auto",
    "How workers exchange data: `auto` takes Unix sockets on one host and otherwise TCP, with TLS where"
    " `security.ssl.internal.enabled`; the other values force one of them.",
)
TASKMANAGER_NETWORK_BATCH_SIZE: ConfigOption[int] = ConfigOption(
    "taskmanager.network.batch-size",
    integer(1024, 8192),
    4096,
    "Largest number of records in one batch.",
)
TASKMANAGER_NETWORK_CREDITS_PER_CHANNEL: ConfigOption[int] = ConfigOption(
    "taskmanager.network.credits-per-channel",
    integer(1, 1024),
    2,
    "Number of batches that a consumer lets a producer send ahead on each channel.",
)
