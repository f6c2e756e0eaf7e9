"""JobManager, ResourceManager, heartbeats and RPC."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import ConfigOption, duration, integer, number, size, text

JOBMANAGER_RPC_ADDRESS: ConfigOption[str | None] = ConfigOption(
    "jobmanager.rpc.address", text(), None, "Host on which the JobManager of a standalone cluster is reached."
)
JOBMANAGER_RPC_PORT: ConfigOption[int] = ConfigOption(
    "jobmanager.rpc.port", integer(0, 65535), 6123, "Port of the JobManager of a standalone cluster."
)
JOBMANAGER_BIND_HOST: ConfigOption[str | None] = ConfigOption(
    "jobmanager.bind-host", text(), None, "Interface on which the JobManager listens."
)
JOBMANAGER_MEMORY_PROCESS_SIZE: ConfigOption[int] = ConfigOption(
    "jobmanager.memory.process.size",
    size(),
    1600 * 1024**2,
    "Memory of the JobManager's container on YARN, with whatever runs beside it there: the program's main(), the"
    " ApplicationMaster.",
)
COMPLETED_APPLICATION_STORE_EXPIRATION_TIME: ConfigOption[int] = ConfigOption(
    "completed-application-store.expiration-time",
    duration(),
    3_600_000,
    "How long the JobManager remembers ended jobs.",
    ("jobstore.expiration-time",),
)
COMPLETED_APPLICATION_STORE_MAX_CAPACITY: ConfigOption[int] = ConfigOption(
    "completed-application-store.max-capacity",
    integer(0, 2**31 - 1),
    2**31 - 1,
    "How many ended jobs the JobManager remembers.",
    ("jobstore.max-capacity",),
)
CLUSTER_REGISTRATION_INITIAL_TIMEOUT: ConfigOption[int] = ConfigOption(
    "cluster.registration.initial-timeout", duration(), 100, "First time-out of a registration; it doubles each time."
)
CLUSTER_REGISTRATION_MAX_TIMEOUT: ConfigOption[int] = ConfigOption(
    "cluster.registration.max-timeout", duration(), 30_000, "Longest time-out of a registration."
)
CLUSTER_REGISTRATION_REFUSED_REGISTRATION_DELAY: ConfigOption[int] = ConfigOption(
    "cluster.registration.refused-registration-delay", duration(), 30_000, "Pause after a registration was refused."
)
RESOURCEMANAGER_TASKMANAGER_TIMEOUT: ConfigOption[int] = ConfigOption(
    "resourcemanager.taskmanager-timeout",
    duration(),
    30_000,
    "After which time an idle TaskManager is released.",
    ("slotmanager.taskmanager-timeout",),
)
RESOURCEMANAGER_PREVIOUS_WORKER_RECOVERY_TIMEOUT: ConfigOption[int] = ConfigOption(
    "resourcemanager.previous-worker.recovery.timeout",
    duration(),
    0,
    "How long a restarted JobManager waits for TaskManagers of its predecessor before it starts new ones.",
)
RESOURCEMANAGER_START_WORKER_MAX_FAILURE_RATE: ConfigOption[float] = ConfigOption(
    "resourcemanager.start-worker.max-failure-rate",
    number(0.0),
    10.0,
    "How many TaskManagers may end within a minute before they were ready; after more, starting others pauses.",
)
RESOURCEMANAGER_START_WORKER_RETRY_INTERVAL: ConfigOption[int] = ConfigOption(
    "resourcemanager.start-worker.retry-interval", duration(), 3_000, "Length of that pause."
)
SLOTMANAGER_NUMBER_OF_SLOTS_MAX: ConfigOption[int] = ConfigOption(
    "slotmanager.number-of-slots.max", integer(1, 2**31 - 1), 2**31 - 1, "Largest number of slots of the cluster."
)
SLOTMANAGER_NUMBER_OF_SLOTS_MIN: ConfigOption[int] = ConfigOption(
    "slotmanager.number-of-slots.min", integer(0, 2**31 - 1), 0, "Number of slots that are kept even when idle."
)
HEARTBEAT_INTERVAL: ConfigOption[int] = ConfigOption(
    "heartbeat.interval", duration(1), 10_000, "Period of heartbeats between JobManager and TaskManagers."
)
HEARTBEAT_TIMEOUT: ConfigOption[int] = ConfigOption(
    "heartbeat.timeout", duration(1), 50_000, "After which silence the other side is taken for dead."
)
PEKKO_ASK_TIMEOUT: ConfigOption[int] = ConfigOption(
    "pekko.ask.timeout", duration(1), 10_000, "Deadline of an RPC call.", ("akka.ask.timeout",)
)
BLOB_FETCH_RETRIES: ConfigOption[int] = ConfigOption(
    "blob.fetch.retries", integer(0), 5, "How often a failed fetch of a blob is repeated."
)
BLOB_FETCH_NUM_CONCURRENT: ConfigOption[int] = ConfigOption(
    "blob.fetch.num-concurrent", integer(1), 50, "How many blobs are fetched at once."
)
BLOB_SERVICE_CLEANUP_INTERVAL: ConfigOption[int] = ConfigOption(
    "blob.service.cleanup.interval", integer(1), 3600, "Seconds after which unused blobs leave a TaskManager's cache."
)
