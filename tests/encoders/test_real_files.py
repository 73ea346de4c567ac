"""Real ONNX files from many hands: a graph with the right numbers, or a named error."""

import pytest

from archcast.encoders import read
from archcast.encoders.errors import ArchcastError, NotANetworkError

#: Figures published for these networks: millions of parameters, thousands of millions of MACs.
PUBLISHED = {
    "light_bvlc_alexnet": (60.97, 0.65),
    "light_vgg19": (143.67, 19.63),
    "light_squeezenet": (1.235, 0.349),
    "light_resnet50": (25.53, 4.09),
    "light_inception_v1": (7.0, 1.43),
}


def test_sizes_of_the_networks_in_the_onnx_package(light_models):
    graphs = {p.stem: read(p) for p in light_models}
    assert len(graphs) == 9
    for name, (params, macs) in PUBLISHED.items():
        assert graphs[name].params / 1e6 == pytest.approx(params, rel=0.03), name
        assert graphs[name].macs / 1e9 == pytest.approx(macs, rel=0.01), name
    assert all(g.count("linear") + g.count("conv") > 5 for g in graphs.values())


def test_every_file_of_the_collection_gives_a_graph_or_a_named_error(onnx_files):
    graphs, refused = {}, {}
    for path in onnx_files:
        try:
            graphs[path.name] = read(path)
        except ArchcastError as error:
            refused[path.name] = error
    # What is refused computes nothing: one addition, one cast, a loop over integers.
    assert {type(e) for e in refused.values()} <= {NotANetworkError}
    assert len(graphs) >= 30
    by_name = {name.split("__")[-1]: g for name, g in graphs.items()}
    assert "gru" in by_name["gru_bidirectional.onnx"].ops
    assert by_name["random_decoder.onnx"].count("attention") == 2
    assert by_name["quant_model.onnx"].count("conv") >= 4
    assert "ai.onnx.ml.Scaler" in by_name["k_neighbors_classifier.onnx"].ops


def test_every_model_of_the_onnx_package_gives_a_graph_or_a_named_error():
    from pathlib import Path

    import onnx

    files = sorted((Path(onnx.__path__[0]) / "backend" / "test" / "data").rglob("*.onnx"))
    assert len(files) > 100
    refused = []
    for path in files:
        try:
            read(path)
        except ArchcastError as error:
            refused.append(str(error))
    assert len(refused) < len(files) / 2
    assert not [message for message in refused if "contradicts itself" in message]
