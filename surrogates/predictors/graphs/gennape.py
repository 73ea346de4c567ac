"""GENNAPE: an ensemble of heads over clusters of contrastively embedded networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors._adapted import AdaptedPredictor
from archcast.predictors._encoding import Encoding, encode
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.graphs._data import GraphData, pack
from archcast.predictors.graphs._device import need_torch, torch_device
from archcast.predictors.graphs.gennape_clusters import FuzzyCMeans
from archcast.predictors.graphs.gennape_join import Join
from archcast.predictors.graphs.gennape_topology import spectra
from archcast.predictors.trees._groups import hold_out

if TYPE_CHECKING:
    from archcast.predictors.graphs.gennape_encoder import Encoder

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Architectures learned from that a new one is compared with by the pairwise classifiers.
_ANCHORS = 64
_HELD_OUT = 0.15


class GennapePredictor(Predictor):
    """``w_0 Σ_c u_c(x) MLP_c(z(x)) + Σ_k w_k mean_a logit P_k(x above a)``, ``z`` a k-GNN.

    In four steps: the k-GNN is trained without labels, by contrast, so that networks of alike
    wiring embed alike; fuzzy C-means over those embeddings gives the memberships ``u``; one MLP a
    cluster and two pairwise classifiers are trained on the labels, with the encoder; the weights
    ``w`` are those that forecast architectures held out best.

    As published are: the contrast with the Laplacian's spectrum, fuzzy clusters with a head each,
    pairwise classifiers for accuracy and for FLOPs. Ours are: classifiers that are antisymmetric
    and trained with the heads on one encoder, a forecast from pairs by comparison with
    64 architectures learned from, the ridge weights, and every uncertainty. Memberships come from
    the contrastive encoder as it was before the labels.

    Args:
        width: length of the embedding and of nodes' states.
        layers: of the k-GNN.
        clusters: of fuzzy C-means; 1 is a single head.
        fuzziness: its ``m``.
        contrast_epochs: passes of contrastive training; 0 leaves it out.
        temperature: of the contrast's cosines.
        softness: of the target distribution, in median distances of a batch.
        pairwise: whether the pairwise classifiers join.
        epochs: passes over the labels, at most.
        batch: graphs in a step.
        learning_rate: of AdamW, at its peak.
        patience: epochs without a better validation before training stops.
        adaptation: what a few labels of a new space do: ``correction`` is the library's
            :class:`~archcast.predictors.AdaptedPredictor`, ``fine-tuning`` the published way. The
            former forecast better wherever both were measured.
        adapt_epochs: passes over those labels in fine-tuning.
        adapt_rate: its learning rate.
        transform: scale of the targets.
        seed: of everything random.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: whether bars are shown.

    Reference:
        Mills et al., "GENNAPE: Towards Generalized Neural Architecture Performance Estimators",
        AAAI 2023.
    """

    kind = "gennape"

    def __init__(
        self,
        *,
        width: int = 32,
        layers: int = 6,
        clusters: int = 4,
        fuzziness: float = 2.0,
        contrast_epochs: int = 10,
        temperature: float = 0.1,
        softness: float = 0.3,
        pairwise: bool = True,
        epochs: int = 30,
        batch: int = 32,
        learning_rate: float = 2e-3,
        patience: int = 8,
        adaptation: Literal["correction", "fine-tuning"] = "correction",
        adapt_epochs: int = 40,
        adapt_rate: float = 1e-3,
        transform: Transform = "identity",
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
    ) -> None:
        self.width = width
        self.layers = layers
        self.clusters = clusters
        self.fuzziness = fuzziness
        self.contrast_epochs = contrast_epochs
        self.temperature = temperature
        self.softness = softness
        self.pairwise = pairwise
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.patience = patience
        self.adaptation: Literal["correction", "fine-tuning"] = adaptation
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
    def pretrain(self, X: Any) -> Self:
        """Contrastive training on networks without labels; :meth:`fit` then starts from it.

        Embeddings learned on one space forecast another worse than no contrast at all: give
        networks of many. A clone has not seen them.

        Args:
            X: graphs.

        Raises:
            ShapeError: what is given are no graphs.
            MissingExtraError: torch or torch-geometric is not installed.
        """
        need_torch()
        torch_device(self.device)
        self._check()
        graphs = encode(X, "graph")
        self.pretrained_ = self._contrast(graphs, pack(graphs))
        return self

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        need_torch()
        torch_device(self.device)
        self._check()
        data = pack(X)
        target = _average(y, data)
        first = np.unique(data.of, return_index=True)[1]
        group = data.of[first] if groups is None else groups[first]
        learn, check = hold_out(
            np.unique(group, return_inverse=True)[1], _HELD_OUT, np.random.default_rng(self.seed)
        )
        self.contrastive_ = self._start(X, data)
        membership = self._cluster(data)
        self._supervise(data, target, membership, learn, check)
        self._choose_anchors(data, target, learn)
        members, spread = self._members(data)
        self.join_ = Join.of(members[learn])
        if len(check):
            join = self.join_.weighted(members[check], target[check])
            self.join_ = join.calibrated(members[check], spread[check], target[check])

    def _check(self) -> None:
        for name in ("width", "layers", "clusters", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise InvalidSettingError(f"{name} is 1 at least, not {getattr(self, name)}")
        for name in ("temperature", "softness", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InvalidSettingError(f"{name} is above 0, not {getattr(self, name)}")

    def _start(self, graphs: Sequence[ComputeGraph], data: GraphData) -> Encoder:
        """The encoder of :meth:`pretrain`, or one of these graphs alone."""
        if not hasattr(self, "pretrained_"):
            return self._contrast(graphs, data)
        found = self.pretrained_.operator.embedding_dim, len(self.pretrained_.layers)
        if found != (self.width, self.layers):
            raise InvalidSettingError(
                f"pretrain() was given width and layers {found}; call it again for those of now"
            )
        return self.pretrained_

    def _contrast(self, graphs: Sequence[ComputeGraph], data: GraphData) -> Encoder:
        """An encoder, trained without labels."""
        from archcast.predictors.graphs._training import train
        from archcast.predictors.graphs.gennape_contrast import Contrast
        from archcast.predictors.graphs.gennape_net import new_encoder

        encoder = new_encoder(self.width, self.layers, self.seed)
        encoder.standardise(data)
        if self.contrast_epochs:
            first = np.unique(data.of, return_index=True)[1]
            low_end = spectra([graphs[i] for i in first])
            objective = Contrast(data, low_end, self.batch, self.temperature, self.softness)
            train(encoder, objective, self._training(self.contrast_epochs, "contrast"))
        return encoder.eval().requires_grad_(False)

    def _cluster(self, data: GraphData) -> FloatArray:
        from archcast.predictors.graphs.gennape_encoder import embed

        z = embed(self.contrastive_, data)
        self.clusters_ = FuzzyCMeans.fit(z, self.clusters, self.fuzziness, seed=self.seed)
        return self.clusters_.membership(z)

    def _supervise(
        self,
        data: GraphData,
        target: FloatArray,
        membership: FloatArray,
        learn: IntArray,
        check: IntArray,
    ) -> None:
        from archcast.predictors.graphs._training import train
        from archcast.predictors.graphs.gennape_net import Supervised, new_net

        self.net_ = new_net(self.contrastive_, membership.shape[1], self.pairwise, self.seed)
        objective = Supervised(data, target, membership, learn, check, self.batch)
        train(self.net_, objective, self._training(self.epochs, "heads", self.patience))

    def _choose_anchors(self, data: GraphData, target: FloatArray, learn: IntArray) -> None:
        """Architectures evenly over the labels, the same for all comparisons."""
        from archcast.predictors.graphs.gennape_encoder import embed

        order = learn[np.argsort(target[learn], kind="stable")]
        places = np.linspace(0, len(order) - 1, min(_ANCHORS, len(order))).round().astype(int)
        self.anchors_ = embed(self.net_.encoder, data)[order[places]].astype(np.float32)

    def _training(self, epochs: int, title: str, patience: int | None = None) -> Any:
        from archcast.predictors.graphs._training import Training

        return Training(
            epochs=epochs,
            learning_rate=self.learning_rate,
            patience=patience,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            title=title,
        )

    # ---------------------------------------------------------------- adaptation
    def adapt(self, X: Any, y: ArrayLike) -> Predictor:
        """A copy that has learned from a few labels of a new space; see ``adaptation``.

        Args:
            X: graphs.
            y: their labels, in the natural unit; one is enough.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            InvalidLabelsError: no labels, or infinite ones.
            InvalidSettingError: no such way to adapt.
        """
        if self.adaptation not in ("correction", "fine-tuning"):
            raise InvalidSettingError(
                f"unknown adaptation {self.adaptation!r}; one of correction, fine-tuning"
            )
        if self.adaptation == "fine-tuning":
            return super().adapt(X, y)
        return AdaptedPredictor(self).fit(X, y)

    def _adapt(self, X: Any, y: FloatArray) -> None:
        """Offset and slope of the new space, then all weights on its labels.

        Embeddings move, so the networks of the new space become the anchors.
        """
        from archcast.predictors.graphs._training import train
        from archcast.predictors.graphs.gennape_encoder import embed
        from archcast.predictors.graphs.gennape_net import Supervised

        data = pack(X)
        target, rows = _average(y, data), np.arange(len(data))
        self.join_ = self.join_.moved(self._members(data)[0], target)
        objective = Supervised(
            data, self.join_.before(target), self._membership(data), rows, rows[:0], self.batch
        )
        how = replace(self._training(self.adapt_epochs, "adapting"), learning_rate=self.adapt_rate)
        train(self.net_, objective, how)
        self.anchors_ = embed(self.net_.encoder, data)[:_ANCHORS].astype(np.float32)
        self.join_ = self.join_.rescaled(self._members(data)[0])

    # --------------------------------------------------------------- forecasting
    def _membership(self, data: GraphData) -> FloatArray:
        from archcast.predictors.graphs.gennape_encoder import embed

        return self.clusters_.membership(embed(self.contrastive_, data))

    def _members(self, data: GraphData) -> tuple[FloatArray, FloatArray]:
        """(G, M) forecasts of heads and classifiers, (G,) spread of the heads."""
        from archcast.predictors.graphs.gennape_net import opinions

        heads, scores = opinions(self.net_, data, self.anchors_)
        share = self._membership(data)
        mean = (share * heads).sum(1)
        spread = np.sqrt((share * (heads - mean[:, None]) ** 2).sum(1))
        return np.concatenate([mean[:, None], scores], 1), spread

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        data = pack(X)
        members, spread = self._members(data)
        return self.join_.value(members)[data.of], self.join_.std(spread)[data.of]

    def embed(self, X: Any) -> FloatArray:
        """(n, width) embeddings of n graphs by the trained encoder."""
        from archcast.predictors.graphs.gennape_encoder import embed

        self._check_fitted()
        data = pack(encode(X, "graph"))
        return embed(self.net_.encoder, data)[data.of] if len(data) else np.zeros((0, self.width))

    # ------------------------------------------------------------------- storage
    def _state(self) -> State:
        from archcast.predictors.graphs.gennape_net import weights

        arrays = {f"net.{k}": v for k, v in weights(self.net_).items()}
        arrays |= {f"contrastive.{k}": v for k, v in weights(self.contrastive_).items()}
        arrays |= {"centres": self.clusters_.centres, "anchors": self.anchors_}
        return State(arrays, {"join": self.join_.facts()})

    def _restore(self, state: State) -> None:
        need_torch()
        from archcast.predictors.graphs.gennape_net import load_weights, new_encoder, new_net

        self.clusters_ = FuzzyCMeans(state.arrays["centres"], self.fuzziness)
        self.anchors_ = state.arrays["anchors"]
        self.join_ = Join.restored(state.facts["join"])
        self.contrastive_ = new_encoder(self.width, self.layers, 0)
        load_weights(self.contrastive_, state.arrays, "contrastive.")
        self.net_ = new_net(self.contrastive_, len(self.clusters_.centres), self.pairwise, 0)
        load_weights(self.net_, state.arrays, "net.")


def _average(y: FloatArray, data: GraphData) -> FloatArray:
    """(n,) labels to (G,) means over equal graphs."""
    return np.bincount(data.of, y) / np.bincount(data.of)
