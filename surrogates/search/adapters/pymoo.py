"""pymoo: architectures as a ``Problem``, and operators that make the space's own moves.

>>> from pymoo.algorithms.moo.nsga2 import NSGA2
>>> from pymoo.optimize import minimize
>>> from archcast.search import Domain
>>> from archcast.search.adapters.pymoo import ArchitectureProblem, moves
>>> domain = Domain("nasbench201", costs={"params": params})  # doctest: +SKIP
>>> problem = ArchitectureProblem(domain, ["cifar10/test_accuracy", "params"])  # doctest: +SKIP
>>> result = minimize(problem, NSGA2(40, **moves(problem)), ("n_gen", 20))  # doctest: +SKIP
>>> problem.specs(result.X)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.adapters._common import Problem, Wanted, missing
from archcast.search.domain import Domain

try:
    from pymoo.core.crossover import Crossover
    from pymoo.core.duplicate import DuplicateElimination
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.sampling import Sampling
except ImportError as _error:
    raise missing("pymoo") from _error

__all__ = ["ArchitectureProblem", "moves"]

#: Loss of what is no architecture or breaks a constraint; it is never evaluated.
WORST: Final = 1e30
#: Spellings of a variable.
Variables = Literal["choices", "specs"]


class ArchitectureProblem(PymooProblem):
    """Architectures in batches: losses ``F``, lower is better, and constraints ``G <= 0``.

    A variable of ``choices`` is an integer, a position among the choices of a parameter, so that
    pymoo's own integer operators work too. ``specs`` is one variable that holds the architecture's
    text, for spaces without fixed choices; :func:`moves` are its operators.

    ``G`` has by how much each constraint of the domain is missed and, with ``choices``, a last
    column that is 1 where a combination is no architecture. Such rows are not evaluated.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.
        variables: ``choices`` or ``specs``.

    Raises:
        InvalidSettingError: the space has no fixed choices, or an objective is not known.

    Reference:
        Blank and Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 2020.
    """

    def __init__(
        self,
        domain: Domain | str,
        objectives: Wanted | Sequence[Wanted],
        variables: Variables = "choices",
    ) -> None:
        if variables not in ("choices", "specs"):
            raise InvalidSettingError(f"variables are 'choices' or 'specs', not {variables!r}")
        self.problem = Problem(domain, objectives)
        self.variables = variables
        count = len(self.problem.domain.constraints)
        outputs: dict[str, Any] = {"n_obj": len(self.problem.objectives)}
        if variables == "choices":
            last = [len(labels) - 1 for labels in self.problem.parameters.options]
            shape = {"n_var": len(last), "xl": np.zeros(len(last)), "xu": np.array(last)}
            super().__init__(**shape, **outputs, n_ieq_constr=count + 1, vtype=int)
        else:
            super().__init__(n_var=1, **outputs, n_ieq_constr=count, vtype=object)

    def specs(self, X: Any) -> list[str | None]:
        """Architectures of (n, V) variables or of a single (V,); None where there is none."""
        rows = np.atleast_2d(np.asarray(X))
        if self.variables == "specs":
            return [str(row[0]) for row in rows]
        return [self.problem.parameters.spec(np.rint(row).astype(int)) for row in rows]

    def rows(self, specs: Sequence[str]) -> NDArray[Any]:
        """(n, V) variables of n architectures: the inverse of :meth:`specs`."""
        if self.variables == "specs":
            return np.array(specs, object).reshape(len(specs), 1)
        found = [self.problem.parameters.positions(spec) for spec in specs]
        return np.array(found, int).reshape(len(specs), self.n_var)

    def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
        specs = self.specs(x)
        at = [row for row, spec in enumerate(specs) if spec is not None]
        real = [spec for spec in specs if spec is not None]
        missed = np.ones((len(specs), self.n_ieq_constr))
        count = len(self.problem.domain.constraints)
        missed[at, :count] = self.problem.violations(real)
        missed[at, count:] = 0.0
        kept = [(row, spec) for row, spec in zip(at, real, strict=True) if not missed[row].any()]
        losses = np.full((len(specs), self.n_obj), WORST)
        if kept:
            found = self.problem.losses([spec for _, spec in kept])
            losses[[row for row, _ in kept]] = np.where(np.isnan(found), WORST, found)
        out["F"] = losses
        if self.n_ieq_constr:
            out["G"] = np.where(np.isfinite(missed), missed, WORST)


def moves(problem: ArchitectureProblem, prob: float = 0.9) -> dict[str, Any]:
    """Operators that draw, cross and change architectures as their space does.

    Whatever they make is an architecture that meets the constraints.

    Args:
        problem: what they are for.
        prob: probability of a crossover.

    Returns:
        Keywords of a pymoo algorithm: ``NSGA2(40, **moves(problem))``.
    """
    return {
        "sampling": _Draw(problem),
        "crossover": _Cross(problem, prob),
        "mutation": _Change(problem),
        "eliminate_duplicates": _Same(problem),
    }


class _Draw(Sampling):
    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self.own = problem

    def _do(
        self, problem: Any, n_samples: int, *args: Any, random_state: Any = None, **kwargs: Any
    ) -> Any:
        del problem, args, kwargs
        return self.own.rows(self.own.problem.domain.sample(n_samples, _generator(random_state)))


class _Cross(Crossover):
    def __init__(self, problem: ArchitectureProblem, prob: float) -> None:
        super().__init__(n_parents=2, n_offsprings=1, prob=prob)
        self.own = problem

    def _do(self, problem: Any, X: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
        del problem, args, kwargs
        rng, domain = _generator(random_state), self.own.problem.domain
        pairs = zip(self.own.specs(X[0]), self.own.specs(X[1]), strict=True)
        return self.own.rows([domain.crossover(str(a), str(b), rng) for a, b in pairs])[None]


class _Change(Mutation):
    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self.own = problem

    def _do(self, problem: Any, X: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
        del problem, args, kwargs
        rng, domain = _generator(random_state), self.own.problem.domain
        specs = [str(spec) for spec in self.own.specs(X)]
        return self.own.rows([domain.mutate(spec, rng) or spec for spec in specs])


class _Same(DuplicateElimination):
    def __init__(self, problem: ArchitectureProblem) -> None:
        super().__init__()
        self.own = problem

    def _do(self, pop: Any, other: Any, is_duplicate: Any) -> Any:
        known = set() if other is None else set(self.own.specs(other.get("X")))
        for row, spec in enumerate(self.own.specs(pop.get("X"))):
            is_duplicate[row] = spec in known
            known.add(spec)
        return is_duplicate


def _generator(given: Any) -> np.random.Generator:
    """The random numbers of pymoo; before 0.6.2 those are numpy's global ones."""
    if isinstance(given, np.random.Generator):
        return given
    source = np.random if given is None else given
    return np.random.default_rng(int(source.randint(2**31)))
