"""Memory of embedded TaskManagers."""

from __future__ import annotations

import pytest

from pyflow_runtime.entrypoint.memory import embedded_memory, memory_is_given
from pyflow_yarn.errors import ConfigurationError


def test_every_slot_has_what_the_only_slot_of_a_small_cluster_has() -> None:
    one, many = embedded_memory({}, 1), embedded_memory({}, 100)
    assert abs(many.slot_managed - one.slot_managed) < one.slot_managed * 0.2
    assert many.slot_heap >= one.slot_heap
    assert not memory_is_given({})


def test_what_is_given_is_divided() -> None:
    given = {"taskmanager.memory.process.size": "2 gb"}
    assert memory_is_given(given)
    assert embedded_memory(given, 4).process == 2 * 1024**3
    with pytest.raises(ConfigurationError, match="memory"):
        embedded_memory(given, 1000)
