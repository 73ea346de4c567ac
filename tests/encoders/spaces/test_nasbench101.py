from hashlib import md5

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._nasbench101_cells import CellTable, module_hashes, unique_cells
from archcast.encoders.spaces._nasbench101_draw import COUNTS, cells_of
from archcast.encoders.spaces._nasbench101_graph import vertex_channels
from archcast.encoders.spaces.nasbench101 import NASBench101

SPACE = NASBench101()
#: The first two cells of the published subset: hash, adjacency, operators, parameters.
KNOWN = [
    (
        "00005c142e6f48ac74fdcf73e3439874",
        "0100110001000000010010000010000001000000010000000:"
        "conv3x3,maxpool3x3,conv3x3,conv3x3,conv1x1",
        8_555_530,
    ),
    (
        "0000718c96730a92ea6d5242f8ce77e2",
        "0100000001000000010000000111000001000000010000000:conv1x1,conv1x1,conv3x3,conv1x1,conv3x3",
        5_878_154,
    ),
]


def table(text: str) -> CellTable:
    cell = SPACE.parse(text)
    return CellTable(np.array([cell.matrix], np.uint8), np.array([cell.operators], np.int8))


@pytest.mark.parametrize(("name", "text", "params"), KNOWN)
def test_published_hash_and_parameters(name, text, params):
    assert module_hashes(table(text)) == [name]
    assert SPACE.graph(text).params == params


def test_hash_of_the_smallest_cell_by_hand():
    def colour(text: str) -> str:
        return md5(text.encode()).hexdigest()

    a, b = colour("(1, 0, -1)"), colour("(0, 1, -2)")
    for _ in range(2):
        a, b = colour(f"|{b}|{a}"), colour(f"{a}||{b}")
    assert module_hashes(table("0100:")) == [colour(str(sorted([a, b])))]


def test_space_has_its_published_number_of_cells():
    tables = list(unique_cells())
    assert sum(len(cells.matrices) for cells in tables) == SPACE.size == 423_624
    assert [len(cells.matrices) for cells in tables] == [1, 6, 84, 2441, 62010, 359082]
    assert [len(cells.matrices) for cells in tables] == list(COUNTS.values())
    small = [name for cells in tables[:4] for name in module_hashes(cells)]
    assert len(set(small)) == 2532


def test_channels_are_split_over_what_feeds_the_output():
    # Three vertices share 128: the first two get one more; the one before is as wide as they.
    matrix = [
        [0, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
    ]
    assert vertex_channels(matrix, 128) == [0, 43, 43, 43, 42, 128]


def test_network_of_one_convolution_by_hand():
    graph = SPACE.graph("010001000:conv3x3")
    widths = [(128, 128), (128, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    widths += [(256, 512), (512, 512), (512, 512)]
    projections = sum(a * b + 2 * b for a, b in widths)
    convolutions = sum(9 * b * b + 2 * b for _, b in widths)
    stem, dense = 27 * 128 + 256, 512 * 10 + 10
    assert graph.params == stem + projections + convolutions + dense
    assert graph.count("conv") == 19
    assert graph.count("relu") == 19
    assert (graph.count("add"), graph.count("concat"), graph.count("max_pool")) == (0, 0, 2)


def test_equal_pools_are_one_operator():
    twins = SPACE.graph("0100000110000010000100000:conv3x3,maxpool3x3,maxpool3x3")
    assert twins.count("max_pool") == 2 + 9
    assert twins.count("concat") == 0


def test_vertices_beside_the_way_are_dropped():
    spare = "0110000000010000:conv1x1,conv3x3"
    assert SPACE.text(SPACE.parse(spare)) == "010001000:conv3x3"
    assert SPACE.graph(spare) == SPACE.graph("010001000:conv3x3")


def test_the_benchmarks_own_pair_is_read():
    names = ["input", "conv3x3-bn-relu", "output"]
    pair = (np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), names)
    assert SPACE.parse(pair) == SPACE.parse("010001000:conv3x3")
    assert SPACE.parse("010001000:conv3x3-bn-relu") == SPACE.parse("010001000:conv3x3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("010001000:conv7x7", "unknown operator 'conv7x7'"),
        ("01000100:conv3x3", "8 adjacency bits are no square"),
        ("010001000:conv3x3,conv1x1", "2 operators for 1 inner"),
        ("010001100:conv3x3", "row 2 of the adjacency"),
        ("000001000:conv3x3", "no path"),
        ("0" * 64 + ":" + "conv3x3," * 5 + "conv3x3", "8 vertices"),
        ("0111110011110001110000110000010000000:", "37 adjacency bits"),
        ("011111001111000111000011000001000000:conv3x3,conv3x3,conv3x3,conv3x3", "15 edges"),
        ("resnet50", "does not read"),
        (7, "neither a text nor a pair"),
        (([[0, 1], [0, 0]], ["conv3x3", "output"]), "from 'input' to 'output'"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(InvalidSpecError, match=message):
        SPACE.parse(text)


@pytest.mark.slow
def test_draws_have_the_sizes_of_the_space_and_no_twins():
    drawn = SPACE.sample(2000, seed=3)
    sizes = np.bincount([len(SPACE.parse(text).matrix) for text in drawn], minlength=8)
    expected = np.array([COUNTS.get(size, 0) for size in range(8)]) * 2000 / SPACE.size
    assert np.all(np.abs(sizes - expected) <= 4 * np.sqrt(expected) + 1)
    assert len({SPACE.module_hash(text) for text in drawn}) == 2000
    assert SPACE.sample(20, seed=3) == drawn[:20] != SPACE.sample(20, seed=4)
    with pytest.raises(ValueError, match="fewer"):
        SPACE.sample(423_624 + 1)


def test_every_cell_is_equally_likely():
    """All 84 cells of four vertices, some of them written in two ways, 100 draws each."""
    cells = cells_of(4, np.random.default_rng(1))
    keys = [next(cells)[2] for _ in range(8400)]
    counts = np.unique(keys, axis=0, return_counts=True)[1]
    assert len(counts) == 84
    chi2 = ((counts - 100) ** 2 / 100).sum()
    assert chi2 < 83 + 4 * np.sqrt(2 * 83)
