"""Graph networks as predictors: one estimator, five backbones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.predictors._encoding import Encoding, encode
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.graphs._data import GraphData, pack
from archcast.predictors.graphs._device import need_torch, torch_device
from archcast.predictors.losses import loss_named

if TYPE_CHECKING:
    from archcast.predictors.graphs._network import Network
    from archcast.predictors.graphs._training import Training

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class GraphNetwork(Predictor):
    """``head(readout(backbone(embedding(graph))))``, an ensemble of such networks.

    Each member has heads for the mean and the variance. The forecast is the mean of the members'
    means; its variance is the mean of their variances plus the variance of their means.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        loss: ``mse``, ``huber``, ``hinge``, ``weighted``, ``listmle`` or ``mse+hinge``. What only
            ranks is brought onto the labels' scale by a line, which keeps the ranks.
        width: of a node's vector; a multiple of ``heads``.
        depth: layers of the backbone.
        heads: of its attentions.
        dropout: share of each layer's output that is dropped in training.
        members: networks in the ensemble; they differ in seed and in the part held out.
        epochs: passes over the labels, at most.
        batch: architectures in an optimisation step.
        learning_rate: of AdamW at its peak.
        weight_decay: of AdamW.
        validation: share of the groups that is held out for early stopping and for the variance;
            0 trains all epochs on everything.
        patience: epochs without a better validation before training stops.
        adapt_epochs: epochs of fine-tuning in :meth:`adapt`.
        adapt_rate: learning rate of it.
        frozen: whether :meth:`adapt` leaves embedding and backbone as they are.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: Fabric's name; ``auto`` is bfloat16 mixed precision on CUDA.
        processes: processes that share every step.
        nodes: machines; see :class:`archcast.predictors.graphs._training.Training`.
        strategy: Fabric's name, or ``auto``.
        folder: where checkpoints and logs go; a fit that was killed goes on from there.
        logs: ``csv``, ``tensorboard`` or both with a comma, written into the folder; empty: none.
        progress: whether a bar is shown.
        seed: of everything random.

    Reference:
        Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty
        estimation using deep ensembles", NeurIPS 2017.
    """

    backbone: ClassVar[str]
    several = True

    def __init__(
        self,
        transform: Transform = "identity",
        loss: str = "mse+hinge",
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
        members: int = 1,
        epochs: int = 100,
        batch: int = 32,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        validation: float = 0.1,
        patience: int = 40,
        adapt_epochs: int = 60,
        adapt_rate: float = 5e-4,
        frozen: bool = False,
        device: str = "auto",
        precision: str = "auto",
        processes: int = 1,
        nodes: int = 1,
        strategy: str = "auto",
        folder: str | None = None,
        logs: str = "",
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.transform: Transform = transform
        self.loss = loss
        self.width = width
        self.depth = depth
        self.heads = heads
        self.dropout = dropout
        self.members = members
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation = validation
        self.patience = patience
        self.adapt_epochs = adapt_epochs
        self.adapt_rate = adapt_rate
        self.frozen = frozen
        self.device = device
        self.precision = precision
        self.processes = processes
        self.nodes = nodes
        self.strategy = strategy
        self.folder = folder
        self.logs = logs
        self.progress = progress
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Graphs."""
        return "graph"

    # ------------------------------------------------------------------- fit
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        self._check()
        data = self._pack(X)
        target = y.reshape(len(y), -1)
        made = [self._member(i, data, target, groups) for i in range(self.members)]
        self.flat_ = y.ndim == 1
        self.networks_ = [network for network, _, _ in made]
        self.lines_ = np.stack([scale for _, scale, _ in made])
        self.widen_ = np.stack([factor for _, _, factor in made])

    def _check(self) -> None:
        need_torch()
        loss_named(self.loss)
        torch_device(self.device)
        if self.members < 1 or self.batch < 1 or not 0 <= self.validation < 1:
            raise InvalidSettingError("members and batch are positive, validation is in [0, 1)")

    def _pack(self, X: Any) -> GraphData:
        from archcast.predictors.graphs._backbones import BACKBONES

        return pack(X, BACKBONES[self.backbone].relations, fused=True)

    def _new(self, tasks: int, seed: int) -> Network:
        """A network with fresh weights; torch's own generator is left alone."""
        import torch

        from archcast.predictors.graphs._backbones import backbone
        from archcast.predictors.graphs._network import Network

        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            body = backbone(self.backbone, self.width, self.depth, self.heads, self.dropout)
            return Network(body, self.width, tasks, self.dropout)

    def _member(
        self, number: int, data: GraphData, target: FloatArray, groups: NDArray[np.intp] | None
    ) -> tuple[Network, FloatArray, FloatArray]:
        """One trained network, its scores' line, and what its noise is multiplied by."""
        from archcast.predictors.graphs._network import evaluate
        from archcast.predictors.graphs._regression import ENOUGH, Regression, line, widening
        from archcast.predictors.graphs._training import train

        seed = self.seed + 1000 * number
        rows, held = self._split(data.of if groups is None else groups, seed)
        network = self._new(target.shape[1], seed)
        network.scale_to(data)
        objective = Regression(data, target, rows, held, self.loss, self.batch)
        train(network, objective, self._training(f"member{number}", seed))
        score, noise = (part[data.of].astype(np.float64) for part in evaluate(network, data))
        judged = held if len(held) >= ENOUGH else np.arange(len(target))
        scale = line(score[judged], target[judged], self.loss)
        error = (target - score * scale[0] - scale[1])[held] / np.exp(noise[held] / 2)
        return network, scale, widening(error)

    def _split(self, groups: NDArray[Any], seed: int) -> tuple[IntArray, IntArray]:
        """Rows to learn from, and whole groups held out."""
        rows = np.arange(len(groups))
        names = np.unique(groups)
        out = round(self.validation * len(names))
        if out < 1 or len(names) - out < 2:
            return rows, rows[:0]
        chosen = np.isin(groups, np.random.default_rng(seed).permutation(names)[:out])
        return rows[~chosen], rows[chosen]

    def _training(self, name: str, seed: int) -> Training:
        from archcast.predictors.graphs._training import Training

        return Training(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            seed=seed,
            device=self.device,
            precision=self.precision,
            processes=self.processes,
            nodes=self.nodes,
            strategy=self.strategy,
            folder=None if self.folder is None else str(Path(self.folder) / name),
            logs=tuple(name for name in self.logs.split(",") if name),
            progress=self.progress,
            title=f"{self.kind}, {name}",
        )

    # --------------------------------------------------------------- predict
    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        from archcast.predictors.graphs._network import evaluate

        data = self._pack(X)
        means, variances = [], []
        for network, scale, widen in zip(self._placed(), self.lines_, self.widen_, strict=True):
            score, noise = (part.astype(np.float64) for part in evaluate(network, data))
            means.append(score * scale[0] + scale[1])
            variances.append(np.exp(noise) * widen**2)
        mean = np.mean(means, 0)[data.of]
        std = np.sqrt(np.mean(variances, 0) + np.var(means, 0))[data.of]
        return (mean[:, 0], std[:, 0]) if self.flat_ else (mean, std)

    def embed(self, X: Any) -> NDArray[np.float32]:
        """(n, d) vectors that the members' heads see, one member after another.

        Args:
            X: n graphs.

        Raises:
            NotFittedError: :meth:`fit` was not called.
        """
        from archcast.predictors.graphs._network import evaluate

        self._check_fitted()
        data = self._pack(encode(X, self.encoding))
        parts = [evaluate(network, data, "embed")[0] for network in self._placed()]
        return np.concatenate(parts, 1)[data.of]

    def _placed(self) -> list[Network]:
        """The members, on the device that is asked for."""
        device = torch_device(self.device)
        return [network.to(device).eval() for network in self.networks_]

    # ----------------------------------------------------------------- adapt
    def _adapt(self, X: Any, y: FloatArray) -> None:
        """Shift by the shrunken mean residual, then fine-tune at a low learning rate."""
        from archcast.predictors.graphs._regression import Regression
        from archcast.predictors.graphs._training import train

        self._check()
        data, target = self._pack(X), y.reshape(len(y), -1)
        if target.shape[1] != self.lines_.shape[2]:
            raise InvalidLabelsError(f"fitted to {self.lines_.shape[2]} tasks, not to these")
        mean = self._predict(X)[0].reshape(target.shape)
        known = np.isfinite(target).sum(0)
        shift = np.nansum(target - mean, 0) / (known + 0.5)
        self.lines_ = self.lines_ + np.stack([np.zeros_like(shift), shift])
        if len(target) < 2:
            return
        for number, network in enumerate(self.networks_):
            network.cpu()
            if self.frozen:
                network.embedding.requires_grad_(False)
                network.backbone.requires_grad_(False)
            scale = self.lines_[number]
            goal = (target - scale[1]) / scale[0]
            objective = Regression(
                data, goal, np.arange(len(goal)), np.arange(0), self.loss, self.batch
            )
            how = self._training(f"adapt{number}", self.seed + 1000 * number)
            how = replace(
                how, epochs=self.adapt_epochs, learning_rate=self.adapt_rate, patience=None
            )
            train(network, objective, how)
            network.requires_grad_(True)

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        arrays: dict[str, NDArray[Any]] = {"lines": self.lines_, "widen": self.widen_}
        for number, network in enumerate(self.networks_):
            for key, value in network.state_dict().items():
                arrays[f"member{number}/{key}"] = value.detach().cpu().numpy()
        return State(arrays, {"flat": self.flat_})

    def _restore(self, state: State) -> None:
        import torch

        need_torch()
        self.flat_ = state.facts["flat"]
        self.lines_, self.widen_ = state.arrays["lines"], state.arrays["widen"]
        self.networks_ = []
        for number in range(len(self.lines_)):
            network = self._new(self.lines_.shape[2], 0)
            prefix = f"member{number}/"
            found = {
                k.removeprefix(prefix): torch.from_numpy(np.array(v))
                for k, v in state.arrays.items()
                if k.startswith(prefix)
            }
            network.load_state_dict(found)
            self.networks_.append(network.eval())


