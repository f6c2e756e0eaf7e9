"""Shipped files are found wherever the packages are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyflow_yarn.configuration import distribution
from pyflow_yarn.errors import ConfigurationError

CHECKOUT = Path(__file__).resolve().parents[3]


def test_in_a_checkout_they_are_beside_the_packages() -> None:
    assert distribution.bin_directory() == CHECKOUT / "bin"
    assert distribution.conf_directory() == CHECKOUT / "conf"
    assert (distribution.conf_directory() / "config.yaml").is_file()


def test_in_a_wheel_they_are_below_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pyflow_yarn"
    (package / "_dist" / "conf").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    monkeypatch.setattr(distribution, "_PACKAGE", package)
    assert distribution.conf_directory() == package / "_dist" / "conf"


def test_an_incomplete_installation_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "_PACKAGE", tmp_path / "pyflow_yarn")
    with pytest.raises(ConfigurationError, match="it has no folder bin; install pyflow-yarn again"):
        distribution.bin_directory()
