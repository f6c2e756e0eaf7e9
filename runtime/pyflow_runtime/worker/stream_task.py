"""A task whose records come from other tasks."""

from __future__ import annotations

from pyflow_runtime.network import EdgeCodec, InputGate
from pyflow_runtime.network.batch import Barrier, Batch, EndOfInput, Watermark, WatermarkStatus
from pyflow_runtime.operators.factory import load_edge
from pyflow_runtime.operators.watermarks import WatermarkValve
from pyflow_runtime.taskexecutor.messages import TaskDeployment
from pyflow_runtime.worker.task import Task, TaskServices
from pyflow_yarn.errors import NotYetSupportedError


class StreamTask(Task):
    """Reads the gates of all its input edges in turn; event time is the least of all channels'."""

    def __init__(self, deployment: TaskDeployment, services: TaskServices) -> None:
        super().__init__(deployment, services)
        self._gates: list[InputGate] = []
        self._first_channel: list[int] = []
        self._valve = WatermarkValve(0)
        self._turn = 0
        self._idle = False

    def open_input(self) -> None:
        """As the base class says."""
        channels = 0
        for edge in self.deployment.inputs:
            type_info = load_edge(edge.edge.partitioner, self.deployment.vertex.name).type_info
            codec = EdgeCodec(type_info, f"for {self.deployment.vertex.name}")
            self._gates.append(self.services.exchange.input(self.attempt_id, edge, codec))
            self._first_channel.append(channels)
            channels += len(edge.producers)
        self._valve = WatermarkValve(channels)

    def input_ready(self, now: float) -> bool:
        """As the base class says."""
        return any(gate.ready for gate in self._gates)

    def poll(self, now: float) -> None:
        """As the base class says."""
        gates = self._gates
        for offset in range(len(gates)):
            index = (self._turn + offset) % len(gates)
            polled = gates[index].poll() if gates[index].ready else None
            if polled is None:
                continue
            self._turn = index + 1
            channel, element = polled
            self._handle(self._first_channel[index] + channel, element)
            return

    def _handle(self, channel: int, element: object) -> None:
        if isinstance(element, Batch):
            self.take(element)
        elif isinstance(element, Watermark):
            self._advance(self._valve.watermark(channel, element.timestamp))
        elif isinstance(element, WatermarkStatus):
            self._advance(self._valve.status(channel, element.idle))
        elif isinstance(element, EndOfInput):
            watermark = self._valve.end(channel)
            if self._valve.ended:
                self.end()
            else:
                self._advance(watermark)
        elif isinstance(element, Barrier):
            raise NotYetSupportedError("Checkpoints are not supported yet, but a barrier has arrived.")

    def _advance(self, watermark: int | None) -> None:
        if self._valve.idle != self._idle:
            self._idle = self._valve.idle
            self.chain.set_idle(self._idle)
        if watermark is not None:
            self.chain.advance_watermark(watermark)

    def close_gates(self) -> None:
        """As the base class says."""
        for gate in self._gates:
            gate.close()

    def read_records(self) -> tuple[int, int]:
        """As the base class says."""
        return sum(gate.records for gate in self._gates), sum(gate.bytes for gate in self._gates)