class GIN(GraphNetwork):
    """``h_v' = h_v + Σ_d MLP_d((1 + ε_d) h_v + Σ_{u in N_d(v)} h_u)`` over both directions d.

    Parameters are those of :class:`GraphNetwork`.

    Reference:
        Xu et al., "How powerful are graph neural networks?", ICLR 2019.
    """

    kind = "gin"
    backbone = "gin"


class GATv2(GraphNetwork):
    """``h_v' = h_v + Σ_d Σ_u softmax_u(aᵀ LeakyReLU(W [h_v, h_u])) W h_u``, both directions d.

    Parameters are those of :class:`GraphNetwork`.

    Reference:
        Brody, Alon and Yahav, "How attentive are graph attention networks?", ICLR 2022.
    """

    kind = "gatv2"
    backbone = "gatv2"


class GPS(GraphNetwork):
    """``h' = FFN(GIN(h) + attention(h))``: local messages beside attention over the whole graph.

    Parameters are those of :class:`GraphNetwork`.

    Reference:
        Rampášek et al., "Recipe for a general, powerful, scalable graph transformer", NeurIPS 2022.
    """

    kind = "gps"
    backbone = "gps"


class NNFormer(GraphNetwork):
    """``h' = FFN(h + attention(h))``, heads masked by I+A, I+Aᵀ, I+AAᵀ, I+AᵀA.

    Parameters are those of :class:`GraphNetwork`.

    Reference:
        Xu et al., "NN-Former: rethinking graph structure in neural architecture representation",
        CVPR 2025.
    """

    kind = "nnformer"
    backbone = "nnformer"


class FLAN(GraphNetwork):
    """Gated flow ``s(W o) ⊙ (A X W) + X W + b`` beside graph attention, forth and back.

    Parameters are those of :class:`GraphNetwork`.

    Reference:
        Akhauri and Abdelfattah, "Encodings for prediction-based neural architecture search",
        ICML 2024.
    """

    kind = "flan"
    backbone = "flan"
