"""Screening: what is proposed first is what is forecast best, of all there is or of very many."""

import numpy as np
import pytest

from archcast.encoders.errors import InfeasibleError, InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.search import Constraint, Domain, FastForecaster, Forecaster, Objective
from archcast.search.fast._codes import coder
from archcast.search.strategies.screen import ScreenSearch, has_codes

SCORE = Objective("mine/score")


def params(graphs):
    return np.array([graph.params for graph in graphs], np.float64)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))


def bounded(space, bound):
    return Domain(space, constraints=[Constraint.parse(bound)], costs={"params": params})


def test_a_small_space_is_proposed_in_the_order_of_its_forecasts():
    domain = Domain("transnas_macro")
    strategy = ScreenSearch(domain, objective=SCORE)
    found = [proposal.spec for proposal in strategy.ask(40)]
    everything = list(domain.space.enumerate())
    merits = np.sort(Forecaster(domain, SCORE).moments(everything)[0])[::-1]
    assert np.allclose(Forecaster(domain, SCORE).moments(found)[0], merits[:40])
    assert strategy.screened == len(everything)
    assert strategy.fidelity is not None
    assert strategy.fidelity.kind == "table"


def test_a_small_space_is_screened_within_bounds():
    domain = bounded("transnas_macro", "params<=2M")
    found = [proposal.spec for proposal in ScreenSearch(domain, objective=SCORE).ask(10)]
    best = Forecaster(domain, SCORE).moments(domain.everything())[0].max()
    assert domain.feasible(found).all()
    assert Forecaster(domain, SCORE).moments(found[:1])[0][0] == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["", "params<=2M"])
def test_of_a_large_space_more_is_found_than_by_draws(bound):
    domain = bounded("darts", bound) if bound else Domain("darts")
    options = {"objective": SCORE, "candidates": 5000, "samples": 400, "shortlist": 100}
    strategy = ScreenSearch(domain, polish=200, **options)
    found = [proposal.spec for proposal in strategy.ask(5)]
    forecaster = Forecaster(domain, SCORE)
    drawn = forecaster.moments(domain.sample(500, np.random.default_rng(1)))[0]
    merits = forecaster.moments(found)[0]
    assert domain.feasible(found).all()
    assert merits[0] > drawn.max()
    assert (np.diff(merits) <= 0).all()
    assert strategy.screened <= 5000
    again = ScreenSearch(domain, polish=200, **options)
    assert [proposal.spec for proposal in again.ask(5)] == found


def test_neighbours_of_the_best_are_forecast_until_none_is_better():
    domain = Domain("transnas_macro")
    forecaster = Forecaster(domain, SCORE)
    drawn = ScreenSearch(domain, objective=SCORE, candidates=100, polish=0).ask(1)[0].spec
    best = ScreenSearch(domain, objective=SCORE, candidates=1500, shortlist=5).ask(1)[0].spec
    merit, before = forecaster.moments([best, drawn])[0]
    assert merit >= before
    assert merit >= forecaster.moments(domain.neighbours(best))[0].max()


def test_few_candidates_are_all_forecast_in_full():
    strategy = ScreenSearch(Domain("darts"), objective=SCORE, candidates=60)
    strategy.ask(1)
    assert strategy.fidelity is None
    assert 30 <= strategy.screened <= 60


def test_a_space_without_codes_is_screened_in_small():
    domain = Domain("nasbench101")
    strategy = ScreenSearch(domain, objective=SCORE, candidates=50)
    assert not has_codes(domain)
    assert len(strategy.ask(3)) == 3
    assert strategy.screened <= 50


@pytest.mark.slow
@pytest.mark.parametrize("candidates", [50, 5000])
def test_bounds_that_nobody_meets(candidates):
    strategy = ScreenSearch(
        bounded("transnas_macro", "params<=10"), objective=SCORE, candidates=candidates
    )
    with pytest.raises(InfeasibleError, match="params"):
        strategy.ask()


@pytest.mark.parametrize("given", [{"candidates": 0}, {"shortlist": 0}, {"polish": -1}])
def test_settings_that_make_no_sense(given):
    with pytest.raises(InvalidSettingError, match="candidate"):
        ScreenSearch(Domain("transnas_macro"), **given)


@pytest.mark.parametrize("name", ["darts", "hwgpt_s", "ofa_mobilenetv3", "nasbench_mr"])
def test_children_are_architectures_of_their_parents(name):
    space, rng = get_space(name), np.random.default_rng(0)
    codes = coder(space)
    assert codes is not None
    first, second = codes.sample(40, rng), codes.sample(40, rng)
    children = codes.mixed(first, second, 0.3, rng)
    texts = codes.decode(children)
    assert [space.text(space.parse(text)) for text in texts] == texts
    assert len(texts) == len(children)
    if len(children) == len(first):  # else some were no architectures
        own = (children == first) | (children == second) | (children == 0)
        assert own.all()
        assert (children != first).any(1).mean() > 0.5


def test_measurements_do_not_change_the_order():
    domain = Domain("transnas_macro")
    first = ScreenSearch(domain, objective=SCORE)
    order = [proposal.spec for proposal in first.ask(6)]
    second = ScreenSearch(domain, objective=SCORE)
    for spec in order[:3]:
        second.tell(spec, 0.0)
    assert [proposal.spec for proposal in second.ask(3)] == order[3:]


def test_what_was_made_once_is_kept():
    domain = Domain("transnas_macro")
    ScreenSearch(domain, objective=SCORE).ask()
    fast = FastForecaster(domain, Forecaster(domain, SCORE), samples=5000)
    assert fast._read(fast._path())
