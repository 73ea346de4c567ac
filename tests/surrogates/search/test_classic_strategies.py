"""What each classic strategy promises beyond the contract of all."""

import json
from math import nan

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.pareto import fronts, non_dominated
from archcast.search.strategies.evolution import RegularizedEvolution
from archcast.search.strategies.halving import SuccessiveHalving
from archcast.search.strategies.local import LocalSearch
from archcast.search.strategies.map_elites import MAPElites
from archcast.search.strategies.nsga2 import NSGA2, best_first
from archcast.search.strategies.simple import RandomSearch


def cost(name):
    return lambda graphs: np.array([getattr(graph, name) for graph in graphs], np.float64)


@pytest.fixture(scope="module")
def domain():
    return Domain("nasbench201", costs={"params": cost("params"), "macs": cost("macs")})


def smooth(spec):
    """One optimum: every operator adds what it is worth."""
    worth = {"conv_3x3": 1.0, "conv_1x1": 0.7, "skip": 0.4, "avg": 0.2}
    return sum(spec.count(word) * value for word, value in worth.items())


def run(strategy, queries, score=smooth):
    for _ in range(queries):
        for spec, fidelity in strategy.ask():
            strategy.tell(spec, score(spec), fidelity)
    return strategy


# ------------------------------------------------------------------- against random search
@pytest.fixture(scope="module")
def table(mirror):
    from archcast.datasets import load

    data = load("nasbench201")
    return dict(zip(data.specs, data.labels("cifar10/val_accuracy").tolist(), strict=True))


def regrets(kind, domain, table, queries, seeds=10, **options):
    """What the best of so many queries misses the optimum by, for each seed."""
    best = max(table.values())
    runs = [run(kind(domain, seed=seed, **options), queries, table.get) for seed in range(seeds)]
    return np.array([best - strategy.merits().max() for strategy in runs])


@pytest.fixture(scope="module")
def chance(domain, table):
    return regrets(RandomSearch, domain, table, 300)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RegularizedEvolution, LocalSearch, NSGA2])
def test_better_than_random_on_nasbench201(kind, domain, table, chance):
    """At 300 queries: about .6 points for random search, below .25 for the others."""
    assert regrets(kind, domain, table, 300).mean() < chance.mean() - 0.2


# ---------------------------------------------------------------------------- evolution
def test_the_old_die_and_failures_are_no_parents(domain):
    strategy = RegularizedEvolution(domain, population=5, tournament=50)
    specs = domain.sample(7, np.random.default_rng(0))
    for place, spec in enumerate(specs[:6]):
        strategy.tell(spec, 10.0 - place)  # the best of all is the first, and dies
    strategy.tell(specs[6], nan)
    # A tournament this large is won by the best alive.
    for child, _ in strategy.ask(4):
        assert child in domain.neighbours(specs[1])


def test_partial_trainings_are_no_parents(domain):
    strategy = RegularizedEvolution(domain, population=2, tournament=50)
    low, high, short = domain.sample(3, np.random.default_rng(0))
    strategy.tell(low, 1.0)
    strategy.tell(high, 2.0)
    strategy.tell(short, 9.0, 0.5)
    assert strategy.ask()[0].spec in domain.neighbours(high)


def test_children_of_two_parents_mix_them(domain):
    ones = "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+"
    ones += "|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|"
    threes = ones.replace("1x1", "3x3")
    strategy = RegularizedEvolution(domain, population=2, tournament=1, crossover=1.0)
    strategy.tell(ones, 1.0)
    strategy.tell(threes, 1.0)
    counts = [child.count("3x3") for child, _ in strategy.ask(20)]
    assert any(1 < count < 5 for count in counts)  # no single change makes those


# -------------------------------------------------------------------------- local search
@pytest.mark.parametrize("until_lower", [True, False])
def test_a_climb_reaches_the_only_optimum(domain, until_lower):
    strategy = run(LocalSearch(domain, query_until_lower=until_lower, start=1), 160)
    assert strategy.merits().max() == 6.0


def test_the_full_climb_measures_all_neighbours_first(domain):
    strategy = LocalSearch(domain, query_until_lower=False, start=1)
    ((begin, _),) = strategy.ask()
    strategy.tell(begin, smooth(begin))
    near = domain.neighbours(begin)
    asked = [run(strategy, 1).history[-1].spec for _ in near]
    assert sorted(asked) == sorted(near)
    best = max(smooth(spec) for spec in near)
    following = strategy.ask()[0].spec
    stops = [spec for spec in near if smooth(spec) == best]
    assert any(following in domain.neighbours(spec) for spec in stops)


