"""Clients' requests for results of collect operators: each is answered once."""

from __future__ import annotations

import msgspec

from pyflow_runtime.coordinator.messages import FetchResults, OperatorPayload, OperatorPayloadMessage, Results
from pyflow_runtime.dispatcher.effects import Reply
from pyflow_runtime.dispatcher.outbox import Outbox
from pyflow_runtime.executiongraph.ids import ExecutionAttemptId
from pyflow_yarn.errors import ClusterError

_DECODER: msgspec.msgpack.Decoder[OperatorPayloadMessage] = msgspec.msgpack.Decoder(OperatorPayloadMessage)


class CollectRequest:
    """A request that waits for the operator's answer, and the attempt it was handed to."""

    __slots__ = ("attempt_id", "payload", "request_id")

    def __init__(self, request_id: str, payload: bytes) -> None:
        self.request_id = request_id
        self.payload = payload
        self.attempt_id: ExecutionAttemptId | None = None


class CollectRequests:
    """At most one open request for each operator: a later one replaces it.

    An operator finishes once it has handed out its last page. It is kept, for it may not have reached the client.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._open: dict[str, CollectRequest] = {}
        self._last_pages: dict[str, tuple[ExecutionAttemptId, int, bytes]] = {}

    def add(self, request_id: str, operator_id: str, payload: bytes) -> None:
        """A client asks."""
        self.refuse(operator_id, "a later request for the results of that operator took its place")
        self._open[operator_id] = CollectRequest(request_id, payload)

    def to_deliver(self, operator_ids: list[str], attempt_id: ExecutionAttemptId) -> list[tuple[str, bytes]]:
        """Open requests for these operators that this attempt has not seen; they count as delivered."""
        delivered = []
        for operator_id in operator_ids:
            request = self._open.get(operator_id)
            if request is not None and request.attempt_id != attempt_id:
                request.attempt_id = attempt_id
                delivered.append((operator_id, request.payload))
        return delivered

    def answer_from_last_page(
        self, request_id: str, operator_id: str, payload: bytes, attempt_id: ExecutionAttemptId
    ) -> bool:
        """Whether that attempt's last page answers the request; then it has been answered."""
        last_attempt, offset, page = self._last_pages.get(operator_id, (None, 0, b""))
        asked = _decoded(payload)
        if last_attempt != attempt_id or not isinstance(asked, FetchResults) or asked.offset < offset:
            return False
        self._outbox.emit(Reply(request_id=request_id, result=page))
        return True

    def answer(self, operator_id: str, attempt_id: ExecutionAttemptId, payload: bytes) -> None:
        """An operator said something: the answer, unless it is a page after the one that is asked for now.

        The answer to an earlier request counts, too: it may be the operator's last word before it finishes, and a
        client leaves out what it has already.
        """
        message = _decoded(payload)
        if not isinstance(message, Results):
            return
        if message.last:
            self._last_pages[operator_id] = (attempt_id, message.offset, payload)
        request = self._open.get(operator_id)
        asked = _decoded(request.payload) if request is not None else None
        if request is not None and isinstance(asked, FetchResults) and message.offset <= asked.offset:
            del self._open[operator_id]
            self._outbox.emit(Reply(request_id=request.request_id, result=payload))

    def finish(self, operator_id: str, attempt_id: ExecutionAttemptId) -> None:
        """The operator has finished: there is its last page, and nothing else."""
        request = self._open.get(operator_id)
        if request is not None and self.answer_from_last_page(
            request.request_id, operator_id, request.payload, attempt_id
        ):
            del self._open[operator_id]
        else:
            self.refuse(operator_id, "the operator has finished")

    def refuse(self, operator_id: str, reason: str) -> None:
        """There will be no answer for that operator."""
        request = self._open.pop(operator_id, None)
        if request is not None:
            error = ClusterError(f"The results cannot be fetched: {reason}.")
            self._outbox.emit(Reply(request_id=request.request_id, error=error))

    def refuse_all(self, reason: str) -> None:
        """There will be no answers at all."""
        for operator_id in list(self._open):
            self.refuse(operator_id, reason)


def _decoded(payload: bytes) -> OperatorPayload | None:
    try:
        return _DECODER.decode(payload)
    except msgspec.DecodeError:
        return None
