"""What programs may import: a name comes or goes only together with ``public_names.json``, never unawares.

``python tests/architecture/test_public_names.py`` writes the file anew.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

RECORD = Path(__file__).with_name("public_names.json")
PACKAGES = ("pyflow_yarn.common", "pyflow_yarn.datastream")


def modules() -> list[ModuleType]:
    """The packages that programs import from, and their public modules."""
    found = []
    for name in PACKAGES:
        package = importlib.import_module(name)
        found.append(package)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not any(part.startswith("_") for part in module.name.split(".")):
                found.append(importlib.import_module(module.name))
    return found


def public_names() -> dict[str, list[str]]:
    """The names of each module that says which ones are public."""
    return {module.__name__: sorted(module.__all__) for module in modules() if hasattr(module, "__all__")}


def test_public_names_are_on_record() -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    assert public_names() == recorded, f"a change of what programs import is to be recorded in {RECORD.name}"


@pytest.mark.parametrize("module", [module for module in modules() if hasattr(module, "__all__")], ids=str)
def test_public_names_exist(module: ModuleType) -> None:
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_what_is_public(package: str) -> None:
    assert importlib.import_module(package).__all__


if __name__ == "__main__":
    RECORD.write_text(json.dumps(public_names(), indent=1) + "\n", encoding="utf-8")
