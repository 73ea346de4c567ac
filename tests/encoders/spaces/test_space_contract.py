"""What every space promises, checked on each one that is registered."""

from itertools import islice

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSpecError, ShapeError
from archcast.encoders.graph import COLUMNS, ComputeGraph
from archcast.encoders.spaces import (
    SPACES,
    Field,
    FieldSpace,
    Space,
    get_space,
    recognise,
    register,
)
from archcast.encoders.spaces.nasbench201 import NASBench201

#: All but the names of model zoos, whose graphs take a second or more each, and of foreign code.
NAMES = sorted(set(SPACES) - {"timm", "torchvision", "lemur"})


def same(a: ComputeGraph, b: ComputeGraph) -> bool:
    columns = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in COLUMNS)
    return columns and np.array_equal(a.edges, b.edges) and a.hash == b.hash


@pytest.mark.parametrize("name", NAMES)
def test_batched_graphs_equal_the_reference_construction_bit_for_bit(name):
    space = get_space(name)
    for graph in space.graphs(space.sample(60, seed=1)):
        assert same(graph, ComputeGraph.from_columns(graph.columns, graph.edges))


@pytest.mark.parametrize("name", NAMES)
def test_hash_does_not_depend_on_the_order_of_nodes(name):
    space = get_space(name)
    rng = np.random.default_rng(0)
    for graph in space.graphs(space.sample(10, seed=2)):
        # Random keys that respect depth give another topological order.
        order = np.lexsort((rng.random(len(graph)), graph.depth))
        rank = np.argsort(order)
        columns = {key: values[order] for key, values in graph.columns.items()}
        assert ComputeGraph.from_columns(columns, rank[graph.edges]).hash == graph.hash


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_gives_what_single_graphs_give(name):
    space = get_space(name)
    specs = space.sample(20, seed=3)
    singles = [space.graph(spec) for spec in specs]
    assert all(same(a, b) for a, b in zip(space.graphs(specs), singles, strict=True))
    assert [g.params for g in space.graphs(specs)] == [g.params for g in singles]


@pytest.mark.parametrize("name", NAMES)
def test_texts_round_trip_and_carry_the_prefix(name):
    space = get_space(name)
    for spec in space.sample(20, seed=4):
        assert space.text(space.parse(spec)) == spec
        assert space.parse(f"{name}:{spec}") == space.parse(spec) == space.parse(space.parse(spec))
        found = recognise(f" {name}:{spec}\n")
        assert found is not None
        assert (found[0].name, found[1]) == (name, spec)


@pytest.mark.parametrize("name", NAMES)
def test_sampling_repeats_with_its_seed_and_never_repeats_itself(name):
    space = get_space(name)
    drawn = space.sample(50, seed=5)
    assert drawn == space.sample(50, seed=5)
    assert drawn != space.sample(50, seed=6)
    assert len(set(drawn)) == 50


@pytest.mark.parametrize("name", NAMES)
def test_neighbourhood_is_mutual(name):
    space = get_space(name)
    for spec in space.sample(5, seed=7):
        near = space.neighbours(spec)
        assert near
        assert spec not in near
        assert len(set(near)) == len(near)
        assert all(space.text(space.parse(other)) == other for other in near)


@pytest.mark.parametrize("name", NAMES)
def test_children_are_of_the_space_and_repeat_with_their_seed(name):
    space = get_space(name)
    first, second = space.sample(2, seed=9)
    child = space.crossover(first, second, seed=1)
    assert space.text(space.parse(child)) == child
    assert child == space.crossover(first, second, seed=1)
    assert space.crossover(first, first) == first


@pytest.mark.parametrize("name", NAMES)
def test_rubbish_is_refused_with_the_name_of_the_space(name):
    for rubbish in ("", "rubbish", 7, None, "a=1;b=2", (("x",),)):
        with pytest.raises(InvalidSpecError, match=name):
            get_space(name).parse(rubbish)


@pytest.mark.parametrize("name", NAMES)
def test_graph_says_where_it_is_from(name):
    space = get_space(name)
    spec = space.sample(1, seed=8)[0]
    graph = space.graph(spec)
    assert (graph.source, graph.name) == (name, spec)
    narrow = space.graph(spec, num_classes=7)
    assert narrow.output_shape[-1] in (7, graph.output_shape[-1])


def test_unknown_space_is_named_with_the_closest_one():
    with pytest.raises(InvalidSpecError, match="did you mean 'nasbench201'"):
        get_space("nasbench20l")


def test_ordinary_text_is_no_specification():
    assert recognise("model.onnx") is None
    assert recognise("C:\\models\\net.onnx") is None


def test_own_space_can_be_registered(monkeypatch):
    class Tiny(NASBench201):  # a user's variation of an existing space
        name = "tiny"

    monkeypatch.setattr("archcast.encoders.spaces.SPACES", dict(SPACES))
    space: Space = register(Tiny())
    assert get_space("tiny") is space
    assert get_space("tiny").graph((0, 0, 0, 1, 0, 0)).source == "tiny"


