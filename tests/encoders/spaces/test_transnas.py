import numpy as np
import pytest

from archcast.encoders import read
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import get_space, recognise
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._net_graph import GraphNet
from archcast.encoders.spaces._transnas import HEADS, decoder
from archcast.encoders.spaces.nasbench201 import EDGES as EDGES_201
from archcast.encoders.spaces.nasbench201 import NASBench201, _build_cell
from archcast.encoders.spaces.transnas_macro import TransNASMacro
from archcast.encoders.spaces.transnas_micro import EDGES, TransNASMicro

MICRO, MACRO = TransNASMicro(), TransNASMacro()
DEAD = "64-41414-0_31_030"
KINDS = [TransNASMicro, TransNASMacro]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", HEADS)
def test_batched_graphs_of_every_task_equal_those_built_one_by_one(kind, task):
    space = kind(task)
    specs = [*space.sample(15, seed=1), *([DEAD] if kind is TransNASMicro else [])]
    fast, slow = space.graphs(specs), Space.graphs(space, specs)
    assert fast == slow
    for a, b in zip(fast, slow, strict=True):
        assert (a.params, a.macs, a.input_shape, a.output_shape) == (
            b.params, b.macs, b.input_shape, b.output_shape,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        *((TransNASMicro, task) for task in HEADS),
        *((TransNASMacro, task) for task in ("jigsaw", "segmentsemantic", "normal")),
    ],
)
def test_modules_of_every_task_read_as_the_direct_graph(kind, task):
    torch = pytest.importorskip("torch")
    space = kind(task)
    # A cell whose reduction has all of: skip connections, both convolutions, and an idle edge.
    spec = "64-41414-1_01_231" if kind is TransNASMicro else space.sample(1, seed=2)[0]
    with torch.device("meta"):
        module = space.module(spec).eval()
    graph = read(module, example=module.example())
    direct = space.graph(spec)
    assert graph == direct
    assert (graph.params, graph.macs) == (direct.params, direct.macs)
    assert direct.output_shape == tuple(module(*module.example()).shape)


def test_sizes_by_hand():
    graph = MICRO.graph("64-41414-3_33_333")
    cells = 0
    macs = 27 * 32 * 128**2 + 9 * 32 * 64 * 64**2
    for width, size, plain in ((128, 32, 3), (256, 16, 3), (512, 8, 1)):
        convs = 9 * width**2 * (3 + 6 * plain) + 9 * width * width // 2 * 3
        cells += convs + 2 * width * 6 * (1 + plain)
        macs += convs * size**2
    stem = 27 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64
    assert graph.params == stem + cells + 512 * 75 + 75
    assert graph.macs == macs + 512 * 75


def test_jigsaw_runs_one_encoder_over_nine_tiles():
    whole, tiles = (MICRO.for_task(t).graph("64-41414-1_02_333") for t in ("room_layout", "jigsaw"))
    assert tiles.params - whole.params == (9 * 512 * 1000 + 1000) - (512 * 9 + 9)
    assert (whole.macs - 512 * 9) / 16 * 9 == tiles.macs - 9 * 512 * 1000
    assert tiles.input_shape == (1, 3, 9, 64, 64)


def test_decoders_return_to_the_size_of_the_picture():
    for halvings in (3, 4, 5, 6):
        for kind, layers in (("segmentation", 7), ("image", 13)):
            plan = decoder(kind, halvings)
            assert len(plan) == layers
            assert sum(layer.doubles for layer in plan) == halvings
    segmentation = [layer.out for layer in decoder("segmentation", 5)]
    assert segmentation == [1024, 512, 256, 128, 64, 32, 32]


def test_skip_connections_of_a_reduction_have_weights():
    graph = MICRO.graph("64-41414-0_00_100")
    # The plain cells are identities; the three reductions are two 1x1 convolutions each.
    assert graph.count("conv") == 2 + 3 * 2
    assert graph.count("concat") == graph.count("affine") == 3
    # Leading to a convolution it is no longer nothing, as it is in NAS-Bench-201.
    assert MICRO.graph("64-41414-1_00_030") != MICRO.graph("64-41414-0_00_300")
    assert MICRO.graph("64-41414-3_00_010") == MICRO.graph("64-41414-0_00_300")


@pytest.mark.parametrize("task", ["class_scene", "jigsaw", "segmentsemantic", "autoencoder"])
@pytest.mark.parametrize("spec", ["64-41414-1_02_113", DEAD])
def test_small_modules_train(task, spec):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = MICRO.for_task(task).module(spec, num_classes=3, image_size=32)
    (example,) = module.example(2)
    out = module(torch.randn_like(example))
    pixels = () if task in ("class_scene", "jigsaw") else (32, 32)
    assert out.shape == (2, 3, *pixels)
    out.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_sizes_that_do_not_halve_evenly():
    torch = pytest.importorskip("torch")
    space = MICRO.for_task("class_scene")
    with torch.device("meta"):
        module = space.module("64-41414-1_02_311", image_size=36).eval()
    assert read(module, example=module.example()) == space.graph("64-41414-1_02_311", image_size=36)


