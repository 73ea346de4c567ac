"""Networks of mobile spaces beside the same ones in timm: equal, or different where expected."""

from collections import Counter

import pytest

from archcast.datasets._zoo_graphs import ZooGraphs
from archcast.encoders.errors import MissingExtraError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import OPS
from archcast.encoders.spaces import get_space
from archcast.encoders.spaces.mnasnet import MnasNet
from archcast.encoders.spaces.proxylessnas import ProxylessNAS


@pytest.fixture(scope="module")
def timm(cache):
    """Makes graphs of timm's networks by name; skips the test where the package is missing."""
    zoo = ZooGraphs("timm")

    def graph(name: str) -> ComputeGraph:
        try:
            return zoo.graphs([(name, 224)])[0]
        except MissingExtraError:
            pytest.skip("needs timm")

    return graph


def operators(graph: ComputeGraph) -> Counter:
    """(operator, kernel, channels entering, channels leaving) -> how many of them."""
    columns = (graph.op, graph.kernel[:, 2], graph.channels_in, graph.channels_out)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return Counter((OPS[op], *rest) for op, *rest in rows)


def equal(ours: ComputeGraph, theirs: ComputeGraph) -> bool:
    return ours == theirs and ours.hash == theirs.hash and ours.params == theirs.params


def layers(text: str) -> str:
    """A ProxylessNAS text, from kernel and expansion of each layer as in ``33 56 -``."""
    words = text.split()
    return ",".join("Zero" if w == "-" else f"{w[0]}x{w[0]}_MBConv{w[1]}" for w in words)


def test_efficientnet_b0_is_in_the_mnasnet_space_but_for_its_activation(timm):
    class WithSiLU(MnasNet):
        name = "with_silu"
        act = "silu"

    spec = "e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se"
    theirs = timm("efficientnet_b0")
    assert equal(WithSiLU().graph(spec), theirs)
    ours = get_space("mnasnet").graph(spec)
    assert ours != theirs
    activations = {op for op, *_ in operators(ours) - operators(theirs)}
    assert activations == {"relu"}
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("mnasnet_100", "33 33 33 - 53 53 53 - 56 56 56 - 36 36 - - 56 56 56 56 36"),
        ("spnasnet_100", "33 33 33 - 56 33 33 33 56 33 33 33 56 53 53 53 56 56 56 56 36"),
    ],
)
def test_two_published_networks_are_in_the_proxylessnas_space_with_relu(timm, name, stages):
    class WithReLU(ProxylessNAS):
        name = "with_relu"
        act = "relu"

    theirs = timm(name)
    assert equal(WithReLU().graph(layers(stages)), theirs)
    ours = get_space("proxylessnas").graph(layers(stages))
    assert {op for op, *_ in operators(ours) - operators(theirs)} == {"relu6"}


def test_fbnet_c_is_in_the_fbnet_space(timm):
    spec = ",".join(
        ["k3_e1", "k3_e6", "k3_e1", "k3_e1", "skip", "k5_e6", "k5_e3", "k5_e6", "k3_e6"]
        + ["k5_e6", "k5_e3", "k5_e6", "k5_e6", "k5_e6", "k5_e6", "k5_e6", "k5_e3"]
        + ["k5_e6"] * 4
        + ["k3_e6"]
    )
    ours = get_space("fbnet").graph(spec, num_classes=1000, image_size=224)
    assert equal(ours, timm("fbnetc_100"))


def test_mobilenetv3_differs_from_a_once_for_all_subnetwork_in_three_expansions(timm):
    """Expansions of 2.5 and 2.3 are no choice of the supernetwork's."""
    kernels = [3] * 4 + [5] * 4 + [3] * 8 + [5] * 4
    expansions = [4, 3, 3, 3, 3, 3, 3, 3, 6, 3, 3, 3, 6, 6, 3, 3, 6, 6, 6, 3]
    ours = get_space("ofa_mobilenetv3").graph(
        {"ks": kernels, "e": expansions, "d": [2, 3, 4, 2, 3]}
    )
    theirs = timm("mobilenetv3_large_100")
    more, less = operators(ours) - operators(theirs), operators(theirs) - operators(ours)
    block = [("conv", 1, 80, 240), ("conv", 3, 240, 240), ("conv", 1, 240, 80)]
    swish = ("hard_swish", 1, 240, 240)
    assert more == Counter(block * 3 + [swish] * 6)
    assert less == Counter(
        (op, kernel, *(hidden if width == 240 else width for width in widths))
        for hidden in (200, 184, 184)
        for op, kernel, *widths in [*block, swish, swish]
    )


def test_resnet50d_lacks_only_the_residual_sum_in_the_stem(timm):
    spec = {"d": [2, 1, 2, 2, 1], "e": [0.25] * 18, "w": [2] * 6}
    ours, theirs = get_space("ofa_resnet50").graph(spec), timm("resnet50d")
    assert operators(ours) - operators(theirs) == Counter([("add", 1, 32, 32)])
    assert not operators(theirs) - operators(ours)
    assert (ours.params, ours.macs) == (theirs.params, theirs.macs)
