"""DARTS and NASNet: genotypes as people write them, and networks of known size."""

import re
from collections import namedtuple

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import Space, recognise
from archcast.encoders.spaces._genotype import Genotype, ordered
from archcast.encoders.spaces._two_cells_arrays import needs_reference
from archcast.encoders.spaces.darts import DARTS, DARTSImageNet
from archcast.encoders.spaces.nasnet import NASNet

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))"
)
SHORT = (
    "normal=sep_conv_3x3~0,sep_conv_3x3~1,sep_conv_3x3~0,sep_conv_3x3~1,skip_connect~0,"
    "sep_conv_3x3~1,skip_connect~0,dil_conv_3x3~2;"
    "reduce=max_pool_3x3~0,max_pool_3x3~1,max_pool_3x3~1,skip_connect~2,max_pool_3x3~0,"
    "skip_connect~2,max_pool_3x3~1,skip_connect~2"
)
#: The cells of NASNet-A and AmoebaNet-A as the DARTS code writes them.
NASNET_A = (
    "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), "
    "('sep_conv_3x3', 0), ('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), "
    "('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 1)], "
    "normal_concat=[2, 3, 4, 5, 6], reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), "
    "('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), "
    "('skip_connect', 3), ('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[4, 5, 6])"
)
AMOEBANET_A = (
    "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), "
    "('skip_connect', 1), ('skip_connect', 0), ('avg_pool_3x3', 1)], normal_concat=[4, 5, 6], "
    "reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('sep_conv_7x7', 2), "
    "('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), "
    "('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])"
)


@pytest.mark.parametrize(
    ("space", "params"),
    # Trained and final network on CIFAR-10; on ImageNet. The last two are what the DARTS code
    # prints (3.349342 and 4.718752 million).
    [(DARTS(), 919_722), (DARTS(20, 36), 3_349_342), (DARTSImageNet(), 4_718_752)],
    ids=["proxy", "final", "imagenet"],
)
def test_darts_v2_has_its_known_size(space, params):
    graph = space.graph(DARTS_V2)
    assert graph.params == params
    assert graph == Space.graph(space, DARTS_V2)
    assert graph == Space.graphs(space, [DARTS_V2])[0]


def separable(kernel: int, width: int) -> int:
    return 2 * (kernel**2 * width + width**2 + 2 * width)


