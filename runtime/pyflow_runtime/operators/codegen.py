"""Chains of operators become one loop of Python source.

Every operator contributes a few lines (``Operator.write``); this module puts them together, compiles them, and
remembers for each line which operator it belongs to and which variables hold the record and the key, so that an
exception is mapped to its operator, record and key afterwards, from the traceback: nothing watches over records while
they flow.

The source of a chain Map → Filter → (Sink, hash edge) reads:

    def chain(values, map_1=map_1, filter_2=filter_2, take_3=take_3, append_e0=append_e0, ...):
        batch_3 = []
        append_3 = batch_3.append
        for r0 in values:
            r1 = map_1(r0)
            if filter_2(r1):
                append_3(r1)
                append_e0[key_group_e0(r1[0])](r1)
        take_3(batch_3, None)

It is kept in ``linecache`` under ``<pyflow chain NAME>``: debuggers and profilers show it.
"""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any, Protocol

from pyflow_runtime.operators.failures import GENERATED_PREFIX, Place
from pyflow_yarn.datastream.output_tag import OutputTag

INDENT = "    "
# CPython compiles no more than 20 nested loops and 100 levels of indentation.
_MOST_LOOPS = 12
_MOST_DEPTH = 60
_numbers = itertools.count()

ChainFunction = Callable[..., None]
Sides = Mapping[str, Sequence["Consumer"]]
"""Who takes the records with tags, by the tag's id."""


@dataclass(frozen=True)
class Origin:
    """What a generated line is about: whose code it calls and which variables hold record and key."""

    operator: str
    declared_at: str = ""
    record: str = ""
    key: str = ""
    inlined: CodeType | None = None
    note: str = ""


class Consumer(Protocol):
    """Something that takes the records of an operator inside a generated loop: an operator or an output edge.

    ``inline``: it uses ``value`` once and calls nothing of the user's, so ``value`` may be the expression that makes
    the record.
    """

    inline: bool

    def write(self, writer: LoopWriter, value: str, origin: Origin | None) -> None:
        """Write the lines that handle the record ``value``; ``origin`` is that of an expression in its place."""

    def write_bulk(self, writer: LoopWriter, values: str, origin: Origin | None) -> bool:
        """Write a line that takes all records of the iterable ``values`` at once; False if it needs them one by one."""


class LoopWriter:
    """Collects the lines of one generated function and what they need."""

    def __init__(self, name: str, timed: bool) -> None:
        self.name = name
        self.timed = timed
        self.depth = 1
        self.loops = 0
        self.parts: list[CompiledLoop] = []
        self._before: list[tuple[str, Origin | None]] = []
        self._body: list[tuple[str, Origin | None]] = []
        self._after: list[tuple[str, Origin | None]] = []
        self._bound: dict[str, Any] = {}

    def bind(self, name: str, value: Any) -> str:
        """Give the function a local by that name; the same name must mean the same thing."""
        self._bound[name] = value
        return name

    def before(self, text: str, origin: Origin | None = None) -> None:
        """A line before the loop."""
        self._before.append((INDENT + text, origin))

    def line(self, text: str, origin: Origin | None = None) -> None:
        """A line of the loop's body, at the current depth."""
        self._body.append((INDENT * self.depth + text, origin))

    def after(self, text: str, origin: Origin | None = None) -> None:
        """A line after the loop."""
        self._after.append((INDENT + text, origin))

    def indented(self, loop: bool = False) -> _Indentation:
        """``with writer.indented():`` the lines of a block, or of a loop's body."""
        return _Indentation(self, int(loop))

    def hand_on(self, consumer: Consumer, value: str) -> None:
        """Let a consumer write its lines for the record in the variable ``value``.

        Where the nesting is too deep it gets a loop of its own, which runs after this one.
        """
        if consumer.inline or (self.depth < _MOST_DEPTH and self.loops < _MOST_LOOPS):
            consumer.write(self, value, None)
            return
        name = f"part_{len(self.parts)}"
        part = compile_loop(self.name, [consumer], timed=self.timed)
        self.parts.append(part)
        self.bind(f"run_{name}", part.function)
        self.before(f"{name} = []")
        self.line(f"{name}.append({value})")
        if self.timed:
            self.before(f"times_{name} = []")
            self.line(f"times_{name}.append(t)")
        self.after(f"run_{name}({name}{f', times_{name}' if self.timed else ''})")

    def finish(self) -> tuple[str, dict[int, Origin], dict[str, Any]]:
        """Source, line → origin, and the values of the bound names."""
        arguments = "values, times" if self.timed else "values"
        bound = "".join(f",\n          {name}={name}" for name in self._bound)
        head: list[tuple[str, Origin | None]] = [(line, None) for line in f"def chain({arguments}{bound}):".split("\n")]
        lines = [*head, *self._before, *self._body, *self._after]
        if len(lines) == len(head):
            lines.append((INDENT + "pass", None))
        origins = {number: origin for number, (_, origin) in enumerate(lines, 1) if origin is not None}
        return "\n".join(text for text, _ in lines) + "\n", origins, self._bound


