"""The contract of a sink: writers in workers, and a committer in the job's coordinator.

Output becomes visible only when the committer has committed it. Bounded jobs commit once, after every task has
finished; with checkpoints, each completed checkpoint commits what was prepared for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from pyflow_yarn.common.typeinfo import TypeInformation

T_contra = TypeVar("T_contra", contravariant=True)


class WriterContext(msgspec.Struct, frozen=True):
    """Where a writer runs. ``subtask`` counts from 0; ``job_id`` is 32 hexadecimal digits."""

    job_id: str
    subtask: int
    parallelism: int
    attempt: int = 0


class SinkWriter(ABC, Generic[T_contra]):
    """Writes records of one subtask."""

    def open(self) -> None:
        """Called once in the worker, before anything else."""

    @abstractmethod
    def write_batch(self, records: Sequence[T_contra], timestamps: Sequence[int] | None) -> None:
        """Take a batch of records; timestamps (epoch milliseconds) are parallel to it, or None."""

    def flush(self) -> None:
        """Make everything written so far reach the outside (not necessarily visible)."""

    def prepare_commit(self) -> list[Any]:
        """What the committer needs to make the output visible: picklable values. Called at the end of input."""
        return []

    def close(self) -> None:
        """Called once, also after a failure or cancel; then it abandons what was not prepared."""


class Committer(ABC):
    """Makes prepared output visible. Every method is idempotent."""

    @abstractmethod
    def commit(self, committables: Sequence[Any]) -> None:
        """Make it visible; called again after a failure with the same values."""

    @abstractmethod
    def abort(self, committables: Sequence[Any]) -> None:
        """Remove what will never be committed."""

    def cleanup(self, job_id: str) -> None:
        """The job has ended, whatever its fate: remove what killed workers left behind."""


class Sink(ABC, Generic[T_contra]):
    """A sink as the program declares it: picklable, without open resources."""

    @abstractmethod
    def create_writer(self, context: WriterContext) -> SinkWriter[T_contra]:
        """A writer for one subtask."""

    def create_committer(self) -> Committer | None:
        """The committer, or None if what is written is visible at once."""
        return None

    def for_records(self, type_info: TypeInformation | None) -> Sink[T_contra]:
        """This sink for a stream of that declared type; sinks that do not care are their own."""
        return self

    @property
    def coordinated(self) -> bool:
        """Whether ``create_committer`` gives a committer."""
        return False
