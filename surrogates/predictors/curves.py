"""Final values from partial learning curves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast import _transforms
from archcast.encoders.errors import InvalidSettingError, MissingExtraError, ShapeError
from archcast.predictors._encoding import Encoding
from archcast.predictors._joined import Joined
from archcast.predictors._kernel import Scaler
from archcast.predictors._members import deal
from archcast.predictors._protocol import FloatArray, Predictor, State

#: Bounds of the searched settings, all log-uniform: the cost of errors, the share of support
#: vectors, the kernel's inverse squared length, and how much the architecture counts beside
#: the curve.
_BOUNDS: Final = {"C": (1e-2, 1e4), "nu": (0.05, 1.0), "gamma": (1e-3, 10.0), "share": (0.03, 3.0)}
#: Fewest rows that a search can say anything about.
_ENOUGH: Final = 9
_REACH: Final = 5.0


def last_value(curves: FloatArray) -> FloatArray:
    """(n, S) curves to the (n,) last value that is known; NaN where none is."""
    known = np.isfinite(curves)
    at = np.where(known.any(1), curves.shape[1] - 1 - known[:, ::-1].argmax(1), -1)
    return np.where(known.any(1), curves[np.arange(len(curves)), at], np.nan)


def sum_of_losses(curves: FloatArray) -> FloatArray:
    """(n, S) losses during training to their (n,) sums so far; a lower one promises a better end.

    Where a step is missing, it counts as the mean of those that are known.

    Reference:
        Ru et al., "Speedy Performance Estimation for Neural Architecture Search", NeurIPS 2021.
    """
    known = np.isfinite(curves)
    count = known.sum(1)
    total = np.where(known, curves, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1) * curves.shape[1], np.nan)


def statistics(curves: FloatArray) -> FloatArray:
    """Mean and std of partial curves and of their first and second differences, and the last value.

    Args:
        curves: (n, S) values, one column a step, NaN where missing.

    Returns:
        (n, 7) numbers, NaN where there are too few steps; no column if there are no steps.
    """
    if curves.shape[1] == 0:
        return np.zeros((len(curves), 0))
    found = [last_value(curves)]
    for order in range(3):
        steps = np.diff(curves, order, axis=1)
        known = np.isfinite(steps)
        count = np.maximum(known.sum(1), 1)
        mean = np.where(known, steps, 0.0).sum(1) / count
        square = np.where(known, (steps - mean[:, None]) ** 2, 0.0).sum(1) / count
        some = known.any(1)
        found += [np.where(some, mean, np.nan), np.where(some, np.sqrt(square), np.nan)]
    return np.stack(found, 1)


@dataclass(frozen=True, slots=True)
class _Block:
    """Columns on a common scale, a missing number at its mean; all of them weigh as much as one."""

    scaler: Scaler

    @classmethod
    def fit(cls, x: FloatArray) -> _Block:
        known = np.isfinite(x)
        count = np.maximum(known.sum(0), 1)
        centre = np.where(known, x, 0.0).sum(0) / count
        spread = np.sqrt(np.where(known, (x - centre) ** 2, 0.0).sum(0) / count)
        constant = spread < 1e-5 * (1 + np.abs(centre))
        return cls(Scaler(centre, np.where(constant, 1.0, spread)))

    def apply(self, x: FloatArray) -> FloatArray:
        z = np.nan_to_num((x - self.scaler.centre) / self.scaler.scale, nan=0.0)
        return np.clip(z, -_REACH, _REACH) / np.sqrt(max(x.shape[1], 1))


class LearningCurvePredictor(Predictor):
    """``y = Σ_i a_i exp(-gamma ‖u(x) - u_i‖²) + b``, a nu-SVR on a partial curve.

    ``u`` holds the mean and standard deviation of the curve so far and of its first and second
    differences, its last value (the last is not in the paper), and the architecture's features.
    Curves are the numbers of a :class:`~archcast.predictors.Joined`, one column a step, NaN where
    missing, all for one length; without any, the architecture is all it sees. C, nu,
    gamma and the architecture's weight are searched at random, log-uniformly, by cross-validation.

    Late in training the last value alone may rank better, and the first epochs may mislead where
    the architecture alone ranks well: see ``benchmarks/learning_curves.py``.

    Args:
        transform: scale of the targets.
        searches: settings tried.
        folds: of the cross-validation; rows of one group stay together.
        seed: of the search and of the folds.

    Reference:
        Baker et al., "Accelerating Neural Architecture Search using Performance Prediction", 2017.
    """

    kind = "learning-curve"

    def __init__(
        self,
        transform: _transforms.Transform = "identity",
        searches: int = 100,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        self.transform: _transforms.Transform = transform
        self.searches = searches
        self.folds = folds
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Features, and the curve beside them."""
        return "joined"

    def _fit(self, X: Joined, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if self.searches < 1 or self.folds < 2:
            raise InvalidSettingError("a search tries one setting at least, on two folds at least")
        self.steps_ = X.columns.shape[1]
        self.architecture_ = _Block.fit(X.X.astype(np.float64))
        self.curve_ = _Block.fit(statistics(X.columns))
        blocks = self._blocks(X)
        groups = np.arange(len(y)) if groups is None else groups
        fold = deal(groups, min(self.folds, len(np.unique(groups))), self.seed)
        if len(y) < _ENOUGH or fold.max() == 0:
            best, error = {"C": 1.0, "nu": 0.5, "gamma": 0.1, "share": 1.0}, float(y.std())
        else:
            best, error = self._search(blocks, y, fold)
        self.share_, self.gamma_ = best["share"], best["gamma"]
        self.error_ = error
        model = _solved(best, _weigh(blocks, self.share_), y)
        self.support_ = np.asarray(model.support_vectors_, np.float64)
        self.weights_ = np.asarray(model.dual_coef_, np.float64).reshape(-1)
        self.offset_ = float(np.reshape(model.intercept_, -1)[0])

    def _search(
        self, blocks: tuple[FloatArray, FloatArray], y: FloatArray, fold: NDArray[np.intp]
    ) -> tuple[dict[str, float], float]:
        """The settings of least squared error over the folds, and its root."""
        rng = np.random.default_rng(self.seed)
        best: tuple[dict[str, float], float] = {}, np.inf
        for _ in range(self.searches):
            tried = {
                name: float(np.exp(rng.uniform(*np.log(ends)))) for name, ends in _BOUNDS.items()
            }
            z, rest = _weigh(blocks, tried["share"]), np.zeros(len(y))
            for number in np.unique(fold):
                test = fold == number
                rest[test] = y[test] - _solved(tried, z[~test], y[~test]).predict(z[test])
            error = float(np.sqrt((rest**2).mean()))
            if error < best[1]:
                best = tried, error
        return best

    def _predict(self, X: Joined) -> tuple[FloatArray, FloatArray]:
        if X.columns.shape[1] != self.steps_:
            raise ShapeError(
                f"curves of {X.columns.shape[1]} steps, but {self.steps_} were learned from; "
                "fill what is missing with NaN"
            )
        z = _weigh(self._blocks(X), self.share_)
        square = (z * z).sum(1)[:, None] + (self.support_**2).sum(1) - 2 * z @ self.support_.T
        mean = np.exp(-self.gamma_ * np.maximum(square, 0)) @ self.weights_ + self.offset_
        return mean, np.full(len(mean), self.error_)

    def _blocks(self, X: Joined) -> tuple[FloatArray, FloatArray]:
        x = self.architecture_.apply(X.X.astype(np.float64))
        return x, self.curve_.apply(statistics(X.columns))

    def _state(self) -> State:
        arrays = {"support": self.support_, "weights": self.weights_}
        for name, block in (("architecture", self.architecture_), ("curve", self.curve_)):
            arrays[f"{name}.centre"] = block.scaler.centre
            arrays[f"{name}.scale"] = block.scaler.scale
        names = ("steps", "share", "gamma", "offset", "error")
        return State(arrays, {name: getattr(self, f"{name}_") for name in names})

    def _restore(self, state: State) -> None:
        arrays = state.arrays
        self.support_, self.weights_ = arrays["support"], arrays["weights"]
        for name in ("architecture", "curve"):
            scaler = Scaler(arrays[f"{name}.centre"], arrays[f"{name}.scale"])
            setattr(self, f"{name}_", _Block(scaler))
        for name, value in state.facts.items():
            setattr(self, f"{name}_", value)


def _weigh(blocks: tuple[FloatArray, FloatArray], share: float) -> FloatArray:
    """Architecture and curve side by side; the architecture alone where there is no curve."""
    x, curve = blocks
    return np.hstack([x * np.sqrt(share), curve]) * np.sqrt(10.0)


def _solved(settings: dict[str, float], z: FloatArray, y: FloatArray) -> Any:
    """A fitted nu-SVR; one that is too hard to solve stops early, and loses the search."""
    try:
        from sklearn.svm import NuSVR
    except ImportError as error:
        raise MissingExtraError(
            "learning curves need scikit-learn: pip install 'archcast[train]'"
        ) from error
    gamma: Any = settings["gamma"]  # a number, whatever the stubs say
    model = NuSVR(C=settings["C"], nu=settings["nu"], gamma=gamma, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(z, y)
