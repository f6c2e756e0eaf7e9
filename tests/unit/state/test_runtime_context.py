"""What functions learn from their runtime context."""

from __future__ import annotations

import pytest

from pyflow_runtime.operators.operator import TaskContext
from pyflow_runtime.state.hashmap import HashMapStateBackend
from pyflow_runtime.state.metric_group import Distribution, Meter, MetricGroup
from pyflow_runtime.state.runtime_context import WorkerRuntimeContext
from pyflow_yarn.common.time import Time
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)
from pyflow_yarn.errors import NotYetSupportedError, UserError


def context(**values: object) -> WorkerRuntimeContext:
    task = TaskContext(job_id="0" * 32, task_name="Map", subtask=2, parallelism=4, attempt=1, **values)  # type: ignore[arg-type]
    return WorkerRuntimeContext(task)


def test_who_and_where() -> None:
    here = context(max_parallelism=256, job_parameters={"a": "1"})
    assert here.get_task_name() == "Map"
    assert here.get_task_name_with_subtasks() == "Map (3/4)"
    assert (here.get_index_of_this_subtask(), here.get_number_of_parallel_subtasks()) == (2, 4)
    assert (here.get_max_number_of_parallel_subtasks(), here.get_attempt_number()) == (256, 1)
    assert (here.get_job_parameter("a", "0"), here.get_job_parameter("b", "0")) == ("1", "0")


def test_cached_files() -> None:
    cache = context(cached_files={"dictionary": "/cache/d.txt"}).get_distributed_cache()
    assert cache.get_file("dictionary") == "/cache/d.txt"
    with pytest.raises(UserError, match=r"no cached file 'x' \(registered: dictionary\)"):
        cache.get_file("x")


def test_keyed_state_needs_a_key() -> None:
    with pytest.raises(UserError, match="after key_by"):
        context().get_state(ValueStateDescriptor("s", Types.INT()))


def test_states_of_every_kind() -> None:
    here = context()
    here.backend = HashMapStateBackend()
    here.backend.current.key = "k"
    assert here.get_state(ValueStateDescriptor("s")) is here.get_state(ValueStateDescriptor("s"))
    here.get_map_state(MapStateDescriptor("m", Types.STRING(), Types.INT())).put("a", 1)
    here.get_list_state(ListStateDescriptor("l", Types.INT())).add(1)
    reducing = here.get_reducing_state(ReducingStateDescriptor("r", lambda a, b: a + b, Types.INT()))
    reducing.add(1)
    reducing.add(2)
    assert reducing.get() == 3
    assert here.backend.names() == ["l", "m", "r", "s"]


def test_what_is_not_there_yet() -> None:
    here = context()
    here.backend = HashMapStateBackend()
    expiring = ValueStateDescriptor("t")
    expiring.enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(1)).build())
    with pytest.raises(NotYetSupportedError, match="time to live"):
        here.get_state(expiring)


def test_metrics() -> None:
    group: MetricGroup = context().get_metrics_group()
    group.counter("c").inc()
    group.counter("c").inc(4)
    group.counter("c").dec()
    assert group.counter("c").get_count() == 4
    group.gauge("g", lambda: 7)
    assert group.gauges["g"]() == 7
    assert group.add_group("a", "b") is group.add_group("a").add_group("b")
    assert group.add_group("a", "b").scope == ("a", "b")
    distribution: Distribution = group.distribution("d")
    for value in (5, 1, 9):
        distribution.update(value)
    assert (distribution.count, distribution.sum, distribution.minimum, distribution.maximum) == (3, 15, 1, 9)
    meter: Meter = group.meter("m", 10)
    meter.mark_event(20)
    assert (meter.get_count(), meter.get_rate()) == (20, 2.0)
