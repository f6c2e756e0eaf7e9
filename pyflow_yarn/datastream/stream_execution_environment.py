"""The environment: where a program begins, and where it hands its job over."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.execution_config import ExecutionConfig
from pyflow_yarn.configuration import options
from pyflow_yarn.datastream import execution, job_files
from pyflow_yarn.datastream.call_site import declared_at
from pyflow_yarn.datastream.checkpointing_mode import CheckpointingMode
from pyflow_yarn.datastream.data_stream import CloseableIterator, DataStream
from pyflow_yarn.datastream.execution_mode import RuntimeExecutionMode
from pyflow_yarn.datastream.not_yet import not_yet
from pyflow_yarn.datastream.program import Program, slot_sharing_group_name
from pyflow_yarn.datastream.source import Source
from pyflow_yarn.datastream.state_backend import HashMapStateBackend, StateBackend
from pyflow_yarn.datastream.time_characteristic import TimeCharacteristic
from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.operators import OperatorKind, SourceOperator
from pyflow_yarn.graph.stream_graph import StreamGraph, stream_graph
from pyflow_yarn.graph.transformations import (
    ChainingStrategy,
    GraphSettings,
    OperatorTransformation,
    Pipeline,
    Transformation,
)

if TYPE_CHECKING:
    from pyflow_yarn.common.job_client import JobClient
    from pyflow_yarn.common.job_execution_result import JobExecutionResult
    from pyflow_yarn.common.restart_strategy import RestartStrategyConfiguration
    from pyflow_yarn.common.typeinfo import TypeInformation
    from pyflow_yarn.common.watermark_strategy import WatermarkStrategy
    from pyflow_yarn.datastream.slot_sharing_group import SlotSharingGroup

T = TypeVar("T")

JOB_NAME = "Flink Streaming Job"
NOT_YET_KEYS = {
    "execution.checkpointing.interval": "Checkpoints are",
    "execution.state-recovery.path": "Savepoints are",
}


class StreamExecutionEnvironment:
    """Where a program begins: it makes sources, and runs what was declared with ``execute()``."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration.from_dict(dict(execution.get_executor().configuration))
        self._config = ExecutionConfig(self._configuration)
        self.program = Program()
        self._time_characteristic = TimeCharacteristic.EventTime
        if configuration is not None:
            self.configure(configuration)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a StreamExecutionEnvironment belongs to the program and cannot be sent to workers")

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> StreamExecutionEnvironment:
        """The environment of this program; ``configuration`` wins over configuration file and command line."""
        return StreamExecutionEnvironment(configuration)

    # ---- configuration ----

    def configure(self, configuration: Configuration) -> None:
        """Take over all entries of ``configuration``."""
        if not isinstance(configuration, Configuration):
            raise TypeError(f"configure() takes a Configuration, not {type(configuration).__name__}.")
        self._configuration.add_all(configuration)

    def get_config(self) -> ExecutionConfig:
        """The configuration by methods instead of keys."""
        return self._config

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Parallelism of operators that have none of their own."""
        self._config.set_parallelism(parallelism)
        return self

    def get_parallelism(self) -> int:
        """Parallelism of operators that have none of their own."""
        return max(self._config.get_parallelism(), 1)

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Maximum parallelism of operators that have none of their own: the number of key groups."""
        self._config.set_max_parallelism(max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """Maximum parallelism of operators that have none of their own; -1 if it follows from their parallelism."""
        return self._config.get_max_parallelism()

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> StreamExecutionEnvironment:
        """Streaming, or automatic (which is streaming as long as there is no batch mode)."""
        if not isinstance(execution_mode, RuntimeExecutionMode):
            raise TypeError(f"set_runtime_mode() takes a RuntimeExecutionMode, not {type(execution_mode).__name__}.")
        _refuse_batch(execution_mode.name)
        self._configuration.set(options.EXECUTION_RUNTIME_MODE, execution_mode.name)
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> StreamExecutionEnvironment:
        """Longest time a record waits in an output buffer; 0: none; -1: until the buffer is full."""
        if timeout_millis < -1:
            raise ValueError(f"The buffer timeout must be at least -1 ms, but was {timeout_millis}.")
        self._configuration.set(options.EXECUTION_BUFFER_TIMEOUT_ENABLED, timeout_millis >= 0)
        if timeout_millis >= 0:
            self._configuration.set(options.EXECUTION_BUFFER_TIMEOUT_INTERVAL, timeout_millis)
        return self

    def get_buffer_timeout(self) -> int:
        """Longest time a record waits in an output buffer in milliseconds; -1: until the buffer is full."""
        texts = self._configuration.to_dict()
        enabled = options.EXECUTION_BUFFER_TIMEOUT_ENABLED.read(texts)
        return options.EXECUTION_BUFFER_TIMEOUT_INTERVAL.read(texts) if enabled else -1

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Run each operator as a task of its own."""
        self._configuration.set(options.PIPELINE_OPERATOR_CHAINING_ENABLED, False)
        return self

    def is_chaining_enabled(self) -> bool:
        """Whether operators may be fused."""
        return options.PIPELINE_OPERATOR_CHAINING_ENABLED.read(self._configuration.to_dict())

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        """Whether operators with different maximum parallelism may be fused."""
        return options.PIPELINE_OPERATOR_CHAINING_CHAIN_OPERATORS_WITH_DIFFERENT_MAX_PARALLELISM.read(
            self._configuration.to_dict()
        )

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> StreamExecutionEnvironment:
        """Make a slot-sharing group known; groups that state resources are refused."""
        slot_sharing_group_name(slot_sharing_group)
        return self

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """Parallelism of local environments, as old programs say it."""
        self._config.set_parallelism(parallelism)

    def get_default_local_parallelism(self) -> int:
        """Parallelism of operators that have none of their own."""
        return self.get_parallelism()

    def set_restart_strategy(self, restart_strategy_configuration: RestartStrategyConfiguration) -> None:
        """What happens after a failure, as programs for 1.x say it; sets ``restart-strategy.*``."""
        self._config.set_restart_strategy(restart_strategy_configuration)

    def set_state_backend(self, state_backend: StateBackend) -> StreamExecutionEnvironment:
        """Where keyed state is kept, as programs for 1.x say it; sets ``state.backend.type``."""
        if not isinstance(state_backend, StateBackend):
            raise TypeError(f"set_state_backend() takes a StateBackend, not {type(state_backend).__name__}.")
        self._configuration.set_string("state.backend.type", "hashmap")
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What happens after a failure."""
        return self._config.get_restart_strategy()

    def get_state_backend(self) -> StateBackend:
        """Where keyed state is kept."""
        return HashMapStateBackend()

    def set_stream_time_characteristic(self, characteristic: TimeCharacteristic) -> None:
        """Which time counts, as programs for 1.x say it; since then, each operator decides."""
        if characteristic is TimeCharacteristic.IngestionTime:
            not_yet("Ingestion time is")
        self._time_characteristic = characteristic

    def get_stream_time_characteristic(self) -> TimeCharacteristic:
        """Which time counts."""
        return self._time_characteristic

    # ---- what travels with the program ----

    def add_python_file(self, file_path: str) -> None:
        """Ship a Python file, package directory or zip file, and put it on the path of the workers."""
        self._configuration.set_string("python.files", job_files.prepend(self._text("python.files"), file_path))

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """Ship an archive and unpack it in the working directory of the workers, by default under its own name."""
        entry = archive_path if target_dir is None else f"{archive_path}{job_files.TARGET_SEPARATOR}{target_dir}"
        self._configuration.set_string("python.archives", job_files.append(self._text("python.archives"), entry))

    def set_python_requirements(self, requirements_file_path: str, requirements_cache_dir: str | None = None) -> None:
        """Install a requirements file for the workers; from ``requirements_cache_dir`` only, if given."""
        entry = requirements_file_path
        if requirements_cache_dir is not None:
            entry = f"{entry}{job_files.TARGET_SEPARATOR}{requirements_cache_dir}"
        self._configuration.set_string("python.requirements", entry)

    def set_python_executable(self, python_exec: str) -> None:
        """The interpreter of the workers; it may be in an archive."""
        self._configuration.set_string("python.executable", python_exec)

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Ship a file or directory; functions find it under ``name`` in the distributed cache."""
        if executable:
            not_yet("Executable cached files are", "register the file without executable=True")
        entry = job_files.cached_file_entry(name, file_path)
        self._configuration.set_string(
            "pipeline.cached-files", job_files.append(self._text("pipeline.cached-files"), entry, ";")
        )

    def add_jars(self, *jars_path: str) -> None:
        """Ignored with a warning: there is no JVM that could load them."""
        job_files.warn_about_jars("add_jars()")

    def add_classpaths(self, *classpaths: str) -> None:
        """Ignored with a warning: there is no JVM that could load them."""
        job_files.warn_about_jars("add_classpaths()")

    def _text(self, key: str) -> str:
        return self._configuration.get_string(key, "")

    # ---- sources ----

    def from_source(
        self,
        source: Source[T],
        watermark_strategy: WatermarkStrategy,
        source_name: str,
        type_info: TypeInformation | None = None,
    ) -> DataStream[T]:
        """The records of a source."""
        if not isinstance(source, Source):
            raise TypeError(f"from_source() takes a Source, not {type(source).__name__}.")
        if watermark_strategy.timestamp_assigner is not None:
            not_yet("Timestamp assigners (event time) are", "use WatermarkStrategy.no_watermarks()")
        return self._source(source, watermark_strategy, source_name, type_info, parallelism=None)

    def from_collection(self, collection: Iterable[T], type_info: TypeInformation | None = None) -> DataStream[T]:
        """The elements of a collection, by one subtask; lists and tuples become what ``type_info`` says."""
        from pyflow_yarn.datastream.connectors.collection import CollectionSource

        return self._source(
            CollectionSource.of(collection, type_info), None, "Collection Source", type_info, parallelism=1
        )

    def read_text_file(self, file_path: str, charset_name: str = "UTF-8") -> DataStream[str]:
        """The lines of a text file, of all files below a directory, or of those that match a pattern."""
        from pyflow_yarn.common.typeinfo import Types
        from pyflow_yarn.datastream.connectors.file_system import FileSource, StreamFormat

        source = FileSource.for_record_stream_format(StreamFormat.text_line_format(charset_name), file_path).build()
        return self._source(source, None, f"read_text_file({file_path})", Types.STRING(), parallelism=None)

    def _source(
        self,
        source: Source[T],
        watermark_strategy: WatermarkStrategy | None,
        name: str,
        type_info: TypeInformation | None,
        parallelism: int | None,
    ) -> DataStream[T]:
        call = declared_at()
        output_type = type_info or source.produced_type

        def make(transformation_id: int) -> Transformation:
            return OperatorTransformation(
                id=transformation_id,
                inputs=(),
                output_type=output_type,
                declared_at=call,
                kind=OperatorKind.SOURCE,
                name=name,
                definition=SourceOperator(source, watermark_strategy, output_type),
                parallelism=parallelism,
                max_parallelism=parallelism,
                non_parallel=parallelism == 1,
                chaining=ChainingStrategy.HEAD,
            )

        return DataStream(self, self.program.add(make, pending=False))

    # ---- running ----

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Run what was declared, and wait for its end; the failure of the job is raised."""
        from pyflow_yarn.common.job_execution_result import JobExecutionResult

        executor = execution.get_executor()
        attached = executor.configuration.get("execution.attached", "true").lower() != "false"
        client = executor.execute(self.prepare(job_name), attached)
        if attached:
            return client.get_job_execution_result().result()
        return JobExecutionResult(client.get_job_id(), -1)

    def execute_async(self, job_name: str = JOB_NAME) -> JobClient:
        """Run what was declared, and return as soon as the cluster has accepted it."""
        return execution.get_executor().execute(self.prepare(job_name), False)

    def collect(self, operator: int, job_name: str | None) -> CloseableIterator[Any]:
        """Run what was declared; the records of collect operator ``operator`` are fetched while it runs."""
        from pyflow_yarn.graph.ids import operator_ids

        graph = self._stream_graph()
        job = self._prepare(graph, job_name)
        executor = execution.get_executor()
        return CloseableIterator(executor, executor.execute(job, False), operator_ids(graph)[operator])

    def get_execution_plan(self) -> str:
        """What was declared, as Flink's JSON plan; it stays to be executed."""
        from pyflow_yarn.graph.plan import stream_plan

        return stream_plan(self._stream_graph())

    def prepare(self, job_name: str | None = None) -> execution.PreparedJob:
        """The job that was declared since the last one; the next one begins empty."""
        return self._prepare(self._stream_graph(), job_name)

    def _prepare(self, graph: StreamGraph, job_name: str | None) -> execution.PreparedJob:
        from pyflow_yarn.graph.generator import job_graph
        from pyflow_yarn.graph.plan import stream_plan

        texts = self._configuration.to_dict()
        prepared = execution.PreparedJob(
            job_graph(
                graph,
                job_id=options.INTERNAL_PIPELINE_JOB_ID.read(texts) or os.urandom(16).hex(),
                name=job_name or options.PIPELINE_NAME.read(texts) or JOB_NAME,
                configuration=texts,
                job_parameters=options.PIPELINE_GLOBAL_JOB_PARAMETERS.read(texts) or {},
                python_executable=options.PYTHON_EXECUTABLE.read(texts) or "",
            ),
            job_files.files_of(texts),
            stream_plan=lambda: stream_plan(graph),
        )
        self.program.pending.clear()
        return prepared

    def _stream_graph(self) -> StreamGraph:
        texts = self._configuration.to_dict()
        _refuse_batch(options.EXECUTION_RUNTIME_MODE.read(texts))
        for key, feature in NOT_YET_KEYS.items():
            if key in texts:
                raise NotYetSupportedError(f"{feature} not supported yet: remove {key} from the configuration.")
        if not self.program.pending:
            raise UserError("No operators defined in streaming topology. Cannot execute.")
        maximum = options.PIPELINE_MAX_PARALLELISM.read(texts)
        settings = GraphSettings(
            parallelism=self.get_parallelism(),
            max_parallelism=maximum if maximum > 0 else None,
            chaining=self.is_chaining_enabled(),
            chain_different_max_parallelism=self.is_chaining_of_operators_with_different_max_parallelism_enabled(),
            buffer_timeout=self.get_buffer_timeout(),
            auto_generate_uids=options.PIPELINE_AUTO_GENERATE_UIDS.read(texts),
        )
        return stream_graph(Pipeline(self.program.transformations, tuple(self.program.pending), settings))

    def close(self) -> None:
        """Nothing to release."""

    # ---- what the reference system has beyond this version ----

    def enable_checkpointing(self, interval: int, mode: object = None) -> NoReturn:
        """Not supported yet."""
        not_yet(
            "Checkpoints (enable_checkpointing) are", "remove the call; bounded jobs commit their output at the end"
        )

    def get_checkpoint_config(self) -> NoReturn:
        """Not supported yet."""
        not_yet("Checkpoints (get_checkpoint_config) are")

    def get_checkpoint_interval(self) -> int:
        """Always -1: there are no checkpoints."""
        return -1

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """What checkpoints guarantee, once there are any."""
        return CheckpointingMode.EXACTLY_ONCE

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Always false: there are no checkpoints."""
        return False

    def is_force_unaligned_checkpoints(self) -> bool:
        """Always false: there are no checkpoints."""
        return False

    def set_default_savepoint_directory(self, directory: str) -> NoReturn:
        """Not supported yet."""
        not_yet("Savepoints (set_default_savepoint_directory) are")

    def get_default_savepoint_directory(self) -> None:
        """Always None: there are no savepoints."""
        return None

    def enable_changelog_state_backend(self, enabled: bool) -> NoReturn:
        """Not supported yet."""
        not_yet("The changelog state backend is")

    def is_changelog_state_backend_enabled(self) -> bool | None:
        """Always None: nobody said."""
        return None

    def add_source(self, source_func: object, source_name: str = "", type_info: object = None) -> NoReturn:
        """Not supported: source functions are Java objects."""
        not_yet("Source functions (add_source) are", "use from_source() with a Source")

    def create_input(self, input_format: object, type_info: object = None) -> NoReturn:
        """Not supported: input formats are Java objects."""
        not_yet("Input formats (create_input) are", "use from_source() with a Source")


def _refuse_batch(mode: str) -> None:
    if mode == "BATCH":
        raise NotYetSupportedError(
            "Batch execution (execution.runtime-mode BATCH) is not supported yet: use STREAMING,"
            " which runs bounded input as a bounded stream."
        )
