"""VKDNW: how evenly a network's output tells about its weights, by their Fisher information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._operators import Call, apply
from archcast.zero_cost.proxies._samples import unlinked

#: Probabilities are mixed with this share of equal ones: without norms they are nearly 0 or 1.
_MIXED: Final = 0.05
#: With more classes, this many random mixtures of them stand for all.
_DRAWS: Final = 10
_DECILES: Final = tuple(k / 10 for k in range(1, 10))


def vkdnw(lab: Lab) -> Tensor:
    """(G,) number of trained layers + entropy of the deciles of the Fisher information's spectrum.

    F = E over samples of Jᵀ (diag p − p pᵀ) J, J the derivatives of a sample's logits by one
    weight (the first) of each layer, and by the scale and shift of the first channel of each batch
    norm and the first bias of each linear layer. Batch norms are as they are before any training
    when a network is evaluated: they pass what they get. Nine deciles of F's eigenvalues are
    divided by their sum; eigenvalues that are no more than rounding are 0. With more than 10
    classes, F is estimated by 10 random mixtures of them.

    Reference:
        Týbl & Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of
        Deep Network Weights", CVPR 2025.
    """
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    for a, rows in enumerate(_rows(lab)):
        layers = len(lab.programs[a].weighted)
        if not layers or not rows.numel():
            lab.refuse(a, "no weights to train")
            continue
        gram = rows.T @ rows if rows.shape[0] > rows.shape[1] else rows @ rows.T
        values = torch.linalg.eigvalsh(gram / lab.data.samples)
        noise = values[-1] * rows.shape[1] * torch.finfo(torch.float64).eps
        zeros = values.new_zeros(rows.shape[1] - len(values))
        score = entropy(torch.cat([zeros, values.where(values > noise, 0.0)]))
        if score.isnan():
            lab.refuse(a, "nearly all eigenvalues of the Fisher information are 0")
        found[a] = layers + score.cpu()
    return found


def entropy(values: Tensor) -> Tensor:
    """() entropy of the nine deciles of values (n,) after division by their sum; NaN for zeros."""
    deciles = torch.quantile(values, values.new_tensor(_DECILES))
    return torch.special.entr(deciles / deciles.sum()).sum()


def _rows(lab: Lab) -> list[Tensor]:
    """For each architecture (B · draws, parameters) square-root rows of B F, float64."""
    steps, outputs = unlinked(lab, "absent")
    steps = [
        step
        for step in steps
        if (step.weight is not None or step.instruction.norm) and step.raw.requires_grad
    ]
    logits = [result[0] for result in outputs]
    if not steps:
        return [torch.zeros(0) for _ in logits]
    effects = [_effects(step) for step in steps]
    draws: list[list[list[Tensor]]] = [[] for _ in logits]
    for seeds in _seeds(logits, lab.data.seed):
        grads = torch.autograd.grad(
            [x for x in logits if x.requires_grad],
            [step.raw for step in steps],
            [seed for seed, x in zip(seeds, logits, strict=True) if x.requires_grad],
            retain_graph=True,
            materialize_grads=True,
        )
        columns: list[list[Tensor]] = [[] for _ in logits]
        for step, effect, grad in zip(steps, effects, grads, strict=True):
            found = _columns(step, effect, grad)
            for k, ((a, _),) in enumerate(step.owners):
                columns[a].append(found[k])
        for draw, column in zip(draws, columns, strict=True):
            draw.append(column)
    return [
        torch.cat([torch.cat(columns, 1) for columns in draw])
        if draw and draw[0]
        else torch.zeros(0)
        for draw in draws
    ]


def _effects(step: Step) -> Tensor | None:
    """(K·B, channels or 1, positions) derivatives of ``raw`` by the layer's first weight.

    Of a weight that acts on the first channel only, that channel.
    """
    if step.weight is None:
        return None
    weight = step.weight.detach()
    first = weight.new_zeros(weight.shape)
    first.view(step.copies, -1)[:, 0] = 1

    def result(own: Tensor) -> Tensor:
        call = Call(step.instruction, step.copies, own, separate=True)
        return apply(call, [x.detach() for x in step.inputs])

    assert step.instruction.weight is not None
    with torch.no_grad():
        if step.instruction.weight.kind != "recurrent":  # linear in its weights
            return result(first).flatten(2)[:, :1]
        return torch.func.jvp(result, (weight,), (first,))[1].flatten(2)


def _columns(step: Step, effect: Tensor | None, grad: Tensor) -> Tensor:
    """(K, B, parameters) derivatives by a layer's parameters that count, float64."""
    grad = grad.flatten(2).double()
    found = []
    if effect is not None:
        found.append((grad[:, : effect.shape[1]] * effect).sum((1, 2)))
    if step.instruction.norm:
        found.append((grad[:, 0] * step.raw.detach().flatten(2)[:, 0]).sum(1))
    if step.instruction.norm or step.instruction.op == "linear":
        found.append(grad[:, 0].sum(1))
    return step.split(torch.stack(found, 1))


def _seeds(logits: list[Tensor], seed: int) -> Iterator[list[Tensor]]:
    """Gradients of logits whose outer products, summed over draws, are diag p − p pᵀ."""
    roots = [_root(x.detach()) for x in logits]
    classes = [root.shape[1] for root in roots]
    for draw in range(min(max(classes), _DRAWS)):
        yield [_drawn(x, root, draw, seed) for x, root in zip(logits, roots, strict=True)]


def _root(logits: Tensor) -> Tensor:
    """(B, C, *positions) mixed probabilities; of a single logit, its class and the other."""
    if logits.shape[1] == 1:
        logits = torch.cat([logits, torch.zeros_like(logits)], 1)
    p = torch.softmax(logits, 1)
    return p * (1 - _MIXED) + _MIXED / p.shape[1]


def _drawn(logits: Tensor, p: Tensor, draw: int, seed: int) -> Tensor:
    """One column of a square root of diag p − p pᵀ, or a random mixture of all of them.

    Column c is √p_c (e_c − p): the gradient of log p_c, times √p_c.
    """
    classes = p.shape[1]
    if classes <= _DRAWS:
        if draw >= classes:
            return torch.zeros_like(logits)
        mixture = torch.zeros_like(p)
        mixture[:, draw] = 1
    else:
        generator = torch.Generator().manual_seed(abs(seed) * _DRAWS + draw)  # whoever is there
        signs = torch.randint(2, p.shape, generator=generator) * 2 - 1
        mixture = signs.to(p) / _DRAWS**0.5
    part = p.sqrt() * mixture
    return (part - p * part.sum(1, keepdim=True))[:, : logits.shape[1]]
