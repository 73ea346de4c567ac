"""An ensemble of multilayer perceptrons as one module, and what it learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archcast.predictors.graphs._regression import on_scale
from archcast.predictors.losses import loss_named, mse

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Ensemble(torch.nn.Module):
    """M perceptrons side by side: every matrix has the members as its first axis.

    ``e = silu(W₂ silu(W₁ x))``; free statistics are linear in ``e``; mean and log variance of the
    labels are linear in ``silu(W₃ [e, recipe])``.

    Args:
        shape: members, inputs, recipe numbers, width, labels, free statistics.
        dropout: share of each hidden layer that is dropped in training.
        seed: of the weights.
    """

    def __init__(self, shape: Sequence[int], dropout: float, seed: int) -> None:
        super().__init__()
        members, inputs, extra, width, labels, free = shape
        rng = np.random.default_rng(seed)
        sizes = {
            "first": (inputs, width),
            "second": (width, width),
            "third": (width + extra, width),
            "out": (width, 2 * labels),
            "free": (width, free),
        }
        for name, (enter, leave) in sizes.items():
            spread = np.sqrt((0.1 if name == "out" else 1.0) / max(enter, 1))
            weight = rng.normal(0, spread, (members, enter, leave))
            self.register_parameter(name, _parameter(weight))
            self.register_parameter(f"{name}_bias", _parameter(np.zeros((members, 1, leave))))
        self.dropout = torch.nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, extra: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, F) inputs and (B, E) recipes to scores, log variances and free statistics.

        Returns:
            (B, M·T), (B, M·T) and (B, M·S).
        """
        weight = self.get_parameter
        members = len(weight("first"))
        z = self._hidden("first", x.expand(members, -1, -1))
        z = self._hidden("second", z)
        joined = torch.cat([z, extra.expand(members, -1, -1)], 2)
        out = self._hidden("third", joined) @ weight("out") + weight("out_bias")
        mean, noise = out.chunk(2, 2)
        free = z @ weight("free") + weight("free_bias")
        return _flat(mean), _flat(noise.clamp(-8, 4)), _flat(free)

    def _hidden(self, name: str, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.get_parameter(name), self.get_parameter(f"{name}_bias")
        return self.dropout(torch.nn.functional.silu(x @ weight + bias))


@dataclass(frozen=True)
class Table:
    """What the ensemble learns; see :class:`archcast.predictors.graphs._training.Objective`.

    Attributes:
        x: (N, F) standardised inputs.
        extra: (N, E) standardised recipes.
        target: (N, T) labels, NaN where missing, or (N, S) free statistics.
        rows: those that are learned from.
        held: those that are validated on; may be empty.
        loss_name: one of :data:`archcast.predictors.losses.LOSSES`; empty for free statistics.
        batch: rows of a step, at most.
    """

    x: torch.Tensor
    extra: torch.Tensor
    target: torch.Tensor
    rows: IntArray
    held: IntArray
    loss_name: str
    batch: int

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """All rows in a new order, in batches of about one size."""
        count = max(round(len(self.rows) / self.batch), 1)
        return np.array_split(rng.permutation(self.rows), count)

    def loss(self, model: Any, rows: IntArray) -> torch.Tensor:
        """The named loss and the likelihood of the noise, or squared errors of free statistics."""
        score, noise, free, target = self._outputs(model, rows)
        if not self.loss_name:
            return mse(free, _repeated(target, free))
        target = _repeated(target, score)
        with torch.no_grad():
            error = (target - on_scale(score, target, self.loss_name)) ** 2
        known = ~error.isnan()
        each = (error.nan_to_num() * (-noise).exp() + noise) / 2
        likelihood = (each * known).sum() / known.sum().clamp(min=1)
        return loss_named(self.loss_name)(score, target) + likelihood

    def validate(self, model: Any) -> float | None:
        """The named loss of the part held out."""
        if not len(self.held):
            return None
        torch.manual_seed(0)  # pairs of a ranking loss are the same every time
        score, _, free, target = self._outputs(model, self.held)
        if not self.loss_name:
            return float(mse(free, _repeated(target, free)))
        return float(loss_named(self.loss_name)(score, _repeated(target, score)))

    def fingerprint(self) -> str:
        """Of inputs, labels and loss."""
        digest = blake2b(digest_size=16)
        for tensor in (self.x, self.extra, self.target):
            digest.update(tensor.numpy().tobytes())
        digest.update(self.rows.tobytes() + self.held.tobytes())
        return f"{digest.hexdigest()} {self.loss_name} {self.batch}"

    def _outputs(self, model: Any, rows: IntArray) -> tuple[torch.Tensor, ...]:
        device = next(model.parameters()).device
        index = torch.from_numpy(rows)
        score, noise, free = model(self.x[index].to(device), self.extra[index].to(device))
        return score.float(), noise.float(), free.float(), self.target[index].to(device)


def _parameter(values: FloatArray) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.from_numpy(values.astype(np.float32)))


def _flat(z: torch.Tensor) -> torch.Tensor:
    """(M, B, T) to (B, M·T), a member's columns side by side."""
    return z.transpose(0, 1).flatten(1)


def _repeated(target: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return target.repeat(1, like.shape[1] // target.shape[1])