def test_the_quick_climb_moves_at_once(domain):
    strategy = LocalSearch(domain, start=1)
    begin = strategy.ask()[0].spec
    strategy.tell(begin, 0.0)
    better = strategy.ask()[0].spec
    assert better in domain.neighbours(begin)
    strategy.tell(better, 1.0)
    assert strategy.ask()[0].spec in domain.neighbours(better)


def test_an_optimum_is_followed_by_a_new_climb(domain):
    strategy = LocalSearch(domain, start=1)
    begin = strategy.ask()[0].spec
    strategy.tell(begin, 5.0)
    near = domain.neighbours(begin)
    for _ in near:
        strategy.tell(strategy.ask()[0].spec, 1.0)
    second = strategy.ask()[0].spec
    assert second not in near
    strategy.tell(second, 2.0)  # worse than the optimum, but this climb begins here
    assert strategy.ask()[0].spec in domain.neighbours(second)


@pytest.mark.parametrize("until_lower", [True, False])
def test_workers_answers_may_come_in_any_order(domain, until_lower):
    rng = np.random.default_rng(0)
    options = {"query_until_lower": until_lower, "start": 4}
    first = LocalSearch(domain, **options)
    batches = []
    for _ in range(12):
        batches.append([spec for spec, _ in first.ask(4)])
        for spec in batches[-1]:
            first.tell(spec, smooth(spec))
    second = LocalSearch(domain, **options)
    for batch in batches:
        for spec in rng.permutation(batch).tolist():
            second.tell(spec, smooth(spec))
    assert first.ask(4) == second.ask(4)


# ------------------------------------------------------------------------------- NSGA-II
def test_survivors_are_the_best_fronts_least_crowded():
    merits = np.random.default_rng(0).normal(size=(40, 2))
    order = best_first(merits)
    ranks = fronts(merits)[order]
    assert (np.diff(ranks) >= 0).all()
    ends = set(merits[non_dominated(merits)].argmax(0).tolist())
    assert {int(np.flatnonzero(non_dominated(merits))[at]) for at in ends} <= set(order[:4])


def test_nsga2_spreads_over_a_front(domain):
    strategy = NSGA2(domain, population=20, objectives=2)
    for _ in range(150):
        ((spec, _),) = strategy.ask()
        strategy.tell(spec, [spec.count("conv_3x3"), spec.count("skip")])
    merits = strategy.merits()
    found = {tuple(row) for row in merits[non_dominated(merits)].tolist()}
    assert len(found) >= 5  # of the seven ways to share six edges
    assert (merits[-20:].sum(1).mean() - merits[:20].sum(1).mean()) > 1.0


# ---------------------------------------------------------------------------- MAP-Elites
def test_the_map_holds_the_best_of_every_bin(domain):
    strategy = run(MAPElites(domain, bins=(4, 3), start=10), 80)
    found = strategy.archive()
    assert found.grid().shape == (4, 3)
    bins = {}
    for measured in strategy.completed():
        costs = [domain.cost(name, [measured.spec])[0] for name in ("params", "macs")]
        where = tuple(
            min(max(int(np.searchsorted(ends, value, "right")) - 1, 0), len(ends) - 2)
            for ends, value in zip(found.edges, costs, strict=True)
        )
        bins[where] = max(bins.get(where, -np.inf), measured.merits[0])
    assert bins == dict(zip(map(tuple, found.bins.tolist()), found.merits.tolist(), strict=True))
    assert np.isfinite(found.grid()).sum() == len(found) == round(found.coverage * 12)
    for at, name in enumerate(found.descriptors):
        assert (found.costs[:, at] == domain.cost(name, found.specs)).all()


def test_maps_of_several_searches_have_the_same_bins(domain):
    first, second = MAPElites(domain, seed=1), MAPElites(domain, seed=2)
    assert all((a == b).all() for a, b in zip(first.edges, second.edges, strict=True))
    steps = np.diff(np.log(first.edges[0]))
    assert steps == pytest.approx(np.full(10, steps[0]))


def test_the_map_as_text(domain):
    strategy = run(MAPElites(domain, descriptors=["params"], bins=3, start=5), 12)
    found = strategy.archive()
    plain = json.loads(json.dumps(found.to_dict()))
    assert [elite["spec"] for elite in plain["elites"]] == list(found.specs)
    lines = found.to_csv().splitlines()
    assert lines[0] == "spec,bin params,params,merit"
    assert len(lines) == 1 + len(found)
    assert len(MAPElites(domain).archive()) == 0


def test_edges_may_be_given(domain):
    strategy = MAPElites(domain, edges={"params": [0, 1e5, 1e6]}, bins=2)
    assert strategy.edges[0].tolist() == [0, 1e5, 1e6]
    assert len(strategy.edges[1]) == 3
    with pytest.raises(InvalidSettingError, match="rising"):
        MAPElites(domain, edges={"params": [1e6, 0]})