def other_package(folder, monkeypatch, entry):
    """A package beside ours that has an entry point."""
    found = folder / "their_spaces-1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: their-spaces\nVersion: 1.0\n")
    (found / "entry_points.txt").write_text(f"[archcast.spaces]\n{entry}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("archcast.encoders.spaces.SPACES", dict(SPACES))


def test_a_space_of_another_package_is_known_by_its_entry_point(tmp_path, monkeypatch):
    (tmp_path / "their_spaces.py").write_text(
        "from archcast.encoders.spaces.nasbench201 import NASBench201\n"
        "class Theirs(NASBench201):\n"
        "    name = 'theirs_a'\n"
    )
    other_package(tmp_path, monkeypatch, "theirs_a = their_spaces:Theirs")
    text = NASBench201().sample(1, seed=0)[0]
    assert recognise(f"theirs_a:{text}") == (get_space("theirs_a"), text)
    assert get_space("theirs_a").graph(text) == get_space("nasbench201").graph(text)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("theirs_b = no_such_module_at_all:Theirs", "cannot be loaded: ModuleNotFoundError"),
        ("theirs_c = archcast.encoders.spaces.nasbench201:NASBench201", "no Space of that name"),
        ("theirs_d = math:pi", "no Space of that name"),
    ],
)
def test_a_space_of_another_package_that_is_none_says_so(tmp_path, monkeypatch, entry, says):
    other_package(tmp_path, monkeypatch, entry)
    with pytest.raises(InvalidSpecError, match=says):
        get_space(entry.partition(" ")[0])


def test_spaces_that_cannot_be_named_are_refused(monkeypatch):
    class Odd(NASBench201):
        name = "my space:1"

    for space in (Odd(), NASBench201, NASBench201()):
        with pytest.raises(InvalidSpecError, match=r"instance of a Space|of the library"):
            register(space)


@pytest.mark.parametrize("name", [n for n in NAMES if isinstance(SPACES[n], FieldSpace)])
def test_enumeration_starts_at_once_and_gives_canonical_texts(name):
    space = get_space(name)
    first = list(islice(space.enumerate(), 3))
    assert len(set(first)) == len(first) > 0
    assert [space.text(space.parse(text)) for text in first] == first


def test_enumeration_gives_every_network_once():
    class Two(FieldSpace):
        name = "two"
        fields = (Field("depth", (1, 2)), Field("kernel", (3, 5), length=2))

        def canonical(self, cell):
            (depth,), kernels = cell
            return ((depth,), (*kernels[:depth], *(3,) * (2 - depth)))

    found = list(Two().enumerate())
    assert len(found) == len(set(found)) == 2 + 4
    assert "depth=1;kernel=5,3" in found


@pytest.mark.parametrize(
    "fields",
    [
        (Field("a", (1,)), Field("a", (2,))),
        (Field("a", ("x;y", "z")),),
        (Field("a", (1, "1")),),
        (Field("a", ()),),
    ],
)
def test_fields_whose_texts_could_not_be_read_are_refused(fields):
    with pytest.raises(InvalidSpecError):
        type("Bad", (FieldSpace,), {"name": "bad", "fields": fields})


def test_a_list_of_the_wrong_length_names_an_example_or_the_depth():
    with pytest.raises(InvalidSpecError, match="8:8:8:8:8"):
        get_space("nats_size").parse("64:64")
    spec = get_space("hwgpt_s").sample(1)[0]
    with pytest.raises(InvalidSpecError, match="as n_layer says"):
        get_space("hwgpt_s").parse(spec.replace("mlp_ratio=", "mlp_ratio=2,2,2,"))


def space_of(make):
    class Bare(FieldSpace):
        name = "bare"
        fields = (Field("a", (1,)),)

        def build(self, net, cell, num_classes, image_size):
            make(net)

    return Bare()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: n.output(n.add(n.input((3, 8, 8)), n.conv(n.input((3, 8, 8)), 16, 3))), "fit"),
        (lambda n: n.output(n.self_attention(n.input((4, 16)), 3)), "3 heads"),
        (lambda n: n.output(n.act("relux", n.input((4,)))), "relux"),
        (lambda n: n.output(n.reshape(n.input((4, 4)), 15)), "cannot become"),
        (lambda n: n.output(n.matmul(n.input((4, 5)), n.input((4, 5)))), "matrix product"),
        (lambda n: n.output(n.concat([n.input((4, 5)), n.input((4, 6))])), "cannot be joined"),
        (lambda n: n.linear(n.input((4,)), 2), "no output"),
    ],
)
def test_networks_that_cannot_be_are_refused(make, message):
    with pytest.raises((ShapeError, InvalidSpecError), match=message):
        space_of(make).graph({"a": 1})
