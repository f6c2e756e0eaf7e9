"""The plan of a job as a picture: standalone SVG, without scripts or fonts from elsewhere, for light and dark viewers.

Each vertex is a box with the operators of its chain; each edge leaves at the operator that feeds it and
bears its ship strategy.
"""

from __future__ import annotations

import unicodedata
from html import escape
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from pyflow_yarn.graph import text_size
from pyflow_yarn.graph.job_graph import JobEdge, JobGraph, JobVertex, OperatorNode
from pyflow_yarn.graph.layout import Box, Layout, Link, Route, columns, layout
from pyflow_yarn.graph.operators import OperatorKind
from pyflow_yarn.graph.plan import chain_text
from pyflow_yarn.graph.stream_graph import SINK_KINDS

MARGIN = 24.0
TITLE_HEIGHT = 22.0
SUMMARY_HEIGHT = 38.0
# The sizes of the fonts are those of the style below.
NAME_SIZE = 13.0
SMALL_SIZE = 11.0
LABEL_SIZE = 10.0
TITLE_SIZE = 17.0
PADDING = 14.0
INDENT = 16.0
DOT = 4.0
DOT_ROOM = 18.0
ROW_GAP = 10.0
LINE_HEIGHT = 17.0
FOOTER = 28.0
NAME_WIDTH = 250.0
NAME_LINES = 3
NARROWEST_BOX = 140.0
STRETCHED = 1.8
LABEL_PADDING = 7.0
LABEL_HEIGHT = 17.0
NARROWEST_HEADING = 320.0
ARROW = 8.0
_REFUSED = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFFFE, 0xFFFF)))
DEFAULT_GROUP = "default"

_STYLE = """\
.pyflow-plan { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
.pyflow-plan .page { fill: #ffffff; }
.pyflow-plan .box { fill: #f6f8fa; stroke: #afb8c1; }
.pyflow-plan .rule { stroke: #d8dee4; }
.pyflow-plan .name { fill: #1f2328; font-size: 13px; }
.pyflow-plan .title { fill: #1f2328; font-size: 17px; font-weight: 600; }
.pyflow-plan .small { fill: #59636e; font-size: 11px; }
.pyflow-plan .strategy { fill: #424a53; font-size: 10px; font-weight: 600; text-anchor: middle; }
.pyflow-plan .label { fill: #ffffff; stroke: #d0d7de; }
.pyflow-plan .edge { fill: none; stroke: #818b98; stroke-width: 1.5; }
.pyflow-plan .arrow { fill: #818b98; }
.pyflow-plan .chain { fill: none; stroke: #afb8c1; stroke-width: 1.5; }
.pyflow-plan .source { fill: #1a7f37; }
.pyflow-plan .operator { fill: #0969da; }
.pyflow-plan .sink { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
  .pyflow-plan .page { fill: #0d1117; }
  .pyflow-plan .box { fill: #161b22; stroke: #4b535d; }
  .pyflow-plan .rule { stroke: #2f363f; }
  .pyflow-plan .name, .pyflow-plan .title { fill: #e6edf3; }
  .pyflow-plan .small { fill: #9198a1; }
  .pyflow-plan .strategy { fill: #c9d1d9; }
  .pyflow-plan .label { fill: #0d1117; stroke: #3d444d; }
  .pyflow-plan .edge { stroke: #768390; }
  .pyflow-plan .arrow { fill: #768390; }
  .pyflow-plan .chain { stroke: #4b535d; }
  .pyflow-plan .source { fill: #3fb950; }
  .pyflow-plan .operator { fill: #58a6ff; }
  .pyflow-plan .sink { fill: #f0883e; }
}"""


class _Row(NamedTuple):
    """An operator in its box: its lines of text, how far it is indented, and how high its first line stands."""

    operator: OperatorNode
    lines: list[str]
    indent: int
    level: float


class _Face(NamedTuple):
    """A vertex as it is drawn, before it has a place; ``rows`` are by the operator's index in the chain."""

    vertex: JobVertex
    rows: list[_Row]
    footer: str
    box: Box


