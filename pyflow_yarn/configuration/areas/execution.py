"""Where a job runs and how its pipeline is built."""

from __future__ import annotations

from pyflow_yarn.configuration.config_option import (
    ConfigOption,
    boolean,
    choice,
    duration,
    integer,
    string_list,
    string_map,
    text,
)

EXECUTION_TARGET: ConfigOption[str] = ConfigOption(
    "execution.target",
    text(),
    "local",
    "Where `run` executes a job: `local` (a cluster of processes on this machine that ends with the job), `remote`,"
    " `yarn-session`, `yarn-per-job`, `yarn-application`.",
)
EXECUTION_ATTACHED: ConfigOption[bool] = ConfigOption(
    "execution.attached",
    boolean(),
    False,
    "Whether the client waits for the job's result; the command line sets it unless `-d` is given.",
)
EXECUTION_SHUTDOWN_ON_ATTACHED_EXIT: ConfigOption[bool] = ConfigOption(
    "execution.shutdown-on-attached-exit",
    boolean(),
    False,
    "Whether the job is cancelled when its attached client ends abruptly.",
)
CLIENT_HEARTBEAT_INTERVAL: ConfigOption[int] = ConfigOption(
    "client.heartbeat.interval",
    duration(1),
    30_000,
    "How often a client whose job is cancelled with it (`execution.shutdown-on-attached-exit`) says that it lives.",
)
CLIENT_HEARTBEAT_TIMEOUT: ConfigOption[int] = ConfigOption(
    "client.heartbeat.timeout", duration(1), 180_000, "After which silence of such a client its job is cancelled."
)
EXECUTION_RUNTIME_MODE: ConfigOption[str] = ConfigOption(
    "execution.runtime-mode",
    choice("STREAMING", "BATCH", "AUTOMATIC"),
    "STREAMING",
    "How the pipeline is executed: `STREAMING`, `BATCH`, or `AUTOMATIC` (batch when all sources are bounded).",
)
EXECUTION_BUFFER_TIMEOUT_ENABLED: ConfigOption[bool] = ConfigOption(
    "execution.buffer-timeout.enabled",
    boolean(),
    True,
    "Whether output is flushed after `execution.buffer-timeout.interval`; otherwise only full buffers are.",
)
EXECUTION_BUFFER_TIMEOUT_INTERVAL: ConfigOption[int] = ConfigOption(
    "execution.buffer-timeout.interval",
    duration(),
    100,
    "Longest time a record waits in an output buffer; 0 flushes after each record.",
    ("execution.buffer-timeout",),
)
PARALLELISM_DEFAULT: ConfigOption[int] = ConfigOption(
    "parallelism.default",
    integer(-1, 32768),
    1,
    "Parallelism of a job when neither the program nor the command line says.",
)
PIPELINE_NAME: ConfigOption[str | None] = ConfigOption("pipeline.name", text(), None, "Name of the job.")
PIPELINE_MAX_PARALLELISM: ConfigOption[int] = ConfigOption(
    "pipeline.max-parallelism",
    integer(-1, 32768),
    -1,
    "Number of key groups, hence the largest parallelism state can be scaled to; -1 derives it from the parallelism.",
)
PIPELINE_OBJECT_REUSE: ConfigOption[bool] = ConfigOption(
    "pipeline.object-reuse",
    boolean(),
    False,
    "Accepted for compatibility: chained operators always hand objects over without a copy.",
)
PIPELINE_OPERATOR_CHAINING_ENABLED: ConfigOption[bool] = ConfigOption(
    "pipeline.operator-chaining.enabled",
    boolean(),
    True,
    "Whether operators connected forward are fused into one task.",
    ("pipeline.operator-chaining",),
)
PIPELINE_OPERATOR_CHAINING_CHAIN_OPERATORS_WITH_DIFFERENT_MAX_PARALLELISM: ConfigOption[bool] = ConfigOption(
    "pipeline.operator-chaining.chain-operators-with-different-max-parallelism",
    boolean(),
    True,
    "Whether operators with different maximum parallelism may be fused.",
)
PIPELINE_AUTO_WATERMARK_INTERVAL: ConfigOption[int] = ConfigOption(
    "pipeline.auto-watermark-interval",
    duration(),
    200,
    "Period in which watermark generators are asked for a watermark; 0 turns it off.",
)
PIPELINE_AUTO_GENERATE_UIDS: ConfigOption[bool] = ConfigOption(
    "pipeline.auto-generate-uids",
    boolean(),
    True,
    "Whether operators without a uid get a generated one; otherwise each must have one.",
)
PIPELINE_GLOBAL_JOB_PARAMETERS: ConfigOption[dict[str, str] | None] = ConfigOption(
    "pipeline.global-job-parameters",
    string_map(),
    None,
    "Parameters that functions read through their runtime context; shown in the web interface.",
)
PIPELINE_CACHED_FILES: ConfigOption[list[str] | None] = ConfigOption(
    "pipeline.cached-files",
    string_list(),
    None,
    "Files for the distributed cache, each as `name:file1,path:'file:///tmp/file1'`.",
)
PIPELINE_VERTEX_DESCRIPTION_MODE: ConfigOption[str] = ConfigOption(
    "pipeline.vertex-description-mode",
    choice("TREE", "CASCADING"),
    "TREE",
    "How the description of a vertex shows its chain of operators.",
)
PIPELINE_VERTEX_NAME_INCLUDE_INDEX_PREFIX: ConfigOption[bool] = ConfigOption(
    "pipeline.vertex-name-include-index-prefix",
    boolean(),
    False,
    "Whether names of vertices begin with `[vertex-n]`.",
)
INTERNAL_PIPELINE_JOB_ID: ConfigOption[str | None] = ConfigOption(
    "$internal.pipeline.job-id", text(), None, "Fixed id of the job, 32 hexadecimal digits."
)
