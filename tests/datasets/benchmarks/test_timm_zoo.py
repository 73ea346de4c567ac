import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from archcast import encoders
from archcast.datasets._zoo_graphs import ZooGraphs
from archcast.datasets.benchmarks.timm_zoo import architectures, extra_data, plain_224
from archcast.encoders.errors import MissingExtraError, UnreadableModelError
from archcast.encoders.spaces import _zoo_models, get_space
from archcast.encoders.spaces.zoos import family


def test_rows_and_architectures(timm_zoo):
    assert len(timm_zoo) == len(set(timm_zoo.specs)) == 1556
    assert len(set(architectures())) == 900
    top1 = timm_zoo.labels("imagenet1k/top1")
    assert (top1.min(), top1.max()) == pytest.approx((40.98, 90.06), abs=0.005)
    assert set(timm_zoo.card.tasks) == set(timm_zoo.tasks)
    assert timm_zoo.card.rows == 1556


def test_every_data_set_is_joined_to_every_row(timm_zoo):
    top1 = timm_zoo.labels("imagenet1k/top1")
    for data in ("imagenet-real", "imagenet-v2", "imagenet-r", "imagenet-sketch"):
        other = timm_zoo.labels(f"{data}/top1")
        assert np.isfinite(other).all()
        assert np.corrcoef(top1, other)[0, 1] > 0.7
        assert (timm_zoo.labels(f"{data}/top5") >= other).all()
    for device in ("rtx4090", "i9-10940x"):
        assert np.isfinite(timm_zoo.labels(f"{device}/images_per_second")).mean() > 0.9


def test_recipe_columns(timm_zoo):
    recipe = timm_zoo.recipe("imagenet1k/top1")
    assert all(len(column) == 1556 for column in recipe.values())
    row = timm_zoo.index("resnet50.a3_in1k@224")
    assert [recipe[key][row] for key in ("tag", "extra_data", "train_size", "image_size")] == [
        "a3_in1k", "", 160, 224,
    ]  # fmt: skip


def test_rows_of_the_published_comparison(timm_zoo):
    rows = plain_224()
    assert len(rows) == 636
    assert len({architectures()[row] for row in rows}) == 538
    top1 = timm_zoo.labels("imagenet1k/top1")[rows]
    assert np.abs(top1 - top1.mean()).mean() == pytest.approx(3.26, abs=0.005)


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("a1_in1k", ""),
        ("augreg_in21k_ft_in1k", "in21k"),
        ("in1k_ft_in22k_in1k", "in22k"),
        ("fcmae_ft_in1k", ""),
        ("ns_jft_in1k", "jft"),
        ("ssld_in1k", ""),
        ("ssld_stage2_ft_in1k", "ssld_stage2"),
    ],
)
def test_extra_data(tag, data):
    assert extra_data(tag) == data


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50.a1_in1k", "resnet"),
        ("resnetv2_50x1_bit", "resnet"),
        ("tf_efficientnetv2_s", "efficientnet"),
        ("efficientnet_b0", "efficientnet"),
        ("legacy_seresnet50", "seresnet"),
        ("gc_efficientnetv2_rw_t", "efficientnet"),
        ("regnetv_040", "regnetv"),
        ("test_vit", "vit"),
        ("vit_base_patch16_224", "vit"),
        ("nf_resnet50", "resnet"),
    ],
)
def test_family(name, expected):
    assert family(name) == expected


@pytest.fixture
def builder(cache, monkeypatch, tmp_path):
    """A builder with an empty cache whose exports are a stand-in; counts them."""
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    calls = []

    def build(self, key):
        name, size = key
        calls.append(key)
        if name == "broken":
            raise RuntimeError("no such operator\nwith a long tail")
        if name == "stopped":
            raise KeyboardInterrupt
        return get_space("nasbench201").graph((0, 0, 0, 3, 0, 0), image_size=size)

    monkeypatch.setattr(ZooGraphs, "_graph", build)
    made = ZooGraphs("timm")
    made.calls = calls  # pyright: ignore[reportAttributeAccessIssue]
    return made


def test_graphs_are_built_once_and_kept(builder):
    keys = [("a", 32), ("b", 64), ("a", 32)]
    graphs = builder.graphs(keys)
    assert [g.input_shape[-1] for g in graphs] == [32, 64, 32]
    assert builder.calls == [("a", 32), ("b", 64)]
    assert ZooGraphs("timm").graphs(keys) == graphs
    assert len(builder.calls) == 2


def test_a_damaged_graph_is_built_again(builder):
    (first,) = builder.graphs([("a", 32)])
    for kept in builder.folder.glob("*.npz"):
        kept.write_bytes(b"damaged")
    assert builder.graphs([("a", 32)]) == [first]
    assert builder.calls == [("a", 32)] * 2
    assert builder.graphs([("a", 32)]) == [first]
    assert len(builder.calls) == 2


def test_failures_are_kept_with_their_reason(builder):
    keys = [("a", 32), ("broken", 32)]
    failed = {("broken", 32): "RuntimeError: no such operator"}
    assert builder.build(keys) == failed
    assert builder.build(keys) == failed
    assert builder.calls == keys
    with pytest.raises(UnreadableModelError, match="broken@32 for one: RuntimeError"):
        builder.graphs(keys)
    assert json.loads((builder.folder / "broken@32.failed").read_text()) == failed["broken", 32]


def test_an_interrupted_build_goes_on_where_it_was(builder):
    with pytest.raises(KeyboardInterrupt):
        builder.build([("a", 32), ("stopped", 32), ("b", 32)])
    builder.graphs([("a", 32), ("b", 32)])
    assert builder.calls == [("a", 32), ("stopped", 32), ("b", 32)]


def test_missing_timm_names_the_extra(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    _zoo_models.import_timm.cache_clear()
    _zoo_models.import_torchvision.cache_clear()
    with pytest.raises(MissingExtraError, match=r"archcast\[torch\]"):
        ZooGraphs("timm").graphs([("resnet18", 64)])


@pytest.mark.slow
def test_real_export(timm_zoo, monkeypatch, tmp_path):
    if find_spec("timm") is None:
        pytest.skip("needs timm")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    row = timm_zoo.index("resnet18.a1_in1k@224")
    graph = timm_zoo.graphs([row])[0]
    assert graph.params == 11_689_512
    assert graph.macs == pytest.approx(1.814e9, rel=1e-3)
    assert isinstance(graph, encoders.ComputeGraph)
    assert (graph.name, graph.source) == ("resnet18@224", "timm")
    (alone,) = get_space("timm").graphs(["resnet18"])
    assert (alone, alone.source) == (graph, graph.source)
