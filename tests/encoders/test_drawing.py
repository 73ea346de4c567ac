"""Pictures and summaries of graphs."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from archcast.encoders import _layout
from archcast.encoders.drawing import COLOURS, describe, to_dot, to_svg
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS, OP_ID
from archcast.encoders.summary import si, summary

SVG = "{http://www.w3.org/2000/svg}"


def chain(*ops: str, skips: tuple[tuple[int, int], ...] = (), **meta) -> ComputeGraph:
    names = ["input", *ops, "output"]
    edges = [*pairwise(range(len(names))), *skips]
    return ComputeGraph.from_columns({"op": [OP_ID[op] for op in names]}, edges, **meta)


@pytest.fixture
def graph() -> ComputeGraph:
    columns = {
        "op": [OP_ID[op] for op in ("input", "conv", "relu", "other", "add", "output")],
        "kernel": [(1, 1, 1), (1, 7, 7), *[(1, 1, 1)] * 4],
        "stride": [(1, 1, 1), (1, 2, 2), *[(1, 1, 1)] * 4],
        "groups": [1, 4, 1, 1, 1, 1],
        "channels_in": [3, 3, 64, 64, 64, 64],
        "channels_out": [3, 64, 64, 64, 64, 64],
        "extent": [(1, 32, 32), *[(1, 16, 16)] * 5],
        "op_weights": [0, 9408, 0, 0, 0, 0],
        "op_macs": [0, 2_408_448, 0, 0, 0, 0],
    }
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4), (4, 5)]
    return ComputeGraph.from_columns(
        columns,
        edges,
        labels={3: 'A<&"b"\x01>'},
        name='net "<&>"',
        params=9408,
        input_shape=(1, 3, 32, 32),
        source="onnx",
    )


def test_every_group_has_its_own_colour() -> None:
    assert list(COLOURS) == list(GROUPS)
    assert len(set(COLOURS.values())) == len(GROUPS)


def test_describe_names_window_stride_groups_channels_and_extent(graph: ComputeGraph) -> None:
    texts = dict(describe(graph))
    assert texts["conv"].replace("\N{MULTIPLICATION SIGN}", "x") == "7x7 /2 3→64 @ 16x16 groups 4"
    assert texts["input"].replace("\N{MULTIPLICATION SIGN}", "x") == "3 @ 32x32"


def test_svg_is_xml_with_a_box_for_each_operator_whatever_their_names(graph: ComputeGraph) -> None:
    root = ET.fromstring(to_svg(graph))
    boxes = root.findall(f"{SVG}g/{SVG}text")
    assert len(boxes) == len(graph)
    assert any('A<&"b"' in (box.text or "") for box in boxes)
    assert 'net "<&>"' in (root.findtext(f"{SVG}title") or "")


def test_svg_boxes_lie_inside_the_picture_and_do_not_overlap() -> None:
    graph = chain(*["conv", "relu"] * 6, "concat", skips=tuple((i, 13) for i in range(2, 12)))
    root = ET.fromstring(to_svg(graph))
    boxes = [
        tuple(float(box.get(key, "0")) for key in ("x", "y", "width", "height"))
        for box in root.findall(f"{SVG}g/{SVG}rect")
    ]
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for x, y, w, h in boxes:
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    rows = {y for _, y, _, _ in boxes}
    assert len(rows) == len(graph)


def test_svg_of_a_huge_graph_is_cut_off_and_says_so() -> None:
    text = to_svg(chain(*["relu"] * 30), max_nodes=10)
    assert len(ET.fromstring(text).findall(f"{SVG}g/{SVG}text")) == 10
    assert "22 more operators" in text


def test_a_graph_of_one_node_can_be_drawn_and_summarised() -> None:
    graph = ComputeGraph.from_columns({"op": [OP_ID["input"]]}, [])
    assert len(ET.fromstring(to_svg(graph)).findall(f"{SVG}g/{SVG}text")) == 1
    assert "operators  1, depth 0" in summary(graph)


def test_dot_has_every_node_and_edge_and_escapes(graph: ComputeGraph) -> None:
    text = to_dot(graph)
    assert text.count("[label=") == len(graph)
    assert text.count(" -> ") == len(graph.edges)
    assert r'digraph "net \"<&>\""' in text
    assert "\x01" not in text


def test_layout_keeps_places_of_a_row_apart() -> None:
    depth = [0, 1, 1, 1, 2, 3]
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (0, 4), (0, 5), (4, 5)]
    widths = [50.0, 80.0, 90.0, 100.0, 60.0, 40.0]
    layout = _layout.place(depth, edges, widths)
    assert layout.row[: len(depth)] == depth
    room = widths + [_layout.LANE] * (len(layout.x) - len(widths))
    for row in range(4):
        items = sorted((i for i, r in enumerate(layout.row) if r == row), key=layout.x.__getitem__)
        for a, b in pairwise(items):
            assert layout.x[b] - layout.x[a] >= (room[a] + room[b]) / 2 + _layout.GAP - 1e-6
    assert min(x - w / 2 for x, w in zip(layout.x, room, strict=True)) == pytest.approx(0)


def test_layout_connects_every_edge_step_by_step_through_one_lane_a_source() -> None:
    depth, edges = [0, 1, 2, 3, 4], [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (0, 4)]
    layout = _layout.place(depth, edges, [50.0] * 5)
    steps = [pair for _, pair in layout.segments]
    assert all(layout.row[b] - layout.row[a] == 1 for a, b in steps)
    assert len(layout.x) - len(depth) == 3  # lanes of 0 in rows 1 to 3, shared by both skips
    assert len(steps) == len(set(steps)) == 4 + 5


def test_summary_counts_by_group_and_by_stage(graph: ComputeGraph) -> None:
    text = summary(graph)
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert lines["conv"][1:3] == ["1", "9.41"]
    assert lines["16x16"][1] == "1"
    assert graph.hash in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (999.6, "1.00 k"), (25_557_032, "25.6 M"), (4.09e9, "4.09 G")],
)
def test_si(value: float, text: str) -> None:
    assert si(value) == text


def test_drawing_does_not_change_with_the_order_of_equal_nodes() -> None:
    op = np.array([OP_ID[name] for name in ("input", "relu", "gelu", "add", "output")])
    edges = np.array([(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)])
    swapped = op.copy()
    swapped[[1, 2]] = op[[2, 1]]
    pictures = {to_svg(ComputeGraph.from_columns({"op": o}, edges)) for o in (op, swapped)}
    assert len(pictures) == 1
