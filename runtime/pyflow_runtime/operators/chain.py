"""One chain of operators in one subtask: batches, watermarks, timers and the end of input go through it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyflow_runtime.network.batch import Batch, EndOfInput, Watermark, WatermarkStatus
from pyflow_runtime.operators.codegen import CompiledLoop, Consumer, Sides, compile_loop
from pyflow_runtime.operators.failures import OperatorFailure, Place, TaskCancelled, failing_at
from pyflow_runtime.operators.operator import Emission, Operator
from pyflow_runtime.operators.partitioning import EdgeOutput
from pyflow_runtime.operators.sinks import Collect
from pyflow_runtime.operators.source import SourceHead
from pyflow_runtime.state.key_groups import key_hash
from pyflow_yarn.errors import UserError

TIMERS_AT_ONCE = 4096
_ENTRY = -1


class OperatorChain:
    """The operators of a vertex and the output edges of a subtask, as one machine.

    ``operators`` are wired (``operators.factory``); ``outputs`` pairs operator indices with output edges.
    Exceptions of user code leave as ``OperatorFailure``.
    """

    def __init__(
        self, name: str, operators: Sequence[Operator], outputs: Sequence[tuple[int, EdgeOutput]] = ()
    ) -> None:
        self.name = name
        self.operators = list(operators)
        self.outputs = [output for _, output in outputs]
        for index, output in outputs:
            self.operators[index].add_consumer(output, output.edge.tag)
        self._by_id = {operator.node.id: operator for operator in self.operators}
        self._collects = [operator for operator in self.operators if isinstance(operator, Collect)]
        self._loops: dict[tuple[int, bool, str], CompiledLoop] = {}
        self._timed = False
        self._watermark: int | None = None
        self._entry = 0 if isinstance(self.operators[0], SourceHead) else _ENTRY

    # ---- lifecycle ----

    def open(self) -> None:
        """Open all functions, consumers before producers."""
        for output in self.outputs:
            context = self.operators[output.edge.source_operator].runtime_context
            with failing_at(Place(output.source)):
                output.open(context)
        for operator in reversed(self.operators):
            with failing_at(operator.place):
                operator.open()

    def close(self) -> BaseException | None:
        """Close all functions, each of them whatever the others do; the first exception of the user's code.

        It is ``TaskCancelled`` if one of them had to be interrupted.
        """
        first: BaseException | None = None
        for operator in self.operators:
            try:
                with failing_at(operator.place):
                    operator.close()
            except (Exception, TaskCancelled) as error:
                first = first or error
        for output in self.outputs:
            try:
                with failing_at(Place(output.source)):
                    output.close()
            except (Exception, TaskCancelled) as error:
                first = first or error
        for loop in self._loops.values():
            loop.close()
        self._loops.clear()
        return first

    # ---- data ----

    def process(self, batch: Batch) -> None:
        """Run one batch through the chain."""
        self._run(self._entry, batch.values, batch.timestamps)

    def process_side(self, tag: str, values: Sequence[Any]) -> None:
        """Run records of a side output of the source, which have no timestamps, through the chain."""
        self._run(self._entry, values, None, tag)

    def source(self, index: int = 0, timed: bool = False) -> str:
        """The generated source, for those who want to read it."""
        return self._loop(self._entry if index == 0 else index, timed).source

    def _loop(self, entry: int, timed: bool, tag: str = "") -> CompiledLoop:
        loop = self._loops.get((entry, timed, tag))
        if loop is None:
            consumers: Sequence[Consumer]
            sides: Sides | None = None
            if entry == _ENTRY:
                consumers, name = [self.operators[0]], "record"
            else:
                operator = self.operators[entry]
                consumers = operator.sides.get(tag, ()) if tag else operator.consumers
                sides = operator.looked_for
                name = operator.result
            loop = compile_loop(self.name, consumers, timed=timed, entry=name, sides=sides)
            self._loops[entry, timed, tag] = loop
        return loop

    def _run(self, entry: int, values: Sequence[Any], times: list[int] | None, tag: str = "") -> None:
        timed = times is not None
        if timed != self._timed:
            self._timed = timed
            for output in self.outputs:
                output.set_timed(timed)
        loop = self._loop(entry, timed, tag)
        try:
            if timed:
                loop.function(values, times)
            else:
                loop.function(values)
        except (OperatorFailure, TaskCancelled):
            raise
        except BaseException as error:
            place = loop.place(error.__traceback__) or Place()
            raise OperatorFailure(place, _explained(error, place)) from error
        self._send_full()

    def _send_full(self) -> None:
        for output in self.outputs:
            with sending(output):
                output.send_full()

    def flush(self) -> None:
        """Send all records that wait in lists."""
        for output in self.outputs:
            with sending(output):
                output.flush()

    @property
    def pending(self) -> bool:
        """Whether records wait in lists."""
        return any(output.pending for output in self.outputs)

    @property
    def available(self) -> bool:
        """Whether every output and every buffering operator takes more."""
        return all(output.available for output in self.outputs) and all(collect.available for collect in self._collects)

    # ---- time ----

    def advance_watermark(self, timestamp: int) -> None:
        """Event time advances: go on with ``resume`` until it is done, before anything else."""
        self._watermark = timestamp
        for operator in self.operators:
            operator.set_watermark(timestamp)

    @property
    def advancing(self) -> bool:
        """Whether a watermark has not passed the chain yet."""
        return self._watermark is not None

    def resume(self) -> bool:
        """Fire some due event timers; True when the watermark has passed the chain and was sent on."""
        if self._watermark is None:
            return True
        for operator in self.operators:
            emission = operator.fire_event_timers(TIMERS_AT_ONCE)
            if emission is not None:
                self._emit(operator, emission)
                return False
        for output in self.outputs:
            with sending(output):
                output.send_control(Watermark(self._watermark))
        self._watermark = None
        return True

    def set_idle(self, idle: bool) -> None:
        """Tell consumers not to wait for watermarks of this subtask, or to do so again."""
        for output in self.outputs:
            with sending(output):
                output.send_control(WatermarkStatus(idle))

    def next_processing_time(self) -> int | None:
        """When the earliest processing-time timer is due."""
        times = [time for operator in self.operators if (time := operator.next_processing_time()) is not None]
        return min(times, default=None)

    def fire_processing_timers(self, now: int) -> bool:
        """Fire some processing-time timers that are due; True if there may be more."""
        for operator in self.operators:
            emission = operator.fire_processing_timers(now, TIMERS_AT_ONCE)
            if emission is not None:
                self._emit(operator, emission)
                return True
        return False

    def _emit(self, operator: Operator, emission: Emission) -> None:
        if emission.values and (operator.consumers or operator.sides):
            self._run(operator.index, emission.values, emission.times)

    # ---- end and events ----

    def end_input(self) -> None:
        """All input was processed: flush sinks and tell the consumers."""
        for operator in self.operators:
            with failing_at(operator.place):
                operator.end_input()
        for output in self.outputs:
            with sending(output):
                output.send_control(EndOfInput())

    @property
    def done(self) -> bool:
        """Whether no operator waits for its counterpart any more."""
        return all(operator.done for operator in self.operators)

    def handle_event(self, operator_id: str, payload: bytes) -> None:
        """A message for one of the operators."""
        operator = self._by_id.get(operator_id)
        if operator is not None:
            operator.handle_event(payload)

    def tick(self) -> None:
        """Called about once a second."""
        for collect in self._collects:
            collect.tick()


@contextmanager
def sending(output: EdgeOutput) -> Iterator[None]:
    """A record that cannot be encoded is the fault of the operator that emitted it."""
    try:
        yield
    except UserError as error:
        raise OperatorFailure(Place(output.source), error) from error


def _explained(error: BaseException, place: Place) -> BaseException:
    """The error of an inlined key hash is replaced by the one that says what to do."""
    if isinstance(error, UnicodeEncodeError) and place.has_key:
        try:
            key_hash(place.key)
        except UserError as explained:
            return explained
    return error
