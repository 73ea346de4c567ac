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

#: Prior standard deviation of a new space's offset, on the standardised scale.
OFFSET: Final = 2.0
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
        new_: (n,) 1.0 for rows of the space that :meth:`adapt` was given.
        noise_: variance of the noise, relative to the signal's.
        variance_: variance of the signal.
    """

    @abstractmethod
    def _represent(self, X: Any) -> Any:
        """What the kernel compares, of n encoded architectures."""

    @abstractmethod
    def _join(self, rows: Any, more: Any) -> Any:
        """The representations of both."""

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
        cross = self._cross(rows)
        prior = self._kernel(rows, rows) + self._offset()
        values, vectors = np.linalg.eigh(self._posterior.covariance(cross, prior))
        root = vectors * np.sqrt(np.maximum(values, 0))
        noise = np.random.default_rng(seed).standard_normal((draws, len(root)))
        drawn = cross @ self._posterior.weights + noise @ root.T
        spread = np.where(self.constant_, 0.0, self.spread_)
        return _transforms.backward(self.transform, drawn * spread + self.centre_)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        cross = self._cross(self._represent(X))
        return self._posterior.moments(cross, np.full(len(cross), 1 + self._offset()))

    def _adapt(self, X: Any, y: FloatArray) -> None:
        rows = self._represent(X)
        self.new_ = np.concatenate([self.new_, np.ones(len(y))])
        self._condition(self._join(self.rows_, rows), np.concatenate([self.target_, y]))

    def _learn(self, rows: Any, y: FloatArray, noise: float, variance: float) -> None:
        """Take over hyper-parameters, and condition on the training rows."""
        self.noise_, self.variance_, self.new_ = noise, variance, np.zeros(len(y))
        self._condition(rows, y)

    def _condition(self, rows: Any, y: FloatArray) -> None:
        self.rows_, self.target_ = rows, y
        shift = OFFSET**2 / self.variance_ * np.multiply.outer(self.new_, self.new_)
        self._posterior = Posterior(
            self._kernel(rows, rows) + shift, y, self.noise_, self.variance_
        )

    def _offset(self) -> float:
        """Prior variance of what an adapted process adds to everything it is asked for."""
        return OFFSET**2 / self.variance_ if self.new_.any() else 0.0

    def _cross(self, rows: Any) -> FloatArray:
        """(m, n) covariance of represented architectures with the training rows."""
        return self._kernel(rows, self.rows_) + self._offset() * self.new_

    def _process_state(self) -> State:
        arrays = {"target": self.target_, "new": self.new_}
        return State(arrays, {"noise": self.noise_, "variance": self.variance_})

    def _restore_process(self, rows: Any, state: State) -> None:
        self.noise_, self.variance_ = state.facts["noise"], state.facts["variance"]
        self.new_ = state.arrays["new"]
        self._condition(rows, state.arrays["target"])


def some(rows: int, most: int, seed: int) -> NDArray[np.intp]:
    """At most so many row numbers, drawn at random, ascending."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])
