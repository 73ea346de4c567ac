"""Numbers beside architectures: rows stay together, tabular predictors see more columns."""

import numpy as np
import pytest

from archcast.encoders.errors import ShapeError
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular
from archcast.predictors import Joined
from archcast.predictors._encoding import encode, take


def graphs(n: int = 6):
    cells = get_space("nasbench201")
    return cells.graphs(cells.sample(n))


def test_rows_of_graphs_features_and_numbers_stay_together():
    nets = graphs()
    numbers = np.arange(12.0).reshape(6, 2)
    table = tabular(nets)
    for X in (nets, table, table.values):
        part = Joined(X, numbers)[np.array([4, 1])]
        assert (part.columns == numbers[[4, 1]]).all()
        assert (table.values[[4, 1]] == encode(part, "joined").X).all()
    assert len(Joined(nets, numbers)[np.array([True, False] * 3)]) == 3
    assert len(take(Joined(nets, numbers), [2])) == 1


def test_tabular_predictors_see_more_columns():
    nets = graphs()
    table = encode(Joined(nets, np.arange(6)), "tabular")
    assert (table[:, :-1] == tabular(nets).values).all()
    assert (table[:, -1] == np.arange(6)).all()


def test_without_numbers_there_are_no_columns():
    assert encode(graphs(), "joined").shape == (6, 0)


def test_what_does_not_fit_is_refused():
    nets = graphs()
    for columns in (np.zeros(5), np.zeros((6, 1, 1)), np.full(6, np.inf)):
        with pytest.raises(ShapeError):
            Joined(nets, columns)
    with pytest.raises(ShapeError, match="takes graphs"):
        encode(Joined(nets, np.zeros(6)), "graph")
