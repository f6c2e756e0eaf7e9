"""Where values come from, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.configuration.loading import check_keys, find_conf_dir, load, read_legacy, read_yaml
from pyflow_yarn.errors import ConfigurationError


def _write(directory: Path, content: str, name: str = "config.yaml") -> Path:
    file = directory / name
    file.write_text(content, encoding="utf-8")
    return file


def test_nested_and_dotted_keys(tmp_path: Path) -> None:
    file = _write(
        tmp_path,
        """
        taskmanager:
          numberOfTaskSlots: 4
          memory.process.size: 2 gb
        rest.port: 9000
        parallelism.default: 010
        web.submit.enable: True
        pipeline:
          cached-files: [ 'name:a,path:b', c ]
          global-job-parameters: { color: red, size: 'a,b' }
          name:
        python.files: null
        flink:
          hadoop: { dfs.replication: 1, ipc: { client: { connect.timeout: 2 } } }
          yarn: { acl.enable: true }
        """,
    )
    assert read_yaml(file) == {
        "taskmanager.numberOfTaskSlots": "4",
        "taskmanager.memory.process.size": "2 gb",
        "rest.port": "9000",
        "parallelism.default": "010",
        "web.submit.enable": "True",
        "pipeline.cached-files": "name:a,path:b;c",
        "pipeline.global-job-parameters": "color:red,'size:a,b'",
        "flink.hadoop.dfs.replication": "1",
        "flink.hadoop.ipc.client.connect.timeout": "2",
        "flink.yarn": "acl.enable:true",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\na: 2\n", "line 2 is not valid YAML: the key 'a' is there twice."),
        ("a:\n  b: 1\na.b: 2\n", "has the key 'a.b' twice"),
        ("a: [1\n", "is not valid YAML"),
        ("- a\n", "must hold keys and values"),
        ("? [a]\n: b\n", "a key must be a text"),
        ("a: \x01\n", "is not valid YAML"),
        ("a: *b\n", "is not valid YAML"),
    ],
)
def test_what_is_no_configuration_file(tmp_path: Path, content: str, message: str) -> None:
    file = _write(tmp_path, content)
    with pytest.raises(ConfigurationError) as error:
        read_yaml(file)
    assert str(error.value).startswith(str(file))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_yaml(tmp_path / "config.yaml")


def test_the_flat_file_of_1_x(tmp_path: Path) -> None:
    content = "# head\njobmanager.rpc.port: 6124 # tail\nnonsense\nempty:\na: b: c\n"
    assert read_legacy(_write(tmp_path, content, "flink-conf.yaml")) == {"jobmanager.rpc.port": "6124", "a": "b: c"}


def test_the_new_file_hides_the_old_one(tmp_path: Path) -> None:
    _write(tmp_path, "rest.port: 1", "flink-conf.yaml")
    assert load(tmp_path, {}, {}) == {"rest.port": "1"}
    _write(tmp_path, "rest.port: 2")
    assert load(tmp_path, {}, {}) == {"rest.port": "2"}


def test_precedence_and_origins(tmp_path: Path) -> None:
    file = _write(tmp_path, "rest.port: 1\nrest.address: a\nparallelism.default: 3\nakka.ask.timeout: 1 s\n")
    environment = {
        "PYFLOW__rest__port": "2",
        "PYFLOW__rest__bind_port": "5",
        "PYFLOW__pekko__ask__timeout": "2 s",
        "PYFLOW__": "x",
        "PATH": "/bin",
    }
    configuration = load(tmp_path, {"parallelism.default": "4"}, environment)
    assert configuration == {
        "rest.port": "2",
        "rest.address": "a",
        "parallelism.default": "4",
        "rest.bind-port": "5",
        "pekko.ask.timeout": "2 s",
    }
    assert configuration.origins == {
        "rest.port": "environment variable PYFLOW__rest__port",
        "rest.address": str(file),
        "parallelism.default": "the command line",
        "rest.bind-port": "environment variable PYFLOW__rest__bind_port",
        "pekko.ask.timeout": "environment variable PYFLOW__pekko__ask__timeout",
    }


def test_a_wrong_value_names_its_origin(tmp_path: Path) -> None:
    file = _write(tmp_path, "akka.ask.timeout: soon\n")
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, {}, {})
    assert str(error.value).startswith(
        f"'soon' is not a valid value of akka.ask.timeout (from {file}): allowed is a duration"
    )
    with pytest.raises(ConfigurationError, match=r"\(from environment variable PYFLOW__rest__port\)"):
        load(None, {}, {"PYFLOW__rest__port": "http"})


def test_unknown_keys_are_told_with_the_nearest(tmp_path: Path) -> None:
    configuration = load(
        None,
        {
            "taskmanager.numberOfTaskslots": "2",
            "my.own.key": "x",
            "state.backend.rocksdb.anything": "x",
            "metrics.reporter.prom.port": "1",
            "execution.checkpointing.interval": "1 s",
            "pipeline.global-job-parameters.x": "1",
            "rest.port": "1",
        },
        {},
    )
    assert check_keys(configuration) == [
        "Unknown configuration key 'taskmanager.numberOfTaskslots' (from the command line): did you mean"
        " 'taskmanager.numberOfTaskSlots'?",
        "Unknown configuration key 'my.own.key' (from the command line).",
    ]


def test_the_configuration_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    assert find_conf_dir(home, {}) is None
    (home / "conf").mkdir(parents=True)
    assert find_conf_dir(home, {}) == home / "conf"
    assert find_conf_dir(home, {"FLINK_CONF_DIR": str(tmp_path)}) == tmp_path
    with pytest.raises(ConfigurationError, match="named by FLINK_CONF_DIR does not exist"):
        find_conf_dir(home, {"FLINK_CONF_DIR": str(tmp_path / "gone")})
