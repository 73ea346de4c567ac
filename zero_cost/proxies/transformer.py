"""Proxies of Transformers: what attention and feed-forward layers do before any training.

References:
    Serianni & Kalita, "Training-free Neural Architecture Search for RNNs and Transformers", ACL
    2023 (head confidence, and the synaptic scores for language models).
    Zhou et al., "Training-Free Transformer Architecture Search", CVPR 2022 (the synaptic scores).
    Wang, "W-PCA Based Gradient-Free Proxy for Efficient Search of Lightweight Language Models",
    ICLR 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import ones
from archcast.zero_cost._execute import Mode, Step
from archcast.zero_cost._lab import Lab, LayerSum, gradients_of
from archcast.zero_cost.proxies._spectra import gram
from archcast.zero_cost.proxies._transformer_parts import Parts, parts_of
from archcast.zero_cost.proxies.static import params

#: Share of the variance that W-PCA's principal components hold.
_VARIANCE: Final = 0.99
_NO_ATTENTION: Final = "no linear layer that attention reads, or anything that mixes positions"
_NO_FEED_FORWARD: Final = "no linear layer with an activation behind it"


# ------------------------------------------------------------- forward passes only
class _ChosenLayers(LayerSum):
    """A sum over some of an architecture's nodes, each as often as :meth:`often` says."""

    def often(self, architecture: int, node: int) -> int:
        """How often a node counts."""
        raise NotImplementedError

    def see(self, step: Step) -> None:
        """Leave out of a call what does not count for whom it stands."""
        if step.instruction.op != "linear":
            return
        owners = tuple(
            tuple(owner for owner in some for _ in range(self.often(*owner)))
            for some in step.owners
        )
        if any(owners):
            super().see(replace(step, owners=owners))


class HeadConfidence(_ChosenLayers):
    """Σ over queries, keys and values of the mean of their maxima over the positions.

    The mean is over samples and features. A matrix that makes queries, keys and values at once
    counts for three, so that the score does not depend on how they are stored.
    """

    lacks = _NO_ATTENTION

    def often(self, architecture: int, node: int) -> int:
        """How many operands of attention the node makes."""
        return parts_of(self.programs[architecture]).entering.get(node, 0)

    def layer(self, step: Step) -> Tensor:
        """(K,) mean maxima."""
        return step.values.flatten(3).amax(3).to(torch.float64).mean((1, 2))


class WPCA(_ChosenLayers):
    """Parameters times Σ over feed-forward layers of principal components for 99 % of variance.

    Components are those of the layer's result before its activation, tokens of all samples being
    observations. They are at most as many as tokens: give at least as many as features.
    """

    lacks = _NO_FEED_FORWARD

    def often(self, architecture: int, node: int) -> int:
        """Whether the node is a feed-forward layer's first matrix."""
        return int(node in parts_of(self.programs[architecture]).hidden)

    def layer(self, step: Step) -> Tensor:
        """(K,) numbers of components; zero for copies that nobody counts."""
        wanted = [k for k, owners in enumerate(step.owners) if owners]
        found = torch.zeros(step.copies, dtype=torch.float64, device=step.value.device)
        rows = step.values[wanted].flatten(3).transpose(2, 3).flatten(1, 2)
        found[wanted] = components(rows).to(torch.float64)
        return found

    def finish(self, total: Tensor) -> Tensor:
        """(G,) times the number of weights."""
        sizes = [params(program.graph) for program in self.programs]
        return total * torch.tensor(sizes, dtype=torch.float64, device=total.device)


def components(rows: Tensor, share: float = _VARIANCE) -> Tensor:
    """(K,) fewest principal components of (K, N, F) observations with more than the variance.

    Eigenvalues are of the smaller Gram matrix, in float64: off by about 1e-16 of the largest,
    which moves no cumulative share by more than N times that.
    """
    rows = rows.to(torch.float64)
    rows = rows - rows.mean(1, keepdim=True)
    values = torch.linalg.eigvalsh(gram(rows)).clamp_min(0.0).flip(1)
    held = values.cumsum(1)
    whole = held[:, -1:]
    return torch.where(whole[:, 0] > 0, (held <= share * whole).sum(1) + 1, 0)


def nuclear_norm(matrices: Tensor) -> Tensor:
    """(K,) sums of the singular values of (K, a, b) matrices.

    They are roots of the eigenvalues of the smaller Gram matrix, in float64. A singular value
    near zero is off by up to 1e-8 of the largest; the sum by up to 1e-8 of it for each of them.
    """
    return torch.linalg.eigvalsh(gram(matrices)).clamp_min(0.0).sqrt().sum(1)


