"""What users read when their code fails."""

from __future__ import annotations

import errno
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from pyflow_runtime.operators.failures import (
    OperatorFailure,
    Place,
    ProgramSources,
    TaskCancelled,
    describe,
    short_repr,
    unpickling_error,
)
from pyflow_runtime.operators.harness import ChainHarness, Edge
from pyflow_yarn.datastream.functions import KeyedProcessFunction
from pyflow_yarn.datastream.sink import Sink, SinkWriter, WriterContext
from pyflow_yarn.errors import Domain, ExternalError, FailureInfo
from pyflow_yarn.graph.job_graph import Partitioning
from pyflow_yarn.graph.operators import (
    EdgeDefinition,
    FilterOperator,
    FlatMapOperator,
    KeyedProcessOperator,
    MapOperator,
    PrintOperator,
    ReduceOperator,
    SinkOperator,
)

PROGRAM = """\
def parse(line):
    return int(line)


def outer(line):
    value = parse(line)
    return value + 1
"""


def failure_of(harness: ChainHarness, values: Any, times: Any = None, **options: Any) -> FailureInfo:
    with pytest.raises(OperatorFailure) as raised:
        harness.process(values, times)
    return describe(raised.value, subtask=1, parallelism=4, attempt=2, **options)


def chain(*definitions: Any, names: Any = None, edges: Any = None) -> ChainHarness:
    return ChainHarness(definitions, edges or [Edge()], names=names).open()


@pytest.mark.parametrize("timed", [False, True])
def test_operator_record_and_lines(timed: bool) -> None:
    space: dict[str, Any] = {}
    exec(compile(PROGRAM, "job.py", "exec"), space)
    sources = ProgramSources({"job.py": PROGRAM})
    harness = chain(MapOperator(str.strip), MapOperator(space["outer"]), names=["Strip", "Parse"])
    failure = failure_of(harness, [" 1", " x "], [1, 2] if timed else None, sources=sources)
    assert failure.exception == "ValueError"
    assert (failure.operator, failure.declared_at, failure.record) == ("Parse", "job.py:2", "'x'")
    assert (failure.subtask, failure.parallelism, failure.attempt) == (1, 4, 2)
    assert [(frame.file, frame.line, frame.function, frame.code) for frame in failure.frames] == [
        ("job.py", 6, "outer", "value = parse(line)"),
        ("job.py", 2, "parse", "return int(line)"),
    ]
    assert failure.domain is Domain.USER
    assert failure.render().splitlines() == [
        "Operator 'Parse' failed (subtask 2/4, attempt 2).",
        "  declared at: job.py:2",
        "  record: 'x'",
        "Traceback (most recent call last):",
        '  File "job.py", line 6, in outer',
        "    value = parse(line)",
        '  File "job.py", line 2, in parse',
        "    return int(line)",
        "ValueError: invalid literal for int() with base 10: 'x'",
    ]


def test_generator_bodies_belong_to_their_operator() -> None:
    def split(line: str) -> Iterator[float]:
        for word in line.split():
            yield 1 / int(word)

    failure = failure_of(chain(FlatMapOperator(split), MapOperator(lambda x: x), names=["Split", "Same"]), ["1 0"])
    assert (failure.operator, failure.record) == ("Split", "'1 0'")
    assert failure.frames[-1].function == "split"


