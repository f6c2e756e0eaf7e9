"""Futures, job results, times, watermark strategies, schemas; and what the package exports."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import threading
from typing import Any

import pytest

import pyflow_yarn.common
from pyflow_yarn.common import (
    ByteArraySchema,
    CompletableFuture,
    Duration,
    Encoder,
    Instant,
    JobClient,
    JobExecutionResult,
    JobID,
    JobStatus,
    SimpleStringSchema,
    Time,
    TimestampAssigner,
    Types,
    WatermarkStrategy,
)
from pyflow_yarn.common.completable_future import FutureCancelledError
from pyflow_yarn.errors import ConfigurationError, NotYetSupportedError


def test_futures() -> None:
    assert CompletableFuture.completed(1).result() == 1
    assert CompletableFuture.supply(lambda: 2).result(10) == 2

    def fail() -> int:
        raise ValueError("no")

    failed = CompletableFuture.supply(fail)
    with pytest.raises(ValueError, match="no"):
        failed.result(10)
    assert isinstance(failed.exception(), ValueError) and failed.done() and not failed.cancelled()
    pending: CompletableFuture[int] = CompletableFuture()
    assert not pending.done()
    with pytest.raises(TimeoutError):
        pending.result(0)
    assert pending.cancel() and not pending.cancel() and pending.cancelled() and not pending.set_result(1)
    with pytest.raises(FutureCancelledError):
        pending.result()


def test_a_future_wakes_who_waits() -> None:
    future: CompletableFuture[str] = CompletableFuture()
    threading.Timer(0.01, future.set_result, ["done"]).start()
    assert future.result(10) == "done"


def test_job_results() -> None:
    result = JobExecutionResult(JobID("a" * 32), 1234)
    assert str(result) == f"Program execution finished\nJob with JobID {'a' * 32} has finished.\nJob Runtime: 1234 ms\n"
    counted = JobExecutionResult(JobID("a" * 32), 1, {"n": 3})
    assert counted.get_accumulator_result("n") == 3 and counted.get_all_accumulator_results() == {"n": 3}
    assert str(counted).endswith("Accumulator Results: \n- n (int): 3\n")
    assert counted.get_net_runtime() == 1 and counted.is_job_execution_result()
    assert counted.get_job_id() == JobID("a" * 32) and hash(JobID("b")) == hash(JobID("b"))


def test_job_states() -> None:
    assert JobStatus.of("INITIALIZING") is JobStatus.CREATED and JobStatus.of("FAILED") is JobStatus.FAILED
    assert [state.name for state in JobStatus if state.is_globally_terminal_state()] == [
        "FAILED",
        "CANCELED",
        "FINISHED",
    ]
    assert JobStatus.SUSPENDED.is_terminal_state() and not JobStatus.SUSPENDED.is_globally_terminal_state()


def test_savepoints_are_refused_with_a_sentence() -> None:
    class Client(JobClient):
        def get_job_id(self) -> Any: ...
        def get_job_status(self) -> Any: ...
        def cancel(self) -> Any: ...
        def get_accumulators(self) -> Any: ...
        def get_job_execution_result(self) -> Any: ...

    with pytest.raises(NotYetSupportedError, match="Savepoints are not supported yet"):
        Client().trigger_savepoint()
    with pytest.raises(NotYetSupportedError, match="Savepoints are not supported yet"):
        Client().stop_with_savepoint(False)


def test_times() -> None:
    assert Duration.of_days(1) == Duration.of_hours(24) == Duration.of_minutes(1440) == Duration.of_seconds(86_400)
    assert Duration.of_millis(1) == Duration.of_nanos(1_000_000) and Duration.of_nanos(1_999_999).to_millis() == 1
    assert (
        hash(Duration.of_millis(1000)) == hash(Duration.of_seconds(1))
        and repr(Duration.of_millis(1500)) == "Duration(1.5 s)"
    )
    assert Time.days(1) == Time.hours(24) == Time.minutes(1440) == Time.seconds(86_400) == Time.milliseconds(86_400_000)
    assert Time.of(Duration.of_seconds(2)).to_milliseconds() == 2000 and repr(Time.seconds(1)) == "1000 ms"
    moment = Instant.of_epoch_milli(-1)
    assert (moment.seconds, moment.nanos, moment.to_epoch_milli()) == (-1, 999_000_000, -1)
    assert moment < Instant.now() and pickle.loads(pickle.dumps(moment)) == moment
    assert repr(moment) == "Instant<-1, 999000000>"


class _Assigner(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


def test_watermark_strategies() -> None:
    assert WatermarkStrategy.no_watermarks().max_out_of_orderness is None
    assert WatermarkStrategy.for_monotonous_timestamps().max_out_of_orderness == 0
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
    assert strategy.with_timestamp_assigner(_Assigner()) is strategy
    idle = strategy.with_idleness(Duration.of_minutes(1))
    assert (idle.max_out_of_orderness, idle.idle_timeout, strategy.idle_timeout) == (5000, 60_000, None)
    assert idle.timestamp_assigner is strategy.timestamp_assigner
    aligned = idle.with_watermark_alignment("g", Duration.of_seconds(1))
    assert (
        aligned.alignment is not None and aligned.alignment.update_interval == 1000 and aligned.idle_timeout == 60_000
    )
    with pytest.raises(ValueError):
        strategy.with_idleness(Duration.of_millis(0))


def test_schemas() -> None:
    latin = SimpleStringSchema("ISO-8859-1")
    assert latin.serialize("ä") == b"\xe4" and latin.deserialize(b"\xe4") == "ä"
    assert latin.get_produced_type() == Types.STRING()
    assert ByteArraySchema().deserialize(ByteArraySchema().serialize(b"x")) == b"x"
    assert ByteArraySchema().get_produced_type() == Types.PRIMITIVE_ARRAY(Types.BYTE())
    encoder = Encoder.simple_string_encoder()
    assert encoder.encode("ä") == "ä\n".encode() and encoder.encode(("a", 1)) == b"('a', 1)\n"
    with pytest.raises(ConfigurationError, match="'klingon' is not a known character set"):
        SimpleStringSchema("klingon")


def test_what_modules_export_the_package_exports() -> None:
    exported = set(pyflow_yarn.common.__all__)
    assert exported == {name for name in vars(pyflow_yarn.common) if name[0].isupper()}
    for module in pkgutil.iter_modules(pyflow_yarn.common.__path__):
        names = importlib.import_module(f"pyflow_yarn.common.{module.name}").__all__
        assert names == sorted(names)
