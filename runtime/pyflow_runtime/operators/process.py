"""process: ProcessFunction, and KeyedProcessFunction with its state and timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyflow_runtime.operators.codegen import LoopWriter, Origin, write_iterable
from pyflow_runtime.operators.contexts import KeyedContext, KeyedTimerService, ProcessContext, UnkeyedTimerService
from pyflow_runtime.operators.failures import OperatorFailure, Place, TaskCancelled
from pyflow_runtime.operators.operator import Emission, KeyExpression, Operator, TaskContext, selector_function
from pyflow_runtime.operators.tags import may_yield_tags
from pyflow_runtime.state.backend import NO_KEY, KeyedStateBackend
from pyflow_runtime.state.timers import TimerQueue
from pyflow_yarn.datastream.time_domain import TimeDomain
from pyflow_yarn.graph.job_graph import OperatorNode
from pyflow_yarn.graph.operators import KeyedProcessOperator, ProcessOperator

_Results = Any


class Process(Operator):
    """A ``ProcessFunction`` on a stream without keys."""

    def __init__(self, index: int, node: OperatorNode, definition: ProcessOperator, task: TaskContext) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._timers = UnkeyedTimerService(task.clock)
        self._context = ProcessContext(self._timers)
        self._function: Callable[[Any, Any], _Results]

    def open(self) -> None:
        """As the base class says."""
        self._function = self.open_function(self._definition.function, "process_element")
        self.looked_for = self.sides if may_yield_tags(bool(self.sides), self.node.definition) else None

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        process = writer.bind(f"process_{self.index}", self._function)
        context = writer.bind(f"context_{self.index}", self._context)
        if writer.timed:
            writer.line(f"{context}.time = t")
        else:
            writer.before(f"{context}.time = None")
        call = f"{process}({value}, {context})"
        write_iterable(writer, self.consumers, call, self.result, self.origin(value), self.looked_for)

    def set_watermark(self, timestamp: int) -> None:
        """As the base class says."""
        self._timers.watermark = timestamp


class KeyedProcess(Operator):
    """A ``KeyedProcessFunction`` with the current key, keyed state and timers."""

    def __init__(
        self,
        index: int,
        node: OperatorNode,
        definition: KeyedProcessOperator,
        task: TaskContext,
        backend: KeyedStateBackend,
    ) -> None:
        super().__init__(index, node, task)
        self._definition = definition
        self._backend = backend
        self.runtime_context.backend = backend
        self._event_timers = TimerQueue()
        self._processing_timers = TimerQueue()
        self._timers = KeyedTimerService(task.clock, backend.current, self._event_timers, self._processing_timers)
        self._context = KeyedContext(self._timers, backend.current)
        self._process: Callable[[Any, Any], _Results]
        self._on_timer: Callable[[int, Any], _Results]
        self._key: KeyExpression

    def open(self) -> None:
        """As the base class says."""
        selector = selector_function(self, self._definition.key_selector)
        self._key = KeyExpression(f"key_{self.index}", selector)
        function = self._definition.function
        self._process = self.open_function(function, "process_element")
        self._on_timer = getattr(function, "on_timer", _no_timer)
        self.looked_for = self.sides if may_yield_tags(bool(self.sides), self.node.definition) else None

    def close(self) -> None:
        """As the base class says."""
        self._backend.current.key = NO_KEY
        try:
            super().close()
        finally:
            self._backend.close()

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """As the base class says."""
        process = writer.bind(f"process_{self.index}", self._process)
        context = writer.bind(f"context_{self.index}", self._context)
        current = writer.bind(f"current_{self.index}", self._backend.current)
        key = f"k{self.index}"
        selecting = self.origin(value, inlined=self._key.code)
        writer.line(f"{current}.key = {key} = {self._key.of(writer, value)}", selecting)
        if writer.timed:
            writer.line(f"{context}.time = t")
        else:
            writer.before(f"{context}.time = None")
        call = f"{process}({value}, {context})"
        write_iterable(writer, self.consumers, call, self.result, self.origin(value, key), self.looked_for)

    # ---- timers ----

    def set_watermark(self, timestamp: int) -> None:
        """As the base class says."""
        self._timers.watermark = timestamp

    def fire_event_timers(self, limit: int) -> Emission | None:
        """As the base class says."""
        time = self._event_timers.next_time()
        if time is None or time > self._timers.watermark:
            return None
        return self._fire(self._event_timers, self._timers.watermark, limit, TimeDomain.EVENT_TIME)

    def next_processing_time(self) -> int | None:
        """As the base class says."""
        return self._processing_timers.next_time()

    def fire_processing_timers(self, now: int, limit: int) -> Emission | None:
        """As the base class says."""
        time = self._processing_timers.next_time()
        if time is None or time > now:
            return None
        return self._fire(self._processing_timers, now, limit, TimeDomain.PROCESSING_TIME)

    def _fire(self, timers: TimerQueue, until: int, limit: int, domain: TimeDomain) -> Emission:
        values: list[Any] = []
        times: list[int] = []
        on_timer, context, current = self._on_timer, self._context, self._backend.current
        context.domain = domain
        fired = 0
        try:
            for time, key in timers.due(until):
                current.key = key
                context.time = time
                results = on_timer(time, context)
                if results is not None:
                    values.extend(results)
                    if len(times) < len(values):
                        times.extend([time] * (len(values) - len(times)))
                fired += 1
                if fired >= limit:
                    break
        except TaskCancelled:
            raise
        except BaseException as error:
            place = Place(self.node.name, self.node.declared_at, key=current.key, has_key=True, note=_FIRING[domain])
            raise OperatorFailure(place, error) from error
        finally:
            current.key = NO_KEY
            context.domain = None
        return Emission(values, times if domain is TimeDomain.EVENT_TIME else None)


_FIRING = {
    TimeDomain.EVENT_TIME: "While an event-time timer fired.",
    TimeDomain.PROCESSING_TIME: "While a processing-time timer fired.",
}


def _no_timer(timestamp: int, context: Any) -> None:
    """``on_timer`` of functions that have none."""
