"""Latency on a device that few networks were measured on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.encoders.errors import InvalidLabelsError, ShapeError
from archcast.predictors._device_costs import Costs, Surface
from archcast.predictors._device_transfer import Basis, Transfer
from archcast.predictors._encoding import Encoding
from archcast.predictors._joined import Joined
from archcast.predictors._kernel import Scaler
from archcast.predictors._protocol import FloatArray, Predictor, State


class DevicePredictor(Predictor):
    """``y(x) = b + Σ_t w_t known_t(x) + Σ_c u_c cost_c(x)`` on a device of few labels.

    :meth:`fit` learns T known devices, :meth:`adapt` a new one from a handful of networks: as
    a mixture of the known devices, of their parts that add up over operators, and of operator
    costs of its own. The priors of the mixture are fixed, its remaining variances integrated out.

    Networks measured on the known devices are given with these measurements,
    ``Joined(X, measured)`` with (n, T) values in the unit of the labels, NaN where missing; for all
    others the known devices are forecast from the features.

    Args:
        transform: scale of the targets. Latencies and energies add up over operators, so they are
            ranked best as they are; ``log`` keeps forecasts positive.
        support: most architectures that the known devices' kernel compares with.
        seed: draws the support.

    Reference:
        The protocol is that of Lee et al., "HELP: Hardware-Adaptive Efficient Latency Prediction
        for NAS via Meta-Learning", NeurIPS 2021; the regression is that of Rasmussen and Williams,
        "Gaussian Processes for Machine Learning", 2006, section 2.7.
    """

    kind = "device"
    several = True

    def __init__(
        self, transform: _transforms.Transform = "identity", support: int = 600, seed: int = 0
    ) -> None:
        self.transform: _transforms.Transform = transform
        self.support = support
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Features, and measurements on the known devices beside them."""
        return "joined"

    # ------------------------------------------------------------------- learn
    def _fit(self, X: Joined, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        self.single_ = y.ndim == 1
        y = y.reshape(len(y), -1)
        self.known_centre_ = np.reshape(self.centre_, -1).astype(np.float64)
        self.known_spread_ = np.reshape(self.spread_, -1).astype(np.float64)
        filled = _filled(y)
        rows = np.arange(len(y))
        if len(rows) > self.support:
            rows = np.sort(np.random.default_rng(self.seed).permutation(rows)[: self.support])
        self.surface_ = Surface.fit(X.X, filled, rows)
        mean = filled.mean(1)
        self.level_, self.scale_ = float(mean.mean()), float(mean.std()) or 1.0
        self.transfer_: Transfer | None = None

    def adapt(self, X: Any, y: ArrayLike) -> DevicePredictor:
        """A copy that forecasts a new device; this one stays as it is.

        Args:
            X: k architectures, or :class:`Joined` with their values on the known devices.
            y: (k,) values on the new device; ten are enough.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            InvalidLabelsError: no labels, infinite ones, or those of several devices.
            ShapeError: not one measurement for each known device.
        """
        self._check_fitted()
        if np.ndim(y) != 1:
            raise InvalidLabelsError("adapt to one device at a time, with (n,) labels")
        data, target, known = self._labelled(X, y)
        if not len(known):
            raise InvalidLabelsError("there is no label to adapt to")
        new = copy.deepcopy(self)
        new.centre_ = target.mean()
        # Few labels tell their spread badly; the known devices' is worth one more.
        usual = float(self.known_spread_.mean())
        new.spread_ = np.sqrt((((target - new.centre_) ** 2).sum() + usual**2) / len(known))
        new.constant_ = np.asarray(False)
        new.transfer_ = Transfer.fit(new._basis(data), (target - new.centre_) / new.spread_)
        return new

    # ---------------------------------------------------------------- forecast
    def _predict(self, X: Joined) -> tuple[FloatArray, FloatArray]:
        if self.transfer_ is not None:
            return self.transfer_.predict(self._basis(X))
        mean, std = self.surface_.predict(X.X)
        return (mean[:, 0], std[:, 0]) if self.single_ else (mean, std)

    def _basis(self, X: Joined) -> Basis:
        told = self._told(X.columns)
        forecast = self.surface_.mean(X.X)
        single = np.where(np.isfinite(told), told, forecast)
        means = single.mean(1)[:, None]
        if X.columns.shape[1]:
            means = np.hstack([means, (means + forecast.mean(1)[:, None]) / 2])
        means = (means - self.level_) / self.scale_
        return Basis(means, single, self.surface_.added(X.X), self.surface_.costs.apply(X.X))

    def _told(self, columns: FloatArray) -> FloatArray:
        """(n, T) measurements on the known devices, standardised; NaN where there are none."""
        devices = len(self.known_centre_)
        if columns.shape[1] == 0:
            return np.full((len(columns), devices), np.nan)
        if columns.shape[1] != devices:
            raise ShapeError(f"{columns.shape[1]} measurements a network, but {devices} devices")
        told = _transforms.forward(self.transform, columns)
        return (told - self.known_centre_) / self.known_spread_

    # ------------------------------------------------------------------- files
    def _state(self) -> State:
        surface = self.surface_
        arrays = {
            "known.centre": self.known_centre_,
            "known.spread": self.known_spread_,
            "scaler.centre": surface.scaler.centre,
            "scaler.scale": surface.scaler.scale,
            "costs.kept": surface.costs.kept,
            "costs.centre": surface.costs.centre,
            "costs.scale": surface.costs.scale,
        }
        learned = ("additive", "support", "priced", "weights", "inverse", "variance")
        arrays |= {f"surface.{name}": getattr(surface, name) for name in learned}
        if self.transfer_ is not None:
            arrays |= {f"transfer.{k}": v for k, v in self.transfer_.arrays().items()}
        facts = {
            "rate": surface.rate,
            "noise": surface.noise,
            "level": self.level_,
            "scale": self.scale_,
            "single": self.single_,
        }
        return State(arrays, facts)

    def _restore(self, state: State) -> None:
        arrays, facts = state.arrays, state.facts
        learned = ("additive", "support", "priced", "weights", "inverse", "variance")
        costs = Costs(arrays["costs.kept"], arrays["costs.centre"], arrays["costs.scale"])
        self.surface_ = Surface(
            scaler=Scaler(arrays["scaler.centre"], arrays["scaler.scale"]),
            costs=costs,
            rate=facts["rate"],
            noise=facts["noise"],
            **{name: arrays[f"surface.{name}"] for name in learned},
        )
        self.known_centre_, self.known_spread_ = arrays["known.centre"], arrays["known.spread"]
        self.level_, self.scale_ = facts["level"], facts["scale"]
        self.single_ = facts["single"]
        mixed = {k[9:]: v for k, v in arrays.items() if k.startswith("transfer.")}
        self.transfer_ = Transfer.from_arrays(mixed) if mixed else None


def _filled(y: FloatArray) -> FloatArray:
    """Missing labels of a known device are taken from the others, as all are standardised."""
    usual = np.nanmean(y, axis=1, keepdims=True)
    return np.where(np.isfinite(y), y, usual)
