"""``ExecutionConfig``: how a program is executed, by methods instead of keys."""

from __future__ import annotations

from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.execution_mode import ExecutionMode
from pyflow_yarn.common.input_dependency_constraint import InputDependencyConstraint
from pyflow_yarn.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration
from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.config_option import ConfigOption
from pyflow_yarn.errors import ConfigurationError

__all__ = ["ExecutionConfig"]

MAX_PARALLELISM = 32768


class ExecutionConfig:
    """Reads and writes the configuration of its environment."""

    PARALLELISM_DEFAULT = -1
    PARALLELISM_UNKNOWN = -2

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration() if configuration is None else configuration
        self._restart_strategy: RestartStrategyConfiguration = RestartStrategies.fall_back_restart()
        self._execution_mode = ExecutionMode.PIPELINED
        self._input_dependency_constraint = InputDependencyConstraint.ANY

    def _flag(self, key: str, default: bool) -> bool:
        return self._configuration.get_boolean(key, default)

    def _set_flag(self, key: str, value: bool) -> ExecutionConfig:
        self._configuration.set_boolean(key, value)
        return self

    def _milliseconds(self, option: ConfigOption[int]) -> int:
        value = self._configuration.get(option)
        assert value is not None
        return value

    def enable_closure_cleaner(self) -> ExecutionConfig:
        """Accepted for compatibility; Python functions need none."""
        self._configuration.set_string("pipeline.closure-cleaner-level", "RECURSIVE")
        return self

    def disable_closure_cleaner(self) -> ExecutionConfig:
        """Accepted for compatibility; Python functions need none."""
        self._configuration.set_string("pipeline.closure-cleaner-level", "NONE")
        return self

    def is_closure_cleaner_enabled(self) -> bool:
        """What was set."""
        return self._configuration.get_string("pipeline.closure-cleaner-level", "RECURSIVE") != "NONE"

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        """Period of watermark generators in milliseconds; 0 turns them off."""
        self._configuration.set(options.PIPELINE_AUTO_WATERMARK_INTERVAL, _not_negative("watermark interval", interval))
        return self

    def get_auto_watermark_interval(self) -> int:
        """That period."""
        return self._milliseconds(options.PIPELINE_AUTO_WATERMARK_INTERVAL)

    def set_latency_tracking_interval(self, interval: int) -> ExecutionConfig:
        """Period of latency markers in milliseconds; 0 or less turns them off."""
        self._configuration.set_integer("metrics.latency.interval", max(interval, 0))
        return self

    def get_latency_tracking_interval(self) -> int:
        """That period."""
        return self._configuration.get_integer("metrics.latency.interval", 0)

    def get_parallelism(self) -> int:
        """Parallelism of operators that have none of their own."""
        return self._milliseconds(options.PARALLELISM_DEFAULT)

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Parallelism of operators that have none of their own."""
        if parallelism == self.PARALLELISM_UNKNOWN:
            return self
        if _whole_number("parallelism", parallelism) < 1 and parallelism != self.PARALLELISM_DEFAULT:
            raise ConfigurationError(
                f"The parallelism must be at least 1, or {self.PARALLELISM_DEFAULT} for the default, not {parallelism}."
            )
        self._configuration.set(options.PARALLELISM_DEFAULT, parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """Number of key groups; -1 if it is derived from the parallelism."""
        return self._milliseconds(options.PIPELINE_MAX_PARALLELISM)

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        """Number of key groups."""
        if not 0 < _whole_number("maximum parallelism", max_parallelism) <= MAX_PARALLELISM:
            raise ConfigurationError(
                f"The maximum parallelism must be from 1 to {MAX_PARALLELISM}, not {max_parallelism}."
            )
        self._configuration.set(options.PIPELINE_MAX_PARALLELISM, max_parallelism)
        return self

    def get_task_cancellation_interval(self) -> int:
        """Milliseconds after which a task that ignores its cancellation is signalled."""
        return self._milliseconds(options.TASK_CANCELLATION_INTERVAL)

    def set_task_cancellation_interval(self, interval: int) -> ExecutionConfig:
        """Milliseconds after which a task that ignores its cancellation is signalled."""
        self._configuration.set(options.TASK_CANCELLATION_INTERVAL, _not_negative("cancellation interval", interval))
        return self

    def get_task_cancellation_timeout(self) -> int:
        """Milliseconds after which such a task's worker is killed; 0: never."""
        return self._milliseconds(options.TASK_CANCELLATION_TIMEOUT)

    def set_task_cancellation_timeout(self, timeout: int) -> ExecutionConfig:
        """Milliseconds after which such a task's worker is killed; 0: never."""
        self._configuration.set(options.TASK_CANCELLATION_TIMEOUT, _not_negative("cancellation time-out", timeout))
        return self

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> ExecutionConfig:
        """What happens after a failure; sets ``restart-strategy.*``."""
        self._restart_strategy = restart_strategy_configuration
        restart_strategy_configuration.write_to(self._configuration)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What was set."""
        return self._restart_strategy

    def set_execution_mode(self, execution_mode: ExecutionMode) -> None:
        """Accepted for compatibility; ``execution.runtime-mode`` decides."""
        self._execution_mode = execution_mode

    def get_execution_mode(self) -> ExecutionMode:
        """What was set."""
        return self._execution_mode

    def set_default_input_dependency_constraint(self, input_dependency_constraint: InputDependencyConstraint) -> None:
        """Accepted for compatibility; pipelined regions are scheduled as a whole."""
        self._input_dependency_constraint = input_dependency_constraint

    def get_default_input_dependency_constraint(self) -> InputDependencyConstraint:
        """What was set."""
        return self._input_dependency_constraint

    def enable_force_kryo(self) -> None:
        """Accepted for compatibility; there is no Kryo here."""
        self._set_flag("pipeline.force-kryo", True)

    def disable_force_kryo(self) -> None:
        """Accepted for compatibility; there is no Kryo here."""
        self._set_flag("pipeline.force-kryo", False)

    def is_force_kryo_enabled(self) -> bool:
        """What was set."""
        return self._flag("pipeline.force-kryo", False)

    def enable_generic_types(self) -> None:
        """Accepted for compatibility; there is no Kryo here."""
        self._set_flag("pipeline.generic-types", True)

    def disable_generic_types(self) -> None:
        """Accepted for compatibility; there is no Kryo here."""
        self._set_flag("pipeline.generic-types", False)

    def has_generic_types_disabled(self) -> bool:
        """What was set."""
        return not self._flag("pipeline.generic-types", True)

    def enable_auto_generated_uids(self) -> None:
        """Operators without a uid get a generated one."""
        self._set_flag("pipeline.auto-generate-uids", True)

    def disable_auto_generated_uids(self) -> None:
        """Every operator must have a uid."""
        self._set_flag("pipeline.auto-generate-uids", False)

    def has_auto_generated_uids_enabled(self) -> bool:
        """What was set."""
        return self._flag("pipeline.auto-generate-uids", True)

    def enable_force_avro(self) -> None:
        """Accepted for compatibility; records are not serialized with Avro here."""
        self._set_flag("pipeline.force-avro", True)

    def disable_force_avro(self) -> None:
        """Accepted for compatibility; records are not serialized with Avro here."""
        self._set_flag("pipeline.force-avro", False)

    def is_force_avro_enabled(self) -> bool:
        """What was set."""
        return self._flag("pipeline.force-avro", False)

    def enable_object_reuse(self) -> ExecutionConfig:
        """Accepted for compatibility; chained operators always hand objects over without a copy."""
        return self._set_flag("pipeline.object-reuse", True)

    def disable_object_reuse(self) -> ExecutionConfig:
        """Accepted for compatibility; chained operators always hand objects over without a copy."""
        return self._set_flag("pipeline.object-reuse", False)

    def is_object_reuse_enabled(self) -> bool:
        """What was set."""
        return self._flag("pipeline.object-reuse", False)

    def get_global_job_parameters(self) -> dict[str, str]:
        """Parameters that functions read through their runtime context."""
        return self._configuration.get(options.PIPELINE_GLOBAL_JOB_PARAMETERS) or {}

    def set_global_job_parameters(self, global_job_parameters_dict: dict[str, str]) -> ExecutionConfig:
        """Parameters that functions read through their runtime context."""
        parameters = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        self._configuration.set(options.PIPELINE_GLOBAL_JOB_PARAMETERS, parameters)
        return self

    def is_use_snapshot_compression(self) -> bool:
        """Whether snapshots are compressed."""
        return self._flag("execution.checkpointing.snapshot-compression", False)

    def set_use_snapshot_compression(self, use_snapshot_compression: bool) -> ExecutionConfig:
        """Whether snapshots are compressed."""
        return self._set_flag("execution.checkpointing.snapshot-compression", use_snapshot_compression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and self._configuration == other._configuration

    def __hash__(self) -> int:
        return hash(self._configuration)


def _whole_number(what: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"The {what} must be a whole number, not {value!r}.")
    return value


def _not_negative(what: str, milliseconds: int) -> int:
    if _whole_number(what, milliseconds) < 0:
        raise ConfigurationError(f"The {what} must be a number of milliseconds from 0, not {milliseconds}.")
    return milliseconds
