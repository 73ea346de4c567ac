"""What every space promises, checked on each one that is registered."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import COLUMNS, ComputeGraph
from archcast.encoders.spaces import SPACES, Space, get_space, recognise, register
from archcast.encoders.spaces.nasbench201 import NASBench201

#: All but the names of model zoos, whose graphs take a second or more each: see test_zoos.py.
NAMES = sorted(set(SPACES) - {"timm", "torchvision"})


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
