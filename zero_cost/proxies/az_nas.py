"""AZ-NAS: features that fill their space, ever more so, through which gradients pass unchanged.

Blocks end at nodes that every path from input to output passes, with weights between one and the
next. (The publication takes the cells or residual blocks of a search space; what a graph does not
say is which chains of layers are one cell.)

Reference:
    Lee & Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Lab, Observer
from archcast.zero_cost._program import Program
from archcast.zero_cost._seeded import seeded
from archcast.zero_cost.proxies._spectra import eigenvalues, gram

#: Blocks that a score takes -> why a network of fewer has none.
_LACKS: Final = {
    1: "no block with weights before the classifier",
    2: "a single block with weights before the classifier, or none: it takes two",
}


def blocks(program: Program) -> list[int]:
    """Nodes where blocks end, in order, the last at the features that the head reads."""
    ends, found, weights = set(program.bottlenecks), [], False
    for i, step in enumerate(program.instructions[: program.features + 1]):
        weights = weights or step.weight is not None
        if i in ends and weights:
            found.append(i)
            weights = False
    return found


class Expressivity(Observer):
    """Σ over blocks of the entropy of the normalised eigenvalues of the channels' covariance.

    Covariances are over samples and positions: 0 for one direction, log C for none preferred.
    """

    #: Blocks that a score needs.
    least = 1

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs)
        self._ends = [blocks(program) for program in programs]
        self._entropies: list[dict[int, float]] = [{} for _ in programs]

    def see(self, step: Step) -> None:
        """Note the entropies of what ends a block."""
        ended = [
            (k, a, node)
            for k, owners in enumerate(step.owners)
            for a, node in owners
            if node in self._ends[a]
        ]
        if not ended:
            return
        copies = sorted({k for k, _, _ in ended})
        values = dict(zip(copies, entropy(step.values[copies]).tolist(), strict=True))
        for k, a, node in ended:
            self._entropies[a][node] = values[k]

    def scores(self) -> Tensor:
        """(G,) scores; NaN for networks of fewer blocks than it takes."""
        found = []
        for a, ends in enumerate(self._ends):
            if len(ends) < self.least:
                self.reasons[a] = _LACKS[self.least]
                found.append(float("nan"))
            else:
                found.append(self.joined([self._entropies[a][node] for node in ends]))
        return torch.tensor(found, dtype=torch.float64)

    def joined(self, entropies: list[float]) -> float:
        """The blocks' entropies, in order, to a score."""
        return sum(entropies)


class Progressivity(Expressivity):
    """The least gain of entropy from one block to the next."""

    least = 2

    def joined(self, entropies: list[float]) -> float:
        """The blocks' entropies, in order, to a score."""
        return float(torch.tensor(entropies, dtype=torch.float64).diff().min())


def entropy(values: Tensor) -> Tensor:
    """(K, B, C, *positions) features to (K,) entropies of their covariances' eigenvalues."""
    x = values.movedim(2, -1).flatten(1, -2)
    x = (x - x.mean(1, keepdim=True)).transpose(1, 2)
    # Products in the precision of the features: eigenvalues that this blurs hold no share.
    products = x @ x.transpose(1, 2) if x.shape[1] <= x.shape[2] else gram(x)
    parts = eigenvalues(products.to(torch.float64)).clamp(min=0)
    shares = parts / parts.sum(1, keepdim=True).clamp(min=1e-300)
    return torch.special.entr(shares).sum(1)


def trainability(lab: Lab) -> Tensor:
    """(G,) means over blocks of 2 − σ − 1/(σ + 10⁻⁶), at most 0 (for σ = 1).

    σ is the largest singular value of g_inᵀ g_out / (B·positions), g_out random signs at a block's
    end and g_in what they become at its beginning, one backward pass in all. A beginning of larger
    extent is folded into channels. NaN for networks of fewer than two blocks.
    """
    totals: list[list[float]] = [[] for _ in lab.programs]
    for members, begins, out in _jumps(lab):
        signs = torch.stack([_signs(lab, out, order) for _, _, _, order in members])
        whole = torch.zeros_like(out.values)
        whole[[k for _, k, _, _ in members]] = signs
        grads = torch.autograd.grad(
            out.value,
            [step.value for step in begins],
            whole.flatten(0, 1),
            retain_graph=True,
            materialize_grads=True,
        )
        found = {id(step): step.split(grad) for step, grad in zip(begins, grads, strict=True)}
        for (a, _, (step, k), _), sign in zip(members, signs, strict=True):
            sigma = _gain(found[id(step)][k], sign)
            if sigma is not None:
                totals[a].append(2 - sigma - 1 / (sigma + 1e-6))
    for a, parts in enumerate(totals):
        if not parts:
            lab.refuse(a, _LACKS[2])
    means = [sum(parts) / len(parts) if parts else float("nan") for parts in totals]
    return torch.tensor(means, dtype=torch.float64)


#: Architecture, its copy at the block's end, call and copy at its beginning, place of the block.
_Member = tuple[int, int, tuple[Step, int], int]


def _jumps(lab: Lab) -> Iterator[tuple[list[_Member], list[Step], Step]]:
    """Blocks whose ends were computed in one call: members, calls of their beginnings, the call."""
    place = {
        owner: (step, k)
        for step in lab.steps
        for k, owners in enumerate(step.owners)
        for owner in owners
    }
    grouped: dict[int, list[_Member]] = defaultdict(list)
    calls: dict[int, Step] = {}
    for a, program in enumerate(lab.programs):
        for order, (begin, end) in enumerate(pairwise(blocks(program))):
            out, k = place[a, end]
            calls[id(out)] = out
            grouped[id(out)].append((a, k, place[a, begin], order))
    for key, members in grouped.items():
        begins = {id(step): step for _, _, (step, _), _ in members}
        yield members, list(begins.values()), calls[key]


def _signs(lab: Lab, out: Step, order: int) -> Tensor:
    """(B, channels, *positions) random signs, the same for every architecture."""
    shape = tuple(out.values.shape[1:])
    generator = seeded(f"{lab.data.seed}/signs/{order}/{shape}")
    signs = torch.randint(2, shape, generator=generator) * 2 - 1
    return signs.to(out.value.device, out.value.dtype)


def _gain(begin: Tensor, end: Tensor) -> float | None:
    """σ of gradients (B, C, *positions) at both ends; None if positions do not fold."""
    begin, end = _folded(begin, end), _folded(end, begin)
    if begin.shape[2:] != end.shape[2:]:
        return None
    x, y = (g.flatten(2).transpose(0, 1).flatten(1).double() for g in (begin, end))
    matrix = (x @ y.T / x.shape[1])[None]
    return float(eigenvalues(gram(matrix))[0, -1].clamp(min=0).sqrt())


def _folded(x: Tensor, like: Tensor) -> Tensor:
    """Positions beyond another value's folded into channels (what pixel unshuffling does)."""
    ratios = [have // want for have, want in zip(x.shape[2:], like.shape[2:], strict=False)]
    if x.dim() != like.dim() or prod(ratios) <= 1:
        return x
    for axis, (ratio, want) in enumerate(zip(ratios, like.shape[2:], strict=True), 2):
        if x.shape[axis] != ratio * want:
            return x
        x = x.unflatten(axis, (want, ratio)).movedim(axis + 1, 2).flatten(1, 2)
    return x
