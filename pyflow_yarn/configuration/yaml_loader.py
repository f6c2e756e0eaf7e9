"""YAML as the configuration file wants it: every scalar a text, no key twice, no tags that build objects."""

from __future__ import annotations

from typing import Any

import yaml


class UniqueKeyLoader(yaml.BaseLoader):
    """Refuses duplicate keys; scalars stay texts, so that ``1.10`` or ``on`` means what it says."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of texts; ``MarkedYAMLError`` at a key that is there twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """The text of a scalar; a plain ``null`` or ``~`` is no value."""
        value = super().construct_scalar(node)  # type: ignore[arg-type]
        if isinstance(node, yaml.ScalarNode) and node.style is None and value in ("null", "Null", "NULL", "~"):
            return None
        return value
