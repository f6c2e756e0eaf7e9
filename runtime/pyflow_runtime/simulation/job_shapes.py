"""Random jobs, and what each must produce."""

from __future__ import annotations

from random import Random

from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode, Partitioning

ELEMENTS_OF_A_CHUNK = 3

_ALL_TO_ALL = (Partitioning.REBALANCE, Partitioning.HASH)


class SimulatedJob:
    """A job graph, what its sources hold, and what its sinks must get."""

    def __init__(self, random: Random, number: int, configuration: dict[str, str]) -> None:
        self.random = random
        self.chunks = random.randint(2, 4)
        self.chunk_time = random.choice((300, 1_200, 3_000))
        self.committing_takes = random.choice((5, 50, 1_500))
        self.commit_fails = random.random() < 0.04
        self.enumerator_fails = random.random() < 0.06
        vertices, edges, self.collects = _shape(random)
        self.graph = JobGraph(
            job_id=f"{number:032x}",
            name=f"job-{number}",
            vertices=vertices,
            edges=edges,
            configuration=configuration,
        )
        self.sources = [vertex for vertex in vertices if not self.graph.inputs(vertex.id)]
        self.sinks = [vertex for vertex in vertices if not self.graph.outputs(vertex.id)]
        self.expected: dict[str, dict[int, int]] = {sink.id: self._expected(sink.id) for sink in self.sinks}

    @property
    def job_id(self) -> str:
        """Its id."""
        return self.graph.job_id

    def coordinated(self, vertex: JobVertex) -> bool:
        """Whether a vertex has a counterpart in the coordinator."""
        return any(operator.coordinated for operator in vertex.operators)

    def splits(self, vertex: JobVertex) -> list[list[int]]:
        """All that a source holds, in portions. Elements are numbers that no other source has."""
        base = (self.sources.index(vertex) + 1) * 1_000
        count = self.chunks * vertex.parallelism
        return [
            list(range(base + split * ELEMENTS_OF_A_CHUNK, base + (split + 1) * ELEMENTS_OF_A_CHUNK))
            for split in range(count)
        ]

    def _expected(self, vertex_id: str) -> dict[int, int]:
        """How often each element reaches a vertex: once for each path."""
        inputs = self.graph.inputs(vertex_id)
        if not inputs:
            splits = self.splits(self.graph.vertex(vertex_id))
            return {element: 1 for split in splits for element in split}
        counts: dict[int, int] = {}
        for edge in inputs:
            for element, count in self._expected(edge.source).items():
                counts[element] = counts.get(element, 0) + count
        return counts


def _shape(random: Random) -> tuple[list[JobVertex], list[JobEdge], bool]:
    """One to four vertices in a line, or nearly so; and whether a client fetches the results."""
    length = random.choice((1, 2, 2, 3, 3, 4))
    parallelism = random.randint(1, 4)
    same_parallelism = random.random() < 0.5
    two_groups = random.random() < 0.15
    coordinated_source = random.random() < 0.6
    coordinated_sink = random.random() < 0.75
    links: list[tuple[int, int]] = [(index, index + 1) for index in range(length - 1)]
    if length >= 3 and random.random() < 0.3:
        # A second source into the last vertex, or a second sink out of the first.
        links[-1] = random.choice(((0, length - 1), (length - 2, length - 1)))
        if links[-1][0] == 0 and length > 3:
            links[-2] = (length - 3, length - 2)
    sources = set(range(length)) - {target for _, target in links}
    sinks = set(range(length)) - {source for source, _ in links}
    collects = length > 1 and len(sinks) == 1 and not coordinated_sink and random.random() < 0.6
    vertices = []
    for index in range(length):
        coordinated = (index in sources and coordinated_source) or (index in sinks and coordinated_sink)
        kind = "source" if index in sources else "sink" if index in sinks else "map"
        vertices.append(
            JobVertex(
                id=f"{index + 1:032x}",
                name=f"{kind}-{index}",
                parallelism=_parallelism(random, parallelism, same_parallelism, collects and index in sinks),
                max_parallelism=128,
                operators=[
                    OperatorNode(id=f"{index + 1:032x}", name=kind, kind=kind, definition=b"", coordinated=coordinated)
                ],
                slot_sharing_group="second" if two_groups and index == length - 1 else "default",
            )
        )
    forward_only = random.random() < 0.35
    edges = []
    for number, (source, target) in enumerate(links):
        left, right = vertices[source].parallelism, vertices[target].parallelism
        pointwise = Partitioning.FORWARD if left == right else Partitioning.RESCALE
        choices = (pointwise,) if forward_only else (pointwise, *_ALL_TO_ALL)
        edges.append(
            JobEdge(
                id=number,
                source=vertices[source].id,
                source_operator=0,
                target=vertices[target].id,
                partitioning=random.choice(choices),
                partitioner=b"",
            )
        )
    return vertices, edges, collects


def _parallelism(random: Random, common: int, same: bool, alone: bool) -> int:
    if alone:
        return 1
    return common if same else random.randint(1, 4)
