"""Rank aggregation, by hand and by its laws."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.zero_cost import aggregate
from archcast.zero_cost.aggregate import AGGREGATES, average_ranks, rank_aggregate

NAN = np.nan


def test_ranks_share_ties_and_put_missing_scores_last():
    values = np.array([3.0, NAN, -np.inf, 3.0, np.inf, NAN])
    # Missing: ranks 1 and 2; then -inf 3, the threes 4 and 5, inf 6.
    assert average_ranks(values).tolist() == [4.5, 1.5, 3, 4.5, 6, 1.5]
    assert average_ranks(np.zeros(0)).tolist() == []


def test_ranks_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).integers(0, 40, 200).astype(float)
    assert np.array_equal(average_ranks(values), stats.rankdata(values))


def test_three_ways_to_join_two_scores_by_hand():
    scores = {"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, 40.0, 30.0, 20.0]}
    # Ranks: a 1 2 3 4, b 1 4 3 2.
    product = rank_aggregate(scores, "log_rank")
    assert product == pytest.approx(np.log(np.array([1, 8, 9, 8]) / 16))
    assert rank_aggregate(scores, "mean_rank") == pytest.approx(np.array([2, 6, 6, 6]) / 8)
    # Two voters: the first loses to all, the others draw among each other.
    assert rank_aggregate(scores, "vote") == pytest.approx([0, 2 / 3, 2 / 3, 2 / 3])


def test_the_vote_follows_the_majority_and_not_the_margin():
    scores = {"a": [0.0, 1.0], "b": [0.0, 1.0], "c": [100.0, -100.0]}
    assert rank_aggregate(scores, "vote").tolist() == [0.0, 1.0]


def test_the_vote_does_not_depend_on_how_it_is_cut(monkeypatch):
    rng = np.random.default_rng(1)
    scores = {name: rng.integers(0, 9, 50).astype(float) for name in "abc"}
    whole = rank_aggregate(scores, "vote")
    monkeypatch.setattr(aggregate, "_BLOCK", 7)
    assert np.array_equal(rank_aggregate(scores, "vote"), whole)


@pytest.mark.parametrize("method", ["log_rank", "mean_rank", "vote"])
class TestLaws:
    def scores(self):
        rng = np.random.default_rng(2)
        return {name: rng.normal(size=30) for name in "abcd"}

    def test_any_increasing_transform_leaves_it(self, method):
        scores = self.scores()
        bent = {name: np.exp(3 * column) for name, column in scores.items()}
        assert np.array_equal(rank_aggregate(scores, method), rank_aggregate(bent, method))

    def test_better_in_everything_is_better(self, method):
        scores = {
            name: np.append(column, column.max() + 1) for name, column in self.scores().items()
        }
        assert rank_aggregate(scores, method).argmax() == 30

    def test_a_missing_score_is_the_worst(self, method):
        scores = self.scores()
        full = rank_aggregate(scores, method)
        scores["a"] = scores["a"].copy()
        best = int(full.argmax())
        scores["a"][best] = NAN
        low = {**scores, "a": np.where(np.isnan(scores["a"]), -1e9, scores["a"])}
        assert rank_aggregate(scores, method)[best] < full[best]
        assert np.array_equal(rank_aggregate(scores, method), rank_aggregate(low, method))

    def test_a_score_missing_everywhere_takes_no_part(self, method):
        scores = self.scores()
        assert np.array_equal(
            rank_aggregate({**scores, "none": np.full(30, NAN)}, method),
            rank_aggregate(scores, method),
        )

    def test_one_architecture(self, method):
        assert np.isfinite(rank_aggregate({"a": [3.0]}, method)).all()


def test_log_rank_punishes_one_bad_rank_more_than_the_mean_does():
    rows = 100
    steady = np.full(3, 50.0)
    torn = np.array([100.0, 100.0, 1.0])
    table = np.random.default_rng(3).permuted(np.tile(np.arange(rows), (3, 1)), axis=1).T
    for column in range(3):
        for rank, row in ((steady[column], 0), (torn[column], 1)):
            other = int(np.flatnonzero(table[:, column] == rank - 1)[0])
            table[[row, other], column] = table[[other, row], column]
    scores = {str(i): table[:, i].astype(float) for i in range(3)}
    product, mean = rank_aggregate(scores), rank_aggregate(scores, "mean_rank")
    assert product[0] > product[1]
    assert mean[0] < mean[1]


def test_published_aggregates_take_their_own_scores_only():
    rng = np.random.default_rng(4)
    names = {name for recipe in AGGREGATES.values() for name in recipe.proxies} | {"other"}
    scores = {name: rng.normal(size=20) for name in sorted(names)}
    found = AGGREGATES["az_nas"](scores)
    ranks = [average_ranks(scores[name]) / 20 for name in AGGREGATES["az_nas"].proxies]
    assert found == pytest.approx(np.log(ranks).sum(0))
    assert np.array_equal(
        AGGREGATES["te_nas"](scores).argsort(),
        (
            average_ranks(scores["ntk_condition"]) + average_ranks(scores["linear_regions"])
        ).argsort(),
    )


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InvalidSettingError, match="az_progressivity, az_trainability"):
        AGGREGATES["az_nas"]({"az_expressivity": [1.0], "flops": [1.0]})
    with pytest.raises(InvalidSettingError, match="log_rank"):
        rank_aggregate({"a": [1.0]}, "median")
    with pytest.raises(InvalidSettingError):
        rank_aggregate({})
    with pytest.raises(InvalidSettingError):
        rank_aggregate({"a": [NAN, NAN]})
    with pytest.raises(ShapeError, match="'b'"):
        rank_aggregate({"a": [1.0, 2.0], "b": [1.0]})
    with pytest.raises(ShapeError):
        rank_aggregate({"a": [[1.0, 2.0]]})
