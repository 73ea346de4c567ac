"""The zoos' names as spaces, on a few small networks: recording one takes a second or more."""

import gzip
import sys

import pytest

from archcast.encoders.errors import InvalidSpecError, MissingExtraError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import _zoo_models, _zoo_recordings, get_space, recognise
from archcast.encoders.spaces.zoos import Timm, family

NAMES = ("timm", "torchvision")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=NAMES)
def space(request):
    try:
        _zoo_models.import_timm()
    except MissingExtraError:
        pytest.skip("needs the extra torch")
    return get_space(request.param)


def test_texts_round_trip_and_carry_the_prefix(space):
    names = space.names()
    assert names == sorted(set(names)) == list(space.enumerate())
    for spec in names:
        assert space.text(space.parse(spec)) == spec
    spec = space.sample(1)[0]
    assert space.parse(f"{space.name}:{spec}") == space.parse(space.parse(spec))
    found = recognise(f"{space.name}:{spec}")
    assert found is not None
    assert found[1] == spec


def test_size_is_written_where_it_is_not_the_own_one(space):
    assert space.parse("resnet18") == ("resnet18", 224)
    assert space.text(space.parse("resnet18@224")) == "resnet18"
    assert space.text(space.parse("resnet18@64")) == "resnet18@64"
    assert space.text(("resnet18", 64)) == "resnet18@64"


def test_the_benchmarks_own_form_is_read():
    timm, torchvision = (get_space(name) for name in NAMES)
    assert timm.parse("resnet50.a1_in1k@288") == ("resnet50", 288)
    assert timm.parse("efficientnet_b4.ra2_in1k") == ("efficientnet_b4", 320)
    assert torchvision.parse("inception_v3.IMAGENET1K_V1") == ("inception_v3", 299)
    assert torchvision.parse("vit_h_14.IMAGENET1K_SWAG_E2E_V1@518") == ("vit_h_14", 518)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("resnet5o", "resnet50"),
        ("", "no architecture ''"),
        ("rubbish", "rubbish"),
        ("resnet18@", "'' is no image size"),
        ("resnet18@many", "'many' is no image size"),
        ("resnet18@99999999999999", "is no image size"),
        ("resnet18.nobodys", "no weights 'nobodys' of resnet18"),
        (7, "7 is not"),
        (None, "None is not"),
        ((("x",),), "is not"),
        (("resnet18", -1), "'-1' is no image size"),
    ],
)
def test_rubbish_is_refused(space, spec, said):
    with pytest.raises(InvalidSpecError, match=space.name) as caught:
        space.parse(spec)
    assert said in str(caught.value)


def test_sampling(space):
    drawn = space.sample(50, seed=5)
    assert drawn == space.sample(50, seed=5) != space.sample(50, seed=6)
    assert len(set(drawn)) == 50


def test_neighbours_are_of_the_family_and_children_one_of_two(space):
    near = space.neighbours("resnet18@64")
    assert {"resnet34", "resnet50"} <= set(near)
    assert "resnet18" not in near
    assert {family(name) for name in near} == {"resnet"}
    children = {space.crossover("resnet18@64", "resnet50", seed) for seed in range(20)}
    assert children == {"resnet18@64", "resnet50"}


def test_graphs_are_the_packages_networks(space):
    specs = ["resnet18@64", "resnet18", "resnet18@64"]
    small, whole, again = space.graphs(specs)
    assert (small.source, small.name, whole.name) == (space.name, "resnet18@64", "resnet18")
    assert small == again
    assert small.params == whole.params == 11_689_512
    assert whole.macs == pytest.approx(1.814e9, rel=1e-3)
    assert (small.input_shape, whole.input_shape) == ((1, 3, 64, 64), (1, 3, 224, 224))
    reference = ComputeGraph.from_columns(small.columns, small.edges)
    assert reference.hash == small.hash


def test_a_damaged_recording_is_made_again(space):
    (graph,) = space.graphs(["resnet18@64"])
    kept = _zoo_recordings.folder(space.name) / "resnet18@64.json.gz"
    whole = kept.read_bytes()
    for damaged in (b"damaged", whole[:-9], gzip.compress(b"5"), gzip.compress(b"{}")):
        kept.write_bytes(damaged)
        assert space.graphs(["resnet18@64"]) == [graph]
        assert kept.read_bytes() == whole


def test_the_zoos_agree_on_a_network_they_share():
    timm, torchvision = (get_space(name) for name in NAMES)
    assert timm.graph("resnet18@64") == torchvision.graph("resnet18@64")


def test_classes_and_size_can_be_given(space):
    graph = space.graph("resnet18", num_classes=7, image_size=64)
    assert graph.output_shape == (1, 7)
    assert graph.input_shape == (1, 3, 64, 64)
    assert space.graph("resnet18@64").output_shape == (1, 1000)


def test_module_is_the_packages_own(space):
    torch = pytest.importorskip("torch")
    module = space.module("resnet18", num_classes=3)
    logits = module(torch.zeros(2, 3, 32, 32))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    from archcast.encoders import read

    graph = read(module.eval(), (1, 3, 64, 64))
    assert graph == space.graph("resnet18@64", num_classes=3)


def test_regnet_keeps_its_device():
    torch = pytest.importorskip("torch")
    assert next(get_space("torchvision").module("regnet_y_400mf").parameters()).device.type == "cpu"
    with torch.device("meta"):
        module = get_space("torchvision").module("regnet_y_400mf")
    assert next(module.parameters()).device.type == "meta"


def test_recordings_are_kept(space, monkeypatch):
    graph = space.graph("resnet18@64")

    def never(*args):
        raise AssertionError(args)

    monkeypatch.setattr(_zoo_recordings, "record", never)
    assert space.graph("resnet18@64") == graph
    assert space.graph("resnet18@64").hash == graph.hash


def test_what_cannot_be_recorded_is_an_error_of_the_library():
    with pytest.raises(UnreadableModelError, match="torchvision: vit_b_16@33 cannot"):
        get_space("torchvision").graph("vit_b_16@33")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    _zoo_models.import_timm.cache_clear()
    _zoo_models.import_torchvision.cache_clear()
    with pytest.raises(MissingExtraError, match=r"archcast\[torch\]"):
        Timm().parse("resnet18")
