"""A small problem that needs no data: count the 3x3 convolutions of a cell, mind its weights."""

import numpy as np
import pytest

from archcast.search import Constraint, Domain, Objective
from archcast.search.adapters import Measure


def convolutions(spec):
    return float(spec.count("conv_3x3"))


def weights(graphs):
    return np.array([float(graph.params) for graph in graphs])


@pytest.fixture(scope="session")
def domain():
    return Domain("nasbench201", costs={"params": weights})


@pytest.fixture(scope="session")
def small_domain():
    bound = Constraint.parse("params<=600k")
    return Domain("nasbench201", costs={"params": weights}, constraints=[bound])


@pytest.fixture(scope="session")
def convs():
    return Measure(Objective("convs"), convolutions)
