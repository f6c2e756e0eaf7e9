"""The end of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyflow_yarn.datastream.program import OperatorSettings

if TYPE_CHECKING:
    from pyflow_yarn.datastream.slot_sharing_group import SlotSharingGroup
    from pyflow_yarn.datastream.stream_execution_environment import StreamExecutionEnvironment


class DataStreamSink(OperatorSettings):
    """The end of a stream."""

    def __init__(self, environment: StreamExecutionEnvironment, transformation_id: int) -> None:
        super().__init__(environment.program, transformation_id)

    def name(self, name: str) -> DataStreamSink:
        """Name the sink, for plan, web interface, logs and metrics."""
        self._set_name(name)
        return self

    def uid(self, uid: str) -> DataStreamSink:
        """Tie the sink's state to a text that is unique in the job."""
        self._set_uid(uid)
        return self

    def set_uid_hash(self, uid_hash: str) -> DataStreamSink:
        """Give the sink's operator id literally: 32 hexadecimal digits."""
        self._set_uid_hash(uid_hash)
        return self

    def set_parallelism(self, parallelism: int) -> DataStreamSink:
        """Run the sink as so many subtasks."""
        self._set_parallelism(parallelism)
        return self

    def set_max_parallelism(self, max_parallelism: int) -> DataStreamSink:
        """Largest parallelism of the sink."""
        self._set_max_parallelism(max_parallelism)
        return self

    def set_description(self, description: str) -> DataStreamSink:
        """Describe the sink, for plan and web interface."""
        self._set_description(description)
        return self

    def disable_chaining(self) -> DataStreamSink:
        """Do not fuse the sink with the operator before it."""
        self._disable_chaining()
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> DataStreamSink:
        """Let the sink share slots with operators of the same group only."""
        self._set_slot_sharing_group(slot_sharing_group)
        return self