def job_svg(graph: JobGraph) -> str:
    """The whole picture, ending with a line feed."""
    faces = [_face(vertex) for vertex in graph.vertices]
    links = _links(graph, faces)
    faces = _stretched(faces, columns(len(faces), links))
    plan = layout([face.box for face in faces], links)
    titles = text_size.wrapped(_clean(graph.name), TITLE_SIZE, max(plan.width, NARROWEST_HEADING), 2, bold=True)
    summary = _summary(graph)
    widest_title = max(text_size.width(line, TITLE_SIZE, bold=True) for line in titles)
    head = MARGIN + TITLE_HEIGHT * len(titles) + SUMMARY_HEIGHT
    width = ceil(2 * MARGIN + max(plan.width, widest_title, text_size.width(summary, SMALL_SIZE)))
    height = ceil(head + plan.height + MARGIN)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pyflow-plan" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img" aria-labelledby="plan-title plan-description">',
        f'<title id="plan-title">{_text(graph.name)}</title>',
        f'<desc id="plan-description">{_text(_description(graph))}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<g transform="translate({_n(MARGIN)} {_n(MARGIN)})">',
    ]
    for number, line in enumerate(titles):
        baseline = TITLE_SIZE + TITLE_HEIGHT * number
        lines.append(f'<text class="title" y="{_n(baseline)}">{_text(line)}</text>')
    lines.append(f'<text class="small" y="{_n(baseline + TITLE_SIZE + 4)}">{summary}</text>')
    lines += ["</g>", f'<g transform="translate({_n(MARGIN)} {_n(head)})">']
    lines += _edges(graph, plan)
    for face, corner in zip(faces, plan.boxes, strict=True):
        lines += _vertex(face, *corner)
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _links(graph: JobGraph, faces: list[_Face]) -> list[Link]:
    """The edges: from the row of the operator that feeds to the head of the chain that is fed."""
    number = {vertex.id: index for index, vertex in enumerate(graph.vertices)}
    links = []
    for edge in graph.edges:
        source, target = number[edge.source], number[edge.target]
        out, into = faces[source].rows[edge.source_operator].level, faces[target].rows[0].level
        links.append(Link(source, target, out, into, _label_width(edge), LABEL_HEIGHT))
    return links


def _stretched(faces: list[_Face], column: list[int]) -> list[_Face]:
    """The boxes of a column as wide as its widest, unless they would be mostly empty: it looks calmer."""
    widest: dict[int, float] = {}
    for face, each in zip(faces, column, strict=True):
        widest[each] = max(widest.get(each, 0.0), face.box.width)
    return [
        face._replace(box=face.box._replace(width=min(widest[each], face.box.width * STRETCHED)))
        for face, each in zip(faces, column, strict=True)
    ]


# -- what is written --


def _summary(graph: JobGraph) -> str:
    operators = sum(len(vertex.operators) for vertex in graph.vertices)
    subtasks = sum(vertex.parallelism for vertex in graph.vertices)
    counts = ((len(graph.vertices), "vertex", "vertices"), (operators, "operator", "operators"),
              (subtasks, "subtask", "subtasks"))  # fmt: skip
    return " · ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)


def _description(graph: JobGraph) -> str:
    """The picture in words."""
    number = {vertex.id: index for index, vertex in enumerate(graph.vertices, 1)}
    sentences = [f"Plan of the job: {_summary(graph)}."]
    for index, vertex in enumerate(graph.vertices, 1):
        inputs = ", ".join(f"{number[edge.source]} ({edge.partitioning})" for edge in graph.inputs(vertex.id))
        fed = f", fed by {inputs}" if inputs else ""
        sentences.append(f"{index}: {chain_text(vertex)}, parallelism {vertex.parallelism}{fed}.")
    return " ".join(sentences)


def _clean(text: str) -> str:
    """One line, without what XML does not take or what would turn round the text after it."""
    return " ".join("".join(each if _is_safe(each) else "\N{REPLACEMENT CHARACTER}" for each in text).split())


def _is_safe(character: str) -> bool:
    return character.isspace() or not (unicodedata.category(character) in ("Cc", "Cs") or character in _REFUSED)


def _text(text: str) -> str:
    return escape(_clean(text), quote=False)


