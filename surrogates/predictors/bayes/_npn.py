"""The nets of BOSHNAS: Gaussian natural-parameter net, dropout net, and how they are trained."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from tqdm.auto import tqdm

_BATCH = 64
#: Fewer rows than this are all learned from, for all epochs: none can be spared to stop early.
_FEWEST = 32


class GaussianLinear(nn.Module):
    """``o_m = a_m W_m + b_m``, ``o_v = a_v W_v + a_v W_m² + a_m² W_v + b_v``: Gaussian weights.

    Args:
        enter: inputs.
        leave: outputs.
        generator: of the first weights.
    """

    def __init__(self, enter: int, leave: int, generator: torch.Generator) -> None:
        super().__init__()
        scale = math.sqrt(2 / enter)
        self.mean = nn.Parameter(scale * torch.randn(enter, leave, generator=generator))
        self.bias = nn.Parameter(torch.zeros(leave))
        # Weights begin nearly certain, the noise of the outputs at about a twentieth.
        self.raw = nn.Parameter(torch.full((enter, leave), math.log(0.01 / enter)))
        self.raw_bias = nn.Parameter(torch.full((leave,), -3.0))

    def forward(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Moments (B, enter) to moments (B, leave)."""
        spread = softplus(self.raw)
        out = variance @ (spread + self.mean**2) + mean**2 @ spread + softplus(self.raw_bias)
        return mean @ self.mean + self.bias, out


def relu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of ``max(x, 0)``, x normal: exact, elementwise."""
    std = torch.sqrt(variance + 1e-8)
    z = mean / std
    below = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    first = mean * below + std * density
    second = (mean**2 + std**2) * below + mean * std * density
    return first, torch.clamp(second - first**2, min=1e-8)


class NaturalParameterNet(nn.Module):
    """A net whose states are normal distributions; its output is one.

    Reference:
        Wang et al., "Natural-Parameter Networks: A Class of Probabilistic Neural Networks",
        NeurIPS 2016.
    """

    def __init__(self, columns: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [columns, width, width, 1]
        self.layers = nn.ModuleList(
            GaussianLinear(a, b, generator) for a, b in itertools.pairwise(widths)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F) inputs to (B,) means and (B,) variances."""
        mean, variance = x, torch.zeros_like(x)
        for at, layer in enumerate(self.layers):
            if at:
                mean, variance = relu_moments(mean, variance)
            mean, variance = layer(mean, variance)
        return mean[:, 0], variance[:, 0] + 1e-6


class DropoutNet(nn.Module):
    """A dense net whose hidden states can be dropped in forecasts, too."""

    def __init__(
        self, columns: int, width: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.dropout, self.generator = dropout, generator
        widths = [columns, width, width, 1]
        weights = [
            math.sqrt(2 / a) * torch.randn(a, b, generator=generator)
            for a, b in itertools.pairwise(widths)
        ]
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList([torch.zeros(b) for b in widths[1:]])

    def forward(self, x: Tensor, drop: bool = True) -> Tensor:
        """(B, F) inputs to (B,) outputs; with ``drop`` another one each time."""
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if at:
                x = torch.relu(x)
                if drop and self.dropout:
                    chance = torch.rand(x.shape, generator=self.generator).to(x.device)
                    x = x * (chance >= self.dropout) / (1 - self.dropout)
            x = x @ weight + bias
        return x[:, 0]


@dataclass(frozen=True, slots=True)
class Training:
    """How a net is trained.

    Attributes:
        epochs: most passes over the rows.
        rate: Adam's step size.
        decay: weight decay.
        patience: epochs without a better validation loss after which training ends.
        seed: of the order of rows, and of those that validate.
        progress: whether a progress bar is shown.
    """

    epochs: int
    rate: float
    decay: float
    patience: int
    seed: int
    progress: bool


def train(net: nn.Module, rows: int, loss: Callable[[Tensor], Tensor], how: Training) -> None:
    """Minimise a loss by Adam; of enough rows, an eighth says when to stop and which epoch stays.

    Args:
        net: the net, changed in place.
        rows: number of rows.
        loss: row numbers to their mean loss.
        how: the schedule.
    """
    generator = torch.Generator().manual_seed(how.seed)
    order = torch.randperm(rows, generator=generator)
    held, rest = (order[: rows // 8], order[rows // 8 :]) if rows >= _FEWEST else ((), order)
    # Decay pulls weights to zero; pulling the logarithm of a variance there would raise it. Those
    # have orders of magnitude to go, where weights have a few tenths.
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in net.named_parameters():
        groups["raw" in name].append(parameter)
    plain = {"params": groups[False], "weight_decay": how.decay}
    optimiser = torch.optim.AdamW(
        [plain, {"params": groups[True], "weight_decay": 0.0, "lr": 10 * how.rate}], lr=how.rate
    )
    best, state, since = math.inf, None, 0
    for _ in tqdm(range(how.epochs), disable=not how.progress, leave=False):
        shuffled = rest[torch.randperm(len(rest), generator=generator)]
        for batch in shuffled.split(_BATCH):
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()
        if len(held):
            with torch.no_grad():
                now = float(loss(torch.as_tensor(held)))
            since += 1
            if now < best:
                best, state, since = now, copy.deepcopy(net.state_dict()), 0
            if since >= how.patience:
                break
    if state is not None:
        net.load_state_dict(state)
