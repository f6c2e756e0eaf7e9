"""What programs of every kind use: types, rows, configuration, job clients. PyFlink's names and signatures."""

from __future__ import annotations

from pyflow_yarn.common.completable_future import CompletableFuture
from pyflow_yarn.common.config_options import ConfigOption, ConfigOptions
from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.execution_config import ExecutionConfig
from pyflow_yarn.common.execution_mode import ExecutionMode
from pyflow_yarn.common.input_dependency_constraint import InputDependencyConstraint
from pyflow_yarn.common.job_client import JobClient
from pyflow_yarn.common.job_execution_result import JobExecutionResult
from pyflow_yarn.common.job_id import JobID
from pyflow_yarn.common.job_status import JobStatus
from pyflow_yarn.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
from pyflow_yarn.common.serialization import (
    ByteArraySchema,
    DeserializationSchema,
    Encoder,
    SerializationSchema,
    SimpleStringSchema,
)
from pyflow_yarn.common.time import Duration, Instant, Time
from pyflow_yarn.common.typeinfo import TypeInformation, Types
from pyflow_yarn.common.types import Row, RowKind
from pyflow_yarn.common.watermark_strategy import TimestampAssigner, WatermarkStrategy

__all__ = [
    "ByteArraySchema",
    "CompletableFuture",
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "DeserializationSchema",
    "Duration",
    "Encoder",
    "ExecutionConfig",
    "ExecutionMode",
    "InputDependencyConstraint",
    "Instant",
    "JobClient",
    "JobExecutionResult",
    "JobID",
    "JobStatus",
    "RestartStrategies",
    "RestartStrategyConfiguration",
    "Row",
    "RowKind",
    "SerializationSchema",
    "SimpleStringSchema",
    "Time",
    "TimestampAssigner",
    "TypeInformation",
    "Types",
    "WatermarkStrategy",
]
