"""Where the boxes and lines of a directed acyclic graph stand in a picture that is read from left to right.

The method is Sugiyama's: ranks by the longest path, invisible items where a line passes a rank, an order within each
rank that lets few lines cross, then heights (``graph.placement``). The label of a line is an item in a rank of its
own between the ranks of boxes, so that it never lies on a box or on another label. The same graph always gives
the same picture.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from pyflow_yarn.graph.placement import Item, Segment, place

SWEEPS = 24
LEAD_OUT = 6.0
LEAD_IN = 12.0
NARROWEST_GAP = 36.0
WIDEST_GAP = 100.0
GAP_PER_CLIMB = 0.22


class Box(NamedTuple):
    """The size of a box."""

    width: float
    height: float


class Link(NamedTuple):
    """A line between two boxes, by their numbers. Ports are distances from the top of a box."""

    source: int
    target: int
    source_port: float
    target_port: float
    label_width: float = 0.0
    label_height: float = 0.0


class Route(NamedTuple):
    """The corners of a line from left to right: level stretches, joined by climbs; and the middle of its label."""

    points: tuple[tuple[float, float], ...]
    label: tuple[float, float]


class Layout(NamedTuple):
    """The whole size, the left upper corner of each box, and the route of each link."""

    width: float
    height: float
    boxes: tuple[tuple[float, float], ...]
    routes: tuple[Route, ...]


class _Chain(NamedTuple):
    """The items of a link between its boxes, from left to right; ``label`` is one of them."""

    items: list[int]
    label: int


def layout(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Place everything; ``ValueError`` if the graph has a cycle."""
    ranks = [2 * rank for rank in columns(len(boxes), links)]
    items = [Item(box.height, False) for box in boxes]
    widths = [box.width for box in boxes]
    segments: list[Segment] = []
    chains: list[_Chain] = []
    for link in links:
        passed = range(ranks[link.source] + 1, ranks[link.target])
        passing = list(range(len(items), len(items) + len(passed)))
        label = passing[len(passing) // 4 * 2]
        chains.append(_Chain(passing, label))
        ranks += passed
        items += [Item(link.label_height if item == label else 0.0, True, item == label) for item in passing]
        widths += [link.label_width if item == label else 0.0 for item in passing]
        for source, target in pairwise((link.source, *passing, link.target)):
            source_port = link.source_port if source == link.source else items[source].height / 2
            target_port = link.target_port if target == link.target else items[target].height / 2
            segments.append(Segment(source, target, source_port, target_port))
    order = _Order(ranks, items, segments).best()
    tops = place(order, items, segments)
    lefts, rights = _edges(order, widths, tops, segments)
    corners = [
        ((lefts[rank] + rights[rank] - box.width) / 2, top) for box, rank, top in zip(boxes, ranks, tops, strict=False)
    ]
    middles = [top + item.height / 2 for top, item in zip(tops, items, strict=True)]
    routes = []
    for link, chain in zip(links, chains, strict=True):
        start, end = corners[link.source], corners[link.target]
        levels = [start[1] + link.source_port, *(middles[item] for item in chain.items), end[1] + link.target_port]
        left, right = start[0] + boxes[link.source].width, end[0]
        points = tuple(_points(left, right, ranks[link.source], levels, lefts, rights))
        column = ranks[chain.label]
        routes.append(Route(points, ((lefts[column] + rights[column]) / 2, middles[chain.label])))
    height = max((top + item.height for top, item in zip(tops, items, strict=True)), default=0.0)
    return Layout(rights[-1] if rights else 0.0, height, tuple(corners), tuple(routes))


# -- ranks --


def columns(size: int, links: Sequence[Link]) -> list[int]:
    """The column of each box: the longest path to it; what feeds more than it is fed by is as far right as can be."""
    inputs: list[list[int]] = [[] for _ in range(size)]
    outputs: list[list[int]] = [[] for _ in range(size)]
    for link in links:
        inputs[link.target].append(link.source)
        outputs[link.source].append(link.target)
    missing = [len(each) for each in inputs]
    ready = [box for box in range(size) if not missing[box]]
    ranks = [0] * size
    for box in ready:  # grows while it is read
        for target in outputs[box]:
            ranks[target] = max(ranks[target], ranks[box] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    if len(ready) < size:
        raise ValueError("the graph has a cycle")
    for box in reversed(ready):
        if len(outputs[box]) > len(inputs[box]):
            ranks[box] = min(ranks[target] for target in outputs[box]) - 1
    return ranks


# -- the order within each rank --


class _Order:
    """Items by rank, in the order from top to bottom, and how to improve it."""

    def __init__(self, ranks: list[int], items: list[Item], segments: list[Segment]) -> None:
        self.items = items
        self.inputs: list[list[Segment]] = [[] for _ in items]
        self.outputs: list[list[Segment]] = [[] for _ in items]
        for segment in segments:
            self.inputs[segment.target].append(segment)
            self.outputs[segment.source].append(segment)
        self.layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
        for item in self._as_met():
            self.layers[ranks[item]].append(item)
        self.position = [0] * len(items)
        for layer in self.layers:
            self._number(layer)

    def _as_met(self) -> Iterator[int]:
        """The items in the order in which one who walks along the lines meets them."""
        met = [False] * len(self.items)
        for start in range(len(self.items)):
            waiting = [] if self.inputs[start] else [start]
            while waiting:
                item = waiting.pop()
                if not met[item]:
                    met[item] = True
                    yield item
                    below = sorted(self.outputs[item], key=lambda segment: segment.source_port)
                    waiting += [segment.target for segment in reversed(below)]

    def _number(self, layer: list[int]) -> None:
        for position, item in enumerate(layer):
            self.position[item] = position

    def best(self) -> list[list[int]]:
        """The order with the fewest crossings that some sweeps to and fro have met."""
        best, fewest = [list(layer) for layer in self.layers], self.crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            forwards = sweep % 2 == 0
            last = len(self.layers) - 1
            for rank in range(1, last + 1) if forwards else range(last - 1, -1, -1):
                self._sort(rank, forwards, reverse_ties=sweep % 4 > 1)
            self._swap_neighbours()
            crossings = self.crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        return best

    def _ends(self, item: int, forwards: bool) -> list[tuple[int, float]]:
        """Where the lines of an item to the rank before it (``forwards``) or after it end, from top to bottom."""
        if forwards:
            return sorted((self.position[each.source], each.source_port) for each in self.inputs[item])
        return sorted((self.position[each.target], each.target_port) for each in self.outputs[item])

    def crossings(self) -> int:
        """How often lines cross."""
        count = 0
        for layer in self.layers:
            seen: list[tuple[int, float]] = []
            for item in layer:
                starts = sorted((each.source_port, self.position[each.target], each.target_port)
                                for each in self.outputs[item])  # fmt: skip
                for _, position, port in starts:
                    count += len(seen) - bisect_right(seen, (position, port))
                    insort(seen, (position, port))
        return count

    def _sort(self, rank: int, forwards: bool, reverse_ties: bool) -> None:
        """Order by the barycentre of the ends; items without lines on that side stay where they are."""
        layer = self.layers[rank]
        beside = self.layers[rank - 1 if forwards else rank + 1]
        centres: dict[int, float] = {}
        for item in layer:
            ends = self._ends(item, forwards)
            if ends:
                places = [place + port / (self.items[beside[place]].height or 1.0) for place, port in ends]
                centres[item] = sum(places) / len(places)
        movable = [item for item in layer if item in centres]
        if reverse_ties:
            movable.reverse()
        movable.sort(key=centres.__getitem__)
        following = iter(movable)
        layer[:] = [next(following) if item in centres else item for item in layer]
        self._number(layer)

    def _swap_neighbours(self) -> None:
        """Exchange items that stand one above the other where that removes crossings."""
        for layer in self.layers:
            for upper in range(len(layer) - 1):
                first, second = layer[upper], layer[upper + 1]
                gain = 0
                for forwards in (True, False):
                    above, below = self._ends(first, forwards), self._ends(second, forwards)
                    gain += _inversions(above, below) - _inversions(below, above)
                if gain > 0:
                    layer[upper], layer[upper + 1] = second, first
                    self.position[first], self.position[second] = upper + 1, upper


def _inversions(above: list[tuple[int, float]], below: list[tuple[int, float]]) -> int:
    """How often lines with these ends cross if they begin one above the other."""
    return sum(len(above) - bisect_right(above, end) for end in below)


# -- from left to right --


def _edges(
    order: list[list[int]], widths: list[float], tops: list[float], segments: list[Segment]
) -> tuple[list[float], list[float]]:
    """Left and right edge of each rank; where lines climb far the gap is wider, so that they are not too steep."""
    rank_of = {item: rank for rank, layer in enumerate(order) for item in layer}
    climbs = [0.0] * len(order)
    for each in segments:
        climb = abs(tops[each.source] + each.source_port - tops[each.target] - each.target_port)
        climbs[rank_of[each.source]] = max(climbs[rank_of[each.source]], climb)
    lefts, rights, left = [], [], 0.0
    for layer, climb in zip(order, climbs, strict=True):
        lefts.append(left)
        rights.append(left + max(widths[item] for item in layer))
        left = rights[-1] + min(WIDEST_GAP, NARROWEST_GAP + GAP_PER_CLIMB * climb)
    return lefts, rights


def _points(
    start: float, end: float, rank: int, levels: list[float], lefts: list[float], rights: list[float]
) -> Iterator[tuple[float, float]]:
    """The corners of a line that leaves a box of that rank, without those that lie within a level stretch."""
    points = [(start, levels[0])]
    for passed, (level, following) in enumerate(pairwise(levels), rank):
        if level != following:
            points += [(rights[passed] + LEAD_OUT, level), (lefts[passed + 1] - LEAD_IN, following)]
    points.append((end, levels[-1]))
    for number, point in enumerate(points):
        if number == 0 or point != points[number - 1]:
            yield point
