"""Layouts of graphs: random ones obey the rules of a picture, small ones look as one would draw them."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflow_yarn.graph.layout import Box, Layout, Link, columns, layout
from pyflow_yarn.graph.placement import BOX_GAP

EPSILON = 0.05
HEIGHT = 60.0
PORT = 20.0

Rectangle = tuple[float, float, float, float]


def link(source: int, target: int) -> Link:
    return Link(source, target, PORT, PORT, 50.0, 16.0)


def of(size: int, *ends: tuple[int, int]) -> Layout:
    return layout([Box(100.0, HEIGHT)] * size, [link(*each) for each in ends])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Link]]:
    """Directed acyclic graphs, in no order, with parallel links, parts that are not connected, and ports anywhere."""
    size = draw(st.integers(1, 14))
    number = draw(st.permutations(range(size)))
    boxes = [Box(draw(st.floats(20, 400, width=32)), draw(st.floats(20, 300, width=32))) for _ in range(size)]
    pairs = [(first, second) for first in range(size) for second in range(first + 1, size)]
    links = [
        Link(
            number[first],
            number[second],
            draw(st.floats(0, 1)) * boxes[number[first]].height,
            draw(st.floats(0, 1)) * boxes[number[second]].height,
            draw(st.sampled_from([0.0, 40.0, 90.0])),
            16.0,
        )
        for first, second in (draw(st.lists(st.sampled_from(pairs), max_size=24)) if pairs else ())
    ]
    return boxes, links


def overlap(first: Rectangle, second: Rectangle) -> bool:
    return (
        first[0] < second[2] - EPSILON
        and second[0] < first[2] - EPSILON
        and first[1] < second[3] - EPSILON
        and second[1] < first[3] - EPSILON
    )


def box_areas(boxes: list[Box], plan: Layout) -> list[Rectangle]:
    return [(x, y, x + box.width, y + box.height) for box, (x, y) in zip(boxes, plan.boxes, strict=True)]


def label_areas(links: list[Link], plan: Layout) -> list[Rectangle]:
    areas = []
    for each, route in zip(links, plan.routes, strict=True):
        x, y = route.label
        half = each.label_width / 2
        areas.append((x - half, y - each.label_height / 2, x + half, y + each.label_height / 2))
    return areas


@given(graphs())
def test_neither_boxes_nor_labels_overlap(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    plan = layout(boxes, links)
    areas = box_areas(boxes, plan)
    everything = areas + label_areas(links, plan)
    assert not [pair for pair in combinations(everything, 2) if overlap(*pair)]
    for left, top, right, bottom in everything:
        assert left >= -EPSILON and top >= -EPSILON
        assert right <= plan.width + EPSILON and bottom <= plan.height + EPSILON
    column = columns(len(boxes), links)
    for first, second in combinations(range(len(boxes)), 2):
        if column[first] == column[second]:
            upper, lower = sorted((areas[first], areas[second]), key=lambda area: area[1])
            assert lower[1] - upper[3] >= BOX_GAP - EPSILON


@given(graphs())
def test_links_go_from_port_to_port_and_touch_no_other_box(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    plan = layout(boxes, links)
    areas = box_areas(boxes, plan)
    for each, route in zip(links, plan.routes, strict=True):
        source, target = areas[each.source], areas[each.target]
        assert route.points[0] == pytest.approx((source[2], source[1] + each.source_port))
        assert route.points[-1] == pytest.approx((target[0], target[1] + each.target_port))
        assert source[2] < route.label[0] < target[0]
        x, y = route.label
        assert any(
            left - EPSILON <= x <= right + EPSILON and abs(level - y) < EPSILON
            for (left, level), (right, end) in pairwise(route.points)
            if level == end
        )
        others = [area for number, area in enumerate(areas) if number not in (each.source, each.target)]
        for (left, level), (right, end) in pairwise(route.points):
            assert left < right
            stretch = (left, min(level, end) - EPSILON, right, max(level, end) + EPSILON)
            assert not [area for area in (*others, source, target) if overlap(area, stretch)]


@given(graphs())
def test_a_graph_has_one_layout(graph: tuple[list[Box], list[Link]]) -> None:
    assert layout(*graph) == layout(*graph)


@given(graphs())
def test_links_lead_to_the_right(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    column = columns(len(boxes), links)
    assert all(column[each.source] < column[each.target] for each in links)
    assert sorted(set(column)) == list(range(max(column) + 1))


def test_nothing_to_draw() -> None:
    assert layout([], []) == Layout(0.0, 0.0, (), ())


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        of(3, (0, 1), (1, 2), (2, 1))


def test_a_chain_is_level() -> None:
    plan = of(4, (0, 1), (1, 2), (2, 3))
    assert {y for _, y in plan.boxes} == {0.0}
    assert all(len(route.points) == 2 for route in plan.routes)


def test_a_diamond_is_symmetrical() -> None:
    plan = of(4, (0, 1), (0, 2), (1, 3), (2, 3))
    (_, start), (_, upper), (_, lower), (_, end) = plan.boxes
    assert start == end == (upper + lower) / 2
    assert plan.boxes[1][0] == plan.boxes[2][0]


def test_a_hub_stands_in_the_middle() -> None:
    plan = of(6, (0, 3), (1, 3), (2, 3), (3, 4), (3, 5))
    tops = [y for _, y in plan.boxes]
    assert tops[3] == tops[1] == (tops[0] + tops[2]) / 2 == (tops[4] + tops[5]) / 2


def test_a_long_link_is_level_between_its_ends() -> None:
    plan = of(4, (0, 1), (1, 2), (2, 3), (0, 3))
    levels = [y for _, y in plan.routes[3].points]
    assert len(levels) <= 6
    assert len(set(levels)) <= 3


def test_what_feeds_only_a_late_box_stands_just_before_it() -> None:
    assert columns(5, [link(*each) for each in ((0, 1), (1, 2), (2, 3), (4, 3))]) == [0, 1, 2, 3, 2]


def test_links_do_not_cross_where_that_can_be_avoided() -> None:
    """Two pipelines and a comb, declared in the most confusing order."""
    ends = ((0, 5), (1, 4), (2, 3), (5, 6), (4, 7), (3, 8), (6, 9), (8, 9), (7, 9))
    plan = of(10, *ends)
    tops = [y for _, y in plan.boxes]
    for layers in (((0, 5), (1, 4), (2, 3)), ((5, 6), (4, 7), (3, 8))):
        assert sorted(layers, key=lambda pair: tops[pair[0]]) == sorted(layers, key=lambda pair: tops[pair[1]])


def test_links_leave_in_the_order_of_their_ports() -> None:
    links = [Link(0, 1, 50.0, PORT), Link(0, 2, 10.0, PORT), Link(0, 3, 30.0, PORT)]
    tops = [y for _, y in layout([Box(100.0, HEIGHT)] * 4, links).boxes]
    assert tops[2] < tops[3] < tops[1]


def test_a_large_graph_is_no_problem() -> None:
    size = 200
    ends = [(number, number + step) for number in range(size) for step in (1, 7) if number + step < size]
    plan = of(size, *ends)
    assert len(plan.boxes) == size


# -- how good it is, as numbers that must not grow --


def tangle(seed: int) -> Layout:
    """A graph of 14 boxes and 20 links in no order."""
    chance = random.Random(seed)
    number = list(range(14))
    chance.shuffle(number)
    ends = [sorted(chance.sample(range(14), 2)) for _ in range(20)]
    return of(14, *((number[first], number[second]) for first, second in ends))


def level_at(points: tuple[tuple[float, float], ...], x: float) -> float:
    for (left, level), (right, end) in pairwise(points):
        if left <= x <= right:
            return level + (end - level) * (x - left) / (right - left)
    raise AssertionError("the line does not come by here")


def crossings(plan: Layout) -> int:
    count = 0
    for first, second in combinations([route.points for route in plan.routes], 2):
        begin, end = max(first[0][0], second[0][0]), min(first[-1][0], second[-1][0])
        distances = [
            level_at(first, x) - level_at(second, x)
            for x in sorted({x for x, _ in (*first, *second) if begin <= x <= end})
        ]
        sides = [distance > 0 for distance in distances if abs(distance) > 0.1]
        count += sum(side != following for side, following in pairwise(sides))
    return count


def test_tangles_are_unravelled() -> None:
    plans = [tangle(seed) for seed in range(60)]
    assert sum(map(crossings, plans)) <= 300
    climbs = [level != end for plan in plans for each in plan.routes for (_, level), (_, end) in pairwise(each.points)]
    assert sum(climbs) <= 1900


def test_the_label_of_a_long_link_is_in_its_middle() -> None:
    plan = of(6, (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5))
    assert plan.boxes[2][0] + 100.0 < plan.routes[5].label[0] < plan.boxes[3][0]


def test_far_climbs_have_wider_gaps() -> None:
    fan = of(12, *((0, target) for target in range(1, 12)))
    assert fan.width > of(3, (0, 1), (0, 2)).width