def _n(value: float) -> str:
    """A coordinate, as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")


# -- vertices --


def _face(vertex: JobVertex) -> _Face:
    """Size and text of a box: the chain as a tree, drawn downwards; only branches are indented."""
    rows: dict[int, _Row] = {}
    children: list[list[int]] = [[] for _ in vertex.operators]
    for index, operator in enumerate(vertex.operators):
        if operator.input >= 0:
            children[operator.input].append(index)
    level = PADDING + NAME_SIZE / 2
    waiting = [(0, 0)]
    while waiting:
        index, indent = waiting.pop()
        lines = text_size.wrapped(_clean(vertex.operators[index].name), NAME_SIZE, NAME_WIDTH, NAME_LINES)
        rows[index] = _Row(vertex.operators[index], lines, indent, level)
        level += LINE_HEIGHT * len(lines) + ROW_GAP
        deeper = indent + (len(children[index]) > 1)
        waiting += [(child, deeper) for child in reversed(children[index])]
    footer = f"parallelism {vertex.parallelism}"
    if vertex.slot_sharing_group != DEFAULT_GROUP:
        (group,) = text_size.wrapped(_clean(vertex.slot_sharing_group), SMALL_SIZE, NAME_WIDTH / 2, 1)
        footer += f" · slot sharing group {group}"
    inner = max(
        text_size.width(footer, SMALL_SIZE),
        *(
            row.indent * INDENT + DOT_ROOM + text_size.width(line, NAME_SIZE)
            for row in rows.values()
            for line in row.lines
        ),
    )
    height = level - NAME_SIZE / 2 - ROW_GAP + PADDING / 2 + FOOTER
    box = Box(max(NARROWEST_BOX, ceil(inner + 2 * PADDING)), round(height))
    return _Face(vertex, [rows[index] for index in range(len(rows))], footer, box)


def _vertex(face: _Face, left: float, top: float) -> list[str]:
    width, height = face.box
    rule = height - FOOTER
    lines = [
        f'<g transform="translate({_n(left)} {_n(top)})">',
        f"<title>{_text(chain_text(face.vertex))}</title>",
        f'<rect class="box" width="{_n(width)}" height="{_n(height)}" rx="8"/>',
        f'<path class="rule" d="M0 {_n(rule)}H{_n(width)}"/>',
        f'<text class="small" x="{_n(PADDING)}" y="{_n(rule + FOOTER / 2 + 4)}">{_text(face.footer)}</text>',
    ]
    for row in face.rows:
        if row.operator.input >= 0:
            above = face.rows[row.operator.input]
            aside = f"H{_n(_dot_x(row))}" if row.indent > above.indent else ""
            path = f"M{_n(_dot_x(above))} {_n(above.level)}V{_n(row.level)}{aside}"
            lines.append(f'<path class="chain" d="{path}"/>')
    for row in face.rows:
        lines += _operator(row)
    return [*lines, "</g>"]


def _dot_x(row: _Row) -> float:
    return PADDING + DOT + row.indent * INDENT


def _operator(row: _Row) -> list[str]:
    kind = row.operator.kind
    look = "source" if kind == OperatorKind.SOURCE else "sink" if kind in SINK_KINDS else "operator"
    declared = f" ({row.operator.declared_at})" if row.operator.declared_at else ""
    x = _dot_x(row) - DOT + DOT_ROOM
    lines = [
        "<g>",
        f"<title>{_text(row.operator.name + declared)}</title>",
        f'<circle class="{look}" cx="{_n(_dot_x(row))}" cy="{_n(row.level)}" r="{_n(DOT)}"/>',
    ]
    for index, line in enumerate(row.lines):
        baseline = row.level + NAME_SIZE * 0.36 + LINE_HEIGHT * index
        lines.append(f'<text class="name" x="{_n(x)}" y="{_n(baseline)}">{_text(line)}</text>')
    return [*lines, "</g>"]


# -- edges --


def _edges(graph: JobGraph, plan: Layout) -> list[str]:
    """Lines first, labels above all of them."""
    lines = []
    for route in plan.routes:
        lines.append(f'<path class="edge" d="{_path(route)}"/>')
        x, y = route.points[-1]
        lines.append(
            f'<path class="arrow" d="M{_n(x)} {_n(y)}L{_n(x - ARROW)} {_n(y - ARROW / 2)}V{_n(y + ARROW / 2)}Z"/>'
        )
    for edge, route in zip(graph.edges, plan.routes, strict=True):
        width = _label_width(edge)
        x, y = route.label
        lines.append(
            f'<rect class="label" x="{_n(x - width / 2)}" y="{_n(y - LABEL_HEIGHT / 2)}" width="{_n(width)}"'
            f' height="{_n(LABEL_HEIGHT)}" rx="{_n(LABEL_HEIGHT / 2)}"/>'
        )
        lines.append(f'<text class="strategy" x="{_n(x)}" y="{_n(y + 3.6)}">{edge.partitioning}</text>')
    return lines


def _label_width(edge: JobEdge) -> float:
    return ceil(text_size.width(edge.partitioning, LABEL_SIZE, bold=True) + 2 * LABEL_PADDING)


def _path(route: Route) -> str:
    """Level stretches and curves between them; the line ends inside the arrow's head."""
    points = [*route.points[:-1], (route.points[-1][0] - ARROW / 2, route.points[-1][1])]
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = _n((x + to_x) / 2)
        path += f"H{_n(to_x)}" if y == to_y else f"C{middle} {_n(y)} {middle} {_n(to_y)} {_n(to_x)} {_n(to_y)}"
    return path
