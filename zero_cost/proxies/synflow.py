"""SynFlow: how much of a signal of ones all weights together carry, in log space."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import ones
from archcast.zero_cost._execute import Mode, Step
from archcast.zero_cost._lab import Lab, gradients_of
from archcast.zero_cost._operators import Call, fit
from archcast.zero_cost._operators._attention import attention
from archcast.zero_cost._program import NORMS, Program
from archcast.zero_cost.proxies.gradients import summed

#: Values above the first are scaled down to the second, where all paths meet. Still so large that
#: activations which saturate or bend at zero do the same with both.
_TOO_LARGE: Final = 1e60
_LARGE: Final = 1e20


@dataclass
class _Scaling:
    """Keeps values in the range of numbers, and remembers by what they were divided.

    Attributes:
        programs: the architectures.
        done: architecture, logarithm of the divisor, the values after it, which copy of them.
    """

    programs: list[Program]
    done: list[tuple[int, float, Tensor, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._meeting = [frozenset(program.bottlenecks) for program in self.programs]

    def __call__(self, step: Step) -> Tensor:
        """A call's result, divided for those copies that are too large."""
        op, wanted = step.instruction.op, (step.instruction.channels, step.instruction.extent)
        if op in NORMS:
            # What a norm gives has both signs and a flow of zero: the sum of all would be rounding.
            step.value = fit(step.inputs[0], *wanted)
        elif op == "attention":
            # Shares add up to one, so theirs is a flow of zero, too, made of large differences.
            call = Call(step.instruction, step.copies, separate=True)
            step.value = fit(attention(call, step.inputs, constant=True), *wanted)
        elif op == "softmax":
            step.value = step.value.detach()
        places = [owners[0] for owners in step.owners]
        if step.instruction.op == "input" or not any(i in self._meeting[a] for a, i in places):
            return step.value
        most = step.values.detach().abs().flatten(1).amax(1).tolist()
        divisors = [
            size / _LARGE if size > _TOO_LARGE and i in self._meeting[a] else 1.0
            for size, (a, i) in zip(most, places, strict=True)
        ]
        if max(divisors) == 1.0:
            return step.value
        shape = (step.copies, *[1] * (step.values.dim() - 1))
        scaled = (step.values / step.values.new_tensor(divisors).reshape(shape)).flatten(0, 1)
        for k, divisor in enumerate(divisors):
            if divisor != 1.0:
                self.done.append((places[k][0], log(divisor), scaled, k))
        return scaled


def synflow(lab: Lab) -> Tensor:
    """(G,) log Σ |W| ⊙ ∂R/∂|W|, R the sum of outputs for one input of ones, without norms.

    Norms of any kind (batch, layer, root mean square, group, L2, local response) hand on what they
    get, and a softmax is a constant: both have a flow of zero, whose parts of both signs leave
    rounding. There is no score where the whole flow is not positive, which differences and
    functions with slopes of both signs may bring about.

    In float64. Where values of a deep network would leave its range they are divided by c at a
    place that all paths pass; R is then smaller by c to the power of R's degree in these values,
    which Euler's theorem gives: Σ v ⊙ ∂R/∂v / R. It is 1 behind which all is linear or ReLU.

    Reference:
        Tanaka et al., "Pruning Neural Networks Without Any Data by Iteratively Conserving
        Synaptic Flow", NeurIPS 2020.
    """
    scaling = _Scaling(list(lab.programs))
    steps: list[Step] = []
    with torch.enable_grad():
        outputs = lab.run(
            source=ones(lab.data),
            mode=Mode(
                norm=False,
                separate=True,
                width=min(len(lab), lab.width * lab.data.samples),  # one sample: more fit
                change=lambda weight: weight.double().abs(),
                replace=scaling,
            ),
            observe=steps.append,
        )
        results = torch.stack([found[0].sum() for found in outputs])
    weighted = [step for step in steps if step.weight is not None]
    if not weighted:
        return summed(lab, ())
    leaves = [step.weight for step in weighted if step.weight is not None]
    grads = gradients_of(results.sum(), leaves + [scaled for _, _, scaled, _ in scaling.done])
    flows = (
        (step, (step.weight.detach() * grad).flatten(1).sum(1))
        for step, grad in zip(weighted, grads, strict=False)
        if step.weight is not None
    )
    found = summed(lab, flows)
    for a in (found <= 0).nonzero().flatten().tolist():
        lab.refuse(a, "no positive flow: operators without weights end it or turn its sign")
    found = found.log()
    for (a, divisor, scaled, k), grad in zip(scaling.done, grads[len(weighted) :], strict=True):
        flow = (scaled[k].detach() * grad[k]).sum() / results[a].detach()
        found[a] += divisor * flow.cpu()
    return found
