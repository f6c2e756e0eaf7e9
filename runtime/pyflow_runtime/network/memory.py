"""How much of a worker's memory frames may take. Pure."""

from __future__ import annotations

FRAME_SIZE = 256 * 1024
"""Batches are cut so that a DATA frame is about this large at most; only a single record may be larger."""


class NetworkMemory:
    """The worker's memory for frames: one half for those on their way in, the other for those on their way out.

    Coming in, a channel may have as many frames under way as is configured while there is memory, and one in any case.
    Going out, once the half is full, a channel that has frames queued already is not available.
    """

    def __init__(self, size: int, credits: int) -> None:
        self.outgoing = 0
        self._outgoing_limit = size // 2
        self._frames = size // 2 // FRAME_SIZE
        self._credits = credits
        self._reserved = 0

    def reserve(self) -> int:
        """The number of frames that a newly attached channel may have under way."""
        frames = max(1, min(self._credits, self._frames - self._reserved))
        self._reserved += frames
        return frames

    def release(self, frames: int) -> None:
        """Give back what ``reserve`` gave."""
        self._reserved -= frames

    @property
    def full(self) -> bool:
        """Whether frames on their way out have used up their half."""
        return self.outgoing >= self._outgoing_limit
