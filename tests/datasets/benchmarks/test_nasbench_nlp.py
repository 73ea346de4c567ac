"""NAS-Bench-NLP out of its own files: two sources, joined by the numbers of the cells."""

import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces.nasbench_nlp import NASBenchNLP

PTB, VAL = "penn_treebank/test_loss", "wikitext2/val_loss"


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("nasbench_nlp")


@pytest.fixture(scope="module")
def known(bench):
    return bench.with_graph


def test_8794_rows_have_published_scores(bench):
    assert len(bench) == 8863
    scores = [bench.proxy_scores(name) for name in bench.proxies if not name.endswith("params")]
    assert len(scores) == 12
    assert all(np.isfinite(s).sum() == 8794 for s in scores)


def test_hidden_covariance_ranks_as_published(bench):
    covariance = bench.proxy_scores("penn_treebank/layer_1_hidden_covariance")[:8794]
    assert spearmanr(covariance, -bench.labels(PTB)[:8794])[0] == pytest.approx(0.524, abs=5e-4)


def test_losses(bench):
    losses = bench.labels(PTB)
    assert np.isfinite(losses[:8794]).all()
    assert np.isfinite(losses).sum() == 8831
    assert (np.nanmin(losses), np.nanmax(losses)) == (
        pytest.approx(4.42869, abs=1e-5),
        pytest.approx(10.49606, abs=1e-5),
    )
    assert np.isfinite(bench.labels(VAL)).sum() == 340
    assert np.nanmin(bench.labels(VAL)) == pytest.approx(4.56947, abs=1e-5)


def test_344_cells_are_known_and_271_have_all(bench, known):
    assert len(known) == 344
    wikitext = np.isfinite(bench.labels(VAL))
    assert not wikitext[np.setdiff1d(np.arange(len(bench)), known)].any()
    assert (known < 8794).sum() == 275
    assert wikitext[:8794].sum() == 271
    assert (wikitext & np.isfinite(bench.labels(PTB))).sum() == 308


def test_the_sources_mean_the_same_cells(bench, known):
    both = np.isfinite(bench.labels(VAL)) & np.isfinite(bench.labels(PTB))
    assert spearmanr(bench.labels(VAL)[both], bench.labels(PTB)[both])[0] > 0.9


def test_parameters_are_the_published_ones_on_both_corpora(bench, known):
    specs = [bench.specs[row] for row in known]
    published = bench.proxy_scores("penn_treebank/params")[known]
    there = np.isfinite(published)
    assert there.sum() == 312
    params = np.array([g.params for g in bench.graphs()])
    assert (params[there] == published[there]).all()

    from archcast.datasets.benchmarks.nasbench_nlp import _logs

    space = NASBenchNLP()
    logs = [log for runs in _logs().values() for log in runs]
    assert len(logs) == 345
    graphs = space.graphs([log["recepie"] for log in logs], num_classes=33_278)
    assert [g.params for g in graphs] == [log["num_params"] for log in logs]
    assert (len(set(specs)), len({g.hash for g in graphs})) == (277, 264)


def test_curves_end_at_the_label(bench, known):
    curves = bench.curves(VAL)
    assert curves.shape == (8863, 50)
    once = np.isfinite(bench.seeds(VAL)).sum(1) == 1
    assert (curves[once, -1] == bench.labels(VAL)[once]).all()
    assert (np.isfinite(bench.seeds(VAL)).sum(1) == 2).sum() == 1


def test_noise_is_what_the_card_says(bench, known):
    groups = {}
    for row in known:
        groups.setdefault(bench.specs[row], []).extend(bench.seeds(VAL)[row])
    repeated = [np.array(g)[np.isfinite(g)] for g in groups.values()]
    repeated = [g for g in repeated if len(g) > 1]
    assert len(repeated) == 51
    pooled = sum(((g - g.mean()) ** 2).sum() for g in repeated) / sum(len(g) - 1 for g in repeated)
    assert pooled**0.5 == pytest.approx(0.037, abs=1e-3)


def test_rows_without_a_cell_have_labels_but_no_graph(bench):
    assert bench.query("model_1000004", PTB) == pytest.approx(5.070841669)
    with pytest.raises(InvalidSpecError, match="model_1000004 was not published"):
        bench.graphs([0])
    with pytest.raises(InvalidSpecError, match="no measurement"):
        bench.query("model_1", PTB)


def test_recipes_may_be_named_otherwise(bench, known):
    renamed = '{"a":{"op":"linear","input":["x","h_prev_0"]},"h_new_0":{"op":"activation_tanh","input":["a"]}}'  # noqa: E501
    assert np.isfinite(bench.query(renamed, VAL))


def test_card_names_the_tasks(bench):
    assert set(bench.card.tasks) == set(bench.tasks)
    assert bench.card.rows == len(bench)


def test_opens_in_a_second(mirror):
    start = time.process_time()
    datasets.load("nasbench_nlp").labels(PTB)
    assert time.process_time() - start < 1