class _Indentation:
    def __init__(self, writer: LoopWriter, loops: int) -> None:
        self._writer = writer
        self._loops = loops

    def __enter__(self) -> None:
        self._writer.depth += 1
        self._writer.loops += self._loops

    def __exit__(self, *_: object) -> None:
        self._writer.depth -= 1
        self._writer.loops -= self._loops


class CompiledLoop:
    """A generated function and the map of its lines."""

    def __init__(self, writer: LoopWriter) -> None:
        self.source, self._origins, bound = writer.finish()
        self._parts = writer.parts
        self.file = f"{GENERATED_PREFIX}{writer.name}#{next(_numbers)}>"
        linecache.cache[self.file] = (len(self.source), None, self.source.splitlines(keepends=True), self.file)
        namespace = dict(bound)
        exec(compile(self.source, self.file, "exec"), namespace)  # the source is ours, built from fixed fragments
        self.function: ChainFunction = namespace["chain"]

    def place(self, trace: TracebackType | None) -> Place | None:
        """What the innermost frame of this loop in a traceback was doing; None if it is not in it."""
        found: Place | None = None
        origins_of = {loop.file: loop._origins for loop in self._all()}
        while trace is not None:
            frame = trace.tb_frame
            origins = origins_of.get(frame.f_code.co_filename)
            if origins is not None:
                origin = origins.get(trace.tb_lineno)
                if origin is not None:
                    variables = frame.f_locals
                    found = Place(
                        operator=origin.operator,
                        declared_at=origin.declared_at,
                        record=variables.get(origin.record),
                        has_record=origin.record in variables,
                        key=variables.get(origin.key),
                        has_key=origin.key in variables,
                        code=origin.inlined if trace.tb_next is None else None,
                        note=origin.note,
                    )
            trace = trace.tb_next
        return found

    def close(self) -> None:
        """Forget the source."""
        for loop in self._all():
            linecache.cache.pop(loop.file, None)

    def _all(self) -> Iterator[CompiledLoop]:
        yield self
        for part in self._parts:
            yield from part._all()


def compile_loop(
    name: str, consumers: Sequence[Consumer], *, timed: bool, entry: str = "r", sides: Sides | None = None
) -> CompiledLoop:
    """One loop that hands each of ``values`` (and ``times``) to the consumers.

    Consumers that take a whole batch get it without a loop. Without any consumer the records are dropped. With
    ``sides`` there may be records with tags.
    """
    writer = LoopWriter(name, timed)
    single = [
        consumer for consumer in consumers if sides is not None or not consumer.write_bulk(writer, "values", None)
    ]
    if single or sides:
        writer.line(f"for {entry}, t in zip(values, times):" if timed else f"for {entry} in values:")
        with writer.indented(loop=True):
            if sides is not None:
                write_sides(writer, sides, entry)
            for consumer in single:
                writer.hand_on(consumer, entry)
    return CompiledLoop(writer)


def write_outputs(
    writer: LoopWriter, consumers: Sequence[Consumer], expression: str, name: str, origin: Origin | None
) -> None:
    """Hand the record of ``expression`` (evaluated once) to the consumers, as ``name`` where it needs a name."""
    if len(consumers) == 1 and consumers[0].inline:
        consumers[0].write(writer, expression, origin)
        return
    if expression != name:
        writer.line(f"{name} = {expression}", origin)
    for consumer in consumers:
        writer.hand_on(consumer, name)


def write_iterable(
    writer: LoopWriter,
    consumers: Sequence[Consumer],
    expression: str,
    name: str,
    origin: Origin,
    sides: Sides | None = None,
) -> None:
    """Hand each record of an iterable that the user's code made (None: no records) to the consumers.

    With ``sides`` there may be records with tags.
    """
    results = f"{name}s"
    writer.line(f"{results} = {expression}", origin)
    writer.line(f"if {results} is not None:")
    with writer.indented():
        whole = sides is None and not writer.timed and len(consumers) == 1
        if whole and consumers[0].write_bulk(writer, results, origin):
            return
        # The user's generator runs while it is iterated over: this line is his too.
        writer.line(f"for {name} in {results}:", origin)
        with writer.indented(loop=True):
            if sides is not None:
                write_sides(writer, sides, name)
            if not consumers:
                writer.line("pass")
            for consumer in consumers:
                writer.hand_on(consumer, name)


def write_sides(writer: LoopWriter, sides: Sides, name: str) -> None:
    """A pair of a tag and a value leaves the loop's body here: the value goes to the consumers of that tag, if any."""
    writer.bind("OutputTag", OutputTag)
    writer.line(f"if isinstance({name}, tuple) and len({name}) == 2 and isinstance({name}[0], OutputTag):")
    with writer.indented():
        for number, (tag_id, consumers) in enumerate(sides.items()):
            tag = writer.bind(f"tag_{name}_{number}", tag_id)
            writer.line(f"if {name}[0].tag_id == {tag}:")
            with writer.indented():
                value = f"{name}_side"
                writer.line(f"{value} = {name}[1]")
                for consumer in consumers:
                    writer.hand_on(consumer, value)
        writer.line("continue")
