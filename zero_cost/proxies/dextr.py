"""Dextr: how independent a network's channels are, and how its outputs bend, from one sample.

Score: ab / (a + b), a = log(1 + Σ σ_min / σ_max) of the features' (C, positions) matrices, b =
log(1 + κ), κ the extrinsic curvature of the outputs where a circle through input space begins; a
alone where there is no curvature (outputs that stand still, token ids).

The published code hooks every module, containers included, so that a layer in a ``Sequential``
counts twice. Here the nodes of the graph count that have weights, before and after their batch norm
(chosen on TransNAS-Bench-101 and NAS-Bench-101, not on NAS-Bench-201);
:func:`~archcast.zero_cost.proxies.dextr_published.dextr_published` is the published way.

Reference:
    Asthana et al., "Dextr: Zero-Shot Neural Architecture Search with Singular Value Decomposition
    and Extrinsic Curvature", TMLR 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Mode, Step, execute
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._program import Program
from archcast.zero_cost._seeded import seeded
from archcast.zero_cost.proxies._jets import ORDERS, advanced
from archcast.zero_cost.proxies._spectra import FeatureSum, gram, inverse_condition

#: Output coordinates that the curvature is taken over, at most.
COORDINATES: Final = 10
#: Outputs this much slower than the features they are made of stand still: the mean over positions
#: of what a norm has centred there is 0, and what float32 leaves of it has no direction.
STILL: Final = 1e-5


def dextr(lab: Lab) -> Tensor:
    """(G,) scores; one forward pass of one sample, and one of a curve."""
    conditions = Conditions(lab.programs)
    with torch.inference_mode():
        lab.run(source=lab.data.resized(1), observe=conditions.see)
    a = conditions.scores()
    lab.reasons.update(conditions.reasons)
    return joined(torch.log1p(a), torch.log1p(curvature(lab)))


def joined(a: Tensor, b: Tensor) -> Tensor:
    """What two parts make: ab / (a + b), 0 for 0 and 0; a where there is no b."""
    both = torch.where(a + b == 0, 0, a * b / (a + b))
    return torch.where(b.isfinite(), both, a)


class Conditions(FeatureSum):
    """Σ over weighted nodes of σ_min / σ_max of the first sample's features."""

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs, inverse_condition)

    def see(self, step: Step) -> None:
        """Take note of the features of a weighted node, before and after its norm."""
        for value in [step.raw, step.value] if step.instruction.norm else [step.value]:
            features = self.features(step, value)
            if features is not None:
                self.count(step, gram(features))


def curvature(lab: Lab) -> Tensor:
    """(G,) extrinsic curvatures κ of the outputs at the beginning of a circle.

    The circle is U₁ cos θ + U₂ sin θ, U a random orthonormal frame of input space, θ = 0. With the
    first and second derivatives v and b of at most ten output coordinates by θ, κ = |v|⁻³
    √(|v|²|b|² − (v·b)²). NaN where v = 0, and for networks that take token ids.
    """
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    curves = [a for a, p in enumerate(lab.programs) if not p.token_inputs]
    if not curves:
        return found
    mode = Mode(width=lab.width, replace=advanced)
    programs = [lab.programs[a] for a in curves]
    speeds = [0.0] * len(programs)

    def observe(step: Step) -> None:
        for value, owners in zip(step.values, step.owners, strict=True):
            for a, node in owners:
                if node == programs[a].features:
                    speeds[a] = float(value[1].double().square().mean().sqrt())

    with torch.no_grad():
        outputs = execute(programs, _Circle(lab.data), lab.weights, mode, observe)
    for a, result, speed in zip(curves, outputs, speeds, strict=True):
        _, v, b = result[0].flatten(1)[:, :COORDINATES].double()
        if float(v.norm()) > STILL * speed:
            found[a] = bend(v, b).cpu()
    return found


class _Circle:
    """Gives inputs as jets: (3, C, *positions), of a circle for the first input of a network."""

    def __init__(self, data: Data) -> None:
        self._point = data.resized(1)
        self._kept: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, program: Program, node: int) -> Tensor:
        like = self._point(program, node)
        if node != program.inputs[0]:
            return torch.cat([like, torch.zeros_like(like), torch.zeros_like(like)])
        shape = tuple(like.shape[1:])
        if shape not in self._kept:
            first, second = frame(like[0].numel(), self._point.seed).to(like.device, like.dtype).T
            jet = torch.stack([first, second, -first]).reshape(ORDERS, *shape)
            self._kept[shape] = jet
        return self._kept[shape]


def frame(size: int, seed: int) -> Tensor:
    """(size, 2) random orthonormal vectors, float64, every frame equally likely.

    In one dimension there is no circle: the second vector is 0.
    """
    if size == 1:
        return torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    generator = seeded(f"{seed}/circle/{size}")
    q, r = torch.linalg.qr(torch.randn(size, 2, generator=generator, dtype=torch.float64))
    return q * torch.sign(torch.diagonal(r))


def bend(v: Tensor, b: Tensor) -> Tensor:
    """Curvature of a curve with velocity v and acceleration b, (n,) each; NaN for v = 0."""
    return (v @ v) ** -1.5 * ((v @ v) * (b @ b) - (v @ b) ** 2).clamp(min=0).sqrt()