@pytest.mark.parametrize(("cells", "width"), [(3, 4), (20, 32)])
@pytest.mark.parametrize(
    ("genotype", "normal", "reduction"),
    # Kernels of the separable convolutions, and how many nodes are concatenated.
    [
        (NASNET_A, ((5, 3, 5, 3, 3), 5), ((5, 7, 7, 5, 3), 3)),
        (AMOEBANET_A, ((3, 5, 3, 3), 3), ((3, 7, 7, 3), 3)),
    ],
    ids=["nasnet", "amoeba"],
)
def test_named_cells_by_hand(genotype, normal, reduction, cells, width):
    space = NASNet(cells, width)
    counted, before, entering = 27 * 3 * width + 6 * width, 3 * width, 3 * width
    for place in range(cells):
        reduces = place in (cells // 3, 2 * cells // 3)
        width *= 2 if reduces else 1
        # Both inputs are brought to the width, by 1x1 convolutions whatever the stride.
        counted += width * (entering + before) + 4 * width
        kernels, outputs = reduction if reduces else normal
        counted += sum(separable(kernel, width) for kernel in kernels)
        if reduces and genotype == AMOEBANET_A:
            counted += 2 * 7 * width**2 + 2 * width  # 1x7, then 7x1
        entering, before = outputs * width, entering
    graph = space.graph(genotype)
    assert graph.params == counted + entering * 10 + 10
    assert graph == Space.graphs(space, [genotype])[0]
    assert space.parse(space.text(space.parse(genotype))) == space.parse(genotype)


def test_sizes_of_the_spaces():
    assert DARTS.size == (49 * 147 * 294 * 490) ** 2
    assert NASNet.size == (351 * 780 * 1378 * 2145 * 3081) ** 2


def test_all_forms_are_one_genotype():
    space = DARTS()
    cell = space.parse(DARTS_V2)
    assert space.text(cell) == SHORT
    named = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    parts = eval(DARTS_V2, {"Genotype": named, "range": range})
    assert space.parse(parts) == space.parse(parts._asdict()) == cell
    assert space.parse({"normal": parts.normal, "reduce": parts.reduce}) == cell
    positional = DARTS_V2
    for name in ("normal_concat=", "reduce_concat=", "normal=", "reduce="):
        positional = positional.replace(name, "")
    assert space.parse(positional) == cell


@pytest.mark.parametrize("part", ["normal", "reduce", "normal_concat", "reduce_concat"])
def test_a_range_without_end_is_refused(part):
    text, count = re.subn(rf"\b{part}=(\[.*?\]|range\(.*?\))", f"{part}=range({10**30})", DARTS_V2)
    assert count == 1
    with pytest.raises(InvalidSpecError, match=f"darts.*{part.partition('_')[0]}"):
        DARTS().parse(text)


def configuration() -> dict[str, str]:
    """DARTS_V2 as NAS-Bench-301 configures it: edges 0-1, 2-4, 5-8 and 9-13 of the four nodes."""
    sep, skip, dil, pool = "sep_conv_3x3", "skip_connect", "dil_conv_3x3", "max_pool_3x3"
    edges = {
        "normal": {0: sep, 1: sep, 2: sep, 3: sep, 5: skip, 6: sep, 9: skip, 11: dil},
        "reduce": {0: pool, 1: pool, 3: pool, 4: skip, 5: pool, 7: skip, 10: pool, 11: skip},
    }
    inputs = {"normal": ("0_1", "0_1", "0_2"), "reduce": ("1_2", "0_2", "1_2")}
    found = {f"edge_{kind}_{at}": op for kind, ops in edges.items() for at, op in ops.items()} | {
        f"inputs_node_{kind}_{node}": states
        for kind, lists in inputs.items()
        for node, states in enumerate(lists, 3)
    }
    return {f"NetworkSelectorDatasetInfo:darts:{key}": value for key, value in found.items()}


def test_configurations_of_nasbench301():
    config = configuration()
    assert DARTS().parse(config) == DARTS().parse(DARTS_V2)
    assert DARTS().parse(config | {"OptimizerSelector:optimizer": "sgd"}) == DARTS().parse(config)
    key = "NetworkSelectorDatasetInfo:darts:inputs_node_reduce_4"
    with pytest.raises(InvalidSpecError, match="'0-2' is no list of states"):
        DARTS().parse(config | {key: "0-2"})
    with pytest.raises(InvalidSpecError, match=r"lacks 'NetworkSelector.*edge_reduce_6'"):
        DARTS().parse(config | {key: "0_1"})
    config.pop(key)
    with pytest.raises(InvalidSpecError, match=r"lacks 'NetworkSelector.*inputs_node_reduce_4'"):
        DARTS().parse(config)


def test_order_of_the_edges_of_a_node_does_not_matter():
    swapped = SHORT.replace("skip_connect~0,dil_conv_3x3~2", "dil_conv_3x3~2,skip_connect~0")
    assert swapped != SHORT
    assert DARTS().parse(swapped) == DARTS().parse(SHORT)


def test_texts_are_told_apart_by_their_length():
    for text, name in ((DARTS_V2, "darts"), (SHORT, "darts"), (NASNET_A, "nasnet")):
        found = recognise(text)
        assert found is not None
        assert found[0].name == name
    assert recognise("Genotype of an apple") is None
    assert recognise("normal=1;reduce=2") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'dil_conv_3x3', 2", "'dil_conv_9x9', 2", "unknown operator 'dil_conv_9x9'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "node 5 of the normal cell cannot read state 5"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', -1", "cannot read state -1"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 0", "node 5 of the normal cell reads state 0 twice"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3'", "is no pair of operator and state"),
        ("('dil_conv_3x3', 2)", "7", "7 in the normal cell is no pair"),
        (", ('dil_conv_3x3', 2)", "", "the normal cell has 7 edges, not 8"),
        ("[2, 3, 4, 5]", "[2, 3, 4]", r"normal_concat is \[2, 3, 4\]"),
        ("[2, 3, 4, 5]", "3", "normal_concat is 3"),
        ("range(2, 6)", "range(10 ** 12)", "does not read Genotype"),
        ("range(2, 6)", "range(1000000000000)", "reduce_concat is range"),
        ("range(2, 6)", "open('secret')", "does not read Genotype"),
        ("range(2, 6)", "(" * 2000 + ")" * 2000, "does not read Genotype"),
        ("reduce=", "reduction=", "no part 'reduction'"),
        ("normal_concat=[2, 3, 4, 5], reduce=", "normal_concat=", "the reduce cell is missing"),
        ("Genotype(normal", "Genotype.of(normal", "does not read Genotype"),
        ("reduce_concat", "**{}, x", "no part"),
    ],
)
def test_bad_genotypes_are_refused_by_their_fault(old, new, message):
    text = DARTS_V2.replace(old, new)
    assert text != DARTS_V2
    with pytest.raises(InvalidSpecError, match=f"^darts: .*{message}"):
        DARTS().parse(text)


def test_images_must_halve():
    for space, pixels in ((DARTS(), 30), (DARTSImageNet(), 112 - 1)):
        with pytest.raises(InvalidSpecError, match=f"{pixels} pixels"):
            space.graph(DARTS_V2, image_size=pixels)
    assert DARTS().graph(DARTS_V2, image_size=64).params == 919_722


def test_neighbours_change_one_choice():
    space = DARTS()
    near = space.neighbours(SHORT)
    # 16 operators of 7; states: a node's edge has as many others as the node's states, less two.
    assert len(near) == 16 * 6 + 2 * 2 * (0 + 1 + 2 + 3)


def crowded(space, light, n):
    """Genotypes of few operators, most without weights: full of equal and nested nodes."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(n):
        halves = []
        for _ in range(2):
            cell = []
            for node in range(space.nodes):
                states = rng.permutation(node + 2)[:2].tolist()
                operators = rng.choice(light, 2).tolist()
                cell += ordered((operators[0], states[0]), (operators[1], states[1]))
            halves.append(tuple(cell))
        found.append(Genotype(*halves))
    return found


@pytest.mark.parametrize(
    ("space", "light"), [(DARTS(4, 4), [0, 1, 2, 3]), (NASNet(4, 4), [0, 0, 0, 4, 5, 10])]
)
def test_batches_of_cells_with_equal_and_nested_nodes(space, light):
    cells = crowded(space, light, 200)
    fast, slow = space.graphs(cells), Space.graphs(space, cells)
    assert fast == slow
    assert [g.params for g in fast] == [g.params for g in slow]
    # Both ways of building are tried in NASNet, only the batches in DARTS.
    assert 0 <= sum(needs_reference(space.layout, cells)) < 50
    assert any(needs_reference(space.layout, cells)) == (space.name == "nasnet")


def test_uniform_genotypes_hardly_ever_need_the_reference():
    space = NASNet()
    cells = [space.parse(text) for text in space.sample(2000, seed=0)]
    assert sum(needs_reference(space.layout, cells)) <= 10