def test_the_record_is_that_of_the_failing_operator() -> None:
    steps = [MapOperator(lambda x: x * 10), FilterOperator(lambda x: x > 10), MapOperator(lambda x: 1 // (x - 30))]
    failure = failure_of(chain(*steps, names=["A", "B", "C"]), [1, 2, 3])
    assert (failure.operator, failure.record) == ("C", "30")


def test_key_selector_on_an_edge() -> None:
    definition = EdgeDefinition(key_selector=lambda r: r["user"])
    harness = chain(MapOperator(dict), names=["Parse"], edges=[Edge(Partitioning.HASH, 2, definition=definition)])
    failure = failure_of(harness, [{"user": 1}, {"name": 2}])
    assert (failure.operator, failure.record) == ("key_by", "{'name': 2}")
    assert failure.notes == ["While partitioning the output of 'Parse'."]
    assert failure.exception == "KeyError"
    assert failure.frames[-1].function == "<lambda>"  # it was inlined, and is shown all the same
    assert failure.frames[-1].code == 'definition = EdgeDefinition(key_selector=lambda r: r["user"])'


@pytest.mark.parametrize(("key", "word"), [([1], "key_type"), ("\ud800", "lone surrogate")])
def test_keys_that_cannot_be_hashed(key: Any, word: str) -> None:
    definition = EdgeDefinition(key_selector=lambda r: r)
    harness = chain(MapOperator(lambda x: x), edges=[Edge(Partitioning.HASH, 2, definition=definition)])
    failure = failure_of(harness, [key])
    assert word in failure.message
    assert failure.key is not None
    assert failure.exception == "UserError"


def test_partitioner_out_of_range() -> None:
    definition = EdgeDefinition(key_selector=lambda r: r, partitioner=lambda key, n: -1)
    harness = chain(MapOperator(lambda x: x), edges=[Edge(Partitioning.CUSTOM, 2, definition=definition)])
    failure = failure_of(harness, [1])
    assert failure.operator == "partition_custom"
    assert failure.message == "the partitioner returned -1, but must return a channel number from 0 to 1"


def test_keyed_functions_tell_the_key() -> None:
    class Fail(KeyedProcessFunction[str, Any, Any]):
        def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
            if value[1] == "timer":
                ctx.timer_service().register_event_time_timer(5)
            else:
                raise LookupError("no")

        def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> None:
            raise ArithmeticError("late")

    failure = failure_of(chain(KeyedProcessOperator(Fail(), lambda r: r[0])), [("a", 1)])
    assert (failure.key, failure.record) == ("'a'", "('a', 1)")
    harness = chain(KeyedProcessOperator(Fail(), lambda r: r[0])).process([("b", "timer")])
    with pytest.raises(OperatorFailure) as raised:
        harness.watermark(5)
    failure = describe(raised.value)
    assert (failure.key, failure.record) == ("'b'", None)
    assert failure.notes == ["While an event-time timer fired."]
    assert failure.exception == "ArithmeticError"

    failure = failure_of(chain(ReduceOperator(lambda a, b: a + b, lambda r: r[0])), [("a", 1), ("a", 2), "ab"])
    assert (failure.key, failure.record) == ("'a'", "'ab'")


def test_open_close_and_sinks() -> None:
    class Writer(SinkWriter[Any]):
        def write_batch(self, records: Any, timestamps: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "/data/out")

        def close(self) -> None:
            raise RuntimeError("close failed")

    class Full(Sink[Any]):
        def create_writer(self, context: WriterContext) -> SinkWriter[Any]:
            return Writer()

    harness = ChainHarness([MapOperator(lambda x: x), SinkOperator(Full())], names=["Map", "Files"]).open()
    failure = failure_of(harness, [1, 2])
    assert (failure.operator, failure.record, failure.domain) == ("Files", None, Domain.EXTERNAL)
    closing = harness.chain.close()
    assert isinstance(closing, OperatorFailure)
    assert str(closing.error) == "close failed"

    class Broken(Full):
        def create_writer(self, context: WriterContext) -> SinkWriter[Any]:
            raise ExternalError("hdfs://nn/ cannot be reached")

    with pytest.raises(OperatorFailure) as raised:
        ChainHarness([SinkOperator(Broken())], names=["Files"]).open()
    failure = describe(raised.value)
    assert (failure.exception, failure.operator, failure.domain) == ("ExternalError", "Files", Domain.EXTERNAL)
    assert failure.frames[-1].function == "create_writer"


def test_print_names_the_record_whose_text_fails() -> None:
    class Rude:
        def __str__(self) -> str:
            raise ValueError("no text")

        __repr__ = __str__

    harness = ChainHarness([PrintOperator()], names=["Print"]).open()
    failure = failure_of(harness, ["fine", Rude()])
    assert failure.record == "<Rude whose repr raises ValueError>"
    assert harness.text == ["fine\n"]


class Unfriendly(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    def __reduce__(self) -> Any:
        raise TypeError("not me")


@pytest.mark.parametrize(
    ("error", "exception", "message"),
    [
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
        (StopIteration(5), "StopIteration", "5"),
        (Unfriendly(), f"{Unfriendly.__module__}.Unfriendly", "<its text cannot be had: str() raises RuntimeError>"),
        (MemoryError("big"), "MemoryError", "big"),
    ],
)
def test_unusual_exceptions(error: BaseException, exception: str, message: str) -> None:
    class Thrower:
        def __call__(self, value: Any) -> Any:
            raise error

    harness = ChainHarness([MapOperator(Thrower())], [Edge()], pickled=False).open()
    failure = failure_of(harness, [1])
    assert (failure.exception, failure.message) == (exception, message)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=FailureInfo) == failure


def test_the_end_of_a_task_is_no_failure_of_the_user() -> None:
    def stuck(value: int) -> int:
        raise TaskCancelled

    with pytest.raises(TaskCancelled):
        ChainHarness([MapOperator(stuck)], [Edge()], pickled=False).open().process([1])


def test_causes_groups_and_notes() -> None:
    def fail(value: int) -> int:
        try:
            int("a")
        except ValueError as error:
            raise TypeError("bad") from error
        return 0

    failure = failure_of(chain(MapOperator(fail)), [1])
    assert len(failure.notes) == 1
    assert failure.notes[0].startswith("Caused by: ValueError: invalid literal")

    def implicit(value: int) -> int:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("bad")  # noqa: B904

    failure = failure_of(chain(MapOperator(implicit)), [1])
    assert failure.notes[0].startswith("While handling: KeyError")

    def group(value: int) -> int:
        error = ExceptionGroup("several", [ValueError("one"), TypeError("two")])
        error.add_note("Look at the input.")
        raise error

    failure = failure_of(chain(MapOperator(group)), [1])
    assert failure.exception == "ExceptionGroup"
    assert failure.notes == ["In the group: ValueError: one", "In the group: TypeError: two", "Look at the input."]


def test_recursion_is_shown_in_25_lines() -> None:
    def deep(value: int) -> int:
        return deep(value + 1)

    failure = failure_of(chain(MapOperator(deep)), [1])
    assert failure.exception == "RecursionError"
    assert len(failure.frames) <= 30
    assert len(failure.render().splitlines()) <= 25


def test_long_and_hostile_records() -> None:
    assert short_repr("x" * 10_000_000).startswith("'xxx")
    assert len(short_repr(list(range(10_000)))) == 400

    class Hostile:
        def __repr__(self) -> str:
            raise SystemExit

    assert short_repr(Hostile()) == "<Hostile whose repr raises SystemExit>"
    assert short_repr("a\nb") == "'a\\nb'"

    class Lines:
        def __repr__(self) -> str:
            return "a\nb"

    assert short_repr(Lines()) == "a\\nb"


def test_shipped_modules_are_shown_without_their_directory(tmp_path: Path) -> None:
    (tmp_path / "helpers").mkdir()
    file = tmp_path / "helpers" / "words.py"
    file.write_text("def fail(value):\n    return value / 0\n")
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    failure = failure_of(chain(MapOperator(space["fail"])), [1], sources=ProgramSources(python_path=[str(tmp_path)]))
    assert (failure.frames[-1].file, failure.frames[-1].code) == ("helpers/words.py", "return value / 0")


def test_sources_reach_linecache(tmp_path: Path) -> None:
    file = tmp_path / "sources"
    file.write_bytes(msgspec.msgpack.encode({"gone_job.py": "a = 1\nb = 2\n"}))
    sources = ProgramSources.load(str(file))
    sources.install()
    linecache.checkcache()
    assert linecache.getline("gone_job.py", 2) == "b = 2\n"
    assert sources.line("gone_job.py", 2) == "b = 2"
    assert sources.line("gone_job.py", 9) == ""
    linecache.cache.pop("gone_job.py")
    assert ProgramSources.load("").texts == {}


def test_a_missing_module_is_named_with_the_way_to_ship_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    pickled = cloudpickle.dumps(MapOperator(only_here.double))
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "only_here", raising=False)
    with pytest.raises(ModuleNotFoundError) as raised:
        cloudpickle.loads(pickled)
    error = unpickling_error(raised.value, "Double")
    failure = describe(error)
    assert failure.operator == "Double"
    assert "needs the module 'only_here'" in failure.message
    assert "-pyfs only_here.py" in failure.message
    assert failure.frames == []
    assert "another version" in describe(unpickling_error(AttributeError("no f"), "M")).message
    assert "UnpicklingError" in describe(unpickling_error(__import__("pickle").UnpicklingError("x"), "M")).message


def test_a_place_is_not_needed() -> None:
    failure = describe(ValueError("x"), place=Place("Op"))
    assert (failure.operator, failure.record, failure.key) == ("Op", None, None)
    assert describe(ValueError("x")).headline() == "ValueError: x"
