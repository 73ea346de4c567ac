from importlib.util import find_spec

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks.torchvision_zoo import architectures

pytestmark = pytest.mark.skipif(find_spec("torchvision") is None, reason="needs the extra torch")


@pytest.fixture(scope="module")
def zoo():
    return datasets.load("torchvision_zoo")


def test_rows_are_what_the_package_says(zoo):
    assert len(zoo) == len(set(zoo.specs)) == zoo.card.rows == 114
    assert len(set(architectures())) == 80
    assert zoo.query("alexnet.IMAGENET1K_V1@224", "imagenet1k/top1") == pytest.approx(56.522)
    top1, top5 = (zoo.labels(f"imagenet1k/{metric}") for metric in ("top1", "top5"))
    assert np.isfinite(top1).all()
    assert (top5 > top1).all()
    extra = zoo.recipe("imagenet1k/top1")["extra_data"]
    assert sorted(set(extra)) == ["", "swag"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "alexnet.IMAGENET1K_V1@224",
        "efficientnet_b1.IMAGENET1K_V2@240",
        "googlenet.IMAGENET1K_V1@224",
        "regnet_y_400mf.IMAGENET1K_V1@224",
        "swin_t.IMAGENET1K_V1@224",
        "vit_b_16.IMAGENET1K_SWAG_E2E_V1@384",
    ],
)
def test_sizes_are_those_the_package_states(zoo, spec, cache):
    row = zoo.index(spec)
    (graph,) = zoo.graphs([row])
    recipe = zoo.recipe("imagenet1k/top1")
    assert graph.params == recipe["params"][row]
    assert graph.macs / 1e9 == pytest.approx(recipe["giga_macs"][row], abs=0.0006)
