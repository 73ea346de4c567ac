"""What every predictor is: an estimator of scikit-learn's protocol over architectures."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, ClassVar, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.encoders.errors import (
    InvalidLabelsError,
    InvalidSettingError,
    NotFittedError,
    ShapeError,
)
from archcast.predictors._encoding import Encoding, encode, take
from archcast.predictors._estimator import Estimator

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class State:
    """All that a fitted predictor has learned, as plain data.

    Attributes:
        arrays: name -> array.
        facts: name -> anything JSON can hold.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Predictor(Estimator, ABC):
    """``transform⁻¹(mean + spread * model(encoding(architecture)))``.

    A subclass is a class attribute :attr:`kind`, a constructor of plain keywords (stored unchanged,
    among them ``transform`` and ``seed``), and four methods that see encoded architectures and
    standardised targets: :meth:`_fit`, :meth:`_predict`, :meth:`_state`, :meth:`_restore`.

    Attributes:
        kind: name in the registry and in files.
        transform: scale of the targets.
        encoding: what the model sees; see :func:`archcast.predictors._encoding.encode`.
        several: whether targets may have several columns, with labels missing.
    """

    kind: ClassVar[str]
    several: ClassVar[bool] = False
    transform: _transforms.Transform

    @property
    def encoding(self) -> Encoding:
        """What the model sees; overridden by those that do not see tabular features."""
        return "tabular"

    # ------------------------------------------------------------- to implement
    @abstractmethod
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        """Learn from n encoded architectures and their (n,) standardised targets.

        With :attr:`several`, targets are (n, T) and NaN where there is no label.
        ``groups`` numbers rows that belong together (for validation), or is None.
        """

    @abstractmethod
    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, each shaped like the targets, standardised."""

    @abstractmethod
    def _state(self) -> State:
        """What was learned, without parameters and the target's scale."""

    @abstractmethod
    def _restore(self, state: State) -> None:
        """The inverse of :meth:`_state`."""

    def _adapt(self, X: Any, y: FloatArray) -> None:
        """Learn from a few more encoded architectures, with targets on the scale of the first.

        Raises:
            NotImplementedError: the family has no way of its own; see :meth:`adapt`.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------- public
    def fit(self, X: Any, y: ArrayLike, *, groups: ArrayLike | None = None) -> Self:
        """Learn from labelled architectures.

        Args:
            X: n architectures: graphs, or what :attr:`encoding` names, computed beforehand.
            y: (n,) labels in their natural unit, or (n, T) where :attr:`several` is true. NaN is
                a missing label; rows without any are left out.
            groups: (n,) labels of families or classes whose rows are validated together.

        Returns:
            The fitted predictor.

        Raises:
            InvalidLabelsError: infinite labels, fewer than two of them, or not one label or group
                an architecture.
        """
        X, target, known = self._labelled(X, y)
        self._enough(known)
        number = None
        if groups is not None:
            if len(np.asarray(groups)) != len(np.asarray(y)):
                raise InvalidLabelsError(
                    f"{len(np.asarray(groups))} groups for {len(np.asarray(y))} labels"
                )
            number = np.unique(np.asarray(groups)[known], return_inverse=True)[1].reshape(-1)
        self.centre_ = np.nanmean(target, axis=0)
        spread = np.nanstd(target, axis=0)
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(self.centre_)), spread, 1.0)
        self.constant_ = spread <= 1e-12 * (1 + np.abs(self.centre_))
        try:
            if isinstance(X, np.ndarray):
                self.n_features_in_ = X.shape[1]
            self._fit(X, (target - self.centre_) / self.spread_, number)
        except BaseException:
            del self.centre_  # what was interrupted is not fitted, nor what was fitted before
            raise
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Forecast architectures.

        Args:
            X: n architectures, as for :meth:`fit`.
            return_std: whether the standard deviation is wanted, too.

        Returns:
            (n,) or (n, T) values in their natural unit; with ``return_std`` a pair, the second of
            the same shape their standard deviations.

        Raises:
            NotFittedError: :meth:`fit` was not called.
        """
        centre, half = self._moments(X)
        values = _transforms.backward(self.transform, centre)
        if not return_std:
            return values
        high = _transforms.backward(self.transform, centre + half)
        low = _transforms.backward(self.transform, centre - half)
        return values, np.abs(high - low) / 2

    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """Quantiles of what is forecast; of a normal distribution where a family has none better.

        Args:
            X: n architectures, as for :meth:`fit`.
            levels: (Q,) levels between 0 and 1.

        Returns:
            (Q, n) or (Q, n, T) values in their natural unit.

        Raises:
            NotFittedError: :meth:`fit` was not called.
        """
        centre, half = self._moments(X)
        z = [NormalDist().inv_cdf(level) for level in np.asarray(levels, np.float64).tolist()]
        return _transforms.backward(self.transform, centre + np.multiply.outer(np.array(z), half))

    def interval(self, X: Any, p: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Central intervals that hold the truth with probability ``p``, each end (n,) or (n, T).

        Raises:
            InvalidSettingError: ``p`` is not between 0 and 1.
        """
        if not 0 < p < 1:
            raise InvalidSettingError(f"p is a probability, strictly between 0 and 1, not {p}")
        low, high = self.quantiles(X, [(1 - p) / 2, (1 + p) / 2])
        return low, high

    def adapt(self, X: Any, y: ArrayLike) -> Predictor:
        """A copy that has learned from a few labels of a new space; this one stays as it is.

        Args:
            X: architectures, as for :meth:`fit`.
            y: their labels, in the natural unit; one is enough.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            InvalidLabelsError: no labels, or infinite ones.
        """
        from archcast.predictors._adapted import AdaptedPredictor

        self._check_fitted()
        if type(self)._adapt is Predictor._adapt:
            family: Any = AdaptedPredictor  # its module needs this one, so the types are a circle
            return family(self).fit(X, y)
        X, target, known = self._labelled(X, y)
        if not len(known):
            raise InvalidLabelsError("there is no label to adapt to")
        new = copy.deepcopy(self)
        new.constant_ = np.zeros_like(self.constant_)
        new._adapt(X, (target - self.centre_) / self.spread_)
        return new

    def score(self, X: Any, y: ArrayLike) -> float:
        """Coefficient of determination R², scikit-learn's default score; NaN labels left out."""
        truth, value = np.asarray(y, np.float64), self.predict(X)
        known = np.isfinite(truth)
        rest = ((truth - value)[known] ** 2).sum()
        return float(1 - rest / ((truth - truth[known].mean())[known] ** 2).sum())

    # ------------------------------------------------------------------ private
    def _moments(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation on the transformed scale, each (n,) or (n, T)."""
        self._check_fitted()
        data = encode(X, self.encoding)
        if len(data) == 0:
            empty = np.zeros((0, *np.shape(self.centre_)))
            return empty, empty
        width = getattr(self, "n_features_in_", None)
        if isinstance(data, np.ndarray) and width not in (None, data.shape[1]):
            raise ShapeError(f"learned from {width} features, not {data.shape[1]}")
        mean, std = self._predict(data)
        centre = np.where(self.constant_, 0.0, mean) * self.spread_ + self.centre_
        return centre, np.where(self.constant_, 0.0, std) * self.spread_

    def _check_fitted(self) -> None:
        if not hasattr(self, "centre_"):
            raise NotFittedError(f"{type(self).__name__} has learned nothing yet; call fit() first")

    @staticmethod
    def _enough(known: NDArray[np.intp]) -> None:
        if len(known) < 2:
            raise InvalidLabelsError(
                f"{len(known)} labelled architecture(s) teach nothing; give two at least"
            )

    def _on_scale(self, labels: FloatArray) -> None:
        """Whether the transform can take the labels."""
        if self.transform not in get_args(_transforms.Transform):
            raise InvalidSettingError(
                f"transform is one of {', '.join(get_args(_transforms.Transform))}, "
                f"not {self.transform!r}"
            )
        if self.transform == "log" and (labels <= 0).any():
            raise InvalidLabelsError("the log scale takes positive labels only")
        if self.transform == "logit" and ((labels < 0) | (labels > 100)).any():
            raise InvalidLabelsError("the logit scale takes percentages, from 0 to 100")

    def _labelled(self, X: Any, y: ArrayLike) -> tuple[Any, FloatArray, NDArray[np.intp]]:
        """Encoded architectures that have a label, their transformed labels, their rows."""
        data = encode(X, self.encoding)
        labels = np.asarray(y, np.float64)
        if labels.shape[:1] != (len(data),):
            raise InvalidLabelsError(f"{len(data)} architectures, but labels {labels.shape}")
        if labels.ndim != 1 and not (self.several and labels.ndim == 2):
            raise InvalidLabelsError(f"{type(self).__name__} takes (n,) labels, not {labels.shape}")
        if np.isinf(labels).any():
            raise InvalidLabelsError("a label is infinite; leave that architecture out")
        self._on_scale(labels)
        present = np.isfinite(labels)
        known = np.flatnonzero(present if labels.ndim == 1 else present.any(1))
        target = _transforms.forward(self.transform, labels[known])
        return take(data, known), target, known
