"""The universal predictor: experts, trend, weights, and what it says of spaces it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.encoders.tabular import feature_names
from archcast.predictors import UniversalPredictor, load_predictor, save_predictor
from archcast.predictors._experts import Population, common_columns, normal_scores
from archcast.predictors._kernel import Scaler
from archcast.predictors._trend import fit_trend, moments

SPACES = ("a", "b", "c")
DEPTH, WIDTH = (feature_names().index(name) for name in ("log_depth", "log_widest"))


def corpus(rows: int = 120, seed: int = 0):
    """Three spaces far apart; in each deeper is better, in 'c' the label is a loss."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3 * rows, len(feature_names()))).astype(np.float32)
    spaces = np.repeat(SPACES, rows)
    x[:, WIDTH] += np.repeat([0, 30, 60], rows)
    y = x[:, DEPTH] + 0.1 * rng.normal(size=3 * rows)
    return x, np.where(spaces == "c", np.exp(-y), 50 + y), spaces


@pytest.fixture(scope="module")
def fitted() -> UniversalPredictor:
    x, y, spaces = corpus()
    return UniversalPredictor(trees=24, rows=100, support=40).fit(
        x, y, spaces=spaces, tasks=np.char.add(spaces, "/score"), smaller_is_better=spaces == "c"
    )


def test_what_holds_in_all_spaces_holds_in_a_new_one(fitted):
    x = corpus(seed=1)[0]
    x[:, WIDTH] += 300
    better = x[:, DEPTH]
    assert np.corrcoef(fitted.predict(x), better)[0, 1] > 0.5
    assert fitted.unitless


def test_a_loss_counts_downwards(fitted):
    x, y, spaces = corpus(seed=2)
    mine = spaces == "c"
    assert np.corrcoef(fitted.predict(x[mine]), y[mine])[0, 1] < -0.5


def test_one_population_is_forecast_in_its_own_unit():
    x, y, spaces = corpus()
    mine = spaces == "a"
    single = UniversalPredictor(trees=12).fit(x[mine], y[mine])
    values, std = single.predict(x[mine], return_std=True)
    assert not single.unitless
    assert y[mine].min() <= values.min() < values.max() <= y[mine].max()
    assert (std > 0).all()
    assert np.corrcoef(values, y[mine])[0, 1] > 0.7


def test_the_question_s_data_set_counts(fitted):
    x = corpus(seed=4)[0]
    asked = [fitted.set_params(task=task).predict(x) for task in ("a/score", "c/other", None)]
    fitted.set_params(task=None)
    assert fitted.weights_.kinship == 1 or not np.allclose(asked[0], asked[1])


def test_files_say_the_same(fitted, tmp_path):
    x = corpus(seed=5)[0]
    save_predictor(fitted, tmp_path / "u.safetensors")
    back = load_predictor(tmp_path / "u.safetensors")
    np.testing.assert_array_equal(back.predict(x), fitted.predict(x))


def test_few_labels_bring_scores_to_their_unit(fitted):
    x = corpus(seed=6)[0][:120]
    x[:, WIDTH] += 300
    truth = 1000 + 5 * x[:, DEPTH]
    held = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(120)
        known, rest = order[:20], order[20:]
        few = fitted.adapt(x[known], truth[known])
        error = np.abs(few.predict(x[rest]) - truth[rest]).mean()
        assert error < 0.7 * np.abs(truth[rest] - truth[known].mean()).mean()
        low, high = few.interval(x[rest], 0.9)
        held.append(((truth[rest] >= low) & (truth[rest] <= high)).mean())
        narrow = np.subtract(*few.interval(x[rest], 0.5)[::-1])
        assert (narrow < high - low).all()
    assert 0.8 <= np.mean(held) <= 0.97


def test_names_must_match_rows():
    x, y, spaces = corpus(rows=10)
    with pytest.raises(InvalidLabelsError, match="names of spaces"):
        UniversalPredictor(trees=2).fit(x, y, spaces=spaces[:-1])
    with pytest.raises(InvalidSettingError, match="at least 1"):
        UniversalPredictor(trees=0).fit(x, y)


def test_normal_scores_keep_order_and_ties():
    scores = normal_scores(np.array([3.0, 1.0, 2.0, 2.0]))
    assert scores[0] > scores[2] == scores[3] > scores[1]
    np.testing.assert_allclose(scores[0], -scores[1])
    assert (normal_scores(np.ones(5)) == 0).all()


def test_the_trend_ignores_levels_between_spaces():
    """Between the spaces deeper is worse by far (Simpson's paradox); inside it is better."""
    rng = np.random.default_rng(0)
    parts = []
    columns = common_columns(len(feature_names()))
    xs = []
    for i in range(4):
        x = np.zeros((50, len(feature_names())), np.float32)
        x[:, DEPTH] = rng.normal(size=50) + 10 * i
        xs.append(x)
    scaler = Scaler.fit(np.concatenate(xs))
    for i, x in enumerate(xs):
        population = Population(str(i), "t/score", x, normal_scores(x[:, DEPTH]) - 5.0 * i)
        parts.append(moments(population, scaler, columns))
    trend = fit_trend(parts, columns)
    place = columns.tolist().index(DEPTH)
    assert trend.slopes[place] > 0
    assert fit_trend(parts, columns, without="0").slopes[place] > 0


def test_distances_are_those_to_the_nearest_three_of_each_space(fitted):
    experts = fitted.experts_
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, len(experts.scaler.centre))).astype(np.float32)
    _, near = experts.ask(x)
    z, support = experts.scaler.apply(x), experts.support.astype(np.float64)
    names = list(dict.fromkeys(experts.spaces))
    apart = np.sqrt(((z[:, None] - support[None]) ** 2).mean(2))
    for column, space in enumerate(experts.spaces):
        own = apart[:, experts.owner == names.index(space)]
        assert np.allclose(near[:, column], np.sort(own, 1)[:, :3].mean(1))
