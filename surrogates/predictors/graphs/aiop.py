"""AIO-P: adapters beside a frozen graph network, for tasks that have few labels."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors._encoding import Encoding
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.graphs._data import GraphData, pack
from archcast.predictors.graphs._device import need_torch, torch_device
from archcast.predictors.trees._groups import hold_out

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_HELD_OUT = 0.15
#: Labels that the prior belief about a new task's errors is worth.
_PRIOR = 5.0
#: Variance of errors where nothing could be held out, in variances of the labels.
_UNKNOWN = 0.25
#: Fewer labels than these have no standard deviation worth the name.
_FEW = 3
_GIGA = 1e9


class AiopPredictor(Predictor):
    """``mean_k MLP_k(pool(h) ⊕ pool(a_k))``, ``h`` a frozen base GNN, ``a_k`` task k's adapter.

    The base is trained on the first column of the labels and frozen. Every column then trains an
    adapter: a GNN of its own whose layer i sees the base's state after layer i + 1. A column's
    forecast is its own head's. With labels of new tasks (:meth:`adapt`; as many tasks as there
    are columns), a new task's forecast is the mean over the heads of all K learned tasks, each
    tuned on its labels; base and adapters stay as they are.

    Labels are learned as ``y' = y / (log10(FLOPs + 1) + 1)``, then standardised; those of a new
    task by mean and standard deviation of its few labels. The unit of FLOPs is our reading, since
    the formula has none: billions, a multiplication and an addition counting as two. So is that
    tasks with negative labels (errors, negated) are multiplied, not divided: larger networks
    would otherwise be expected to err more.

    Args:
        width: length of nodes' states.
        layers: of the base and of the adapters.
        flops_aware: whether labels are divided as above.
        epochs: passes over the labels, at most, of the base and again of the adapters.
        batch: graphs in a step.
        learning_rate: of AdamW, at its peak.
        patience: epochs without a better validation before training stops.
        adapt_epochs: steps on the labels of new tasks; 0 keeps the heads as they are.
        adapt_rate: learning rate of that.
        transform: scale of the targets.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: whether bars are shown.

    Reference:
        Mills et al., "AIO-P: Expanding Neural Performance Predictors Beyond Image Classification",
        AAAI 2023.
    """

    kind = "aiop"
    several = True

    def __init__(
        self,
        *,
        width: int = 32,
        layers: int = 4,
        flops_aware: bool = True,
        epochs: int = 30,
        batch: int = 32,
        learning_rate: float = 2e-3,
        patience: int = 8,
        adapt_epochs: int = 100,
        adapt_rate: float = 1e-3,
        transform: Transform = "identity",
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
    ) -> None:
        self.width = width
        self.layers = layers
        self.flops_aware = flops_aware
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.patience = patience
        self.adapt_epochs = adapt_epochs
        self.adapt_rate = adapt_rate
        self.transform: Transform = transform
        self.seed = seed
        self.device = device
        self.progress = progress

    @property
    def encoding(self) -> Encoding:
        """Graphs."""
        return "graph"

    # ------------------------------------------------------------------ learning
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        need_torch()
        torch_device(self.device)
        self._check()
        data = pack(X)
        self.flat_ = y.ndim == 1
        target = self._scaled(X, y, data)
        first = np.unique(data.of, return_index=True)[1]
        group = data.of[first] if groups is None else groups[first]
        learn, check = hold_out(
            np.unique(group, return_inverse=True)[1], _HELD_OUT, np.random.default_rng(self.seed)
        )
        self._train(data, target, learn, check)
        self.tuned_: Any = None
        self.noise_ = self._noise(data, target, check)

    def _check(self) -> None:
        for name in ("width", "layers", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise InvalidSettingError(f"{name} is 1 at least, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise InvalidSettingError(f"learning_rate is above 0, not {self.learning_rate}")

    def _scaled(self, X: Any, y: FloatArray, data: GraphData) -> FloatArray:
        """(n, ...) targets to (G, T) on the scale that is learned, whose scale is kept."""
        raw = (y * self.spread_ + self.centre_).reshape(len(y), -1)
        known = np.isfinite(raw)
        if not known.any(0).all():
            raise InvalidLabelsError(f"task {int(known.any(0).argmin())} has no label")
        self.sign_ = np.where(np.nanmean(raw, 0) < 0, -1.0, 1.0)
        raw = raw / self._factor(X)
        self.level_ = np.nanmean(raw, 0)
        spread = np.nanstd(raw, 0)
        self.reach_ = np.where(spread > 1e-12 * (1 + np.abs(self.level_)), spread, 1.0)
        return _average((raw - self.level_) / self.reach_, data)

    def _factor(self, X: list[ComputeGraph]) -> FloatArray:
        """(n, T) what labels are divided by."""
        flops = np.array([2 * g.macs for g in X], np.float64) / _GIGA
        return (np.log10(flops + 1) + 1)[:, None] ** (self.sign_ * bool(self.flops_aware))

    def _train(self, data: GraphData, target: FloatArray, learn: IntArray, check: IntArray) -> None:
        """The base on the first task, then an adapter for every task."""
        from archcast.predictors.graphs._training import train
        from archcast.predictors.graphs.aiop_net import Aiop, Base, Tasks, fresh
        from archcast.predictors.graphs.gennape_encoder import Encoder

        encoder: Any = fresh(Encoder, self.width, self.layers, seed=self.seed)
        encoder.standardise(data)
        known = np.isfinite(target[:, 0])
        base = fresh(Base, encoder, seed=self.seed)
        objective = Tasks(data, target[:, :1], learn[known[learn]], check[known[check]], self.batch)
        train(base, objective, self._training(self.epochs, "base"))
        self.net_: Any = fresh(Aiop, encoder, target.shape[1], seed=self.seed)
        objective = Tasks(data, target, learn, check, self.batch)
        train(self.net_, objective, self._training(self.epochs, "adapters"))

    def _training(self, epochs: int, title: str) -> Any:
        from archcast.predictors.graphs._training import Training

        return Training(
            epochs=epochs,
            learning_rate=self.learning_rate,
            patience=self.patience,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            title=title,
        )

    def _noise(self, data: GraphData, target: FloatArray, check: IntArray) -> FloatArray:
        """(T,) variance of the errors of what is held out."""
        if not len(check):
            return np.full(target.shape[1], _UNKNOWN)
        error = (self._opinions(data)[0][check] - target[check]) ** 2
        known = np.isfinite(error)
        total = np.where(known, error, 0).sum(0) + _PRIOR * _UNKNOWN
        return total / (known.sum(0) + _PRIOR)

    # ---------------------------------------------------------------- adaptation
    def adapt(self, X: Any, y: ArrayLike) -> Predictor:
        """A copy that has learned from a few labels of new tasks; this one stays as it is.

        Args:
            X: graphs.
            y: (n,) or (n, T) labels in their natural unit, NaN where missing, of any number of
                tasks, which need not be those learned from; one label a task is enough.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            InvalidLabelsError: a task without labels, or infinite ones.
        """
        self._check_fitted()
        X, target, known = self._labelled(X, y)
        if not len(known):
            raise InvalidLabelsError("there is no label to adapt to")
        new = copy.deepcopy(self)
        new.flat_ = target.ndim == 1
        # The scale of the labels is not the old tasks'; _scaled() finds it.
        old = float(np.mean(self.spread_ * self.reach_))
        new.centre_, new.spread_ = np.zeros(target.shape[1:]), np.ones(target.shape[1:])
        new.constant_ = np.zeros(target.shape[1:], bool)
        data = pack(X)
        scaled = new._scaled(X, target, data)
        few = np.isfinite(target.reshape(len(target), -1)).sum(0) < _FEW
        scaled = scaled * np.where(few, new.reach_ / old, 1.0)
        new.reach_ = np.where(few, old, new.reach_)
        new._tune(data, scaled)
        return new

    def _tune(self, data: GraphData, target: FloatArray) -> None:
        """Heads of the new tasks."""
        from archcast.predictors.graphs._training import train
        from archcast.predictors.graphs.aiop_net import FewLabels, Tuned, all_views

        self.tuned_ = Tuned(self.net_.heads, target.shape[1]).requires_grad_(True)
        before = (self._opinions(data)[0] - target) ** 2
        known = np.isfinite(before)
        total = np.where(known, before, 0).sum(0) + _PRIOR * float(self.noise_.mean())
        self.noise_ = total / (known.sum(0) + _PRIOR)
        if self.adapt_epochs:
            how = self._training(self.adapt_epochs, "adapting")
            how = replace(how, learning_rate=self.adapt_rate, patience=None)
            train(self.tuned_, FewLabels(all_views(self.net_, data), target), how)

    # --------------------------------------------------------------- forecasting
    def _opinions(self, data: GraphData) -> tuple[FloatArray, FloatArray]:
        """(G, T) forecasts and (G, T) spreads between the heads, on the learned scale."""
        import torch

        from archcast.predictors.graphs.aiop_net import all_views

        views = torch.from_numpy(all_views(self.net_, data))
        with torch.no_grad():
            if self.tuned_ is None:
                value = self.net_.heads(views).double().numpy()
                return value, np.zeros_like(value)
            each = self.tuned_.opinions(views).double().numpy()
        return each.mean(2), each.std(2)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        data = pack(X)
        value, spread = (part[data.of] for part in self._opinions(data))
        factor = self._factor(X)
        value = (value * self.reach_ + self.level_) * factor
        std = np.sqrt(self.noise_ + spread**2) * self.reach_ * factor
        if self.flat_:
            value, std = value[:, 0], std[:, 0]
        return (value - self.centre_) / self.spread_, std / self.spread_

    # ------------------------------------------------------------------- storage
    def _state(self) -> State:
        from archcast.predictors.graphs.gennape_net import weights

        arrays = {f"net.{k}": v for k, v in weights(self.net_).items()}
        if self.tuned_ is not None:
            arrays |= {f"tuned.{k}": v for k, v in weights(self.tuned_).items()}
        arrays |= {"level": self.level_, "reach": self.reach_, "noise": self.noise_}
        arrays["sign"] = self.sign_
        tuned = None if self.tuned_ is None else len(self.tuned_.tasks)
        facts = {"flat": self.flat_, "tasks": len(self.net_.adapters), "tuned": tuned}
        return State(arrays, facts)

    def _restore(self, state: State) -> None:
        need_torch()
        from archcast.predictors.graphs.aiop_net import Aiop, Tuned, fresh
        from archcast.predictors.graphs.gennape_encoder import Encoder
        from archcast.predictors.graphs.gennape_net import load_weights

        arrays, facts = state.arrays, state.facts
        encoder = fresh(Encoder, self.width, self.layers, seed=0)
        self.net_ = fresh(Aiop, encoder, facts["tasks"], seed=0)
        load_weights(self.net_, arrays, "net.")
        self.tuned_ = None
        if facts["tuned"] is not None:
            self.tuned_ = Tuned(self.net_.heads, facts["tuned"])
            load_weights(self.tuned_, arrays, "tuned.")
        self.level_, self.reach_, self.noise_ = arrays["level"], arrays["reach"], arrays["noise"]
        self.sign_, self.flat_ = arrays["sign"], bool(facts["flat"])


def _average(y: FloatArray, data: GraphData) -> FloatArray:
    """(n, T) labels to (G, T) means over equal graphs, NaN where there is none."""
    known = np.isfinite(y)
    total, count = np.zeros((len(data), y.shape[1])), np.zeros((len(data), y.shape[1]))
    np.add.at(total, data.of, np.where(known, y, 0.0))
    np.add.at(count, data.of, known)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
