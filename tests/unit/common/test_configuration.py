"""``Configuration``, ``ConfigOptions``, ``ExecutionConfig`` and restart strategies."""

from __future__ import annotations

from copy import copy, deepcopy
from datetime import timedelta
from typing import Any

import pytest

from pyflow_yarn.common import (
    ConfigOptions,
    Configuration,
    ExecutionConfig,
    ExecutionMode,
    InputDependencyConstraint,
    RestartStrategies,
)
from pyflow_yarn.errors import ConfigurationError


def test_values_keep_their_types() -> None:
    conf = Configuration()
    conf.set_string("str", "v1").set_integer("int", 2).set_boolean("bool", True).set_float("float", 0.5)
    conf.set_bytearray("bytes", bytearray([1, 2]))
    assert conf.get_string("str", "") == "v1"
    assert conf.get_integer("int", 0) == 2
    assert conf.get_boolean("bool", False) is True
    assert conf.get_float("float", 0) == 0.5
    assert conf.get_bytearray("bytes", bytearray()) == bytearray([1, 2])
    assert conf.key_set() == {"str", "int", "bool", "float", "bytes"}
    target: dict[str, Any] = {}
    conf.add_all_to_dict(target)
    assert target == {"str": "v1", "int": 2, "bool": True, "float": 0.5, "bytes": bytearray([1, 2])}
    assert conf.to_dict() == {"str": "v1", "int": "2", "bool": "true", "float": "0.5", "bytes": "0102"}
    assert conf.get_string("int", "") == "2"


def test_texts_are_read_as_numbers() -> None:
    conf = Configuration.from_dict({"a": "7", "b": "TRUE", "c": "1.5"})
    assert (conf.get_integer("a", 0), conf.get_boolean("b", False), conf.get_float("c", 0)) == (7, True, 1.5)
    with pytest.raises(ConfigurationError, match=r"'1\.5' is not a valid value of c: allowed is a whole number"):
        conf.get_integer("c", 0)
    with pytest.raises(ConfigurationError, match="is not a bytearray"):
        conf.get_bytearray("a", bytearray())
    with pytest.raises(ConfigurationError, match="must be of type int"):
        conf.set_integer("a", "7")  # type: ignore[arg-type]


def test_whole_configurations() -> None:
    conf = Configuration().set_string("k1", "v1").set_integer("k2", 1)
    other = Configuration(conf)
    assert other == conf == deepcopy(conf) == copy(conf) and hash(other) == hash(conf)
    other.set_string("k1", "v2")
    assert other != conf and hash(other) != hash(conf)
    assert str(conf) == "{k1=v1, k2=1}"
    assert str(Configuration().set_string("my.password", "x")) == "{my.password=******}"
    prefixed = Configuration().add_all(conf, "conf_").add_all(conf)
    assert prefixed.get_string("conf_k1", "") == "v1" and prefixed.contains_key("k2")
    assert conf.remove_config("k1") and not conf.remove_config("k1") and not conf.contains_key("k1")


def test_options_of_programs() -> None:
    number = ConfigOptions.key("n").int_type().default_value(5)
    conf = Configuration()
    assert conf.get(number) == 5 and conf.get(number, 6) == 6
    assert conf.set(number, 7).get(number) == 7
    assert conf.get(ConfigOptions.key("s").string_type().no_default_value()) is None
    assert (
        Configuration.from_dict({"b": "true"}).get(ConfigOptions.key("b").boolean_type().default_value(False)) is True
    )
    for builder in (ConfigOptions.key("f").double_type(), ConfigOptions.key("f").float_type()):
        assert Configuration.from_dict({"f": "1.5"}).get(builder.default_value(0.0)) == 1.5
    with pytest.raises(ConfigurationError):
        Configuration.from_dict({"n": str(2**31)}).get(number)
    assert Configuration.from_dict({"n": str(2**31)}).get(ConfigOptions.key("n").long_type().default_value(0)) == 2**31


