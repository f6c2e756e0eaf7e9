"""Writes the files that are made from the code: ``conf/config.yaml``, ``docs/configuration.md``, ``docs/rest.md``.

PYTHONPATH=.:runtime python docs/generate.py
"""

from __future__ import annotations

from pathlib import Path

from pyflow_runtime.rest import documentation as rest
from pyflow_yarn.configuration import documentation as configuration

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Each generated file with its content."""
    return {
        ROOT / "conf/config.yaml": configuration.config_yaml(),
        ROOT / "docs/configuration.md": configuration.reference(),
        ROOT / "docs/rest.md": rest.reference(),
    }


def main() -> None:
    """Write them all."""
    for file, content in generated().items():
        file.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
