"""Searches with a budget: what they promise, whatever the scores look like."""

import json

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.zero_cost._gaussian_process import GaussianProcess
from archcast.zero_cost.proxy_search import ProxySearch, proxy_search
from archcast.zero_cost.robot import RoBoT, robot_search

N = 300
SEARCHES = [RoBoT, ProxySearch]


def problem(seed=0, k=4, noise=0.3):
    """Scores, and an objective that two of them explain, one with its sign turned."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(N, k))
    truth = 2 * table[:, 0] - (table[:, 1] if k > 1 else 0) + noise * rng.normal(size=N)
    return {f"s{i}": table[:, i] for i in range(k)}, truth


def drive(search, truth, steps=None):
    asked = []
    while (index := search.ask()) is not None and (steps is None or len(asked) < steps):
        asked.append(index)
        search.tell(index, truth[index])
    return asked


@pytest.mark.parametrize("search", SEARCHES)
class TestPromises:
    def test_results_are_equal_or_not_and_no_error(self, search):
        scores, truth = problem()
        truth[::2] = np.nan
        searches = [search(scores, budget) for budget in (5, 5, 4)]
        for each in searches:
            drive(each, truth)
        first, same, other = (each.result() for each in searches)
        assert first == same
        assert first != other
        assert first != "first"

    @pytest.mark.parametrize("value", ["93.5", None, [1.0, 2.0]])
    def test_an_objective_gives_numbers(self, search, value):
        made = search(problem()[0], 3)
        with pytest.raises(InvalidSettingError, match=r"objective .* is a number"):
            made.tell(made.ask(), value)
        assert len(made) == 0

    @pytest.mark.parametrize("budget", [1, 2, 7, 25])
    def test_the_budget_is_spent_and_never_exceeded(self, search, budget):
        scores, truth = problem()
        asked = drive(search(scores, budget), truth)
        assert len(asked) == len(set(asked)) == budget

    @pytest.mark.parametrize("size", [1, 2, 4, 9])
    def test_more_budget_than_architectures_measures_each_once(self, search, size):
        scores, truth = problem()
        small = {name: column[:size] for name, column in scores.items()}
        found = search(small, 50)
        assert sorted(drive(found, truth)) == list(range(size))
        assert found.result().best == int(truth[:size].argmax())

    def test_asking_again_repeats_the_question(self, search):
        scores, truth = problem()
        found = search(scores, 12)
        for _ in range(12):
            index = found.ask()
            assert found.ask() == index
            found.tell(index, truth[index])
        assert found.ask() is None

    def test_one_seed_one_search_and_another_seed_another(self, search):
        scores, truth = problem()
        first, again, other = (drive(search(scores, 15, seed), truth) for seed in (3, 3, 4))
        assert first == again
        assert first != other

    @pytest.mark.parametrize("steps", [0, 1, 6, 14])
    def test_an_interrupted_search_goes_on_as_if_nothing_had_happened(self, search, steps):
        scores, truth = problem()
        whole = drive(search(scores, 15, 1), truth)
        before = search(scores, 15, 1)
        start = drive(before, truth, steps)
        before.ask()  # interrupted with a question open
        after = search(scores, 15, 1)
        after.restore(json.loads(json.dumps(before.state())))
        assert start + drive(after, truth) == whole

    def test_the_result_is_the_best_of_what_was_measured(self, search):
        scores, truth = problem()
        found = search(scores, 10)
        asked = drive(found, truth)
        result = found.result()
        assert result.queried.tolist() == asked
        assert np.array_equal(result.values, truth[asked])
        assert result.value == truth[asked].max() == truth[result.best]

    def test_a_failed_measurement_counts_and_is_never_the_best(self, search):
        scores, truth = problem()
        first = search(scores, 8).ask()
        broken = truth.copy()
        broken[first] = np.nan
        found = search(scores, 8)
        assert len(drive(found, broken)) == 8
        assert found.result().best != first
        assert np.isnan(found.result().values[0])

    def test_all_measurements_may_fail(self, search):
        scores, _ = problem()
        found = search(scores, 6)
        assert len(drive(found, np.full(N, np.inf))) == 6
        assert np.isnan(found.result().value)

    @pytest.mark.parametrize("kind", ["constant", "missing", "some missing", "infinite", "single"])
    def test_any_scores_will_do(self, search, kind):
        scores, truth = problem()
        column = scores["s0"].copy()
        if kind == "some missing":
            column[::3] = np.nan
        if kind == "infinite":
            column[:2] = np.inf, -np.inf
        odd = {
            "constant": {"a": np.ones(N), "b": np.zeros(N)},
            "missing": {"a": np.full(N, np.nan)},
            "single": {"a": column},
        }.get(kind, {"a": column, "b": scores["s1"]})
        asked = drive(search(odd, 10), truth)
        assert len(set(asked)) == 10

    def test_what_makes_no_sense_is_refused(self, search):
        scores, _ = problem()
        with pytest.raises(InvalidSettingError, match="budget"):
            search(scores, 0)
        with pytest.raises(InvalidSettingError):
            search({}, 5)
        with pytest.raises(InvalidSettingError):
            search({"a": []}, 5)
        with pytest.raises(ShapeError):
            search({"a": np.ones(3), "b": np.ones(4)}, 5)
        found = search(scores, 2)
        with pytest.raises(InvalidSettingError, match="nothing"):
            found.result()
        with pytest.raises(InvalidSettingError, match="no architecture"):
            found.tell(N, 1.0)
        index = found.ask()
        found.tell(index, 1.0)
        with pytest.raises(InvalidSettingError, match="before"):
            found.tell(index, 1.0)
        found.tell(found.ask(), 1.0)
        with pytest.raises(InvalidSettingError, match="spent"):
            found.tell(int(np.setdiff1d(range(N), list(found.result().queried))[0]), 1.0)

    def test_a_foreign_state_is_refused(self, search):
        scores, truth = problem()
        state = search(scores, 5).state()
        for other in (search(scores, 6), search(scores, 5, 1), search({"x": truth}, 5)):
            with pytest.raises(InvalidSettingError, match="this state"):
                other.restore(state)

    def test_it_beats_random_search(self, search):
        better = 0
        for seed in range(8):
            scores, truth = problem(seed)
            found = search(scores, 15, seed)
            drive(found, truth)
            drawn = np.random.default_rng(seed).choice(N, 15, replace=False)
            better += found.result().value > truth[drawn].max()
        assert better >= 7


class TestRoBoT:
    def test_the_objective_is_called_once_an_architecture(self):
        scores, truth = problem()
        calls = []
        result = robot_search(scores, lambda i: calls.append(i) or truth[i], 20)
        assert calls == result.queried.tolist()

    def test_one_score_is_followed_down_or_up(self):
        _, truth = problem()
        result = robot_search({"a": truth}, truth.__getitem__, 12)
        order = np.argsort(-truth)
        assert result.best == order[0]
        # Both ends are looked at, the rest goes down the better one.
        assert set(result.queried) == {*order[:11], order[-1]} or set(result.queried) == {
            *order[:12]
        }

    def test_merit_is_the_weighted_sum_of_scores_in_the_unit_interval(self):
        scores = {"a": [0.0, 5.0, 10.0], "b": [4.0, 2.0, 3.0]}
        merit = RoBoT(scores, 1).merit([1.0, -0.5])
        assert merit == pytest.approx([-0.5, 0.5, 0.75])
        ranks = RoBoT({"a": [0.0, 1.0, 1e9]}, 1, scale="rank").merit([1.0])
        assert ranks == pytest.approx([0.0, 0.5, 1.0])

    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_missing_score_is_the_worst_its_weight_allows(self, sign):
        merit = RoBoT({"a": [0.0, np.nan, 10.0]}, 1).merit([sign])
        assert merit[1] == merit.min()

    def test_the_greedy_stage_goes_down_the_best_weighting(self):
        scores, truth = problem()
        search = RoBoT(scores, 20, explore=3)
        drive(search, truth, 3)
        merit = search.merit(list(search.weights.values()))
        seen = search.result().queried
        merit[seen] = -np.inf
        rest = drive(search, truth)
        assert rest == np.argsort(-merit, kind="stable")[: len(rest)].tolist()

    def test_the_best_weighting_has_the_sign_of_the_truth(self):
        scores, truth = problem(noise=0.0)
        search = RoBoT(scores, 60)
        drive(search, truth)
        assert search.weights["s0"] > 0 > search.weights["s1"]

    def test_more_weightings_are_tried_for_the_same_budget(self):
        scores, truth = problem()
        search = RoBoT(scores, 10, explore=40)
        assert len(drive(search, truth)) == 10
        assert 10 < len(search.state()["tried"]) <= 40

    def test_settings_are_checked(self):
        scores, _ = problem()
        with pytest.raises(InvalidSettingError):
            RoBoT(scores, 5, explore=0)
        with pytest.raises(InvalidSettingError):
            RoBoT(scores, 5, scale="log")
        with pytest.raises(InvalidSettingError, match="explore 5, not 2"):
            RoBoT(scores, 5, explore=2).restore(RoBoT(scores, 5).state())


class TestProxySearch:
    def test_features_that_explain_the_objective_help(self):
        behind = np.zeros(2)
        for seed in range(6, 10):
            rng = np.random.default_rng(seed)
            features, useless = rng.normal(size=(N, 3)), {"a": rng.normal(size=N)}
            truth = -((features - 0.5) ** 2).sum(1)
            for at, more in enumerate((None, features)):
                found = proxy_search(useless, truth.__getitem__, 25, seed=seed, features=more)
                behind[at] += (truth > found.value).sum()
        assert behind[1] < behind[0] / 2

    def test_scale_outliers_and_repeated_columns_do_not_matter(self):
        scores, truth = problem()
        bent = {name: np.exp(5 * column) for name, column in scores.items()}
        plain = proxy_search(scores, truth.__getitem__, 15).queried
        assert proxy_search(bent, truth.__getitem__, 15).queried.tolist() == plain.tolist()
        double = scores | {"again": scores["s0"]}
        inputs = ProxySearch(double, 5)._inputs[0]
        assert inputs.shape == ProxySearch(scores, 5)._inputs[0].shape

    def test_the_forecast_ranks_what_was_not_measured(self):
        scores, truth = problem()
        search = ProxySearch(scores, 60)
        drive(search, truth, 40)
        mean, std = search.forecast()
        rest = np.setdiff1d(range(N), search.result().queried)
        assert np.corrcoef(mean[rest], truth[rest])[0, 1] > 0.8
        assert std[rest].mean() > std[search.result().queried].mean()

    def test_features_have_a_row_an_architecture(self):
        scores, _ = problem()
        for features in (np.ones(N), np.ones((N - 1, 2))):
            with pytest.raises(ShapeError, match="features"):
                ProxySearch(scores, 5, features=features)


class TestGaussianProcess:
    def test_it_interpolates_where_there_is_no_noise_and_knows_where_it_does_not_know(self):
        x = np.linspace(-1, 1, 12)[:, None]
        y = np.sin(3 * x[:, 0])
        process = GaussianProcess().fit([x], y)
        mean, std = process.predict([np.linspace(-1, 1, 50)[:, None]])
        assert mean == pytest.approx(np.sin(3 * np.linspace(-1, 1, 50)), abs=0.1)
        assert process.predict([np.array([[3.0]])])[1][0] > 3 * std.max()

    def test_a_linear_part_extrapolates(self):
        x = np.linspace(-1, 1, 12)[:, None]
        far = np.array([[4.0]])
        found = [
            GaussianProcess(part).fit([x], 2 * x[:, 0]).predict([far])[0][0] for part in (0.0, 0.5)
        ]
        assert abs(found[1] - 8) < 1 < abs(found[0] - 8)

    @pytest.mark.parametrize("labels", [[1.0], [2.0, 2.0, 2.0]])
    def test_few_or_equal_labels(self, labels):
        x = np.arange(len(labels), dtype=float)[:, None]
        mean, std = (
            GaussianProcess(0.3).fit([x], np.array(labels)).predict([np.array([[0.0], [9.0]])])
        )
        assert mean == pytest.approx([labels[0]] * 2)
        assert std[1] > 0
        assert np.isfinite(std).all()