def test_a_map_needs_costs(domain):
    with pytest.raises(InvalidSettingError, match="it has none"):
        MAPElites(Domain("nasbench201"))
    with pytest.raises(InvalidSettingError, match="not weight"):
        MAPElites(domain, descriptors=["weight"])


# -------------------------------------------------------------------- successive halving
LADDER = (0.25, 0.5, 1.0)


def test_the_best_of_a_rung_go_on(domain):
    strategy = SuccessiveHalving(domain, fidelities=LADDER, eta=2)
    for _ in range(200):
        ((spec, fidelity),) = strategy.ask()
        strategy.tell(spec, smooth(spec), fidelity)
    counts = [sum(m.fidelity == fidelity for m in strategy.history) for fidelity in LADDER]
    # Some more than half, as some went on who are among the best half no longer.
    assert counts[0] / 2 <= counts[1] <= counts[0] / 1.3
    assert counts[1] / 2 - 1 <= counts[2] <= counts[1] / 1.3
    began = [smooth(m.spec) for m in strategy.history if m.fidelity == 0.25]
    ended = [smooth(m.spec) for m in strategy.history if m.fidelity == 1]
    assert np.mean(ended) > np.quantile(began, 0.75)


def test_promotion_is_by_hand(domain):
    strategy = SuccessiveHalving(domain, fidelities=LADDER, eta=2)
    specs = domain.sample(4, np.random.default_rng(0))
    for spec, merit in zip(specs, [1.0, 4.0, 3.0, nan], strict=True):
        strategy.tell(spec, merit, 0.25)
    assert strategy.ask(2) == [(specs[1], 0.5), (specs[2], 0.5)]
    strategy.tell(specs[2], 9.0, 0.5)
    strategy.tell(specs[1], 2.0, 0.5)
    assert strategy.ask() == [(specs[2], 1.0)]
    begun = strategy.ask()[0]
    assert begun.fidelity == 0.25
    assert begun.spec not in specs


def test_brackets_share_the_training(domain):
    strategy = SuccessiveHalving(domain, fidelities=LADDER, eta=2, brackets=3)
    for _ in range(120):
        ((spec, fidelity),) = strategy.ask()
        strategy.tell(spec, smooth(spec), fidelity)
    first = {}
    for measured in strategy.history:
        first.setdefault(measured.spec, measured.fidelity)
    spent = [
        sum(m.fidelity for m in strategy.history if first[m.spec] == fidelity)
        for fidelity in LADDER
    ]
    assert max(spent) - min(spent) <= 2.0


@pytest.mark.slow
def test_forecast_curves_see_who_gains(domain):
    """Convolutions are behind at the rung and ahead in the end: the rung alone is wrong."""

    def score(spec, fidelity):
        return spec.count("conv_3x3") * (2 * fidelity - 1)

    def ends(curve_forecast):
        options = {"fidelities": (0.25, 1.0), "curve_forecast": curve_forecast}
        strategy = SuccessiveHalving(domain, **options)
        for _ in range(110):
            ((spec, fidelity),) = strategy.ask()
            strategy.tell(spec, score(spec, fidelity), fidelity)
        return strategy.merits()[-8:].mean()

    assert ends(True) > ends(False) + 1.0


@pytest.mark.slow
def test_forecast_curves_are_restored(domain):
    options = {"fidelities": LADDER, "eta": 2, "curve_forecast": True}
    strategy = SuccessiveHalving(domain, **options)
    for _ in range(90):
        ((spec, fidelity),) = strategy.ask()
        strategy.tell(spec, smooth(spec) + fidelity, fidelity)
    again = SuccessiveHalving(domain, **options)
    for measured in strategy.history:
        again.tell(measured.spec, measured.merits, measured.fidelity)
    assert len(strategy.completed()) > 10
    assert strategy.ask(5) == again.ask(5)


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        (RegularizedEvolution, {"population": 0}, "one architecture"),
        (RegularizedEvolution, {"tournament": 0}, "tournament"),
        (RegularizedEvolution, {"crossover": 2}, "probability"),
        (LocalSearch, {"start": 0}, "one architecture"),
        (NSGA2, {"mutation": -1}, "probability"),
        (MAPElites, {"bins": (3,)}, "count for each"),
        (MAPElites, {"bins": 0}, "count for each"),
        (SuccessiveHalving, {"fidelities": (0.5, 0.2, 1.0)}, "rise"),
        (SuccessiveHalving, {"fidelities": (0.5,)}, "rise"),
        (SuccessiveHalving, {"eta": 1}, "eta"),
        (SuccessiveHalving, {"brackets": 9}, "brackets"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind, options, match, domain):
    with pytest.raises(InvalidSettingError, match=match):
        kind(domain, **options)
