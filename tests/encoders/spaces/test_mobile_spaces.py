"""What is special in the spaces of mobile networks."""

import re

import pytest

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space, recognise
from archcast.encoders.spaces._mobile import divisible

MOBILE = ["fbnet", "mnasnet", "ofa_mobilenetv3", "ofa_resnet50", "proxylessnas"]


@pytest.mark.parametrize("name", MOBILE)
def test_texts_are_recognised_without_their_prefix(name):
    for spec in get_space(name).sample(3, seed=1):
        found = recognise(spec)
        assert found is not None
        assert (found[0].name, found[1]) == (name, spec)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mnasnet", 3**7 * 2**7 * (3**6 * 4) * 2**7),
        ("ofa_mobilenetv3", 3**45),
        ("ofa_resnet50", 3**29),
        ("proxylessnas", 6**6 * 7**15),
        ("fbnet", 9**22),
    ],
)
def test_sizes(name, size):
    assert get_space(name).size == size


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("mnasnet", "e6k3l1-e4k5l2", "with seven stages"),
        ("mnasnet", "-".join(["e6k3l1"] * 6 + ["e6k4l1"]), "block6_k cannot be '4'"),
        ("mnasnet", "-".join(["e6k3l4"] * 7), "block0_l cannot be '4'"),
        ("mnasnet", "-".join(["e6k3"] * 7), "stage 'e6k3'"),
        ("ofa_mobilenetv3", {"ks": [3] * 20, "e": [3] * 20, "d": [5] * 5}, "d cannot be 5"),
        ("ofa_mobilenetv3", {"ks": [3] * 19, "e": [3] * 20, "d": [2] * 5}, "ks has 19 values"),
        ("ofa_resnet50", {"d": [0] * 5, "e": [0.3] * 18, "w": [0] * 6}, "e cannot be 0.3"),
        ("proxylessnas", ",".join(["Zero"] * 21), "layer0 cannot be 'Zero'"),
        ("proxylessnas", ["3x3_MBConv3"] * 20, "neither text, mapping nor 21 lists"),
        ("fbnet", [9] * 22, "ops cannot be 9"),
        ("fbnet", [True] * 22, "ops cannot be True"),
        ("fbnet", ",".join(["k3_e2"] * 22), "ops cannot be 'k3_e2'"),
    ],
)
def test_messages_name_the_faulty_choice(name, spec, message):
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        get_space(name).parse(spec)


def test_mnasnet_reads_the_benchmarks_mapping():
    space = get_space("mnasnet")
    mapping = {f"block{stage}_{name}": value for stage in range(7)
               for name, value in (("e", 4), ("k", 5), ("l", 2), ("se", stage == 3))}  # fmt: skip
    expected = "-".join(["e4k5l2"] * 3 + ["e4k5l2se"] + ["e4k5l2"] * 3)
    assert space.text(space.parse(mapping)) == expected
    del mapping["block2_k"]
    with pytest.raises(InvalidSpecError, match="'block2_k' is missing"):
        space.parse(mapping)


def test_mnasnet_squeezes_a_quarter_of_what_enters_the_block():
    graph = get_space("mnasnet").graph("-".join(["e6k3l1"] * 6 + ["e6k3l1se"]))
    narrow = graph.channels_out[(graph.op == OP_ID["conv"]) & (graph.extent.prod(1) == 1)]
    assert sorted(narrow.tolist()) == [192 // 4, 192 * 6]


def test_ofa_layers_beyond_the_depth_have_no_effect():
    space = get_space("ofa_mobilenetv3")
    spec = {"ks": [7] * 20, "e": [6] * 20, "d": [2, 2, 4, 2, 2]}
    other = {**spec, "ks": [7, 7, 3, 5, *[7] * 16]}
    assert space.parse(spec) == space.parse(other)
    assert space.parse({**spec, "ks": [7, 3, *[7] * 18]}) != space.parse(spec)


def test_ofa_reads_what_others_add_to_the_mapping():
    space = get_space("ofa_mobilenetv3")
    spec = {"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5}
    assert space.parse({**spec, "wid": None, "r": [224]}) == space.parse(spec)
    with pytest.raises(InvalidSpecError, match="as image_size"):
        space.parse({**spec, "r": [160]})
    with pytest.raises(InvalidSpecError, match=r"wid cannot be 1\.2"):
        space.parse({**spec, "wid": 1.2})


def test_the_wider_supernetwork_multiplies_all_widths():
    spec = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}
    graph = get_space("ofa_mobilenetv3_w12").graph(spec)
    assert graph.channels_out[graph.op == OP_ID["conv"]].max() == divisible(1280 * 1.2) == 1536
    assert get_space("ofa_mobilenetv3").graph(spec).params < graph.params


def test_resnet50_skips_a_stem_convolution_unless_told_otherwise():
    space = get_space("ofa_resnet50")
    spec = {"e": [0.25] * 18, "w": [2] * 6}
    plain = space.parse({**spec, "d": [0, 2, 2, 2, 2]})
    assert plain == space.parse({**spec, "d": [1, 2, 2, 2, 2]})
    residual = space.graph({**spec, "d": [2, 2, 2, 2, 2]})
    # One 3x3 convolution of 32 channels with its norm.
    assert residual.params - space.graph(plain).params == 32 * 32 * 9 + 64


def test_resnet50_halves_odd_images_alike_on_both_paths():
    graph = get_space("ofa_resnet50").graph(
        {"d": [0] * 5, "e": [0.2] * 18, "w": [0] * 6}, image_size=200
    )
    assert graph.output_shape == (1, 1000)


def test_proxylessnas_leaves_layers_out():
    space = get_space("proxylessnas")
    first, rest = "7x7_MBConv6", "Zero"
    stages = [[first, rest, rest, rest]] * 5 + [[first]]
    graph = space.graph([operator for stage in stages for operator in stage])
    depthwise = (graph.op == OP_ID["conv"]) & (graph.groups > 1)
    assert depthwise.sum() == 7
    assert not (graph.op == OP_ID["add"]).any()


def test_fbnet_reads_positions():
    space = get_space("fbnet")
    assert space.text(space.parse([0, 1, *[8] * 20])).startswith("k3_e1,k3_e1_g2,skip,skip")
    assert space.parse([8] * 22) == space.parse(["skip"] * 22)


def test_fbnet_has_another_stem_and_head_for_large_images():
    space, spec = get_space("fbnet"), ["skip"] * 22
    small, large = space.graph(spec), space.graph(spec, num_classes=1000, image_size=224)
    for graph, entering, head in ((small, 32, 1504), (large, 112, 1984)):
        convolutions = graph.op == OP_ID["conv"]
        assert graph.extent[convolutions].max() == entering
        assert graph.channels_out[convolutions].max() == head
        assert (graph.extent[convolutions].prod(1)).min() == (16 if graph is small else 49)


def test_fbnet_groups_split_both_pointwise_convolutions():
    graph = get_space("fbnet").graph([1, *[8] * 21])
    assert (graph.groups == 2).sum() == 2


def test_divisible_never_loses_a_tenth():
    assert [divisible(n) for n in (1, 8, 11, 12, 18, 19.2, 288)] == [8, 8, 16, 16, 24, 24, 288]
    assert all(divisible(n) >= 0.9 * n for n in range(1, 2000))
