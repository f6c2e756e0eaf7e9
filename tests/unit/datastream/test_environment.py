"""The environment: configuration, what travels with the program, running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyflow_yarn.datastream
from pyflow_yarn.common.configuration import Configuration
from pyflow_yarn.common.restart_strategy import RestartStrategies
from pyflow_yarn.datastream import (
    CheckpointingMode,
    HashMapStateBackend,
    RuntimeExecutionMode,
    SlotSharingGroup,
    StreamExecutionEnvironment,
    TimeCharacteristic,
    job_files,
)
from pyflow_yarn.datastream.execution import JobFile
from pyflow_yarn.errors import NotYetSupportedError, UserError
from pyflow_yarn.graph.job_graph import ArtifactKind
from tests.unit.datastream.programs import RecordingExecutor


def declare(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).print()


def test_later_configuration_wins(executor: RecordingExecutor) -> None:
    assert StreamExecutionEnvironment.get_execution_environment().get_parallelism() == 2
    given = Configuration().set_string("parallelism.default", "5")
    env = StreamExecutionEnvironment.get_execution_environment(given)
    assert env.get_parallelism() == 5
    env.configure(Configuration().set_string("parallelism.default", "6"))
    assert env.get_parallelism() == 6
    assert env.set_parallelism(7).get_parallelism() == 7
    declare(env)
    graph = env.prepare().graph
    assert graph.configuration["parallelism.default"] == "7"
    assert [vertex.parallelism for vertex in graph.vertices] == [1, 7]
    assert executor.configuration == {"parallelism.default": "2"}


def test_settings_of_all_operators(env: StreamExecutionEnvironment) -> None:
    env.set_max_parallelism(64).set_buffer_timeout(20).disable_operator_chaining().set_parallelism(1)
    assert (env.get_max_parallelism(), env.get_buffer_timeout(), env.is_chaining_enabled()) == (64, 20, False)
    declare(env)
    graph = env.prepare().graph
    assert [vertex.max_parallelism for vertex in graph.vertices] == [1, 64]
    assert [edge.buffer_timeout for edge in graph.edges] == [20]
    assert env.set_buffer_timeout(-1).get_buffer_timeout() == -1
    with pytest.raises(ValueError, match="at least -1"):
        env.set_buffer_timeout(-2)


def test_batch_is_refused(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING).set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    with pytest.raises(NotYetSupportedError, match="Batch execution"):
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.configure(Configuration().set_string("execution.runtime-mode", "BATCH"))
    declare(env)
    with pytest.raises(NotYetSupportedError, match="Batch execution"):
        env.execute()


def test_checkpoints_are_refused(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(NotYetSupportedError, match="Checkpoints"):
        env.enable_checkpointing(1000)
    env.configure(Configuration().set_string("execution.checkpointing.interval", "1 s"))
    declare(env)
    with pytest.raises(NotYetSupportedError, match=r"remove execution\.checkpointing\.interval"):
        env.execute()


def test_old_calls_set_keys(env: StreamExecutionEnvironment) -> None:
    env.set_restart_strategy(RestartStrategies.no_restart())
    env.set_state_backend(HashMapStateBackend())
    env.register_slot_sharing_group(SlotSharingGroup.builder("a").build())
    declare(env)
    configuration = env.prepare().graph.configuration
    assert configuration["restart-strategy.type"] == "none"
    assert configuration["state.backend.type"] == "hashmap"


def test_execute_waits_and_execute_async_does_not(env: StreamExecutionEnvironment, executor: RecordingExecutor) -> None:
    declare(env)
    assert env.execute("first").get_net_runtime() == 5
    declare(env)
    client = env.execute_async()
    assert [(job.graph.name, attached) for job, attached in executor.submitted] == [
        ("first", True),
        ("Flink Streaming Job", False),
    ]
    assert str(client.get_job_id()) == executor.submitted[1][0].graph.job_id
    with pytest.raises(UserError, match="No operators defined in streaming topology"):
        env.execute()


def test_a_detached_client_does_not_wait(env: StreamExecutionEnvironment, executor: RecordingExecutor) -> None:
    executor.configuration["execution.attached"] = "false"
    declare(env)
    assert str(env.execute().get_job_id()) == executor.clients[0].job_id
    assert executor.submitted[0][1] is False


def test_each_job_has_what_was_declared_since_the_last(
    env: StreamExecutionEnvironment, executor: RecordingExecutor
) -> None:
    numbers = env.from_collection([1])
    numbers.print("a")
    env.execute()
    numbers.map(abs).print("b")
    env.execute()
    counts = [[len(vertex.operators) for vertex in job.graph.vertices] for job, _ in executor.submitted]
    assert counts == [[1, 1], [1, 2]]
    assert executor.submitted[0][0].graph.job_id != executor.submitted[1][0].graph.job_id


def test_the_job_id_can_be_given(env: StreamExecutionEnvironment) -> None:
    env.configure(Configuration().set_string("$internal.pipeline.job-id", "a" * 32))
    declare(env)
    assert env.prepare().graph.job_id == "a" * 32


def test_job_name_and_parameters(env: StreamExecutionEnvironment) -> None:
    env.configure(Configuration().set_string("pipeline.name", "configured"))
    env.get_config().set_global_job_parameters({"key": "value"})
    declare(env)
    graph = env.prepare().graph
    assert (graph.name, graph.job_parameters) == ("configured", {"key": "value"})


def test_plans_do_not_consume_the_program(env: StreamExecutionEnvironment) -> None:
    declare(env)
    plan = json.loads(env.get_execution_plan())
    assert [(node["pact"], node["parallelism"]) for node in plan["nodes"]] == [("Data Source", 1), ("Data Sink", 2)]
    assert json.loads(env.prepare().stream_plan()) == plan


def test_files_travel(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "data.zip", "requirements.txt", "words.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "wheels").mkdir()
    env.add_python_file(str(tmp_path / "a.py"))
    env.add_python_file(f"file://{tmp_path}/b.py")
    env.add_python_archive(str(tmp_path / "data.zip"))
    env.add_python_archive(str(tmp_path / "data.zip"), "other")
    env.set_python_requirements(str(tmp_path / "requirements.txt"), str(tmp_path / "wheels"))
    env.register_cached_file(str(tmp_path / "words.txt"), "words")
    env.register_cached_file(str(tmp_path / "wheels"), "wheels: all, of them")
    env.set_python_executable("/usr/bin/python3")
    declare(env)
    job = env.prepare()
    assert list(job.files) == [
        JobFile(ArtifactKind.PYTHON_FILE, str(tmp_path / "b.py"), "b.py"),
        JobFile(ArtifactKind.PYTHON_FILE, str(tmp_path / "a.py"), "a.py"),
        JobFile(ArtifactKind.ARCHIVE, str(tmp_path / "data.zip"), "data.zip", "data.zip"),
        JobFile(ArtifactKind.ARCHIVE, str(tmp_path / "data.zip"), "data.zip", "other"),
        JobFile(ArtifactKind.REQUIREMENTS, str(tmp_path / "requirements.txt"), "requirements.txt"),
        JobFile(ArtifactKind.REQUIREMENTS, str(tmp_path / "wheels"), "wheels", job_files.REQUIREMENTS_CACHE),
        JobFile(ArtifactKind.CACHED_FILE, str(tmp_path / "words.txt"), "words"),
        JobFile(ArtifactKind.CACHED_FILE, str(tmp_path / "wheels"), "wheels: all, of them"),
    ]
    assert job.graph.python_executable == "/usr/bin/python3"
    assert job.graph.artifacts == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda env: env.add_python_file("/no/such.py"), "The Python file '/no/such.py' does not exist"),
        (lambda env: env.add_python_archive("/no/x.zip"), "The Python archive '/no/x.zip' does not exist"),
        (lambda env: env.set_python_requirements("/no/r.txt"), "The requirements file '/no/r.txt' does not exist"),
        (lambda env: env.register_cached_file("/no/f", "f"), "The cached file 'f' '/no/f' does not exist"),
        (lambda env: env.add_python_file("hdfs://nn/x.py"), "The file system 'hdfs' of the Python file"),
    ],
)
def test_missing_files_are_named(env: StreamExecutionEnvironment, call: Any, sentence: str) -> None:
    call(env)
    declare(env)
    with pytest.raises(UserError, match=sentence):
        env.prepare()


def test_two_files_under_one_name_are_refused(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
        env.register_cached_file(str(tmp_path / name), "same")
    declare(env)
    with pytest.raises(UserError, match="Two cached files are registered under the name 'same'"):
        env.prepare()


def test_jars_are_ignored_with_one_warning(
    env: StreamExecutionEnvironment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "_warned", set())
    env.add_jars("file:///a.jar")
    env.add_jars("file:///b.jar")
    assert capsys.readouterr().err == (
        "Warning: add_jars() is ignored: pyflow-yarn runs no JVM, its connectors need no jars.\n"
    )


def test_what_is_missing_can_be_imported_and_says_so_when_it_is_used() -> None:
    from pyflow_yarn.datastream import CheckpointConfig, ConnectedStreams  # type: ignore[attr-defined]
    from pyflow_yarn.datastream.async_data_stream import AsyncDataStream
    from pyflow_yarn.datastream.connectors.kafka import KafkaSource
    from pyflow_yarn.datastream.formats.avro import AvroSchema
    from pyflow_yarn.datastream.window import Trigger, TumblingEventTimeWindows

    class MyTrigger(Trigger):  # type: ignore[misc]
        def on_element(self) -> None:
            """Whatever."""

    uses: list[tuple[Callable[[], Any], str]] = [
        (lambda: TumblingEventTimeWindows.of(3), "Windows (TumblingEventTimeWindows) are not supported yet."),
        (MyTrigger, "Windows (Trigger) are not supported yet."),
        (AsyncDataStream, "Asynchronous functions (AsyncDataStream) are not supported yet."),
        (lambda: KafkaSource.builder(), "The Kafka connector (KafkaSource) is not supported yet."),
        (lambda: AvroSchema.parse_string("{}"), "The Avro format (AvroSchema) is not supported yet."),
        (CheckpointConfig, "Checkpoints (CheckpointConfig) are not supported yet."),
        (ConnectedStreams, "Streams of the kind ConnectedStreams are not supported yet."),
    ]
    for use, sentence in uses:
        with pytest.raises(NotYetSupportedError) as raised:
            use()
        assert str(raised.value) == sentence


def test_names_that_nobody_knows_are_not_found() -> None:
    from pyflow_yarn.datastream import window

    for module in (pyflow_yarn.datastream, window):
        with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
            module.Nonsense  # noqa: B018
    assert not hasattr(window.Trigger, "__wrapped__")


def test_calls_of_programs_for_older_releases(env: StreamExecutionEnvironment) -> None:
    env.set_stream_time_characteristic(TimeCharacteristic.EventTime)
    assert env.get_stream_time_characteristic() is TimeCharacteristic.EventTime
    with pytest.raises(NotYetSupportedError, match="Ingestion time"):
        env.set_stream_time_characteristic(TimeCharacteristic.IngestionTime)
    assert isinstance(env.get_state_backend(), HashMapStateBackend)
    assert (env.get_checkpoint_interval(), env.get_checkpointing_mode()) == (-1, CheckpointingMode.EXACTLY_ONCE)
    assert not env.is_unaligned_checkpoints_enabled()


def test_importing_the_api_loads_nothing_heavy() -> None:
    heavy = ("asyncio", "cloudpickle", "numpy", "pyarrow", "click", "yaml", "mmh3", "logging", "json")
    code = f"import sys, pyflow_yarn.datastream; print([name for name in {heavy!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout == "[]\n"
