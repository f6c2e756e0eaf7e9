"""What the machine has, as far as a test can know."""

from __future__ import annotations

import os

from pyflow_runtime.taskexecutor.shell.machine_facts import hardware, host_id


def test_hardware_is_plausible() -> None:
    found = hardware(123)
    assert 1 <= found.cpu_cores <= (os.cpu_count() or 1)
    assert 0 < found.free_memory <= found.physical_memory
    assert found.physical_memory <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.managed_memory == 123


def test_one_machine_has_one_id() -> None:
    assert host_id() == host_id()
    assert len(host_id()) > 10
