"""Random jobs on real workers against a model: no record is lost or doubled, whatever the edges."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from pyflow_runtime.executiongraph.states import ExecutionState
from pyflow_yarn.common.typeinfo import Types
from pyflow_yarn.common.watermark_strategy import WatermarkStrategy
from pyflow_yarn.datastream import StreamExecutionEnvironment
from pyflow_yarn.datastream.connectors.number_seq import NumberSequenceSource
from pyflow_yarn.datastream.functions import KeyedProcessFunction
from tests.integration.slot_workers import SlotWorkers

# Functions of this module must travel by value: the workers do not have it.
cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["_"]))

_FEW_SEEDS = [7, 11, 17]
_MORE_SEEDS = [1, 2, 3, 4, 5, 6, 8, 9, 10, 12]


class Pass(KeyedProcessFunction[int, int, int]):
    """Emits what it gets."""

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterator[int]:
        """As the interface says."""
        yield value


class RandomJob:
    """A stream and the multiset of records it must produce."""

    def __init__(self, chance: random.Random, parallelism: int) -> None:
        self.chance = chance
        self.parallelism = parallelism
        self.env = StreamExecutionEnvironment.get_execution_environment()
        self.env.set_parallelism(parallelism)
        self.env.set_buffer_timeout(chance.choice([-1, 0, 1, 100]))
        count = chance.choice([1, 100, 5000, 30_000])
        source = NumberSequenceSource(1, count)
        self.stream: Any = self.env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        self.model = Counter(range(1, count + 1))
        self.story = [f"{count} numbers"]

    def _type(self) -> Any:
        return self.chance.choice([None, Types.LONG()])

    def transform(self) -> None:
        """One transformation."""
        kind = self.chance.choice(["map", "flat_map", "filter", "union"])
        self.story.append(kind)
        if kind == "map":
            self.stream = self.stream.map(lambda x: x + 1, output_type=self._type())
            self.model = Counter({value + 1: count for value, count in self.model.items()})
        elif kind == "flat_map":
            self.stream = self.stream.flat_map(lambda x: [x] * (x % 3), output_type=self._type())
            self.model = Counter({value: count * (value % 3) for value, count in self.model.items() if value % 3})
        elif kind == "filter":
            self.stream = self.stream.filter(lambda x: x % 5 != 0)
            self.model = Counter({value: count for value, count in self.model.items() if value % 5})
        else:
            negative = self.stream.map(lambda x: -x, output_type=self._type())
            self.stream = self.stream.union(negative)
            self.model += Counter({-value: count for value, count in self.model.items()})

    def repartition(self) -> None:
        """One exchange."""
        kinds = ["rebalance", "rescale", "shuffle", "global_", "key_by", "partition_custom", "forward"]
        if sum(self.model.values()) < 20_000:
            kinds.append("broadcast")
        kind = self.chance.choice(kinds)
        self.story.append(kind)
        if kind == "key_by":
            self.stream = self.stream.key_by(lambda x: x % 7).process(Pass(), output_type=self._type())
            return
        if kind == "partition_custom":
            self.stream = self.stream.partition_custom(lambda key, n: key % n, lambda x: x)
        elif kind != "forward":
            self.stream = getattr(self.stream, kind)()
        self.stream = self.stream.map(lambda x: x, output_type=self._type())
        if kind == "broadcast":
            self.model = Counter({value: count * self.parallelism for value, count in self.model.items()})
        elif kind != "forward" and self.chance.random() < 0.3:
            self.stream = self.stream.set_parallelism(self.chance.choice([1, self.parallelism]))


@pytest.mark.parametrize("seed", [*_FEW_SEEDS, *(pytest.param(seed, marks=pytest.mark.slow) for seed in _MORE_SEEDS)])
def test_every_record_arrives_exactly_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    parallelism = chance.choice([1, 2, 3])
    job = RandomJob(chance, parallelism)
    for _ in range(chance.randrange(1, 5)):
        job.transform()
        job.repartition()
    job.stream.filter(lambda x: True).print()
    settings = {"transport": chance.choice(["unix", "tcp"]), "network_memory": chance.choice([0, 1 << 20])}
    with SlotWorkers(tmp_path, parallelism, secret="s", **settings) as workers:
        workers.run(job.env.prepare("random").graph, 100)
        for report in workers.reports.values():
            assert report.state is ExecutionState.FINISHED, report.failure
        lines = [line for worker in workers.workers for line in worker.text().splitlines()]
    assert Counter(int(line.rpartition("> ")[2]) for line in lines) == job.model, job.story
