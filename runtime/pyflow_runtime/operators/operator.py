"""What every operator of a chain has in common at run time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyflow_runtime.operators.codegen import Consumer, LoopWriter, Origin, Sides
from pyflow_runtime.operators.failures import Place
from pyflow_runtime.operators.key_selectors import inline_template, key_function
from pyflow_runtime.state.runtime_context import WorkerRuntimeContext
from pyflow_yarn.datastream.functions import Function, KeySelector
from pyflow_yarn.graph.job_graph import OperatorNode

MIN_TIMESTAMP = -(2**63)
MAX_WATERMARK = 2**63 - 1


@dataclass
class TaskContext:
    """What an operator may know of the task it belongs to, and what it may ask of it.

    ``clock`` gives epoch milliseconds; ``send_event(operator_id, payload)`` reaches the counterpart in the coordinator
    (or the client); ``write_text`` puts whole lines on standard output; ``wake`` asks for a step of the task soon.
    """

    job_id: str
    task_name: str
    subtask: int = 0
    parallelism: int = 1
    max_parallelism: int = 128
    attempt: int = 0
    job_parameters: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, str] = field(default_factory=dict)
    cached_files: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], int] = lambda: 0
    send_event: Callable[[str, bytes], None] = lambda operator_id, payload: None
    write_text: Callable[[list[str]], None] = lambda lines: None
    wake: Callable[[], None] = lambda: None


@dataclass
class Emission:
    """Records that an operator emits outside the loop; ``times`` is parallel to ``values`` or None."""

    values: list[Any]
    times: list[int] | None = None


class Operator:
    """One operator of one subtask; subclasses are made by ``operators.factory``.

    ``result`` is the name of the variable that holds its output records in generated loops. ``consumers`` take them;
    those that come with a tag go to ``sides``, by the tag's id. ``looked_for`` is, once it is open, ``sides`` if there
    can be any, else None.
    """

    inline = False

    def __init__(self, index: int, node: OperatorNode, task: TaskContext) -> None:
        self.index = index
        self.node = node
        self.task = task
        self.result = f"r{index}"
        self.consumers: list[Consumer] = []
        self.sides: dict[str, list[Consumer]] = {}
        self.looked_for: Sides | None = None
        self.runtime_context = WorkerRuntimeContext(task)
        self._opened: list[Function] = []

    def add_consumer(self, consumer: Consumer, tag: str) -> None:
        """One more that takes the records of a side output, or with "" of the main one."""
        (self.sides.setdefault(tag, []) if tag else self.consumers).append(consumer)

    # ---- lifecycle ----

    def open(self) -> None:
        """Called once, consumers first; exceptions are the user's."""

    def close(self) -> None:
        """Close every function that was opened, even if one of them raises; then raise its exception."""
        first: BaseException | None = None
        while self._opened:
            function = self._opened.pop()
            try:
                function.close()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def open_function(self, function: Any, method: str) -> Callable[..., Any]:
        """Open what the user passed, if it is a function class, and give the callable that loops call."""
        if not isinstance(function, Function):
            return function  # type: ignore[no-any-return]
        self._opened.append(function)
        function.open(self.runtime_context)
        return getattr(function, method)  # type: ignore[no-any-return]

    # ---- generated source ----

    def origin(self, value: str = "", key: str = "", inlined: Any = None) -> Origin:
        """The origin of a line that calls this operator's function on the record in ``value``."""
        return Origin(self.node.name, self.node.declared_at, value, key, inlined)

    @property
    def place(self) -> Place:
        """This operator as the place of a failure."""
        return Place(self.node.name, self.node.declared_at)

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """The lines that process the record in the variable ``value``."""
        raise NotImplementedError

    def write_bulk(self, writer: LoopWriter, values: str, origin: Origin | None) -> bool:
        """Operators with code per record cannot take a whole batch."""
        return False

    # ---- time and end ----

    def set_watermark(self, timestamp: int) -> None:
        """Event time has reached ``timestamp``: its timers become due."""

    def fire_event_timers(self, limit: int) -> Emission | None:
        """Fire up to about ``limit`` due event timers; None when none is due any more."""
        return None

    def next_processing_time(self) -> int | None:
        """When the earliest processing-time timer is due."""
        return None

    def fire_processing_timers(self, now: int, limit: int) -> Emission | None:
        """Fire up to about ``limit`` processing-time timers due at ``now``; None when none is due any more."""
        return None

    def end_input(self) -> None:
        """All input has been processed."""

    @property
    def done(self) -> bool:
        """Whether the task may finish, after ``end_input``, as far as this operator is concerned."""
        return True

    def handle_event(self, payload: bytes) -> None:
        """A message of the operator's counterpart."""


class KeyExpression:
    """How the key of a record is had inside a loop: by an inlined expression or by a call."""

    def __init__(self, name: str, selector: Any, callable_selector: Callable[[Any], Any] | None = None) -> None:
        self._name = name
        inlined = inline_template(selector)
        self._template, self.code = inlined if inlined is not None else (f"{name}({{}})", None)
        self._function = None if inlined is not None else callable_selector or key_function(selector)

    def of(self, writer: LoopWriter, value: str) -> str:
        """The expression of the key of the record in the variable ``value``."""
        if self._function is not None:
            writer.bind(self._name, self._function)
        return self._template.format(value)


def selector_function(operator: Operator, selector: Any) -> Any:
    """Open a key selector that is a function class."""
    return operator.open_function(selector, "get_key") if isinstance(selector, KeySelector) else selector
