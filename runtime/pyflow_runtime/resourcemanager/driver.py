"""Where TaskManagers come from: the drivers behind the ResourceManager.

All drivers pass one suite of tests. They live in the JobManager's event loop; nothing in them blocks.
"""

from __future__ import annotations

from typing import Protocol


class DriverListener(Protocol):
    """What a driver tells the JobManager."""

    def task_manager_ended(self, task_manager_id: str, reason: str) -> None:
        """Its process is known to be dead: nobody has to wait for heartbeats."""

    def resources_unavailable(self, reason: str, final: bool, slots: int = -1) -> None:
        """The wish cannot be fulfilled now or, if ``final``, ever; ``reason`` is a sentence.

        ``slots``: the most that the cluster can ever have, -1 if that is not known.
        """


class ResourceDriver(Protocol):
    """Starts and ends TaskManagers."""

    def start(self, listener: DriverListener) -> None:
        """Begin; called once, before anything else."""

    def request(self, missing_slots: int) -> None:
        """A level, no increment: so many slots are wanted beyond those that are registered; 0 withdraws the wish."""

    def registered(self, task_manager_id: str, slots: int) -> None:
        """A TaskManager has registered: its slots are no longer missing."""

    def release(self, task_manager_id: str) -> None:
        """It has been idle for long; the driver decides whether it ends."""

    def lost(self, task_manager_id: str) -> None:
        """The JobManager has given it up: if its process can be reached, it must not go on."""


class StandaloneDriver:
    """TaskManagers are started by hand: nothing can be provided, nothing is ended."""

    def __init__(self) -> None:
        self._listener: DriverListener | None = None

    def start(self, listener: DriverListener) -> None:
        """See ``ResourceDriver``."""
        self._listener = listener

    def request(self, missing_slots: int) -> None:
        """See ``ResourceDriver``."""
        if missing_slots > 0 and self._listener is not None:
            noun = "slot is" if missing_slots == 1 else "slots are"
            self._listener.resources_unavailable(
                f"{missing_slots} more {noun} wanted: start more TaskManagers, or lower the parallelism.", final=False
            )

    def registered(self, task_manager_id: str, slots: int) -> None:
        """See ``ResourceDriver``."""

    def release(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``."""

    def lost(self, task_manager_id: str) -> None:
        """See ``ResourceDriver``."""
