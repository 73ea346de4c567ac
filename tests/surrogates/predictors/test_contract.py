"""What every registered predictor promises, whatever its family."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archcast.encoders import ComputeGraph
from archcast.encoders.errors import (
    DeviceError,
    InvalidLabelsError,
    MissingExtraError,
    NotFittedError,
    ShapeError,
)
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.predictors import (
    Predictor,
    get_predictor,
    list_predictors,
    load_predictor,
    save_predictor,
)

#: Settings that make a fit quick; those of a kind that is not here are its defaults.
QUICK: dict[str, dict[str, Any]] = {
    "hist-gradient-boosting": {"rounds": 20, "members": 2, "learning_rate": 0.1},
    "extra-trees": {"trees": 10},
    "gbdt-nas": {"learning_rate": 0.1},
    "ngboost": {"rounds": 40, "learning_rate": 0.1},
    "random-forest": {"trees": 10},
    "lightgbm": {"rounds": 20, "members": 2, "learning_rate": 0.1},
    "xgboost": {"rounds": 20, "members": 2, "learning_rate": 0.1},
    "aiop": {"width": 16, "layers": 2, "epochs": 40, "batch": 16, "learning_rate": 5e-3},
    "boshnas": {"epochs": 60},
    "conformal": {"options": {"rounds": 20, "support": 100, "folds": 2}, "folds": 2},
    "ensemble": {"options": {"rounds": 20, "support": 100, "folds": 2}, "members": 2},
    "gennape": {
        "width": 16,
        "layers": 2,
        "contrast_epochs": 2,
        "epochs": 40,
        "batch": 16,
        "learning_rate": 5e-3,
        "adapt_epochs": 3,
    },
    "learning-curve": {"searches": 8},
    "mlp": {"members": 2, "epochs": 40, "width": 32},
    **{
        kind: {"width": 16, "depth": 2, "epochs": 20, "learning_rate": 5e-3, "device": "cpu"}
        for kind in ("flan", "gatv2", "gin", "gps", "nnformer")
    },
    "tabular": {"rounds": 20, "support": 100, "folds": 2},
}
#: Where the conftest puts a language model of a few thousand weights.
TINY_ENCODER = str(Path(tempfile.gettempdir()) / f"archcast-tiny-encoder-{os.getuid()}")
QUICK["text-embedding"] = {"encoder": TINY_ENCODER, "cache": False}
QUICK["text-finetune"] = {
    "encoder": TINY_ENCODER,
    "epochs": 15,
    "batch_size": 16,
    "learning_rate": 3e-3,
}
#: Kinds for which a network of 10,000 operators takes long here: how many they get instead.
LARGE: dict[str, int] = {}
#: Kinds that take another predictor; what they promise is tested through ``adapt``.
WRAPPERS = {"adapted"}

KINDS = sorted(set(list_predictors()) - WRAPPERS)
TRAIN = 72
#: One process runs all tests of a kind, and fits it once for them.
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in KINDS]
)


# ------------------------------------------------------------------------ architectures
@cache
def architectures() -> tuple[list[ComputeGraph], np.ndarray]:
    """96 small networks in mixed order, and a number that follows from their graphs."""
    graphs = get_space("nats_size").graphs(get_space("nats_size").sample(48, seed=1))
    graphs += get_space("nasbench_macro").graphs(get_space("nasbench_macro").sample(48, seed=1))
    graphs = [graphs[i] for i in np.random.default_rng(0).permutation(len(graphs))]
    size = np.log([g.macs for g in graphs])
    depth = np.log([g.depth.max() for g in graphs])
    label = 5 * (size - size.mean()) / size.std() + 3 * (depth - depth.mean()) / depth.std()
    return graphs, 60 + label


@cache
def odd(nodes: int = 0) -> list[ComputeGraph]:
    """One operator; no edge; an operator outside the vocabulary; a long chain, if asked for."""
    if nodes:
        chain = np.arange(nodes - 1)
        ops = [OP_ID["input"], *([OP_ID["conv"], OP_ID["relu"]] * nodes)[: nodes - 1]]
        columns = {
            "op": ops,
            "kernel": [[1, 3, 3]] * nodes,
            "channels_in": [8] * nodes,
            "channels_out": [8] * nodes,
            "extent": [[1, 8, 8]] * nodes,
            "op_weights": [576] * nodes,
            "op_macs": [36_864] * nodes,
        }
        return [ComputeGraph.from_columns(columns, np.stack([chain, chain + 1], 1))]
    return [
        ComputeGraph.from_columns({"op": [OP_ID["conv"]]}, []),
        ComputeGraph.from_columns({"op": [OP_ID["input"], OP_ID["relu"], OP_ID["linear"]]}, []),
        ComputeGraph.from_columns(
            {"op": [OP_ID["input"], OP_ID["other"], OP_ID["output"]]},
            [(0, 1), (1, 2)],
            labels={1: "HyperbolicWarp"},
        ),
    ]


def make(kind: str, **params: Any) -> Predictor:
    try:
        return get_predictor(kind, **QUICK.get(kind, {}), **params)
    except MissingExtraError as error:
        pytest.skip(str(error))


def fit(predictor: Predictor, X: Any, y: Any, **options: Any) -> Predictor:
    try:
        return predictor.fit(X, y, **options)
    except MissingExtraError as error:
        pytest.skip(str(error))


@cache
def _fitted(kind: str) -> Predictor | str:
    graphs, y = architectures()
    groups = np.arange(TRAIN) // 2
    try:
        return get_predictor(kind, **QUICK.get(kind, {})).fit(
            graphs[:TRAIN], y[:TRAIN], groups=groups
        )
    except MissingExtraError as error:
        return str(error)


def fitted(kind: str) -> Predictor:
    """One fit a kind, shared by the tests that only look at it."""
    found = _fitted(kind)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def new() -> tuple[list[ComputeGraph], np.ndarray]:
    """Architectures that :func:`fitted` has not seen."""
    graphs, y = architectures()
    return graphs[TRAIN:], y[TRAIN:]


# ------------------------------------------------------------------------- the protocol
@every_kind
def test_parameters_are_json_and_clone_knows_them(kind):
    from sklearn.base import clone, is_regressor

    predictor = make(kind, seed=3)
    copied = clone(predictor)
    assert copied is not predictor
    assert copied.get_params() == predictor.get_params()
    assert json.loads(json.dumps(predictor.get_params())) == predictor.get_params()
    assert predictor.kind == kind
    assert is_regressor(predictor)
    with pytest.raises(ValueError, match="no parameter 'sead'"):
        predictor.set_params(sead=1)


@every_kind
def test_it_learns(kind):
    graphs, y = new()
    values = fitted(kind).predict(graphs)
    assert values.shape == y.shape
    assert np.abs(values - y).mean() < np.abs(y - architectures()[1][:TRAIN].mean()).mean()
    assert np.corrcoef(values, y)[0, 1] > 0.3


@every_kind
def test_standard_deviations(kind):
    graphs, _ = new()
    values, std = fitted(kind).predict(graphs, return_std=True)
    assert std.shape == values.shape
    assert np.isfinite(std).all()
    assert (std >= 0).all()
    assert (std > 0).any()
    np.testing.assert_array_equal(values, fitted(kind).predict(graphs))


@every_kind
def test_quantiles_ascend_and_make_intervals(kind):
    graphs, _ = new()
    quantiles = fitted(kind).quantiles(graphs, [0.05, 0.25, 0.5, 0.75, 0.95])
    assert quantiles.shape == (5, len(graphs))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=0) >= 0).all()
    low, high = fitted(kind).interval(graphs, 0.9)
    np.testing.assert_allclose(low, quantiles[0])
    np.testing.assert_allclose(high, quantiles[-1])


@every_kind
def test_a_forecast_does_not_depend_on_its_neighbours(kind):
    graphs, _ = new()
    together = fitted(kind).predict(graphs[:6])
    np.testing.assert_allclose(fitted(kind).predict(graphs[5:6]), together[5:], rtol=1e-3)
    np.testing.assert_allclose(fitted(kind).predict(graphs[5::-1]), together[::-1], rtol=1e-3)


@every_kind
def test_no_architectures_no_forecasts(kind):
    values, std = fitted(kind).predict([], return_std=True)
    assert values.shape == std.shape == (0,)


@every_kind
def test_a_file_holds_all_of_it(kind, tmp_path):
    graphs, _ = new()
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_predictor(fitted(kind), path)
    loaded = load_predictor(path)
    assert loaded.get_params() == fitted(kind).get_params()
    for ours, theirs in zip(
        loaded.predict(graphs, return_std=True),
        fitted(kind).predict(graphs, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.predict([]).shape == (0,)
    save_predictor(loaded, again)
    assert path.read_bytes() == again.read_bytes()


@every_kind
def test_the_same_seed_gives_the_same_and_missing_labels_are_left_out(kind):
    graphs, y = architectures()
    fitted(kind)
    gaps = np.concatenate([y[:TRAIN], np.full(5, np.nan)])
    groups = np.concatenate([np.arange(TRAIN) // 2, np.arange(5)])
    state = np.random.get_state()[1].copy()  # noqa: NPY002  (the global generator, left alone)
    other = fit(make(kind), graphs[: TRAIN + 5], gaps, groups=groups)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(other.predict(new()[0]), fitted(kind).predict(new()[0]))


@every_kind
@pytest.mark.parametrize("few", [1, 5])
def test_a_few_labels_correct_it(kind, few, tmp_path):
    graphs, y = new()
    before = fitted(kind)
    values = before.predict(graphs)
    adapted = before.adapt(graphs[:few], y[:few] + 20)
    np.testing.assert_array_equal(before.predict(graphs), values)
    moved, std = adapted.predict(graphs, return_std=True)
    assert np.isfinite(moved).all()
    assert np.isfinite(std).all()
    assert moved.mean() > values.mean() + 2  # towards the new labels, 20 above
    save_predictor(adapted, tmp_path / "adapted.safetensors")
    again = load_predictor(tmp_path / "adapted.safetensors")
    np.testing.assert_array_equal(again.predict(graphs), moved)
    with pytest.raises(InvalidLabelsError):
        before.adapt(graphs[:1], [np.nan])


@every_kind
def test_cross_validation_and_pipelines_of_scikit_learn(kind):
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import Pipeline

    graphs, y = architectures()
    fitted(kind)
    pipeline = Pipeline([("forecast", make(kind))])
    scores = cross_val_score(pipeline, graphs[:48], y[:48], cv=2, error_score="raise")
    assert np.isfinite(scores).all()


# ------------------------------------------------------------------------------ bad input
@every_kind
def test_constant_labels_are_forecast_with_certainty(kind):
    graphs, _ = architectures()
    values, std = fit(make(kind), graphs[:10], np.full(10, 42.5)).predict(graphs, return_std=True)
    np.testing.assert_allclose(values, 42.5, rtol=1e-6)
    assert np.isfinite(std).all()


@every_kind
@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        pytest.param(1, [1.0], id="one sample"),
        pytest.param(3, [1.0, np.nan, np.nan], id="one label"),
        pytest.param(3, [np.nan] * 3, id="no label"),
        pytest.param(0, [], id="nothing"),
        pytest.param(3, [1.0, 2.0, np.inf], id="infinite"),
        pytest.param(3, [1.0, 2.0], id="too few"),
        pytest.param(2, [[[1.0]], [[2.0]]], id="three axes"),
    ],
)
def test_labels_that_teach_nothing(kind, rows, labels):
    with pytest.raises(InvalidLabelsError):
        make(kind).fit(architectures()[0][:rows], labels)


@every_kind
def test_two_labels_are_enough(kind):
    graphs, _ = architectures()
    predictor = fit(make(kind), graphs[:2], [40.0, 60.0])
    assert np.isfinite(predictor.predict(graphs[:4], return_std=True)).all()


@every_kind
def test_nothing_is_forecast_before_a_fit(kind):
    graphs, y = architectures()
    with pytest.raises(NotFittedError):
        make(kind).predict(graphs[:1])
    with pytest.raises(NotFittedError):
        make(kind).adapt(graphs[:1], y[:1])


@every_kind
def test_what_is_no_architecture(kind):
    graphs, _ = architectures()
    with pytest.raises(ShapeError):
        fitted(kind).predict([3.0, None])
    with pytest.raises(ShapeError):
        fitted(kind).predict(graphs[0])


@every_kind
def test_odd_networks_are_forecast(kind):
    assert np.isfinite(fitted(kind).predict(odd(), return_std=True)).all()


@every_kind
def test_odd_networks_are_learned_from_on_another_scale(kind):
    graphs, y = architectures()
    predictor = make(kind, transform="logit")
    fit(predictor, odd() + graphs[:12], [5.0, 10.0, 99.9, *y[:12]])
    values, std = predictor.predict(odd() + graphs[:3], return_std=True)
    assert ((values >= 0) & (values <= 100)).all()
    assert np.isfinite(std).all()


@every_kind
def test_a_network_of_ten_thousand_operators(kind):
    graph = odd(LARGE.get(kind, 10_000))
    assert np.isfinite(fitted(kind).predict(graph, return_std=True)).all()


@every_kind
def test_a_device_that_is_not_there(kind):
    predictor = make(kind)
    if "device" not in predictor.get_params():
        pytest.skip("runs on the CPU only")
    fitted(kind)
    import torch

    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    graphs, y = architectures()
    with pytest.raises(DeviceError):
        predictor.set_params(device="cuda").fit(graphs[:4], y[:4])


def test_one_group_a_label():
    with pytest.raises(InvalidLabelsError, match="3 groups for 4 labels"):
        make("lightgbm").fit(np.eye(4), np.arange(4.0), groups=[0, 1, 2])


def test_an_interrupted_fit_is_none(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20.0)
    predictor = make("bayesian-linear").fit(x, y)
    monkeypatch.setattr(
        type(predictor), "_fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        predictor.fit(x, 2 * y)
    with pytest.raises(NotFittedError):
        predictor.predict(x)


# -------------------------------------------------------------------- beyond one process
def test_another_process_gives_the_same(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=40)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    code = (
        "import sys, numpy as np; from archcast.predictors import get_predictor;"
        f"d = np.load({str(tmp_path / 'data.npz')!r});"
        f"p = get_predictor('tabular', **{QUICK['tabular']!r}).fit(d['x'], d['y']);"
        "sys.stdout.write(p.predict(d['x']).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = make("tabular").fit(x, y).predict(x)
    assert bytes.fromhex(done.stdout) == here.tobytes()


def test_naming_predictors_imports_no_training_library():
    heavy = {"torch", "lightgbm", "xgboost", "sklearn", "sentence_transformers", "scipy", "pandas"}
    code = (
        "import sys; from archcast.predictors import get_predictor, list_predictors\n"
        f"for kind in set(list_predictors()) - {WRAPPERS!r}: get_predictor(kind)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@every_kind
def test_a_copy_is_its_own(kind):
    graphs, _ = new()
    copied = copy.deepcopy(fitted(kind))
    np.testing.assert_array_equal(copied.predict(graphs), fitted(kind).predict(graphs))
