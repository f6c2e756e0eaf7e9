"""``RuntimeContext`` as functions get it in ``open``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyflow_runtime.state.backend import KeyedStateBackend
from pyflow_runtime.state.metric_group import MetricGroup
from pyflow_yarn.datastream.functions import ReduceFunction, RuntimeContext
from pyflow_yarn.datastream.state import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ReducingState,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)
from pyflow_yarn.errors import NotYetSupportedError, UserError

if TYPE_CHECKING:
    from pyflow_runtime.operators.operator import TaskContext


class DistributedCache:
    """The files that the program registered with ``register_cached_file``."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def get_file(self, name: str) -> str:
        """Path of the local copy of a registered file or directory."""
        try:
            return self._files[name]
        except KeyError:
            known = ", ".join(sorted(self._files)) or "none"
            raise UserError(
                f"There is no cached file '{name}' (registered: {known}):"
                f" call env.register_cached_file(path, '{name}')."
            ) from None


class WorkerRuntimeContext(RuntimeContext):
    """The context of one operator; ``backend`` is None unless the operator is keyed."""

    def __init__(self, task: TaskContext) -> None:
        self._task = task
        self._metrics = MetricGroup()
        self.backend: KeyedStateBackend | None = None

    def get_task_name(self) -> str:
        """As the interface says."""
        return self._task.task_name

    def get_number_of_parallel_subtasks(self) -> int:
        """As the interface says."""
        return self._task.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        """As the interface says."""
        return self._task.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        """As the interface says."""
        return self._task.subtask

    def get_attempt_number(self) -> int:
        """As the interface says."""
        return self._task.attempt

    def get_task_name_with_subtasks(self) -> str:
        """As the interface says."""
        return f"{self._task.task_name} ({self._task.subtask + 1}/{self._task.parallelism})"

    def get_job_parameter(self, key: str, default_value: str) -> str:
        """As the interface says."""
        return self._task.job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        """As the interface says."""
        return self._metrics

    def get_distributed_cache(self) -> DistributedCache:
        """The files that travelled with the job."""
        return DistributedCache(self._task.cached_files)

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """As the interface says."""
        return self._backend(state_descriptor).value_state(state_descriptor.get_name())

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """As the interface says."""
        return self._backend(state_descriptor).list_state(state_descriptor.get_name())

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """As the interface says."""
        return self._backend(state_descriptor).map_state(state_descriptor.get_name())

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """As the interface says."""
        function = state_descriptor.get_reduce_function()
        reduce = function.reduce if isinstance(function, ReduceFunction) else function
        return self._backend(state_descriptor).reducing_state(state_descriptor.get_name(), reduce)

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """As the interface says."""
        function = state_descriptor.get_agg_function()
        return self._backend(state_descriptor).aggregating_state(state_descriptor.get_name(), function)

    def _backend(self, descriptor: StateDescriptor) -> KeyedStateBackend:
        if self.backend is None:
            raise UserError(
                f"The state '{descriptor.get_name()}' is keyed state, which only functions after key_by have."
            )
        if descriptor.ttl_config is not None and descriptor.ttl_config.is_enabled():
            raise NotYetSupportedError(
                f"State with a time to live ('{descriptor.get_name()}') is not supported yet:"
                " remove enable_time_to_live."
            )
        return self.backend
