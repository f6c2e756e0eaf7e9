"""The failures of a job that are remembered: newest first, those of one moment together."""

from __future__ import annotations

from collections import deque

import msgspec

from pyflow_runtime.dispatcher.views import ExceptionEntry
from pyflow_yarn.errors import FailureInfo

MAX_CONCURRENT = 100

# What tasks report when a task they are connected with has died: never the cause if another is known.
_CONSEQUENCES = frozenset({"ChannelBroken", "ChannelBrokenError"})


def is_consequence(failure: FailureInfo) -> bool:
    """Whether a failure only tells that another one has happened elsewhere."""
    return failure.exception.rpartition(".")[2] in _CONSEQUENCES


class ExceptionHistory:
    """A bounded list of failures."""

    def __init__(self, size: int) -> None:
        self._entries: deque[ExceptionEntry] = deque(maxlen=max(1, size))

    def record(self, failure: FailureInfo, note: str = "") -> None:
        """A failure that something is done about; ``note`` says what (not)."""
        if note:
            failure = msgspec.structs.replace(failure, notes=[*failure.notes, note])
        self._entries.appendleft(ExceptionEntry(failure=failure))

    def record_concurrent(self, failure: FailureInfo) -> None:
        """A failure that happened while the last one was still being dealt with; it may turn out to be its cause."""
        if not self._entries:
            self.record(failure)
            return
        entry = self._entries[0]
        first = entry.failure
        if is_consequence(first) and not is_consequence(failure):
            failure = msgspec.structs.replace(failure, notes=[*failure.notes, *first.notes])
            first, failure = failure, first
        if len(entry.concurrent) < MAX_CONCURRENT:
            self._entries[0] = ExceptionEntry(failure=first, concurrent=[*entry.concurrent, failure])

    def root_cause(self) -> FailureInfo | None:
        """The failure dealt with last."""
        return self._entries[0].failure if self._entries else None

    def entries(self) -> list[ExceptionEntry]:
        """Newest first."""
        return list(self._entries)
