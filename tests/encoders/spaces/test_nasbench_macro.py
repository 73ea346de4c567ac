"""NAS-Bench-Macro: its digits, and its networks by hand."""

import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import Space, recognise
from archcast.encoders.spaces.nasbench_macro import NASBenchMacro

SPACE = NASBenchMacro()


def inverted(enter: int, leave: int, expansion: int, kernel: int) -> int:
    hidden = expansion * enter
    return (
        enter * hidden + 2 * hidden + hidden * kernel**2 + 2 * hidden + hidden * leave + 2 * leave
    )


@pytest.mark.parametrize(("digit", "expansion", "kernel"), [("1", 3, 3), ("2", 6, 5)])
def test_parameters_of_uniform_networks_by_hand(digit, expansion, kernel):
    widths = [(32, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 256)]
    widths += [(256, 256), (256, 256)]
    expected = 27 * 32 + 64 + 256 * 1280 + 2560 + 1280 * 10 + 10
    expected += sum(inverted(a, b, expansion, kernel) for a, b in widths)
    assert SPACE.graph(digit * 8).params == expected


def test_identities_are_convolutions_only_where_the_image_is_halved():
    graph = SPACE.graph("00000000")
    assert graph.count("conv") == 1 + 3 + 1
    assert graph.count("add") == 0
    assert SPACE.graph("01200000") == SPACE.graph("01200000")
    assert SPACE.graph("00102000") == SPACE.graph("00120000")
    assert SPACE.graph("00102000") != SPACE.graph("00201000")


def test_whole_space():
    texts = list(SPACE.enumerate())
    graphs = SPACE.graphs(texts)
    assert len(texts) == len(set(texts)) == SPACE.size == 6561
    # A stage of n layers: 3 first blocks, then what is left of n - 1 without identities.
    assert len({graph.hash for graph in graphs}) == (3 * 3) * (3 * 7) * (3 * 7) == 3969
    some = slice(None, None, 331)
    assert graphs[some] == Space.graphs(SPACE, texts[some])


def test_forms():
    cell = SPACE.parse("01201201")
    assert SPACE.parse([[0, 1, 2, 0, 1, 2, 0, 1]]) == cell
    assert SPACE.parse({"layers": [0, 1, 2, 0, 1, 2, 0, 1]}) == cell
    assert SPACE.parse("layers=0,1,2,0,1,2,0,1") == cell
    found = recognise("01201201")
    assert found is not None
    assert found[0].name == "nasbench_macro"
    assert recognise("01201203") is None


@pytest.mark.parametrize(
    ("spec", "message"), [("0120120", "7 values, not 8"), ("01201203", "cannot be '3'")]
)
def test_bad_digits_are_named(spec, message):
    with pytest.raises(InvalidSpecError, match=message):
        SPACE.parse(spec)
