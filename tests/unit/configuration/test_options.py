"""Options: names, defaults, types, and the sentences of wrong values."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyflow_yarn.configuration import options
from pyflow_yarn.configuration.config_option import ConfigOption, choice, integer, is_secret, ports, redact
from pyflow_yarn.configuration.options import AREAS, OPTIONS, canonical_key, options_of
from pyflow_yarn.configuration.reference_keys import REFERENCE_KEYS
from pyflow_yarn.errors import ConfigurationError

ALL = [(name, option) for area in AREAS for name, option in options_of(area)]


@pytest.mark.parametrize(("name", "option"), ALL, ids=[name for name, _ in ALL])
def test_names_follow_from_keys_and_defaults_fit(name: str, option: ConfigOption[Any]) -> None:
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", option.key.replace("$", ""))
    assert name == re.sub(r"[.-]", "_", words).upper()
    assert getattr(options, name) is option
    assert option.read({}) == option.default
    if option.default_text is not None:
        assert option.read({option.key: option.default_text}) == option.default
    assert option.description.endswith(".")


def test_keys_are_unique_and_known_once() -> None:
    assert len(OPTIONS) == len(ALL)
    old = [key for option in OPTIONS.values() for key in option.deprecated_keys]
    assert len(old) == len(set(old))
    assert not set(old) & set(OPTIONS)
    assert not REFERENCE_KEYS & (set(OPTIONS) | set(old))


def test_an_old_key_is_read_and_the_present_one_wins() -> None:
    assert options.PEKKO_ASK_TIMEOUT.read({"akka.ask.timeout": "3 s"}) == 3000
    assert options.PEKKO_ASK_TIMEOUT.read({"akka.ask.timeout": "3 s", "pekko.ask.timeout": "4 s"}) == 4000
    assert options.PEKKO_ASK_TIMEOUT.is_set({"akka.ask.timeout": "3 s"})
    assert canonical_key("akka.ask.timeout") == "pekko.ask.timeout"


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        (
            "heartbeat.timeout",
            "soon",
            "'soon' is not a valid value of heartbeat.timeout: allowed is a duration of at least 1 ms such as '10 s',"
            " '500 ms' or 'PT1M'.",
        ),
        (
            "execution.runtime-mode",
            "FAST",
            "'FAST' is not a valid value of execution.runtime-mode: allowed is STREAMING, BATCH or AUTOMATIC.",
        ),
        (
            "taskmanager.network.batch-size",
            "9000",
            "'9000' is not a valid value of taskmanager.network.batch-size:"
            " allowed is a whole number from 1024 to 8192.",
        ),
        (
            "web.cancel.enable",
            "yes",
            "'yes' is not a valid value of web.cancel.enable: allowed is true or false.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_key_and_what_is_allowed(key: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        OPTIONS[key].read({key: text})
    assert str(error.value) == sentence


def test_words_are_read_in_any_case() -> None:
    assert options.EXECUTION_RUNTIME_MODE.read({"execution.runtime-mode": "streaming"}) == "STREAMING"
    assert options.RESTART_STRATEGY_TYPE.read({"restart-strategy": "OFF"}) == "none"
    with pytest.raises(ConfigurationError):
        options.RESTART_STRATEGY_TYPE.read({"restart-strategy": "fixed_delay"})


@pytest.mark.parametrize("text", ["1_000", "0x10", "1.0", "", "٣", "--1"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ConfigOption("k", integer(), 0, "").read({"k": text})


@pytest.mark.parametrize("text", ["8081", "50100-50200", "50100-50200,50300", "0"])
def test_ports(text: str) -> None:
    assert ConfigOption("k", ports(), "0", "").read({"k": text}) == text


@pytest.mark.parametrize("text", ["", "70000", "5-1", "a", "1-2-3"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ConfigOption("k", ports(), "0", "").read({"k": text})


def test_a_map_may_be_given_entry_by_entry() -> None:
    parameters = options.PIPELINE_GLOBAL_JOB_PARAMETERS
    assert parameters.read({"pipeline.global-job-parameters.color": "red"}) == {"color": "red"}
    assert parameters.read({"pipeline.global-job-parameters": "a:1"}) == {"a": "1"}
    assert parameters.read({"pipeline.global-job-parameters": "a:1,b:1", "pipeline.global-job-parameters.b": "2"}) == {
        "a": "1",
        "b": "2",
    }
    assert parameters.read({}) is None


def test_secrets_are_hidden_everywhere() -> None:
    assert redact({"a.password": "x", "b": "y"}) == {"a.password": "******", "b": "y"}
    assert is_secret("fs.azure.account.key.x.net") and is_secret("my.API-KEY") and not is_secret("rest.port")
    with pytest.raises(
        ConfigurationError, match=r"^'\*\*\*\*\*\*' is not a valid value of my.token: allowed is a or b"
    ):
        ConfigOption("my.token", choice("a", "b"), "a", "").read({"my.token": "hunter2"})


def test_importing_the_options_brings_no_yaml() -> None:
    code = "import sys; from pyflow_yarn.configuration import options; print('yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("name", "option"), ALL, ids=[name for name, _ in ALL])
def test_every_option_is_read_somewhere_or_says_that_it_is_not(
    name: str, option: ConfigOption[Any], sources: str
) -> None:
    is_read = re.search(rf"\b{name}\b", sources) is not None
    assert is_read == ("Without effect here" not in option.description), (
        f"{name} is documented but has no effect: list its key in reference_keys.py, or say so in its description"
    )


@pytest.fixture(scope="module")
def sources() -> str:
    root = Path(__file__).resolve().parents[3]
    files = [file for folder in ("pyflow_yarn", "runtime") for file in (root / folder).rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.parent.name != "areas")
