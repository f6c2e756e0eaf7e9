"""Which gates a worker has, and the channels that wait for one. Pure."""

from __future__ import annotations

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.network.frames import OpenRequest
from pyflow_runtime.network.gate import Gate, Input
from pyflow_runtime.taskexecutor.messages import InputEdge

_Place = tuple[str, int, int]  # job, edge, subtask of the edge's target


class _Deployed:
    """The newest attempt of one subtask that has a gate here, or had one."""

    __slots__ = ("attempt", "gate", "producers")

    def __init__(self, attempt: int, gate: Gate, producers: list[tuple[int, int]]) -> None:
        self.attempt = attempt
        self.gate = gate
        self.producers = {producer: index for index, producer in enumerate(producers)}


class Consumers:
    """Brings together gates and the channels opened for them, in whatever order they come.

    A producer may be deployed before its consumer: its channel waits, without credit. A channel for an attempt older
    than the one seen here, for one that has ended, or from a producer's attempt that the gate does not expect, is
    refused.
    """

    def __init__(self) -> None:
        self._deployed: dict[_Place, _Deployed] = {}
        self._waiting: dict[_Place, dict[Input, OpenRequest]] = {}
        self._places: dict[Input, _Place] = {}

    @property
    def waiting(self) -> int:
        """The number of channels whose consumer is not deployed yet."""
        return len(self._places)

    def deploy(self, attempt_id: ExecutionAttemptId, input_edge: InputEdge, gate: Gate) -> None:
        """A task's gate is there: attach what waits for it."""
        place = (attempt_id.job_id, input_edge.edge.id, attempt_id.subtask)
        before = self._deployed.get(place)
        if before is not None and before.attempt >= attempt_id.attempt:
            raise ValueError(f"{attempt_id} has a gate for edge {input_edge.edge.id}, or a later attempt had")
        self._deployed[place] = _Deployed(attempt_id.attempt, gate, input_edge.producers)
        for channel, request in self._waiting.pop(place, {}).items():
            del self._places[channel]
            self.open(request, channel)

    def open(self, request: OpenRequest, channel: Input) -> None:
        """Attach the channel to its gate, now or when the task is deployed, or refuse it."""
        place = (request.job_id, request.edge, request.consumer)
        deployed = self._deployed.get(place)
        if deployed is None or deployed.attempt < request.consumer_attempt:
            self._waiting.setdefault(place, {})[channel] = request
            self._places[channel] = place
        elif deployed.attempt > request.consumer_attempt:
            channel.refuse(f"attempt {request.consumer_attempt} of the consumer is over")
        elif deployed.gate.closed:
            channel.refuse("the consumer has stopped")
        else:
            gate = deployed.gate
            index = deployed.producers.get((request.producer, request.producer_attempt))
            if index is None:
                channel.refuse(
                    f"the consumer expects another attempt of subtask {request.producer}"
                    f" than attempt {request.producer_attempt}"
                )
            elif gate.inputs[index] is not None:
                channel.refuse(f"the consumer has a channel from subtask {request.producer} already")
            else:
                gate.inputs[index] = channel
                channel.attach(gate, index)

    def forget(self, channel: Input) -> None:
        """The producer of a channel that may still be waiting for its gate is gone."""
        place = self._places.pop(channel, None)
        if place is not None:
            waiting = self._waiting[place]
            del waiting[channel]
            if not waiting:
                del self._waiting[place]
