"""On which line each key of a configuration file stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.configuration.key_lines import key_lines
from pyflow_yarn.configuration.loading import load

YAML = """\
# head
rest:
  port: 1

  address: a   # tail
parallelism.default: 2
pipeline:
  global-job-parameters:
    color: red
containerized.master.env: { A: b }
flink.yarn:
  resourcemanager:
    connect.max-wait.ms: 1
  acl.enable: false
"""
LEGACY = "# head\nrest.port: 1\nnonsense\nrest.port: 2\nrest.address: a: b\n"


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        (
            "config.yaml",
            YAML,
            {
                "rest.port": 3,
                "rest.address": 5,
                "parallelism.default": 6,
                "pipeline.global-job-parameters": 8,
                "containerized.master.env": 10,
                "flink.yarn.resourcemanager.connect.max-wait.ms": 13,
                "flink.yarn.acl.enable": 14,
            },
        ),
        ("config.yaml", "# nothing\n", {}),
        ("flink-conf.yaml", LEGACY, {"rest.port": 4, "rest.address": 5}),
    ],
)
def test_lines(tmp_path: Path, name: str, content: str, lines: dict[str, int]) -> None:
    file = tmp_path / name
    file.write_text(content)
    assert key_lines(file) == lines
    assert list(load(tmp_path, {}, {})) == sorted(lines, key=lines.__getitem__)
