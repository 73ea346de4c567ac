"""``archcast.predict`` with the predictors that ship."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import archcast
from archcast._shipped import FOLDER
from archcast.encoders import ComputeGraph, read
from archcast.encoders.errors import (
    ArchcastError,
    InvalidRecipeError,
    NotANetworkError,
    UnknownTaskError,
)
from archcast.encoders.ops import OP_ID

CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
#: Top-1 accuracies of the networks' own papers and releases.
PUBLISHED = {
    "light_bvlc_alexnet": 54.8,
    "light_inception_v1": 67.2,
    "light_squeezenet": 56.9,
    "light_vgg19": 73.7,
    "light_zfnet512": 56.0,
}


@pytest.fixture(scope="module")
def light(light_models) -> dict[str, archcast.Forecast]:
    forecasts = archcast.predict(list(light_models))
    return {p.stem: f for p, f in zip(light_models, forecasts, strict=True)}


def test_every_task_has_a_predictor_and_they_are_small():
    files = {p.name for p in FOLDER.glob("*.safetensors")}
    tasks = {f"{t.name.replace('/', '.')}.safetensors" for t in archcast.tasks()}
    assert files == tasks | {"universal.safetensors"}
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 10e6


def test_the_order_of_well_known_networks(light):
    values = {k: f.value for k, f in light.items()}
    order = sorted(PUBLISHED, key=lambda k: values[k])
    assert set(order[:3]) == {"light_bvlc_alexnet", "light_zfnet512", "light_squeezenet"}
    assert order[-1] == "light_vgg19"
    assert values["light_resnet50"] > values["light_vgg19"]
    assert 76 < values["light_resnet50"] < 81


def test_a_forecast_is_consistent(light):
    for forecast in light.values():
        low, high = forecast.interval()
        assert 0 <= low < forecast.value < high <= 100
        assert forecast.interval(0.5)[0] > low
        assert forecast.std > 0
        assert 0 <= forecast.rank <= 1
        assert 0 <= forecast.familiarity.score <= 1
        assert str(forecast.familiarity) == forecast.familiarity.word
        assert forecast.task.name == "imagenet1k/top1"
        assert f"{forecast.value:.2f}" in repr(forecast)
    assert light["light_resnet50"].familiarity.word == "familiar"
    assert light["light_resnet50"].familiarity.nearest == "resnet50"
    with pytest.raises(ValueError, match="between 0 and 1"):
        light["light_resnet50"].interval(1)


def test_one_or_many_by_graph_or_by_path(light_models):
    path = next(p for p in light_models if "resnet50" in p.name)
    one = archcast.predict(path)
    from_graph, again = archcast.predict([read(path), str(path)])
    assert one.value == pytest.approx(from_graph.value, abs=1e-9)
    assert one.value == pytest.approx(again.value, abs=1e-9)
    assert archcast.predict([]) == []


def test_cells_get_their_own_task():
    good, empty = archcast.predict(
        [CELL, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"], task="cifar10/test_accuracy"
    )
    assert archcast.predict(CELL).task.name == "cifar10/test_accuracy"
    assert good.value == pytest.approx(93.5, abs=0.7)
    assert good.familiarity.word == "familiar"
    assert empty.value < 15
    mixed = archcast.predict([CELL], task="cifar100/test_accuracy")[0]
    assert mixed.value == pytest.approx(70, abs=3)


def test_a_recipe_moves_the_forecast_and_remarks_follow(light_models):
    path = next(p for p in light_models if "resnet50" in p.name)
    plain = archcast.predict(path)
    more = archcast.predict(path, recipe={"pretrain": "in21k"})
    old = archcast.predict(path, recipe={"tag": "tv_in1k"})
    assert more.value > plain.value > old.value
    with pytest.raises(InvalidRecipeError, match="'epochs'; fields are distilled, pretrain"):
        archcast.predict(path, recipe={"epochs": 9})
    for p in (1e-9, 0.01, 0.5, 0.99):
        low, high = old.interval(p)
        assert low <= old.value <= high


def network(ops, shapes, **columns) -> ComputeGraph:
    edges = [(i, i + 1) for i in range(len(ops) - 1)]
    columns = {"op": [OP_ID[o] for o in ops], **columns}
    return ComputeGraph.from_columns(
        columns, edges, input_shape=shapes[0], output_shape=shapes[1], labels={}
    )


def test_what_is_no_classifier_of_pictures_is_answered_with_reserve():
    dense = network(
        ["input", "conv", "relu", "conv", "output"],
        [(1, 3, 224, 224), (1, 3, 224, 224)],
        extent=[[1, 224, 224]] * 5,
        channels_in=[3, 3, 64, 64, 3],
        channels_out=[3, 64, 64, 3, 3],
        op_weights=[0, 1728, 0, 1728, 0],
        op_macs=[0, 86_704_128, 0, 86_704_128, 0],
    )
    forecast = archcast.predict(dense)
    low, high = forecast.interval()
    assert forecast.familiarity.word in ("far", "alien")
    assert low < forecast.value
    # Reaches over most of what known networks score: nothing is claimed to be known.
    assert high > 83
    assert "no image classifier" in forecast.notes[0]


def test_what_sees_no_pictures_is_told_the_tasks():
    audio = network(["input", "linear", "output"], [(1, 16000), (1, 35)])
    with pytest.raises(UnknownTaskError, match=r"1x16000.*imagenet1k/top1, cifar10"):
        archcast.predict(audio)
    forecast = archcast.predict(audio, task="imagenet1k/top1")
    assert forecast.familiarity.word == "alien"
    assert "pictures" in forecast.notes[0]
    low, high = forecast.interval()
    assert high - low > 10


def test_unseen_operators_are_the_reason():
    graph = ComputeGraph.from_columns(
        {"op": [OP_ID["input"], OP_ID["other"], OP_ID["output"]]},
        [(0, 1), (1, 2)],
        labels={1: "Mamba"},
        input_shape=(1, 3, 64, 64),
        output_shape=(1, 5),
    )
    assert "Mamba" in archcast.predict(graph).familiarity.reason


def test_every_real_file_gets_a_forecast_or_a_named_error(onnx_files):
    answered = 0
    for path in onnx_files:
        try:
            graph = read(path)
            archcast.predict(graph, task="imagenet1k/top1")
        except ArchcastError:
            continue
        for task in archcast.tasks():
            forecast = archcast.predict(graph, task=task)
            assert np.isfinite([forecast.value, forecast.std, *forecast.interval()]).all()
            assert forecast.familiarity.reason
        answered += 1
    assert answered > 20


def test_a_forecast_loads_nothing_heavy(light_models):
    code = (
        f"import sys, archcast; archcast.predict({str(light_models[0])!r});"
        "print(sorted({'torch', 'sklearn', 'lightgbm', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_without_weights_is_refused():
    import onnx
    from onnx import helper

    ends = [[helper.make_tensor_value_info(n, 1, (1, 3, 64, 64))] for n in ("x", "y")]
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(NotANetworkError, match="no trained weights"):
        archcast.predict(onnx.helper.make_model(helper.make_graph([node], "g", *ends)))


def test_another_number_of_classes_is_remarked(light_models):
    path = next(p for p in light_models if "squeezenet" in p.name)
    assert not archcast.predict(path).notes
    (note,) = archcast.predict(path, task="cifar100/test_accuracy").notes
    assert note == "has 1000 classes; the number is for its architecture with cifar100's"
