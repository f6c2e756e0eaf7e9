"""Slot workers as processes, driven through real sockets."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from pyflow_runtime.coordinator.messages import CommitPrepared
from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.watermark_strategy import WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.functions import KeyedProcessFunction, MapFunction, RuntimeContext
from pyflow_yarn.datastream.source import ReaderContext, Source, SourceReader
from pyflow_yarn.datastream.state import ValueState, ValueStateDescriptor
from pyflow_yarn.errors import Domain
from pyflow_yarn.graph.job_graph import JobGraph
from tests.integration.slot_workers import SlotWorkers

_S = ExecutionState
PROGRAM = "job.py"

# Functions of this module must travel by value: the workers do not have it.
cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["_"]))


def environment(parallelism: int = 1) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    return env


def graph(env: StreamExecutionEnvironment, name: str = "test") -> JobGraph:
    return env.prepare(name).graph


def numbers(env: StreamExecutionEnvironment, last: int) -> Any:
    return env.from_source(NumberSequenceSource(1, last), WatermarkStrategy.no_watermarks(), "Numbers")


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_word_count_over_two_workers(tmp_path: Path, transport: str) -> None:
    class CountWords(KeyedProcessFunction[str, str, Any]):
        def open(self, runtime_context: RuntimeContext) -> None:
            self.count: ValueState[int] = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

        def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> None:
            count = self.count.value()
            if count is None:
                ctx.timer_service().register_event_time_timer(2**63 - 1)
                count = 0
            self.count.update(count + 1)

        def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
            yield ctx.get_current_key(), self.count.value()

    env = environment(2)
    words = numbers(env, 20_000).flat_map(lambda n: [f"w{n % 100}", f"v{n % 7}"], output_type=Types.STRING())
    counts = Types.TUPLE([Types.STRING(), Types.LONG()])
    words.key_by(lambda word: word).process(CountWords(), output_type=counts).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 2, transport=transport, secret="s") as workers:
        workers.run(job)
        assert {report.state for report in workers.reports.values()} == {_S.FINISHED}
        assert all(history == [_S.INITIALIZING, _S.RUNNING, _S.FINISHED] for history in workers.states.values())
        lines = "".join(worker.text() for worker in workers.workers).splitlines()
        read = [report.metrics.read_records for report in workers.reports.values() if report.metrics is not None]
    expected = Counter(word for n in range(1, 20_001) for word in (f"w{n % 100}", f"v{n % 7}"))
    assert Counter(line.partition("> ")[2] for line in lines) == Counter(
        f"({word},{count})" for word, count in expected.items()
    )
    assert {line.partition("> ")[0] for line in lines} == {"1", "2"}
    assert sum(read) == 40_000


def test_a_failure_tells_where_and_ends_only_its_task(tmp_path: Path) -> None:
    def invert(number: int) -> float:
        return 1 / (number - 77)

    env = environment()
    numbers(env, 1000).map(invert).name("Invert").print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.run(job)
        (report,) = workers.reports.values()
        failure = report.failure
        assert report.state is _S.FAILED
        assert failure is not None
        assert (failure.exception, failure.operator, failure.record) == ("ZeroDivisionError", "Invert", "77")
        assert (failure.task_manager, failure.attempt, failure.parallelism) == ("tm-1", 0, 1)
        assert failure.declared_at.startswith("test_worker_process.py:")
        assert [frame.function for frame in failure.frames] == ["invert"]
        # The worker lives on and runs the next attempt.
        workers.deploy(job, attempt=1)
        workers.wait(lambda: any(r.attempt_id.attempt == 1 and r.state.terminal for r in workers.order))
        assert workers.workers[0].process.poll() is None


def test_program_sources_give_the_lines(tmp_path: Path) -> None:
    program = "def invert(number):\n    return 1 / number\n"
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(program, PROGRAM, "exec"), space)
    env = environment()
    env.from_collection([0]).map(space["invert"]).print()
    sources = tmp_path / "sources"
    sources.write_bytes(msgspec.msgpack.encode({PROGRAM: program}))
    with SlotWorkers(tmp_path, 1) as workers:
        workers.run(graph(env), sources=str(sources))
        (report,) = workers.reports.values()
    assert report.failure is not None
    assert report.failure.render().splitlines()[-4:] == [
        "Traceback (most recent call last):",
        '  File "job.py", line 2, in invert',
        "    return 1 / number",
        "ZeroDivisionError: division by zero",
    ]


def test_cancel_ends_an_endless_job_and_closes_functions(tmp_path: Path) -> None:
    marker = tmp_path / "closed"

    class Closing(MapFunction[int, int]):
        def __init__(self, path: str) -> None:
            self.path = path

        def map(self, value: int) -> int:
            return value

        def close(self) -> None:
            Path(self.path).write_text("yes")

    env = environment()
    numbers(env, 2**60).map(Closing(str(marker))).rebalance().map(lambda x: x).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait(lambda: all(workers.state(attempt) is _S.RUNNING for attempt in attempts))
        begin = time.monotonic()
        workers.cancel(attempts)
        workers.wait(lambda: all(workers.state(attempt).terminal for attempt in attempts), 10)
        assert time.monotonic() - begin < 2
        assert {workers.state(attempt) for attempt in attempts} == {_S.CANCELED}
        assert marker.read_text() == "yes"


def test_a_slow_function_does_not_delay_the_cancel(tmp_path: Path) -> None:
    env = environment()
    numbers(env, 10**9).map(lambda x: time.sleep(0.01)).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait_for_text(0, "None\n" * 20)
        begin = time.monotonic()
        workers.cancel(attempts)
        workers.wait(lambda: workers.state(attempts[0]) is _S.CANCELED, 10)
        assert time.monotonic() - begin < 0.5


def test_a_stuck_function_is_interrupted_by_the_signal(tmp_path: Path) -> None:
    def stuck(value: int) -> int:
        print("entered")  # noqa: T201
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue

    env = environment()
    numbers(env, 10).map(stuck).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait_for_text(0, "entered")
        workers.cancel(attempts)
        workers.signal(0, signal.SIGTERM)
        workers.wait(lambda: workers.state(attempts[0]) is _S.CANCELED, 10)
        assert workers.workers[0].process.poll() is None
        assert "it was interrupted at File" in workers.workers[0].text()


def test_a_function_that_does_not_close_is_interrupted_too(tmp_path: Path) -> None:
    class Lingering(MapFunction[int, int]):
        def map(self, value: int) -> int:
            return value

        def close(self) -> None:
            print("closing")  # noqa: T201
            while True:
                time.sleep(0.01)

    env = environment()
    numbers(env, 2**60).map(Lingering()).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait(lambda: workers.state(attempts[0]) is _S.RUNNING)
        workers.cancel(attempts)
        workers.wait_for_text(0, "closing")
        workers.signal(0, signal.SIGTERM)
        workers.wait(lambda: workers.state(attempts[0]) is _S.CANCELED, 10)
        assert workers.workers[0].process.poll() is None


def test_a_signal_without_a_cancel_ends_the_worker(tmp_path: Path) -> None:
    with SlotWorkers(tmp_path, 1) as workers:
        workers.signal(0, signal.SIGTERM)
        assert workers.workers[0].process.wait(10) == 128 + signal.SIGTERM


def test_a_worker_ends_with_its_supervisor_and_closes_functions(tmp_path: Path) -> None:
    marker = tmp_path / "closed"

    class Closing(MapFunction[int, int]):
        def __init__(self, path: str) -> None:
            self.path = path

        def map(self, value: int) -> int:
            return value

        def close(self) -> None:
            Path(self.path).write_text("yes")

    env = environment()
    numbers(env, 2**60).map(Closing(str(marker))).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait(lambda: workers.state(attempts[0]) is _S.RUNNING)
        workers.workers[0].control.close()
        assert workers.workers[0].process.wait(10) == 0
    assert marker.read_text() == "yes"


def test_a_dead_peer_breaks_the_channels(tmp_path: Path) -> None:
    env = environment(2)
    numbers(env, 2**60).rebalance().map(lambda x: x).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 2) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait(lambda: all(workers.state(attempt) is _S.RUNNING for attempt in attempts))
        workers.signal(1, signal.SIGKILL)
        mine = [attempt for attempt in attempts if attempt.subtask == 0]
        workers.wait(lambda: all(workers.state(attempt).terminal for attempt in mine), 20)
        failures = [workers.reports[attempt].failure for attempt in mine]
        assert all(failure is not None and failure.domain is Domain.CLUSTER for failure in failures)


def test_files_by_splits_and_committed_output(tmp_path: Path) -> None:
    from pyflow_yarn.common.serialization import Encoder
    from pyflow_yarn.datastream.connectors.file_system import FileSink, FileSource, StreamFormat

    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.txt").write_text("".join(f"{number} {line}\n" for line in range(3000)))
    env = environment(2)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path / "in")).build()
    sink = FileSink.for_row_format(str(tmp_path / "out"), Encoder.simple_string_encoder()).build()
    lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "Files")
    lines.map(lambda line: line + "!", output_type=Types.STRING()).sink_to(sink)
    with SlotWorkers(tmp_path, 2) as workers:
        workers.run(graph(env))
        assert {report.state for report in workers.reports.values()} == {_S.FINISHED}, workers.reports
        prepared = workers.prepare_commit()
        assert isinstance(prepared, CommitPrepared)
        assert prepared.payload


def test_collect(tmp_path: Path) -> None:
    from pyflow_yarn.graph.operators import OperatorKind

    class Fetching:
        """Takes the place of a client: only the graph is wanted."""

        configuration: dict[str, str] = {}  # noqa: RUF012

        def __init__(self) -> None:
            self.job: Any = None

        def execute(self, job: Any, attached: bool) -> Any:
            self.job = job

        def fetch_results(self, job_id: str, operator_id: str, offset: int) -> Any:
            raise NotImplementedError

    from pyflow_yarn.datastream import execution

    executor = Fetching()
    execution.set_executor(executor)
    try:
        env = environment()
        numbers(env, 5000).map(lambda x: x * 2).execute_and_collect("collect")
    finally:
        execution.set_executor(None)
    job = executor.job.graph
    (node,) = [node for vertex in job.vertices for node in vertex.operators if node.kind == OperatorKind.COLLECT]
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        collecting = attempts[-1]
        workers.wait(lambda: workers.state(collecting) is _S.RUNNING)
        assert workers.fetch(collecting, node.id) == [x * 2 for x in range(1, 5001)]
        workers.wait(lambda: workers.state(collecting) is _S.FINISHED)


def test_a_blocking_source_starves_nobody(tmp_path: Path) -> None:
    class Slow(SourceReader[int]):
        blocking = True

        def __init__(self) -> None:
            self.count = 0

        def read_batch(self, max_records: int) -> Sequence[int]:
            self.count += 1
            if self.count > 1:
                time.sleep(3600)
            return [self.count]

    class SlowSource(Source[int]):
        bounded = False

        def create_reader(self, context: ReaderContext) -> SourceReader[int]:
            return Slow()

    env = environment()
    slow = env.from_source(SlowSource(), WatermarkStrategy.no_watermarks(), "Slow")
    numbers(env, 1000).union(slow).map(lambda x: x, output_type=Types.LONG()).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        worker = workers.workers[0]
        workers.wait_for(lambda: len(worker.text().splitlines()) == 1001)
        workers.cancel(attempts)
        workers.wait(lambda: all(workers.state(attempt).terminal for attempt in attempts))
        begin = time.monotonic()
        worker.stop()
        assert time.monotonic() - begin < 3


def test_a_fast_producer_waits_for_a_slow_consumer(tmp_path: Path) -> None:
    def slowly(value: int) -> int:
        time.sleep(0.001)
        return value

    env = environment()
    numbers(env, 10**9).rebalance().map(slowly).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        source = attempts[0]

        def blocked() -> bool:
            report = workers.reports.get(source)
            return report is not None and report.metrics is not None and report.metrics.backpressured_time > 500

        workers.wait(blocked)
        written = workers.reports[source].metrics
        assert written is not None
        assert written.write_records < 200_000
        workers.cancel(attempts)
        workers.wait(lambda: all(workers.state(attempt).terminal for attempt in attempts))


def test_a_module_that_was_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    env = environment()
    numbers(env, 10).map(only_here.double).name("Double").print()
    job = graph(env)
    inside = tmp_path / "elsewhere"
    inside.mkdir()
    with SlotWorkers(inside, 1) as workers:
        workers.run(job)
        (report,) = workers.reports.values()
    assert report.failure is not None
    assert "'Double' needs the module 'only_here'" in report.failure.message


def test_a_slot_that_outgrows_its_memory_fails_its_task(tmp_path: Path) -> None:
    kept: list[Any] = []

    class Hoard(MapFunction[int, int]):
        def map(self, value: int) -> int:
            kept.append(str(value) * 10)
            return value

    env = environment()
    numbers(env, 10**9).map(Hoard()).filter(lambda x: False).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 1, memory_limit=200 * 1024 * 1024) as workers:
        workers.run(job)
        (report,) = workers.reports.values()
    assert report.state is _S.FAILED
    assert report.failure is not None
    assert "its share is 200 mb" in report.failure.message


def test_records_arrive_soon_when_there_are_few(tmp_path: Path) -> None:
    class Ticks(SourceReader[float]):
        def __init__(self) -> None:
            self.next = 0.0

        def read_batch(self, max_records: int) -> Sequence[float] | None:
            now = time.time()
            if now < self.next:
                return None
            self.next = now + 0.01
            return [now]

        def wait_milliseconds(self) -> int:
            return 5

    class Ticking(Source[float]):
        bounded = False

        def create_reader(self, context: ReaderContext) -> SourceReader[float]:
            return Ticks()

    class Age(MapFunction[float, float]):
        def map(self, value: float) -> float:
            return time.time() - value

    env = environment(2)
    ticks = env.from_source(Ticking(), WatermarkStrategy.no_watermarks(), "Ticks")
    ticks.key_by(lambda t: int(t * 1000)).map(Age()).print()
    job = graph(env)
    with SlotWorkers(tmp_path, 2) as workers:
        workers.prepare(job)
        attempts = workers.deploy(job)
        workers.wait_for(lambda: len(workers.workers[0].text().splitlines()) > 100)
        workers.cancel(attempts)
        workers.wait(lambda: all(workers.state(attempt).terminal for attempt in attempts))
        ages = sorted(float(line.partition("> ")[2]) for line in workers.workers[0].text().splitlines())
    assert ages[len(ages) // 2] < 0.05
