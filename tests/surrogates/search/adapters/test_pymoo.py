"""pymoo's algorithms on architectures."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import numpy as np
import pytest

pytest.importorskip("pymoo")

from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from archcast.encoders.errors import InvalidSettingError
from archcast.search import Domain
from archcast.search.adapters.pymoo import WORST, ArchitectureProblem, moves


@pytest.mark.parametrize("variables", ["choices", "specs"])
def test_front_by_the_spaces_own_moves(small_domain, convs, variables):
    problem = ArchitectureProblem(small_domain, [convs, "params"], variables)
    result = minimize(problem, NSGA2(12, **moves(problem)), ("n_gen", 6), seed=1)
    specs = problem.specs(result.X)
    assert small_domain.feasible(specs).all()
    assert result.F[:, 0].tolist() == [-spec.count("conv_3x3") for spec in specs]
    assert result.F[:, 1].tolist() == small_domain.cost("params", specs).tolist()
    again = minimize(problem, NSGA2(12, **moves(problem)), ("n_gen", 6), seed=1)
    assert np.array_equal(result.F, again.F)


def test_every_child_is_an_architecture_that_keeps_the_constraints(small_domain, convs):
    asked = []
    problem = ArchitectureProblem(small_domain, convs)
    problem.callback = lambda X, _: asked.extend(problem.specs(X))
    minimize(problem, GA(10, **moves(problem)), ("n_gen", 4), seed=2)
    assert len(asked) >= 30
    assert len(set(asked)) == len(asked)
    assert small_domain.feasible(asked).all()


def test_integer_operators_of_pymoo(domain, convs):
    problem = ArchitectureProblem(domain, convs)
    algorithm = GA(
        20,
        sampling=IntegerRandomSampling(),
        crossover=SBX(repair=RoundingRepair(), vtype=float),
        mutation=PM(repair=RoundingRepair(), vtype=float),
    )
    result = minimize(problem, algorithm, ("n_gen", 12), seed=1)
    assert problem.specs(result.X)[0].count("conv_3x3") == -result.F[0] >= 4


def test_what_is_not_allowed_is_not_evaluated(small_domain):
    seen = []

    def measure(spec):
        seen.append(spec)
        return 1.0

    from archcast.search import Objective
    from archcast.search.adapters import Measure

    problem = ArchitectureProblem(small_domain, Measure(Objective("mine"), measure))
    heavy = small_domain.space.text((3,) * 6)
    light = small_domain.space.text((1,) * 6)
    found = problem.evaluate(problem.rows([heavy, light]), return_as_dictionary=True)
    assert seen == [light]
    assert found["F"].tolist() == [[WORST], [-1.0]]
    assert found["G"][0, 0] > 0
    assert (found["G"][1] == 0).all()


def test_combinations_that_are_no_architecture_break_a_constraint(convs):
    problem = ArchitectureProblem("nasbench101", convs)
    found = problem.evaluate(np.zeros((1, 26)), return_as_dictionary=True)
    assert found["G"].tolist() == [[1.0]]


def test_a_space_without_choices_goes_as_text(convs):
    with pytest.raises(InvalidSettingError, match="no fixed choices"):
        ArchitectureProblem("nasbench_nlp", convs)
    problem = ArchitectureProblem(Domain("nasbench_nlp"), convs, "specs")
    result = minimize(problem, GA(6, **moves(problem)), ("n_gen", 2), seed=1)
    assert problem.problem.domain.text(problem.specs(result.X)[0])
