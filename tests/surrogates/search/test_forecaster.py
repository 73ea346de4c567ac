"""The forecaster: what it learns, remembers, and says of several at once."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError, NotFittedError
from archcast.encoders.spaces import get_space
from archcast.evaluation.metrics import spearman
from archcast.predictors import get_predictor
from archcast.predictors.universal import UniversalPredictor
from archcast.search import Domain, Forecaster, Objective
from archcast.search.forecaster import _last_choice, _uncollapsed


def worth(spec):
    """Something between 0 and 100 that widths decide."""
    return 40 + 0.04 * sum((1 + at) * int(part) for at, part in enumerate(spec.split(":")))


@pytest.fixture(scope="module")
def domain():
    return Domain("nats_size")


@pytest.fixture(scope="module")
def specs(domain):
    return domain.sample(300, np.random.default_rng(3))


@pytest.fixture(scope="module")
def values(specs):
    return np.array([worth(spec) for spec in specs])


@pytest.fixture(scope="module")
def prior():
    """A universal predictor of another space, on two tasks so that it only ranks."""
    space = get_space("nasbench201")
    cells = space.sample(120, seed=1)
    x = np.concatenate([Domain(space).features(cells)] * 2)
    y = np.array([cell.count("conv") for cell in cells] * 2, float)
    tasks = ["a/accuracy"] * 120 + ["b/accuracy"] * 120
    return UniversalPredictor(trees=12, support=30).fit(x, y, tasks=tasks)


@pytest.fixture
def forecaster(domain, prior):
    return Forecaster(domain, Objective("mine", "max", "%"), prior=prior)


def test_it_learns_in_the_unit_of_what_it_is_told(forecaster, specs, values):
    forecaster.learn(specs[:60], values[:60])
    found = forecaster.forecast(specs[60:])
    assert spearman(values[60:], found.values) > 0.9
    assert np.abs(found.values - values[60:]).mean() < values.std() / 3
    inside = (found.low <= values[60:]) & (values[60:] <= found.high)
    assert 0.8 <= inside.mean() <= 1
    assert (found.low < found.values).all()
    assert (found.values < found.high).all()


def test_directions_mirror_each_other(domain, prior, specs, values):
    up = Forecaster(domain, Objective("mine", "max"), prior=prior)
    down = Forecaster(domain, Objective("mine", "min"), prior=prior)
    up.learn(specs[:40], values[:40])
    down.learn(specs[:40], -values[:40])
    np.testing.assert_allclose(up.moments(specs)[0], down.moments(specs)[0], atol=1e-9)
    np.testing.assert_allclose(up.forecast(specs).low, -down.forecast(specs).high, atol=1e-6)


def test_a_prior_with_a_unit_speaks_at_once(domain, specs, values):
    ridge = get_predictor("bayesian-linear", transform="logit")
    ridge.fit(domain.features(specs[:100]), values[:100])
    forecaster = Forecaster(domain, Objective("mine", "max", "%"), prior=ridge)
    before = forecaster.forecast(specs[200:])
    np.testing.assert_allclose(before.values, ridge.predict(domain.features(specs[200:])))
    mean, std = forecaster.moments(specs[200:])
    np.testing.assert_allclose(forecaster.merit(before.values), mean)
    assert (std > 0).all()
    forecaster.learn(specs[:20], values[:20] - 10)  # the new space is ten points worse
    after = forecaster.forecast(specs[200:])
    assert np.abs(after.values - (values[200:] - 10)).mean() < 2
    forecaster.learn([], [])
    np.testing.assert_allclose(forecaster.forecast(specs[200:]).values, before.values)


def test_measuring_leaves_little_doubt_of_the_measured(forecaster, specs, values):
    forecaster.learn(specs[:60], values[:60])
    std = forecaster.moments(specs)[1]
    assert std[:60].mean() < 0.7 * std[60:].mean()


def test_what_is_being_measured_narrows_doubt_and_moves_nothing(forecaster, specs, values):
    forecaster.learn(specs[:30], values[:30])
    mean, std = forecaster.moments(specs[30:])
    same, less = forecaster.moments(specs[30:], beside=specs[30:32])
    np.testing.assert_array_equal(mean, same)
    assert (less <= std + 1e-9).all()
    assert (less[:2] < 0.8 * std[:2]).all()


def test_the_way_to_the_labels_does_not_matter(domain, prior, specs, values):
    """Learning one after the other, with questions between, is learning all at once."""
    goal = Objective("mine", "max", "%")
    first, second = (Forecaster(domain, goal, prior=prior) for _ in range(2))
    for count in range(1, 50):
        first.learn(specs[:count], values[:count])
        first.moments(specs[count : 2 * count], beside=specs[count : count + 2])
    second.learn(specs[:49], values[:49])
    for one, other in zip(first.moments(specs), second.moments(specs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_equal_networks_are_forecast_alike(prior):
    domain = Domain("nasbench201")
    cells = domain.sample(200, np.random.default_rng(0))
    features = domain.features(cells)
    rows = {}
    for spec, row in zip(cells, features, strict=True):
        rows.setdefault(row.tobytes(), []).append(spec)
    twins = next(group for group in rows.values() if len(group) > 1)
    forecaster = Forecaster(domain, Objective("mine"), prior=prior)
    forecaster.learn(cells[:20], np.arange(20.0))
    mean, std = forecaster.moments(cells)
    at = [cells.index(twin) for twin in twins]
    assert len(set(mean[at])) == len(set(std[at])) == 1


def test_constant_labels_and_a_single_one(forecaster, specs):
    forecaster.learn(specs[:1], [50.0])
    assert np.isfinite(forecaster.forecast(specs).values).all()
    forecaster.learn(specs[:12], np.full(12, 50.0))
    found = forecaster.forecast(specs)
    assert np.isfinite(found.high - found.low).all()
    np.testing.assert_allclose(found.values[:12], 50, atol=1)


def test_what_makes_no_sense_is_refused(forecaster, specs):
    with pytest.raises(NotFittedError, match="only ranks"):
        forecaster.forecast(specs)
    with pytest.raises(InvalidLabelsError, match="from 0 to 100"):
        forecaster.learn(specs[:2], [50, 101])
    with pytest.raises(InvalidLabelsError, match="not finite"):
        forecaster.learn(specs[:2], [50, np.nan])
    with pytest.raises(InvalidLabelsError, match="2 architectures"):
        forecaster.learn(specs[:2], [50])
    forecaster.learn(specs[:2], [50, 60])
    with pytest.raises(InvalidSettingError, match="probability"):
        forecaster.forecast(specs, 1.0)


def test_the_shape_is_chosen_ever_more_seldom():
    times = [_last_choice(labels) for labels in range(1, 600)]
    assert times[:30] == list(range(1, 31))
    assert all(time <= labels for labels, time in enumerate(times, 1))
    assert len(set(times[30:])) < 35
    assert max(times) <= 400


def test_a_rare_collapse_does_not_drown_the_rest(forecaster, specs, values):
    collapsed = values[:100].copy()
    collapsed[[10, 40]] = 10.0
    forecaster.learn(specs[:100], collapsed)
    assert spearman(values[100:], forecaster.moments(specs[100:])[0]) > 0.9
    bad = _uncollapsed(np.array([10.0, *range(90, 100)] * 4))
    assert bad.min() == 10  # a tenth collapsed: that is what is learned
    assert _uncollapsed(np.full(50, 3.0)).tolist() == [3.0] * 50
