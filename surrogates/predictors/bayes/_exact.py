"""Exact Gaussian-process regression, whatever the kernel."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast import _transforms
from archcast.predictors._protocol import State
from archcast.predictors.bayes._sampling import IndependentSampling

FloatArray = NDArray[np.float64]

#: Noise variances, relative to the signal's, that a search without gradients tries.
NOISES: Final = np.geomspace(1e-4, 10, 16)


@dataclass(frozen=True)
class Posterior:
    """``f | y ~ N(k A y, s² (k** - k A kᵀ))`` with ``A = (K + noise I)⁻¹``.

    Attributes:
        kernel: (n, n) prior covariance K of the training rows, in units of the signal's variance.
        target: (n,) training targets.
        noise: variance of the noise, same unit.
        variance: variance of the signal, s².

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 2.2.
    """

    kernel: FloatArray
    target: FloatArray
    noise: float
    variance: float

    @cached_property
    def inverse(self) -> FloatArray:
        """(n, n) A."""
        noisy = self.kernel + self.noise * np.eye(len(self.target))
        return np.asarray(np.linalg.inv(noisy), np.float64)

    @cached_property
    def weights(self) -> FloatArray:
        """(n,) A y."""
        return self.inverse @ self.target

    def moments(self, cross: FloatArray, own: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of new labels, noise included.

        Args:
            cross: (m, n) covariance of m new architectures with the training rows.
            own: (m,) prior variance of each.
        """
        rest = own + self.noise - ((cross @ self.inverse) * cross).sum(1)
        return cross @ self.weights, np.sqrt(self.variance * np.maximum(rest, 1e-12))

    def covariance(self, cross: FloatArray, prior: FloatArray) -> FloatArray:
        """(m, m) covariance of m new values, without noise; ``prior`` is (m, m) their kernel."""
        return self.variance * (prior - cross @ self.inverse @ cross.T)


def evidence(kernel: FloatArray, target: FloatArray) -> tuple[float, float, float]:
    """The noise that makes the targets likeliest, the signal's variance in closed form.

    Args:
        kernel: (n, n) prior covariance.
        target: (n,) targets.

    Returns:
        The log marginal likelihood, the noise (relative to the signal) and the signal's variance.

    Reference:
        Rasmussen and Williams, 2006, section 5.4.
    """
    values, vectors = np.linalg.eigh(kernel)
    values, power = np.maximum(values, 0), (vectors.T @ target) ** 2
    total = values + NOISES[:, None]
    # One label's worth of prior belief that the variance is 1 keeps it positive.
    variance = ((power / total).sum(1) + 1) / (len(target) + 1)
    found = -0.5 * np.log(total).sum(1) - 0.5 * (len(target) + 1) * np.log(variance)
    best = int(found.argmax())
    return float(found[best]), float(NOISES[best]), float(variance[best])


class ExactProcess(IndependentSampling):
    """A Gaussian process; a subclass says how architectures are represented and compared.

    Attributes:
        rows_: the training rows' representation.
    """

    @abstractmethod
    def _represent(self, X: Any) -> Any:
        """What the kernel compares, of n encoded architectures."""

    @abstractmethod
    def _kernel(self, a: Any, b: Any) -> FloatArray:
        """(n, m) kernel of two sets of represented architectures, 1 for equal ones."""

    def sample(self, X: Any, draws: int = 1, seed: int = 0) -> FloatArray:
        """Draw functions from the posterior, each at all of n architectures: Thompson sampling.

        Args:
            X: n architectures, as for ``fit``; a covariance of n x n numbers is made.
            draws: how many functions.
            seed: of the draws.

        Returns:
            (draws, n) values in the labels' unit.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        from archcast.predictors._encoding import encode

        self._check_fitted()
        rows = self._represent(encode(X, self.encoding))
        cross = self._kernel(rows, self.rows_)
        covariance = self._posterior.covariance(cross, self._kernel(rows, rows))
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        noise = np.random.default_rng(seed).standard_normal((draws, len(root)))
        drawn = cross @ self._posterior.weights + noise @ root.T
        spread = np.where(self.constant_, 0.0, self.spread_)
        return _transforms.backward(self.transform, drawn * spread + self.centre_)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        cross = self._kernel(self._represent(X), self.rows_)
        return self._posterior.moments(cross, np.ones(len(cross)))

    def _condition(self, rows: Any, y: FloatArray, noise: float, variance: float) -> None:
        """Take over hyper-parameters, and condition on the training rows."""
        self.rows_ = rows
        self._posterior = Posterior(self._kernel(rows, rows), y, noise, variance)

    def _process_state(self) -> State:
        learned = self._posterior
        facts = {"noise": learned.noise, "variance": learned.variance}
        return State({"target": learned.target}, facts)

    def _restore_process(self, rows: Any, state: State) -> None:
        facts = state.facts
        self._condition(rows, state.arrays["target"], facts["noise"], facts["variance"])


def some(rows: int, most: int, seed: int) -> NDArray[np.intp]:
    """At most so many row numbers, drawn at random, ascending."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])