def test_execution_config_writes_keys() -> None:
    conf = Configuration()
    config = ExecutionConfig(conf)
    assert (config.get_parallelism(), config.get_max_parallelism(), config.get_auto_watermark_interval()) == (
        1,
        -1,
        200,
    )
    config.set_parallelism(8).set_auto_watermark_interval(1000).set_latency_tracking_interval(-5)
    config.set_max_parallelism(12)
    config.set_task_cancellation_interval(1).set_task_cancellation_timeout(2)
    config.set_global_job_parameters({"hello": "wor:ld"}).set_use_snapshot_compression(True)
    assert (config.get_parallelism(), config.get_max_parallelism(), config.get_auto_watermark_interval()) == (
        8,
        12,
        1000,
    )
    assert (config.get_task_cancellation_interval(), config.get_task_cancellation_timeout()) == (1, 2)
    assert config.get_latency_tracking_interval() == 0 and config.is_use_snapshot_compression()
    assert config.get_global_job_parameters() == {"hello": "wor:ld"}
    assert conf.to_dict()["parallelism.default"] == "8"
    assert conf.to_dict()["pipeline.auto-watermark-interval"] == "1 s"
    assert config.set_parallelism(ExecutionConfig.PARALLELISM_UNKNOWN).get_parallelism() == 8


@pytest.mark.parametrize(
    ("enable", "disable", "ask", "asked"),
    [
        ("enable_closure_cleaner", "disable_closure_cleaner", "is_closure_cleaner_enabled", True),
        ("enable_force_kryo", "disable_force_kryo", "is_force_kryo_enabled", True),
        ("disable_generic_types", "enable_generic_types", "has_generic_types_disabled", True),
        ("enable_auto_generated_uids", "disable_auto_generated_uids", "has_auto_generated_uids_enabled", True),
        ("enable_force_avro", "disable_force_avro", "is_force_avro_enabled", True),
        ("enable_object_reuse", "disable_object_reuse", "is_object_reuse_enabled", True),
    ],
)
def test_switches(enable: str, disable: str, ask: str, asked: bool) -> None:
    config = ExecutionConfig()
    getattr(config, disable)()
    assert getattr(config, ask)() is not asked
    getattr(config, enable)()
    assert getattr(config, ask)() is asked


@pytest.mark.parametrize("parallelism", [0, -5, "2", True, 1.5])
def test_wrong_parallelism(parallelism: Any) -> None:
    with pytest.raises(ConfigurationError, match="parallelism must be"):
        ExecutionConfig().set_parallelism(parallelism)
    with pytest.raises(ConfigurationError, match="parallelism must be"):
        ExecutionConfig().set_max_parallelism(parallelism if parallelism != True else 0)  # noqa: E712
    with pytest.raises(ConfigurationError):
        ExecutionConfig().set_auto_watermark_interval(-1)


def test_old_settings_are_remembered() -> None:
    config = ExecutionConfig()
    config.set_execution_mode(ExecutionMode.BATCH)
    config.set_default_input_dependency_constraint(InputDependencyConstraint.ALL)
    assert config.get_execution_mode() is ExecutionMode.BATCH
    assert config.get_default_input_dependency_constraint() is InputDependencyConstraint.ALL
    assert ExecutionConfig() == ExecutionConfig() and hash(ExecutionConfig()) == hash(ExecutionConfig())
    assert ExecutionConfig().set_parallelism(2) != ExecutionConfig()


def test_restart_strategies() -> None:
    conf = Configuration()
    config = ExecutionConfig(conf)
    config.set_restart_strategy(RestartStrategies.fixed_delay_restart(4, timedelta(seconds=10)))
    strategy = config.get_restart_strategy()
    assert isinstance(strategy, RestartStrategies.FixedDelayRestartStrategyConfiguration)
    assert strategy == RestartStrategies.fixed_delay_restart(4, 10_000)
    assert (strategy.get_restart_attempts(), strategy.get_delay_between_attempts_interval()) == (
        4,
        timedelta(seconds=10),
    )
    assert strategy.get_description() == "Restart with fixed delay (10000 ms). #4 restart attempts."
    assert conf.to_dict() == {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "4",
        "restart-strategy.fixed-delay.delay": "10000 ms",
    }
    rate = RestartStrategies.failure_rate_restart(5, 10_000, 5_000)
    assert (rate.get_max_failure_rate(), rate.get_failure_interval()) == (5, timedelta(seconds=10))
    config.set_restart_strategy(rate)
    assert conf.get_string("restart-strategy.type", "") == "failure-rate"
    config.set_restart_strategy(RestartStrategies.no_restart())
    assert conf.get_string("restart-strategy.type", "") == "none"
    config.set_restart_strategy(RestartStrategies.fall_back_restart())
    assert not conf.contains_key("restart-strategy.type")
    assert RestartStrategies.no_restart() == RestartStrategies.no_restart() != RestartStrategies.fall_back_restart()
    assert hash(RestartStrategies.no_restart()) == hash(RestartStrategies.no_restart())
    with pytest.raises(TypeError):
        RestartStrategies.fixed_delay_restart(1, "10 s")  # type: ignore[arg-type]
