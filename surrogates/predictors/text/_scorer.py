"""A language model with one logit, and what it is fine-tuned for. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from archcast.predictors.losses import loss_named
from archcast.predictors.text._encoder import TextEncoder

FloatArray = NDArray[np.float64]
Ids = Sequence[Sequence[int]]

#: A language model's learning rate is too small for a head that starts at zero; this makes up.
_GAIN: Final = 10.0
_HEAD: Final = "head."


class Scorer(torch.nn.Module):
    """``score = 10 (w · pooled(text) + b)``, pooled before it is brought to length 1.

    Args:
        encoder: the language model; training changes its weights.
        frozen: layers, counted from below, that stay as they are, the embeddings with them.
    """

    def __init__(self, encoder: TextEncoder, frozen: int) -> None:
        super().__init__()
        self.text = encoder
        self.encoder = encoder.model
        self.head = torch.nn.Linear(encoder.pooled([[0, 1]]).shape[1], 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.head.to(next(self.encoder.parameters()).device)
        _freeze(self.encoder, frozen)

    def forward(self, ids: Ids) -> torch.Tensor:
        """(n,) scores of n texts' token numbers."""
        return _GAIN * self.head(self.text.pooled(ids).to(self.head.weight.dtype)).squeeze(1)

    def run(self, ids: Ids, batch_size: int, of: Callable[[Ids], torch.Tensor]) -> NDArray[Any]:
        """What ``of`` makes of each batch of texts, in their order; computed longest first."""
        self.eval()
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        parts = []
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                batch = [ids[i] for i in order[start : start + batch_size]]
                parts.append(of(batch).float().cpu().numpy())
        return np.concatenate(parts)[np.argsort(order)]

    def scores(self, ids: Ids, batch_size: int) -> FloatArray:
        """(n,) scores."""
        return self.run(ids, batch_size, self).astype(np.float64)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Name -> array of all that is not frozen; the language model's in half precision."""
        arrays = {k: v.detach().float().cpu().numpy() for k, v in self._learned().items()}
        return {k: v if k.startswith(_HEAD) else v.astype(np.float16) for k, v in arrays.items()}

    def load(self, weights: dict[str, NDArray[Any]]) -> None:
        """The inverse of :meth:`weights`.

        Raises:
            ValueError: weights of another model.
        """
        own = self._learned()
        if own.keys() != weights.keys():
            raise ValueError("the weights are of another text encoder")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(torch.from_numpy(np.asarray(weights[name], np.float32)))
        self.eval()

    def _learned(self) -> dict[str, torch.nn.Parameter]:
        return {k: v for k, v in self.named_parameters() if v.requires_grad}


@dataclass(frozen=True)
class Ranking:
    """What is learned: the order of the training rows, judged by that of rows held out.

    Attributes:
        ids: token numbers of n texts.
        target: (n,) standardised targets.
        learned: rows to learn from.
        held: rows to validate on; may be none.
        batch_size: rows of a step.
        loss_name: of a loss in :mod:`archcast.predictors.losses`.
        start: fingerprint of the weights that training starts from.
    """

    ids: Ids
    target: FloatArray
    learned: NDArray[np.int64]
    held: NDArray[np.int64]
    batch_size: int
    loss_name: str
    start: str

    def steps(self, rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """The training rows, shuffled, a batch a step."""
        order = rng.permutation(self.learned)
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def loss(self, model: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        """The loss of some rows."""
        score = model([self.ids[i] for i in rows]).float()
        target = torch.tensor(self.target[rows], dtype=torch.float32, device=score.device)
        return loss_named(self.loss_name)(score[:, None], target[:, None])

    def validate(self, model: Any) -> float | None:
        """Share of the held-out pairs in the wrong order."""
        if not len(self.held):
            return None
        score = [model([self.ids[i]]).item() for i in self.held]
        return discordance(self.target[self.held], np.array(score))

    def fingerprint(self) -> str:
        """Of the data."""
        digest = blake2b(digest_size=8)
        for numbers in self.ids:
            digest.update(np.asarray(numbers, np.int32).tobytes() + b"|")
        for array in (self.target, self.learned, self.held):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"{self.start} {digest.hexdigest()} {self.batch_size} {self.loss_name}"


def discordance(target: FloatArray, score: FloatArray) -> float:
    """Share of the pairs of different targets that the scores put in the wrong order, ties half."""
    better = target[:, None] > target[None]
    gap = (score[:, None] - score[None])[better]
    return float(((gap < 0).sum() + (gap == 0).sum() / 2) / max(len(gap), 1))


def _freeze(model: torch.nn.Module, layers: int) -> None:
    if not layers:
        return
    for name, tensor in model.named_parameters():
        # "0.auto_model.encoder.layer.3.…": the first number is the module's, the next the layer's.
        numbers = [int(part) for part in name.split(".")[1:] if part.isdigit()]
        if not numbers or numbers[0] < layers:
            tensor.requires_grad = False
