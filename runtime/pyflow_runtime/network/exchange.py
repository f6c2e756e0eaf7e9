"""The exchange of one slot worker: everything that enters or leaves it as data."""

from __future__ import annotations

import selectors

from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_runtime.network.channels import InputGate, OutputChannel
from pyflow_runtime.network.codec import EdgeCodec
from pyflow_runtime.taskexecutor.messages import InputEdge, OutputEdge, WorkerAddress
from pyflow_runtime.worker.messages import WorkerSettings


class Exchange:
    """One per worker; driven by the worker's selector loop, from one thread, and never blocking.

        exchange = Exchange(settings, selector, network_memory=settings.network_memory, credits=2)
        ... report exchange.address ...
        while True:
            exchange.flush()                        # once per turn, before waiting
            for key, mask in selector.select(timeout):
                if exchange.owns(key): exchange.on_ready(key, mask)
            exchange.tick()                         # about once a second: gives up on peers that do not answer

    ``certificate_directory`` of the settings, if TLS is used, holds ``ca.pem``, ``certificate.pem`` and ``key.pem``.
    """

    address: WorkerAddress

    def __init__(
        self,
        settings: WorkerSettings,
        selector: selectors.BaseSelector,
        *,
        network_memory: int = 0,
        credits: int = 2,
        port: int = 0,
    ) -> None:
        raise NotImplementedError

    def output(self, attempt_id: ExecutionAttemptId, output_edge: OutputEdge, codec: EdgeCodec) -> list[OutputChannel]:
        """The channels of one edge out of a task, in the order of the edge's targets."""
        raise NotImplementedError

    def input(self, attempt_id: ExecutionAttemptId, input_edge: InputEdge, codec: EdgeCodec) -> InputGate:
        """The gate of one edge into a task; producers that asked before get their credit now."""
        raise NotImplementedError

    def owns(self, key: selectors.SelectorKey) -> bool:
        """Whether a selector key was registered by this exchange."""
        raise NotImplementedError

    def on_ready(self, key: selectors.SelectorKey, mask: int) -> None:
        """Move the bytes that a selector key announced; call it for each key that ``owns`` claims."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what all channels have queued, as far as credit and the kernel allow."""
        raise NotImplementedError

    def tick(self) -> None:
        """Give up on connections that did not come about in time; call it about once a second."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all sockets and remove the Unix socket; what was not drained is lost."""
        raise NotImplementedError
