"""NAS-Bench-BERT, and what was measured about its traps."""

import json

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.spaces import get_space


@pytest.fixture(scope="module")
def bert(mirror):
    return datasets.load("nasbench_bert")


@pytest.fixture(scope="module")
def designs(mirror):
    rows = json.loads(datasets.fetch("nasbench_bert/benchmark.json").read_text())
    return [row["hparams"]["model_hparam_overrides"] for row in rows]


def test_check_figures(bert):
    glue = bert.labels("glue/average")
    assert (len(bert), len(set(bert.specs)), len(set(bert.families))) == (500, 491, 301)
    assert (glue.min().round(1), glue.max().round(1)) == (53.7, 75.1)
    confidence = bert.proxy_scores("glue/head_confidence_normalized")
    assert spearman(bert.proxy_scores("glue/head_confidence"), glue) == pytest.approx(
        0.716, abs=1e-3
    )
    assert np.isfinite(confidence).all()
    assert len(bert.proxies) == 15
    assert set(bert.card.tasks) == set(bert.tasks)


def test_average_is_the_mean_of_the_eight_scores(bert):
    tasks = [t for t in bert.tasks if t not in ("glue/average", "tpu/train_seconds")]
    mean = np.mean([bert.labels(task) for task in tasks], axis=0)
    assert len(tasks) == 8
    np.testing.assert_allclose(mean, bert.labels("glue/average"), atol=1e-9)


def test_noise_between_repetitions(bert):
    scores = {}
    for spec, value in zip(bert.specs, bert.labels("glue/average"), strict=True):
        scores.setdefault(spec, []).append(value)
    pairs = np.array([values for values in scores.values() if len(values) == 2])
    assert len(pairs) == 9
    assert np.sqrt(np.mean(np.ptp(pairs, axis=1) ** 2) / 2) == pytest.approx(0.60, abs=0.005)


def test_published_proxies_are_of_wider_networks(bert, designs):
    """Parameters equal those at 256 features and 1,024 hidden ones, transforms without output."""
    space = get_space("flexibert")
    published = bert.proxy_scores("glue/number_of_parameters")
    for design, count in list(zip(designs, published, strict=True))[::10]:
        layers = [
            layer | {"feed_forward_dimension": 1024}
            for layer in design["nas_config"]["encoder_layers"]
        ]
        wide = {"hidden_size": 256, "nas_config": {"encoder_layers": layers}}
        transforms = sum(layer["operation_type"] == "LT" for layer in layers)
        head, output = 256 * 2 + 2, 256 * 256 + 256 + 2 * 256
        assert space.graph(wide).params - head - transforms * output == count


def test_operations_left_no_trace_in_the_labels(bert):
    """Least squares on depth, width, stacks and counts of operations."""
    space = get_space("flexibert")
    rows = []
    for spec in bert.specs:
        cell = space.parse(spec)
        layers = list(space.layers(cell, "operation", "heads", "feed_forward", "stack"))
        operations = [layer[0] for layer in layers]
        rows.append(
            [1, space.chosen(cell, "hidden")[0] == 256, len(layers) == 4]
            + [operations.count(kind) for kind in ("WMA", "DFT", "DCT", "DSC5", "DSC9")]
            + [sum(s == 3 for *_, s in layers), sum(w == 1024 for _, _, w, _ in layers)]
            + [sum(h == 4 for _, h, _, _ in layers)]
            + [sum(w == 1024 and s == 3 for _, _, w, s in layers)]
        )
    x = np.array(rows, float)
    for task, smallest, largest, explained in (
        ("glue/average", -0.193, -0.045, 0.74),
        ("tpu/train_seconds", -22.18, 4.85, 0.92),
    ):
        y = bert.labels(task)
        effects = np.linalg.lstsq(x, y, rcond=None)[0]
        residual = y - x @ effects
        errors = np.sqrt(
            np.diag(np.linalg.inv(x.T @ x)) * residual.var() * 500 / (500 - x.shape[1])
        )
        assert (effects[3:8].min(), effects[3:8].max()) == pytest.approx(
            (smallest, largest), rel=0.02
        )
        assert np.all(np.abs(effects[3:8]) < 1.7 * errors[3:8])
        assert 1 - residual.var() / y.var() == pytest.approx(explained, abs=0.01)


def spearman(a, b):
    ranks = [np.argsort(np.argsort(v)) for v in (a, b)]
    return np.corrcoef(*ranks)[0, 1]
