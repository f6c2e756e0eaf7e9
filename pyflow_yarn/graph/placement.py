"""How high each item of an ordered layered graph stands: the method of Brandes and Köpf, with ports.

Items that are linked are lined up in blocks, so that long lines are level; blocks are pushed together as far as the
gaps between neighbours allow. That is done four times, each time with another preference (earlier or later rank, up or
down), and each item takes the mean of the two middle results: gaps stay respected, and nothing leans to one side.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

BOX_GAP = 32.0
LINE_GAP = 18.0
LABEL_GAP = 8.0


class Item(NamedTuple):
    """A box, or what stands for a line (``passes``) in a rank that it passes; ``labelled``: with its label."""

    height: float
    passes: bool
    labelled: bool = False


class Segment(NamedTuple):
    """A part of a line from an item to one of the next rank; ports are distances from the top of an item."""

    source: int
    target: int
    source_port: float
    target_port: float


def place(order: list[list[int]], items: list[Item], segments: list[Segment]) -> list[float]:
    """The top of each item; the uppermost is 0."""
    if not items:
        return []
    position = [0] * len(items)
    for layer in order:
        for number, item in enumerate(layer):
            position[item] = number
    crossed = _crossed_segments(order, items, segments, position)
    straight = [segment for segment in segments if (segment.source, segment.target) not in crossed]
    results: list[list[float]] = []
    for backwards in (False, True):
        for mirrored in (False, True):
            results.append(_one_way(order, items, straight, backwards, mirrored))
    spans = [max(top + item.height for top, item in zip(tops, items, strict=True)) - min(tops) for tops in results]
    narrowest = results[spans.index(min(spans))]
    first, last = min(narrowest), max(top + item.height for top, item in zip(narrowest, items, strict=True))
    for number, tops in enumerate(results):
        if number % 2 == 0:
            shift = first - min(tops)
        else:
            shift = last - max(top + item.height for top, item in zip(tops, items, strict=True))
        results[number] = [top + shift for top in tops]
    middle = [sorted(tops)[1:3] for tops in zip(*results, strict=True)]
    means = [round((lower + upper) / 2, 2) for lower, upper in middle]
    top = min(means)
    return [mean - top for mean in means]


def gap(first: Item, second: Item) -> float:
    """The least distance between two neighbours of a rank."""
    if first.labelled and second.labelled:
        return LABEL_GAP
    return LINE_GAP if first.passes or second.passes else BOX_GAP


def _crossed_segments(
    order: list[list[int]], items: list[Item], segments: list[Segment], position: list[int]
) -> set[tuple[int, int]]:
    """Segments that cross the inner part of a long line, which is to be level before all others."""
    by_target: list[list[Segment]] = [[] for _ in items]
    for segment in segments:
        by_target[segment.target].append(segment)
    crossed: set[tuple[int, int]] = set()
    for layer in order:
        inner: list[int | None] = []
        for item in layer:
            source = by_target[item][0].source if items[item].passes else item
            inner.append(position[source] if items[source].passes and source != item else None)
        above: list[int] = []
        highest = -1
        for end in inner:
            above.append(highest)
            highest = highest if end is None else max(highest, end)
        lowest = len(position)
        for number in reversed(range(len(layer))):
            for segment in by_target[layer[number]]:
                place = position[segment.source]
                if inner[number] is None and not above[number] <= place <= lowest:
                    crossed.add((segment.source, segment.target))
            end = inner[number]
            lowest = lowest if end is None else min(lowest, end)
    return crossed


def _one_way(
    order: list[list[int]], items: list[Item], segments: list[Segment], backwards: bool, mirrored: bool
) -> list[float]:
    """Tops with one preference; a mirrored graph is placed upside down and turned round again."""
    if backwards:
        order = order[::-1]
        segments = [Segment(each.target, each.source, each.target_port, each.source_port) for each in segments]
    if mirrored:
        order = [layer[::-1] for layer in order]
        segments = [
            each._replace(
                source_port=items[each.source].height - each.source_port,
                target_port=items[each.target].height - each.target_port,
            )
            for each in segments
        ]
    root, offset = _blocks(order, items, segments)
    base = _compacted(order, items, root, offset)
    tops = [base[root[item]] + offset[item] for item in range(len(items))]
    return [-top - item.height for top, item in zip(tops, items, strict=True)] if mirrored else tops


def _blocks(order: list[list[int]], items: list[Item], segments: list[Segment]) -> tuple[list[int], list[float]]:
    """The block of each item, named after its first one, and the item's top relative to the block's."""
    position = [0] * len(items)
    inputs: list[list[Segment]] = [[] for _ in items]
    for layer in order:
        for number, item in enumerate(layer):
            position[item] = number
    for segment in segments:
        inputs[segment.target].append(segment)
    root = list(range(len(items)))
    offset = [0.0] * len(items)
    for layer in order:
        taken = -1
        for item in layer:
            ends = sorted(inputs[item], key=lambda each: (position[each.source], each.source_port))
            for median in sorted({(len(ends) - 1) // 2, len(ends) // 2}) if ends else ():
                segment = ends[median]
                if position[segment.source] > taken:
                    taken = position[segment.source]
                    root[item] = root[segment.source]
                    offset[item] = offset[segment.source] + segment.source_port - segment.target_port
                    break
    return root, offset


def _compacted(order: list[list[int]], items: list[Item], root: list[int], offset: list[float]) -> list[float]:
    """The top of each block: as high as the gaps allow, then drawn down to the blocks below where there is room."""
    below: list[dict[int, float]] = [{} for _ in items]
    missing = [0] * len(items)
    for layer in order:
        for upper, lower in pairwise(layer):
            distance = offset[upper] + items[upper].height + gap(items[upper], items[lower]) - offset[lower]
            blocks = below[root[upper]]
            if root[lower] not in blocks:
                missing[root[lower]] += 1
            blocks[root[lower]] = max(distance, blocks.get(root[lower], distance))
    base = [0.0] * len(items)
    placed = [False] * len(items)
    ready = [item for item in _first_items(order) if root[item] == item and not missing[item]]
    for block in ready:  # grows while it is read
        for lower, distance in below[block].items():
            least = base[block] + distance
            base[lower] = max(base[lower], least) if placed[lower] else least
            placed[lower] = True
            missing[lower] -= 1
            if not missing[lower]:
                ready.append(lower)
    for block in reversed(ready):
        if below[block]:
            base[block] = max(base[block], min(base[lower] - distance for lower, distance in below[block].items()))
    return base


def _first_items(order: list[list[int]]) -> Iterable[int]:
    return (item for layer in order for item in layer)
