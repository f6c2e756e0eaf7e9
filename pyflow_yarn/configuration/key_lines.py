"""On which line of a configuration file each key stands; for people, so it is only looked up when one asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyflow_yarn.configuration.loading import LEGACY_CONFIG_FILE
from pyflow_yarn.configuration.options import is_map


def key_lines(file: Path) -> dict[str, int]:
    """The line of each key of a file that ``load`` has read without complaint."""
    content = file.read_text(encoding="utf-8")
    return _legacy_lines(content) if file.name == LEGACY_CONFIG_FILE else _yaml_lines(content)


def _yaml_lines(content: str) -> dict[str, int]:
    import yaml

    from pyflow_yarn.configuration.yaml_loader import UniqueKeyLoader

    lines: dict[str, int] = {}
    waiting = [("", yaml.compose(content, Loader=UniqueKeyLoader))]
    while waiting:
        prefix, mapping = waiting.pop()
        for name, value in mapping.value if mapping is not None else ():
            key = f"{prefix}{name.value}"
            if isinstance(value, yaml.MappingNode) and not (is_map(key) and _is_flat(value)):
                waiting.append((f"{key}.", value))
            else:
                lines[key] = name.start_mark.line + 1
    return lines


def _is_flat(mapping: Any) -> bool:
    return not any(value.id == "mapping" for _, value in mapping.value)


def _legacy_lines(content: str) -> dict[str, int]:
    """Of a key that is there twice the last line counts, as its value does."""
    return {
        line.partition(": ")[0].strip(): number for number, line in enumerate(content.splitlines(), 1) if ": " in line
    }
