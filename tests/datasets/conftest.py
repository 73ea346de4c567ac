"""Benchmarks over the mirror, with caches of the test run's own."""

import os

import onnx
import onnx.helper
import pytest

from archcast import datasets


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder for derived files; ``ARCHCAST_TEST_CACHE`` keeps one between runs."""
    kept = os.environ.get("ARCHCAST_TEST_CACHE")
    folder = kept or str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCAST_CACHE", folder)
        yield folder


@pytest.fixture(scope="session")
def nasbench201(mirror, cache):
    return datasets.load("nasbench201")


@pytest.fixture(scope="session")
def timm_zoo(mirror, cache):
    return datasets.load("timm_zoo")


@pytest.fixture(scope="session")
def nasbench101(mirror, cache):
    """Takes a minute without a kept cache: the whole space is enumerated and hashed."""
    return datasets.load("nasbench101")


@pytest.fixture
def network():
    """Makes the bytes of a small ONNX file of some width, with an accuracy in its metadata."""
    return _network


def _network(width, accuracy=None):
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        make.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        make.make_node("Relu", ["c"], ["r"]),
        make.make_node("GlobalAveragePool", ["r"], ["p"]),
        make.make_node("Flatten", ["p"], ["f"]),
        make.make_node("Gemm", ["f", "v"], ["y"]),
    ]
    weights = [
        make.make_tensor("w", floats, [width, 3, 3, 3], [0.0] * (width * 27)),
        make.make_tensor("v", floats, [width, 10], [0.0] * (width * 10)),
    ]
    inputs = [make.make_tensor_value_info("x", floats, [1, 3, 32, 32])]
    outputs = [make.make_tensor_value_info("y", floats, [1, 10])]
    model = make.make_model(make.make_graph(nodes, "net", inputs, outputs, weights))
    if accuracy is not None:
        make.set_model_props(model, {"accuracy": str(accuracy), "trained_on": "cifar10"})
    return model.SerializeToString()