# -------------------------------------------------------------------- gradients
def synaptic_diversity(lab: Lab) -> Tensor:
    """(G,) Σ over attention's matrices of ‖W‖_* · ‖∂L/∂W‖_*, nuclear norms.

    The loss is the cross-entropy with labels. For language models the published code takes the
    sum of the last layer norm's results instead, which does not depend on the weights.
    """
    found = _diversities(lab, _taken(lab))
    return _scores(lab, found, lambda parts: parts.attention, _NO_ATTENTION)


def synaptic_saliency(lab: Lab) -> Tensor:
    """(G,) Σ over feed-forward matrices of |W ⊙ ∂L/∂W|; the loss is the cross-entropy."""
    found = _saliencies(lab, _taken(lab), lambda parts: parts.feed_forward)
    return _scores(lab, found, lambda parts: parts.feed_forward, _NO_FEED_FORWARD)


def dss(lab: Lab) -> Tensor:
    """(G,) synaptic diversity of attention + synaptic saliency of all other weights.

    As the released code does it: weights are replaced by their absolute values, there is one
    sample, of ones (token ids are as drawn), and in place of the loss stands the sum of outputs.
    In float64. Tokens are then equal but for what paddings make different, so that queries and
    keys have next to no gradient.
    """
    steps: list[Step] = []
    mode = Mode(separate=True, width=lab.width, change=lambda weight: weight.double().abs())
    with torch.enable_grad():
        outputs = lab.run(source=ones(lab.data), mode=mode, observe=steps.append)
        total = torch.stack([found[0].sum() for found in outputs]).sum()
    weighted = [step for step in steps if step.weight is not None]
    grads = gradients_of(total, [step.weight for step in weighted if step.weight is not None])
    taken = [
        (step, step.weight.detach(), grad)
        for step, grad in zip(weighted, grads, strict=True)
        if step.weight is not None
    ]
    diverse = _diversities(lab, taken)
    salient = _saliencies(lab, taken, None)
    return _scores(lab, (*diverse, *salient), lambda parts: parts.attention, _NO_ATTENTION)


#: A call, its weights, and a gradient by them.
_Taken = tuple[Step, Tensor, Tensor]


def _taken(lab: Lab) -> list[_Taken]:
    return [(s, s.weight.detach(), g.detach()) for s, g, _ in lab.gradients if s.weight is not None]


def _diversities(lab: Lab, taken: Iterable[_Taken]) -> list[tuple[Step, Tensor]]:
    """For each call with matrices of attention, their diversities."""
    found = []
    for step, weight, grad in taken:
        kept = _kept(lab, step, lambda parts, node: node in parts.attention)
        if kept:
            values = grad.new_zeros(step.copies, dtype=torch.float64)
            values[kept] = nuclear_norm(grad[kept])
            # Copies begin with the same numbers.
            found.append((step, values * nuclear_norm(weight[:1])))
    return found


def _saliencies(
    lab: Lab, taken: Iterable[_Taken], which: Callable[[Parts], frozenset[int]] | None
) -> list[tuple[Step, Tensor]]:
    """For each call the saliencies of those nodes; of all that are not attention's if None."""
    found = []
    for step, weight, grad in taken:
        kept = _kept(
            lab,
            step,
            lambda parts, node: node in which(parts) if which else node not in parts.attention,
        )
        if kept:
            values = grad.new_zeros(step.copies, dtype=torch.float64)
            values[kept] = (weight[kept] * grad[kept]).abs().flatten(1).double().sum(1)
            found.append((step, values))
    return found


def _kept(lab: Lab, step: Step, chosen: Callable[[Parts, int], bool]) -> list[int]:
    """Copies whose node is chosen."""
    places = [owners[0] for owners in step.owners]
    return [k for k, (a, i) in enumerate(places) if chosen(parts_of(lab.programs[a]), i)]


def _scores(
    lab: Lab,
    found: Iterable[tuple[Step, Tensor]],
    which: Callable[[Parts], frozenset[int]],
    reason: str,
) -> Tensor:
    """(G,) sums; a reason for architectures that have nothing of the kind."""
    total = lab.total(found)
    for a, program in enumerate(lab.programs):
        if not which(parts_of(program)):
            lab.refuse(a, reason)
            total[a] = float("nan")
    return total