def test_every_form_of_a_cell_is_the_same():
    spec = "64-41414-1_02_333"
    for form in ((1, 0, 2, 3, 3, 3), [1, 0, 2, 3, 3, 3], "(1, 0, 2, 3, 3, 3)",
                 {"cell": [1, 0, 2, 3, 3, 3]}, "cell=1,0,2,3,3,3",
                 f"transnas_micro:{spec}"):  # fmt: skip
        assert MICRO.text(MICRO.parse(form)) == spec
    found = recognise(spec)
    assert found is not None
    assert found[0].name == "transnas_micro"


def test_every_form_of_a_stack_is_the_same():
    for form in ((1, 2, 3, 4, 0, 0), (1, 2, 3, 4), "(1, 2, 3, 4)", {"modules": [1, 2, 3, 4, 0, 0]}):
        assert MACRO.text(MACRO.parse(form)) == "64-1234-basic"
    found = recognise("64-1234-basic")
    assert found is not None
    assert found[0].name == "transnas_macro"


@pytest.mark.parametrize(
    ("space", "spec", "message"),
    [
        (MICRO, "64-41414-1_02_334", "cell cannot be '4'"),
        (MICRO, "64-41414-1_02_33", "does not read"),
        (MICRO, "32-41414-1_02_333", "does not read"),
        (MICRO, (1, 2, 3), "neither text, mapping"),
        (MICRO, (1, 0, 2, 3, 3, True), "cell cannot be True"),
        (MACRO, "64-123-basic", "'123' has 3 modules, not 4 to 6"),
        (MACRO, "64-1234567-basic", "modules has 7 values"),
        (MACRO, "64-1133-basic", "0 modules that double the channels, not 1 to 3"),
        (MACRO, "64-1122-basic", "0 modules that halve the picture, not 1 to 4"),
        (MACRO, "64-1444-basic!", "does not read"),
        (MACRO, "64-2222-basic", "4 modules that double"),
        (MACRO, (1, 2, 0, 3, 4, 0), "0 stands between modules"),
        (MACRO, (0, 0, 0, 0, 0, 0), "0 modules"),
        (MACRO, "64-1236-basic", "modules cannot be '6'"),
    ],
)
def test_bad_specifications_are_refused(space, spec, message):
    with pytest.raises(InvalidSpecError, match=message):
        space.parse(spec)


def test_unknown_task_is_refused():
    with pytest.raises(InvalidSpecError, match="no task 'depth'; tasks are class_object"):
        MICRO.for_task("depth")
    assert get_space("transnas_micro").graph("64-41414-1_02_333").output_shape == (1, 75)


def test_the_macro_space_has_the_published_size():
    texts = list(MACRO.enumerate())
    assert len(set(texts)) == MACRO.size == 3256
    lengths = [len(MACRO.modules(MACRO.parse(text))) for text in texts]
    assert [lengths.count(n) for n in (4, 5, 6)] == [210, 750, 2296]
    assert sorted(MACRO.sample(3256)) == sorted(texts)
    with pytest.raises(ValueError, match="has 3,256"):
        MACRO.sample(3257)


def test_stacks_differ_and_reductions_bring_the_residual():
    graphs = MACRO.graphs(list(MACRO.enumerate()))
    assert len({graph.hash for graph in graphs}) == 3256
    graph = MACRO.graph("64-1234-basic")
    # Eight blocks of two convolutions, a stem of two, a 1x1 where a module changes the shape.
    assert graph.count("conv") == 8 * 2 + 2 + 3


# ------------------------------------------- the same cells in NAS-Bench-201
@pytest.fixture(scope="module")
def both():
    """Cells, and their networks' hashes here and in NAS-Bench-201, sizes and classes alike."""
    assert EDGES == EDGES_201
    specs = list(MICRO.enumerate())
    cells = [MICRO.parse(spec)[0] for spec in specs]
    here = [graph.hash for graph in MICRO.graphs(specs, num_classes=10, image_size=32)]
    there = [graph.hash for graph in NASBench201().graphs(cells)]
    return cells, np.array(here), np.array(there)


def test_one_cell_alone_is_the_same_as_in_nasbench201(both):
    for cell in both[0][::13]:
        found = []
        for block in (lambda net, x, c: MICRO.block(net, x, (c,), 16, 1), _build_cell):
            net = GraphNet()
            net.output(block(net, net.input((16, 8, 8)), cell))
            found.append(net.graph("cell", ""))
        assert found[0] == found[1]


def test_whole_networks_coincide_with_nasbench201_only_where_nothing_passes(both):
    cells, here, there = both
    common = set(here) & set(there)
    assert len(common) == 1
    dead = [cell for cell, name in zip(cells, here, strict=True) if name in common]
    assert len(dead) == 169
    assert len(MICRO.graph(dead[0])) == 2


def test_cells_that_coincide_here_coincide_in_nasbench201(both):
    """The converse fails, because a skip connection of a reduction has weights here."""
    cells, here, there = both
    assert (len(set(here)), len(set(there))) == (1376, 1011)
    # Each network here is one network there: pairs are as many as networks here.
    assert len(set(zip(here, there, strict=True))) == 1376
    skips = np.array([1 in (cell[0], cell[1], cell[3]) for cell in cells])  # out of node 0
    assert (~skips).sum() == 1728
    assert len(set(here[~skips])) == len(set(there[~skips])) == 514
