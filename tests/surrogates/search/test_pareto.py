"""Fronts, ranks, crowding and hypervolumes, against definitions, pymoo and Monte Carlo."""

import csv
import io
import json
from math import inf, nan

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.search.objectives import Objective
from archcast.search.pareto import Front, crowding, fronts, hypervolume, non_dominated


def by_definition(merits):
    known = ~np.isnan(merits).any(1)
    found = []
    for row in merits:
        beaten = (merits >= row).all(1) & (merits > row).any(1) & known
        found.append(not np.isnan(row).any() and not beaten.any())
    return np.array(found, bool)


def tables():
    rng = np.random.default_rng(0)
    for m in (1, 2, 3, 5):
        for n in (0, 1, 2, 17, 200):
            yield rng.normal(size=(n, m))
            yield rng.integers(0, 4, size=(n, m)).astype(float)  # many rows alike
    holes = rng.integers(0, 5, size=(60, 3)).astype(float)
    holes[rng.random(holes.shape) < 0.2] = nan
    yield holes
    yield np.full((5, 2), nan)
    yield np.array([[inf, 0.0], [0.0, inf], [-inf, -inf], [inf, inf]])


def test_non_dominated_is_what_its_definition_says():
    for merits in tables():
        assert (non_dominated(merits) == by_definition(merits)).all()


def test_huge_numbers_do_not_hide_small_differences():
    merits = np.array([[1e17, 0.0, 0.0], [1e17, 1.0, 0.0], [1e17, 1.0, 2.0]] * 40)
    assert np.flatnonzero(non_dominated(merits)).tolist() == list(range(2, 120, 3))


def test_fronts_peel_one_after_the_other():
    for merits in tables():
        ranks, left = fronts(merits), np.ones(len(merits), bool)
        known = ~np.isnan(merits).any(1)
        rank = 0
        while (left & known).any():
            best = by_definition(np.where(left[:, None], merits, nan))
            assert (best == (ranks == rank)).all()
            left &= ~best
            rank += 1
        assert (ranks[~known] == rank).all()


def test_fronts_agree_with_pymoo():
    pymoo = pytest.importorskip("pymoo.util.nds.non_dominated_sorting")
    merits = np.random.default_rng(1).normal(size=(300, 3))
    for rank, rows in enumerate(pymoo.NonDominatedSorting().do(-merits)):
        assert sorted(rows) == np.flatnonzero(fronts(merits) == rank).tolist()


def test_crowding_by_hand():
    merits = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 1.0], [4.0, 0.0], [nan, 2.0]])
    assert crowding(merits).tolist() == [inf, 2 / 4 + 3 / 4, 3 / 4 + 3 / 4, inf, 0.0]
    assert crowding(np.zeros((0, 2))).shape == (0,)
    assert crowding(np.ones((3, 2))).tolist() == [inf] * 3


def test_hypervolume_by_hand():
    assert hypervolume([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], [0, 0]) == 6.0
    assert hypervolume([[1.0, 1.0, 1.0], [2.0, 2.0, 0.5]], [0, 0, 0]) == 2.5
    assert hypervolume([3.0, 5.0, 2.0], 1.0) == 4.0
    assert hypervolume(np.zeros((0, 3)), [0, 0, 0]) == 0.0
    # Worse than the reference in one objective, or not measured: counts for nothing.
    assert hypervolume([[1.0, 1.0], [9.0, -1.0], [nan, 9.0]], [0, 0]) == 1.0


@pytest.mark.parametrize(("n", "m"), [(40, 2), (40, 3), (30, 4), (15, 5)])
def test_hypervolume_agrees_with_pymoo(n, m):
    pymoo = pytest.importorskip("pymoo.indicators.hv")
    rng = np.random.default_rng(m)
    for merits in (rng.normal(size=(n, m)), rng.integers(0, 6, size=(n, m)).astype(float)):
        worst = np.full(m, -0.5)
        # pymoo's does not leave out by itself what is no better than the reference.
        better = merits[(merits > worst).all(1)]
        theirs = pymoo.HV(ref_point=-worst).do(-better) if len(better) else 0.0
        assert hypervolume(merits, worst) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_hypervolume_agrees_with_monte_carlo(m):
    rng = np.random.default_rng(m)
    merits = rng.random((12, m))
    points = rng.random((40_000, m))
    share = (merits[None] >= points[:, None]).all(2).any(1).mean()
    error = 4 * np.sqrt(share * (1 - share) / len(points))  # one in 15,000 by chance
    assert hypervolume(merits, np.zeros(m)) == pytest.approx(share, abs=error)


def test_a_reference_is_one_number_an_objective():
    with pytest.raises(InvalidSettingError, match="each of 2 objectives"):
        hypervolume([[1.0, 2.0]], [0.0])
    with pytest.raises(InvalidSettingError):
        hypervolume([[1.0, 2.0]], [0.0, nan])


ACCURACY, PARAMS = Objective("acc", unit="%"), Objective("params", "min")


@pytest.fixture
def front():
    values = [[90.0, 5.0], [94.0, 9.0], [94.0, 12.0], [80.0, 5.0], [nan, 1.0], [70.0, 2.0]]
    return Front.of(["a|b", "c", "d", "e", "f", "g,h"], values, [ACCURACY, PARAMS])


def test_front_respects_directions(front):
    assert front.specs == ("c", "a|b", "g,h")
    assert front.values.tolist() == [[94.0, 9.0], [90.0, 5.0], [70.0, 2.0]]
    assert front.merits[:, 1].tolist() == [-9.0, -5.0, -2.0]
    assert front.hypervolume([60.0, 10.0]) == pytest.approx(34 * 1 + 30 * 4 + 10 * 3)
    assert len(front) == 3


def test_front_as_text(front):
    assert json.loads(json.dumps(front.to_dict()))["front"][2] == {
        "spec": "g,h",
        "values": [70.0, 2.0],
    }
    rows = list(csv.reader(io.StringIO(front.to_csv())))
    assert rows[0] == ["spec", "acc", "params"]
    assert rows[3] == ["g,h", "70.0", "2.0"]
    table = front.to_markdown().splitlines()
    assert table[0] == "| architecture | acc [%] | params |"
    assert table[3] == "| `a\\|b` | 90 | 5 |"


def test_a_front_of_nothing():
    empty = Front.of([], [], [ACCURACY, PARAMS])
    assert len(empty) == 0
    assert empty.hypervolume([0.0, 1.0]) == 0.0
    assert empty.to_csv() == "spec,acc,params\n"


def test_one_objective_is_the_best():
    assert Front.of(["a", "b"], [1.0, 2.0], [PARAMS]).specs == ("a",)


def test_a_front_needs_a_value_for_everything():
    with pytest.raises(InvalidSettingError, match="2 architectures and 1 objectives"):
        Front.of(["a", "b"], [[1.0], [2.0], [3.0]], [ACCURACY])
