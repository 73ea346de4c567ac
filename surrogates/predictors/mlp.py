"""Multilayer perceptrons on features and recipes, which may learn what is free to know first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.predictors._encoding import Encoding, encode
from archcast.predictors._free_statistics import free_statistics
from archcast.predictors._joined import Joined
from archcast.predictors._protocol import FloatArray, Predictor, State
from archcast.predictors.graphs._device import torch_device
from archcast.predictors.losses import loss_named

if TYPE_CHECKING:
    from archcast.predictors._mlp_net import Ensemble, Table

#: Fewer held-out labels than these say nothing about noise or scale.
_ENOUGH: Final = 10
_REACH: Final = 5.0
_AT_ONCE: Final = 8192
#: Free statistics have no noise, and there are many: larger steps do.
_FREE_BATCH: Final = 128


class MLPPredictor(Predictor):
    """``mean, log variance = W₄ silu(W₃ [e(x), recipe])``, ``e(x) = silu(W₂ silu(W₁ x))``.

    An ensemble of perceptrons on the architecture's features; a recipe, the numbers of a
    :class:`~archcast.predictors.Joined` (NaN where unknown), joins behind the encoder ``e``.
    Forecasts are made without torch.

    With ``pretrain_free`` the encoder first learns parameters, multiplications, activations, layers
    and depth of every architecture given, those with NaN labels included: they cost nothing, so
    hand over as many networks of the space as there are. The encoder then does not see these
    numbers, nor what follows from them by arithmetic. With this library's features it made no
    difference beyond noise (``benchmarks/free_statistics.py``), so it is off by default.

    Args:
        transform: scale of the targets.
        loss: ``mse``, ``huber``, ``hinge``, ``weighted``, ``listmle`` or ``mse+hinge``. What only
            ranks is brought onto the labels' scale by a line.
        width: of the hidden layers.
        dropout: share of each hidden layer that is dropped in training.
        members: perceptrons in the ensemble.
        epochs: passes over the labels, at most.
        batch: architectures in an optimisation step.
        learning_rate: of AdamW at its peak.
        weight_decay: of AdamW.
        validation: share of the groups held out for early stopping and the variance, if that makes
            ten labels.
        patience: epochs without a better validation before training stops.
        pretrain_free: whether free statistics are learned first.
        pretrain_epochs: passes over them.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: whether a bar is shown.
        seed: of everything random.

    Reference:
        Dai et al., "FBNetV3: Joint Architecture-Recipe Search using Predictor Pretraining",
        CVPR 2021.
    """

    kind = "mlp"
    several = True

    def __init__(
        self,
        transform: _transforms.Transform = "identity",
        loss: str = "mse+hinge",
        width: int = 128,
        dropout: float = 0.1,
        members: int = 5,
        epochs: int = 200,
        batch: int = 32,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        validation: float = 0.1,
        patience: int = 40,
        pretrain_free: bool = False,
        pretrain_epochs: int = 60,
        device: str = "auto",
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.transform: _transforms.Transform = transform
        self.loss = loss
        self.width = width
        self.dropout = dropout
        self.members = members
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation = validation
        self.patience = patience
        self.pretrain_free = pretrain_free
        self.pretrain_epochs = pretrain_epochs
        self.device = device
        self.progress = progress
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Features, and the recipe beside them."""
        return "joined"

    # ------------------------------------------------------------------- learn
    def fit(self, X: Any, y: ArrayLike, *, groups: ArrayLike | None = None) -> Self:
        """Learn from labelled architectures, and free statistics from those without a label, too.

        Args:
            X: n architectures: graphs or features, with recipes in a :class:`Joined`.
            y: (n,) or (n, T) labels in their natural unit, NaN where missing.
            groups: (n,) labels of what is validated together.

        Raises:
            InvalidLabelsError: infinite labels, fewer than two, or not one an architecture.
            InvalidSettingError: settings that make no sense.
            MissingExtraError: torch or Lightning Fabric is not installed.
            DeviceError: CUDA is asked for and absent.
        """
        self._check()
        data = encode(X, self.encoding)
        self._every = data.X if self.pretrain_free else None
        try:
            return super().fit(data, y, groups=groups)
        finally:
            del self._every

    def _check(self) -> None:
        _need_torch()
        loss_named(self.loss)
        torch_device(self.device)
        if min(self.members, self.batch, self.width) < 1 or not 0 <= self.validation < 1:
            raise InvalidSettingError(
                "members, batch and width are positive, validation is in [0, 1)"
            )

    def _fit(self, X: Joined, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        self.flat_ = y.ndim == 1
        target = y.reshape(len(y), -1)
        every, free = self._parted(X.X if self._every is None else self._every)
        self.scale_ = _scale(every)
        self.recipe_scale_ = _scale(X.columns)
        shape = (
            self.members,
            every.shape[1],
            2 * X.columns.shape[1],
            self.width,
            target.shape[1],
            free.shape[1],
        )
        model = self._ensemble(shape)
        if self.pretrain_free:
            self._pretrain(model, every, free, shape[2])
        rows, held = self._split(len(y) if groups is None else groups)
        inputs, extra = self._inputs(X)
        table = self._table(inputs, extra, target, (rows, held), self.loss)
        self._train(model, table, self.epochs, "labels")
        self.weights_ = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
        self._calibrate(inputs, extra, target, held)

    def _pretrain(
        self, model: Ensemble, every: NDArray[np.float32], free: NDArray[np.float32], extra: int
    ) -> None:
        inputs = _standard(every, self.scale_)
        table = self._table(
            inputs,
            np.zeros((len(inputs), extra), np.float32),
            _standard(free, _scale(free)),
            (np.arange(len(inputs)), np.arange(0)),
            "",
        )
        self._train(model, table, self.pretrain_epochs, "free statistics")

    def _parted(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the encoder sees, and the free statistics it learns; none by default."""
        if not self.pretrain_free:
            return x, np.zeros((len(x), 0), np.float32)
        free, rest = free_statistics(x)
        return rest, free

    def _inputs(self, X: Joined) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Standardised features, and recipes with flags of what is unknown of them."""
        known = np.isfinite(X.columns)
        recipe = np.where(known, _standard(X.columns, self.recipe_scale_), 0.0)
        extra = np.hstack([recipe, ~known]).astype(np.float32)
        return _standard(self._parted(X.X)[0], self.scale_), extra

    def _split(self, groups: int | NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to learn from, and whole groups held out."""
        group = np.arange(groups) if isinstance(groups, int) else groups
        names, rows = np.unique(group), np.arange(len(group))
        out = round(self.validation * len(names))
        chosen = np.random.default_rng(self.seed).permutation(names)[:out]
        held = np.isin(group, chosen)
        return (rows[~held], rows[held]) if held.sum() >= _ENOUGH else (rows, rows[:0])

    def _ensemble(self, shape: tuple[int, ...]) -> Ensemble:
        from archcast.predictors._mlp_net import Ensemble

        return Ensemble(shape, self.dropout, self.seed)

    def _table(
        self,
        inputs: NDArray[np.float32],
        extra: NDArray[np.float32],
        target: NDArray[np.floating],
        rows: tuple[NDArray[np.int64], NDArray[np.int64]],
        loss: str,
    ) -> Table:
        import torch

        from archcast.predictors._mlp_net import Table

        x, beside, labels = (
            torch.from_numpy(np.asarray(a, np.float32)) for a in (inputs, extra, target)
        )
        batch = self.batch if loss else max(self.batch, _FREE_BATCH)
        return Table(x, beside, labels, *rows, loss, batch)

    def _train(self, model: Ensemble, table: Table, epochs: int, title: str) -> None:
        from archcast.predictors.graphs._training import Training, train

        how = Training(
            epochs=epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip=float(np.sqrt(self.members)),
            patience=self.patience,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            title=f"{self.kind}, {title}",
        )
        train(model, table, how)

    def _calibrate(
        self,
        inputs: NDArray[np.float32],
        extra: NDArray[np.float32],
        target: FloatArray,
        held: NDArray[np.int64],
    ) -> None:
        """Bring ranks onto the scale of the labels, and widen the noise by what is held out."""
        from archcast.predictors.graphs._regression import line

        score, noise = self._scores(inputs, extra)
        judged = held if len(held) >= _ENOUGH else np.arange(len(target))
        self.lines_ = np.stack([line(s[judged], target[judged], self.loss) for s in score])
        self.widen_ = np.ones(target.shape[1])
        mean, std = self._forecast(score, noise)
        error = ((target - mean) / std)[held]
        enough = np.isfinite(error).sum(0) >= _ENOUGH
        self.widen_[enough] = np.sqrt(np.nanmean(error[:, enough] ** 2, 0))

    # ---------------------------------------------------------------- forecast
    def _predict(self, X: Joined) -> tuple[FloatArray, FloatArray]:
        parts = [
            self._forecast(*self._scores(*self._inputs(X[start : start + _AT_ONCE])))
            for start in range(0, len(X), _AT_ONCE)
        ]
        mean, std = (np.concatenate(part) for part in zip(*parts, strict=True))
        return (mean[:, 0], std[:, 0]) if self.flat_ else (mean, std)

    def _scores(
        self, inputs: NDArray[np.float32], extra: NDArray[np.float32]
    ) -> tuple[FloatArray, FloatArray]:
        """Scores and log variances of each member, both (M, n, T), as the torch module has them."""
        w = self.weights_
        z = inputs[None]
        for name in ("first", "second"):
            z = _silu(z @ w[name] + w[f"{name}_bias"])
        beside = np.broadcast_to(extra, (len(z), *extra.shape))
        z = _silu(np.concatenate([z, beside], 2) @ w["third"] + w["third_bias"])
        mean, noise = np.split((z @ w["out"] + w["out_bias"]).astype(np.float64), 2, axis=2)
        return mean, np.clip(noise, -8, 4)

    def _forecast(self, score: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the ensemble's mixture, each (n, T)."""
        means = score * self.lines_[:, :1] + self.lines_[:, 1:]
        variance = np.exp(noise).mean(0) + means.var(0)
        return means.mean(0), np.sqrt(variance) * self.widen_

    # ------------------------------------------------------------------- files
    def _state(self) -> State:
        arrays: dict[str, NDArray[Any]] = {f"net.{k}": v for k, v in self.weights_.items()}
        arrays |= {"lines": self.lines_, "widen": self.widen_}
        arrays |= {"scale": self.scale_, "recipe_scale": self.recipe_scale_}
        return State(arrays, {"flat": self.flat_})

    def _restore(self, state: State) -> None:
        arrays = state.arrays
        self.weights_ = {k[4:]: v for k, v in arrays.items() if k.startswith("net.")}
        self.lines_, self.widen_ = arrays["lines"], arrays["widen"]
        self.scale_, self.recipe_scale_ = arrays["scale"], arrays["recipe_scale"]
        self.flat_ = state.facts["flat"]


def _need_torch() -> None:
    try:
        import lightning_fabric  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"training perceptrons needs {error.name}: pip install 'archcast[graphs]'"
        ) from error


def _scale(x: NDArray[np.floating]) -> FloatArray:
    """(2, F) mean and standard deviation of what is known; 1 where a column never varies."""
    known = np.isfinite(x)
    count = np.maximum(known.sum(0), 1)
    centre = np.where(known, x, 0.0).sum(0, dtype=np.float64) / count
    spread = np.sqrt(np.where(known, (x - centre) ** 2, 0.0).sum(0) / count)
    return np.stack([centre, np.where(spread < 1e-5 * (1 + np.abs(centre)), 1.0, spread)])


def _standard(x: NDArray[np.floating], scale: FloatArray) -> NDArray[np.float32]:
    return np.clip((x - scale[0]) / scale[1], -_REACH, _REACH).astype(np.float32)


def _silu(z: NDArray[Any]) -> NDArray[Any]:
    return z / (1 + np.exp(-np.clip(z, -60, 60)))
