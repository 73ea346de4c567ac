"""Linear regions: into how many pieces ReLUs cut a small network's input space."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import gcd
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Mode, Step, execute
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._program import ACTIVATIONS, Instruction, Program, Triple, Weight
from archcast.zero_cost.proxies.activations import codes
from archcast.zero_cost.proxies.swap import different, mixed, words

#: Points of input space that are asked for their region.
POINTS: Final = 1000
#: Height and width of a small network's images.
SIDE: Final = 3
#: Small networks whose operators run in one call.
_WIDTH: Final = 64


def linear_regions(lab: Lab) -> Tensor:
    """(G,) number of different activation codes of 1000 points: 3x3 pictures drawn by seed.

    Of a network of usual size every point has a region of its own. So, as published, the network is
    shrunk first (:func:`shrunk`); its data are drawn, whatever the lab's. NaN without activations
    and for token ids.

    Reference:
        Chen et al., "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically
        Inspired Perspective", ICLR 2021.
    """
    fit = []
    for a, program in enumerate(lab.programs):
        if program.token_inputs:
            lab.refuse(a, "token ids are no space with regions")
        elif not any(step.op in ACTIVATIONS for step in program.instructions):
            lab.refuse(a, "no activation function")
        else:
            fit.append(a)
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    if fit:
        data = Data(POINTS, lab.data.seed, device=lab.data.device, dtype=lab.data.dtype)
        regions = _Regions(torch.zeros(len(fit), POINTS, dtype=torch.int64, device=data.device))
        programs = [shrunk(lab.programs[a]) for a in fit]
        with torch.inference_mode():
            execute(programs, data, lab.weights, Mode(width=_WIDTH), regions.see)
        for row, a in enumerate(fit):
            found[a] = different(regions.words[row]).numel()
    return found


@dataclass
class _Regions:
    """For each architecture and point, a 64-bit word that names its region."""

    words: Tensor

    def see(self, step: Step) -> None:
        found = codes(step)
        if found is None:
            return
        for row, owners in zip(words(found.transpose(1, 2)), step.owners, strict=True):
            for a, _ in owners:
                self.words[a] = mixed(self.words[a]) ^ row


def shrunk(program: Program) -> Program:
    """The same network with one channel at its narrowest, for 3 by 3 inputs of one channel."""
    steps = program.instructions
    spread = [steps[i] for i in program.weighted if steps[i].positions > 1]
    unit = min((step.channels for step in spread), default=1)
    side = max((max(steps[i].extent) for i in program.inputs), default=1)
    small = _Shrinking(unit, max(side / SIDE, 1))
    for step in steps:
        small.add(step, steps)
    return Program(program.graph, tuple(small.steps))


@dataclass
class _Shrinking:
    """Makes small instructions, one after the other."""

    unit: int
    ratio: float
    steps: list[Instruction] = field(default_factory=list)
    counts: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)

    def add(self, step: Instruction, steps: tuple[Instruction, ...]) -> None:
        channels = 1 if step.op == "input" else self._width(step.channels)
        entering = self._width(step.channels_in)
        if len(step.inputs) == 1:
            before, now = steps[step.inputs[0]], self.steps[step.inputs[0]]
            if step.channels_in == before.channels:
                entering = now.channels
            elif step.channels_in == before.size:
                entering = now.size
        if step.groups == step.channels_in > 1:
            groups = entering
            channels = -(-channels // groups) * groups
        else:
            groups = gcd(step.groups, entering, channels)
        made = step._replace(
            channels=channels,
            channels_in=entering,
            extent=self._extent(step.extent),
            groups=groups,
            heads=gcd(step.heads, channels),
            span=0,
        )
        if step.weight:
            shape = _shape(step.weight, made)
            key = (step.weight.kind, shape)
            made = made._replace(weight=Weight(*key, self.counts[key]))
            self.counts[key] += 1
        self.steps.append(made)

    def _width(self, channels: int) -> int:
        return max(round(channels / self.unit), 1)

    def _extent(self, extent: Triple) -> Triple:
        depth, height, width = (max(round(size / self.ratio), 1) for size in extent)
        return depth, height, width


def _shape(weight: Weight, small: Instruction) -> tuple[int, ...]:
    """Of the weights of a small instruction."""
    if weight.kind == "recurrent":
        return weight.shape[0], small.channels, small.channels_in + small.channels
    return small.channels, max(small.channels_in // small.groups, 1), *weight.shape[2:]
