import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import recognise
from archcast.encoders.spaces.nasbench201 import NASBench201

SPACE = NASBench201()
CONV3 = SPACE.text((3, 3, 3, 3, 3, 3))
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def spec(*positions: int) -> str:
    return SPACE.text(positions)


def test_sizes_are_the_published_ones():
    # Table of the benchmark's API: 1.531546 M parameters and 0.073306 M.
    assert SPACE.graph(CONV3).params == 1_531_546
    assert SPACE.graph(spec(1, 1, 1, 1, 1, 1)).params == 73_306


def test_macs_by_hand():
    stem = 27 * 16 * 32**2
    cells = 5 * 6 * 9 * (16**2 * 32**2 + 32**2 * 16**2 + 64**2 * 8**2)
    reductions = sum(
        (9 * c * 2 * c + 9 * 4 * c * c + 2 * c * c) * p**2 for c, p in ((16, 16), (32, 8))
    )
    assert SPACE.graph(CONV3).macs == stem + cells + reductions + 64 * 10


def test_edges_that_share_a_source_share_their_relu():
    graph = SPACE.graph(spec(3, 3, 0, 3, 0, 0))
    # Only the direct edge is live: nodes 1 and 2 lead nowhere.
    assert graph.count("conv") == 1 + 15 + 6
    both = SPACE.graph(spec(3, 0, 1, 3, 0, 1))
    assert both.count("conv") == 1 + 30 + 6
    # One ReLU a cell, two a reduction, one at the end.
    assert both.count("relu") == 15 + 4 + 1


def test_dead_operators_do_not_change_the_network():
    live = spec(0, 0, 0, 3, 0, 0)
    assert SPACE.graph(live) == SPACE.graph(spec(3, 0, 0, 3, 0, 3))
    assert SPACE.graph(live) == SPACE.graph(spec(3, 2, 0, 3, 0, 0))
    assert SPACE.graph(live) == SPACE.graph(spec(0, 0, 0, 3, 2, 0))
    assert SPACE.graph(live).params == SPACE.graph(spec(3, 2, 0, 3, 0, 0)).params
    assert SPACE.graph(live) != SPACE.graph(spec(0, 0, 0, 2, 0, 0))


def test_isomorphic_cells_are_one_network():
    assert SPACE.graph(spec(3, 2, 0, 0, 1, 1)) == SPACE.graph(spec(2, 3, 0, 0, 1, 1))
    assert SPACE.graph(spec(1, 0, 3, 1, 0, 1)) == SPACE.graph(spec(0, 3, 0, 1, 0, 1))


def test_final_norm_merges_into_a_convolution_it_follows():
    assert SPACE.graph(spec(0, 0, 0, 3, 0, 0)).count("affine") == 0
    assert SPACE.graph(spec(0, 0, 0, 4, 0, 0)).count("affine") == 1


def test_cell_that_passes_nothing_keeps_only_its_ends():
    for cell in (spec(0, 0, 0, 0, 0, 0), spec(0, 0, 3, 0, 3, 0)):
        graph = SPACE.graph(cell)
        assert graph.ops == ["input", "output"]
        assert (len(graph.edges), graph.macs, graph.params) == (0, 0, 0)


def test_all_strings_differ_and_are_recognised():
    specs = list(SPACE.enumerate())
    assert len(set(specs)) == SPACE.size == 15_625
    found = recognise(specs[77])
    assert found is not None
    assert found[0].name == "nasbench201"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RESNET.replace("nor_conv_3x3", "nor_conv_5x5"), "unknown operator 'nor_conv_5x5'"),
        (RESNET[:-4], "does not read"),
        ("", "does not read"),
        ((1, 2, 3), "neither a cell string nor six"),
        ((1, 2, 3, 4, 5, 0), "neither a cell string nor six"),
        (None, "neither a cell string nor six"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(InvalidSpecError, match=message):
        SPACE.parse(text)
