"""Files made from the options are up to date, and the shipped configuration says what holds anyway."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from pyflow_yarn.configuration.loading import check_values, read_yaml
from pyflow_yarn.configuration.options import OPTIONS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_up_to_date(generate: ModuleType) -> None:
    for file, content in generate.generated().items():
        assert file.read_text(encoding="utf-8") == content, f"{file} is old: run docs/generate.py"


def test_as_shipped_the_file_sets_nothing() -> None:
    assert read_yaml(ROOT / "conf/config.yaml") == {}


def test_every_key_in_it_can_be_uncommented(tmp_path: Path) -> None:
    lines = (ROOT / "conf/config.yaml").read_text(encoding="utf-8").splitlines()
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(line.removeprefix("#") for line in lines if not line.startswith("# ")), encoding="utf-8")
    assert set(yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)) == set(OPTIONS)
    configuration = read_yaml(file)
    check_values(configuration)
    for key, option in OPTIONS.items():
        assert option.read(configuration) == option.default, key
