"""Strategies that a model guides: what each does beyond the contract."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import Field, FieldSpace
from archcast.predictors import get_predictor
from archcast.search import Domain, Objective, get_strategy
from archcast.search.pareto import hypervolume
from archcast.search.strategies._choices import choices_of
from archcast.search.strategies._guided import GuidedSearch


def macs(graphs):
    return np.array([graph.macs for graph in graphs], np.float64) / 1e6


class Widths(FieldSpace):
    """625 chains of four convolutions."""

    name = "widths"
    fields = (Field("width", (8, 16, 24, 32, 40), 4),)
    image_size = 8

    def build(self, net, cell, num_classes, image_size):
        """Convolutions, and a classifier."""
        value = net.input((3, image_size, image_size))
        for width in cell[0]:
            value = net.act("relu", net.conv(value, width, 3))
        net.output(net.linear(net.global_pool(value), num_classes))


def widths(spec):
    return np.array([int(part) for part in spec.removeprefix("width=").split(",")])


def worth(spec):
    """Certain widths are best: a smooth landscape with its top inside."""
    return 90 - float((((widths(spec) - [16, 24, 24, 32]) / 8) ** 2).sum())


@pytest.fixture(scope="module")
def domain():
    return Domain(Widths(), costs={"macs": macs})


@pytest.fixture(scope="module")
def best(domain):
    return max(map(worth, domain.everything()))


def search(strategy, queries, at_once=1, value=worth):
    while len(strategy.history) < queries:
        for proposal in strategy.ask(at_once):
            strategy.tell(proposal.spec, value(proposal.spec))
    return strategy


class Counting(GuidedSearch):
    """Knows the truth, and notes what it was taught."""

    name = "counting"

    def __init__(self, domain, **options):
        super().__init__(domain, **options)
        self.taught = []

    def _fit(self, measured):
        self.taught.append(len(measured))

    def _moments(self, specs):
        return np.array([worth(spec) for spec in specs]), np.ones(len(specs))


def test_models_are_fitted_when_due_and_the_best_is_taken(domain, best):
    strategy = search(Counting(domain, start=6, refit=4, acquisition="mean"), 16)
    assert strategy.taught == [6, 10, 14]
    assert worth(strategy.history[6].spec) == best


def test_a_resumed_search_fits_what_it_would_have_fitted(domain):
    first = search(Counting(domain, start=6, refit=4), 13)
    second = Counting(domain, start=6, refit=4)
    for measured in first.history:
        second.tell(measured.spec, measured.merits)
    assert second.ask(1) == first.ask(1)
    assert second.taught == [10]


@pytest.mark.slow
def test_large_spaces_are_searched_around_the_best():
    domain = Domain("darts")
    strategy = get_strategy("forecast", domain, start=3, pool=40)

    def value(spec):
        return spec.count("sep_conv_5x5") - spec.count("skip_connect")

    search(strategy, 16, value=value)
    merits = strategy.merits()[:, 0]
    assert merits[8:].mean() > merits[:8].mean()
    random = [value(spec) for spec in domain.sample(200, np.random.default_rng(1))]
    assert merits.max() > np.quantile(random, 0.95)


def test_a_good_prior_is_worth_measurements(domain, best):
    rng = np.random.default_rng(0)
    known = domain.sample(100, rng)
    prior = get_predictor("extra-trees").fit(domain.features(known), [worth(s) for s in known])
    strategy = search(get_strategy("forecast", domain, prior=prior, start=2), 12)
    assert best - strategy.merits().max() <= 2
    random = search(get_strategy("random", domain), 12)
    assert strategy.merits().max() > random.merits().max()


def test_several_at_once_differ_and_heed_what_is_pending(domain):
    strategy = search(get_strategy("forecast", domain, start=4), 12)
    together = [p.spec for p in strategy.ask(4)]
    later = [p.spec for p in strategy.ask(4)]
    chosen = np.array([widths(spec) for spec in together + later])
    assert len({*together, *later}) == 8
    apart = np.abs(chosen[:, None] - chosen).sum(2)[np.triu_indices(8, 1)]
    assert np.median(apart) > 8  # not all neighbours of one another


def test_two_objectives_of_which_one_is_known(domain):
    goals = (Objective("accuracy", "max"), Objective("macs", "min"))

    def value(spec):
        return [worth(spec), -float(domain.cost("macs", [spec])[0])]

    fronts = {}
    for name, options in (("forecast", {"objective": goals}), ("random", {})):
        strategy = get_strategy(name, domain, objectives=2, **options)
        search(strategy, 40, value=value)
        fronts[name] = hypervolume(strategy.merits(), [60.0, -2.0])
    assert fronts["forecast"] > fronts["random"]


def test_more_objectives_named_than_told(domain):
    goals = [Objective("a"), Objective("b")]
    for name in ("forecast", "linas"):
        with pytest.raises(InvalidSettingError, match="2 objectives are named, but 1 are told"):
            get_strategy(name, domain, objective=goals)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bananas", {"members": 3, "epochs": 60}),
        ("boshnas", {"epochs": 60}),
        ("gbdt-nas", {"start": 20, "top": 10}),
        ("weak", {"start": 20, "top": 30}),
        ("linas", {"start": 20, "refit": 10, "generations": 8}),
    ],
)
@pytest.mark.slow
def test_what_is_learned_makes_later_measurements_better(name, options, domain):
    # BANANAS sees paths of operators, not widths: it has a space where these differ
    cells = Domain("nasbench201")
    where, value = (cells, convolutions) if name == "bananas" else (domain, worth)
    strategy = search(get_strategy(name, where, **options), 50, at_once=5, value=value)
    merits = strategy.merits()[:, 0]
    assert merits[25:].mean() > merits[: options.get("start", 10)].mean()


def convolutions(spec):
    return spec.count("conv_3x3") + 0.5 * spec.count("conv_1x1")


def test_choices_are_columns_only_where_they_are_fixed(domain):
    choices = choices_of(domain)
    assert choices is not None
    assert len(choices.columns) == 20
    assert choices_of(Domain("nasbench101")) is None


@pytest.mark.slow
def test_gbdt_nas_prunes_what_is_bad(domain):
    strategy = get_strategy("gbdt-nas", domain, start=60, top=10, drop=0.4)
    search(strategy, 65)
    assert strategy._pruned.removed
    kept = [worth(s) for s in domain.sample(400, np.random.default_rng(0)) if s in strategy._pruned]
    every = [worth(s) for s in domain.sample(400, np.random.default_rng(0))]
    assert np.mean(kept) > np.mean(every)


def test_robot_goes_down_the_score_that_is_right(domain):
    truth, rng = worth, np.random.default_rng(0)

    def scores(specs):
        right = np.array([truth(spec) for spec in specs])
        return {"right": right, "noise": rng.random(len(specs)), "wrong": -right}

    for guide in ("robot", "forecast"):
        strategy = get_strategy("robot", domain, scores=scores, candidates=300, guide=guide)
        search(strategy, 15, at_once=2)
        among = [truth(spec) for spec in strategy._place]
        assert strategy.merits().max() >= np.sort(among)[-3]


def test_robot_computes_scores_of_its_own(domain):
    strategy = get_strategy("robot", domain, candidates=40, proxies=("params", "flops"))
    big = search(strategy, 8, value=lambda spec: float(domain.cost("macs", [spec])[0])).merits()
    among = domain.cost("macs", list(strategy._place))
    assert big.max() == among.max()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("forecast", {"start": 0}),
        ("forecast", {"acquisition": "best"}),
        ("bananas", {"refit": 0}),
        ("boshnas", {"unknown": 0.8, "chance": 0.3}),
        ("gbdt-nas", {"drop": 1.0}),
        ("weak", {"top": 0}),
        ("linas", {"generations": 0}),
        ("robot", {"guide": "me"}),
        ("robot", {"explore": 0}),
    ],
)
def test_settings_that_make_no_sense(name, options, domain):
    with pytest.raises(InvalidSettingError):
        get_strategy(name, domain, **options)
