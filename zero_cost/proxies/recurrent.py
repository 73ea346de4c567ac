"""Hidden states of recurrent networks: what they hold after many steps of random inputs.

Two kinds of network are recurrent: those with an operator that runs over positions (``lstm``,
``gru``, ``rnn``), and those that are one step of time, whose states are inputs and outputs. The
second kind is stepped here: each new state becomes the previous one of the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import sqrt
from typing import Final

import torch
from torch import Tensor

from archcast.encoders.ops import GROUPS
from archcast.zero_cost._data import Data
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._operators import Call, apply
from archcast.zero_cost._program import Instruction, Program
from archcast.zero_cost._seeded import seeded
from archcast.zero_cost._weights import Weights
from archcast.zero_cost.proxies._feedback import Loop, needed

#: Steps of time; the published scores have as many.
STEPS: Final = 70
_EPS: Final = 1e-5
#: Word vectors are uniform within this bound, as the published code draws them.
_WORDS: Final = 0.1
_RECURRENT: Final = frozenset(GROUPS["recurrent"])


def hidden_covariance(lab: Lab) -> Tensor:
    """(G,) scores of the first recurrent layer's hidden states over 70 steps of random inputs.

    −Σ [log(v + ε) + 1/(v + ε)] over the eigenvalues v of the correlation of the layer's hidden
    units, ε = 1e-5: high where units differ, low where some say what others say. A unit that
    never changes counts as an eigenvalue of zero. Observations are samples times steps (positions
    for operators that run over them); with fewer of them than units the score says little else.

    The paper describes rows as samples; its code, and its numbers (which reach down to 600, 600
    and 400 eigenvalues of zero in layers of 600, 600 and 400 units), have units. Weights are the
    publication's whatever ``init`` is: uniform within 1/√units, word vectors within 0.1.

    Reference:
        Serianni & Kalita, "Training-free Neural Architecture Search for RNNs and Transformers",
        ACL 2023.
    """
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    weights = SmallWeights(lab.weights)
    for a, program in enumerate(lab.programs):
        states = hidden_states(program, lab.data, weights)
        if states is None:
            lab.refuse(a, "no recurrent layer: no lstm, gru or rnn, and no states to feed back")
        else:
            found[a] = correlation_score(states)
    return found


def correlation_score(rows: Tensor) -> Tensor:
    """−Σ [log(v + ε) + 1/(v + ε)] of the eigenvalues v of the correlation of (N, M) rows."""
    rows = rows.to(torch.float64)
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    rows = torch.where(norms > 0, rows / norms.clamp_min(1e-300), 0.0)
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp_min(0.0) + _EPS
    return -(values.log() + 1 / values).sum().cpu()


def hidden_states(program: Program, data: Data, weights: SmallWeights) -> Tensor | None:
    """(units, samples · steps) states of the first recurrent layer; None if there is none."""
    with torch.inference_mode():
        for i, step in enumerate(program.instructions):
            if step.op in _RECURRENT:
                value = _value(program, data, weights, i)
                return value.flatten(2).transpose(0, 1).flatten(1)
        loop = Loop.of(program)
        return None if loop is None else _stepped(program, data, weights, loop)


# ----------------------------------------------------------------------- running
def _stepped(program: Program, data: Data, weights: SmallWeights, loop: Loop) -> Tensor:
    """(units, samples · steps) states from the first, which is zero, on."""
    steps, samples = program.instructions, data.samples
    nodes = needed(program, loop.hidden, loop.pairs)
    timed = set(loop.pairs)
    for i in nodes:
        timed |= {i} if any(j in timed for j in steps[i].inputs) else set()
    # What depends on no state is computed for all steps of time at once.
    still = {
        i: _drawn(program, data, i, STEPS * samples)
        for i in nodes
        if steps[i].op == "input" and i not in timed
    }
    _advance(program, [i for i in nodes if i not in timed], still, weights)
    device, dtype = data.device, data.dtype
    states = {
        i: torch.zeros((samples, *steps[i].shape), device=device, dtype=dtype)
        for i in nodes
        if i in loop.pairs
    }
    zero = torch.zeros((samples, *steps[loop.hidden].shape), device=device, dtype=dtype)
    seen = [zero]
    moving = [i for i in nodes if i in timed and i not in loop.pairs]
    read = {j for i in moving for j in steps[i].inputs} | {loop.hidden, *loop.pairs.values()}
    for t in range(STEPS - 1):
        values = {i: still[i].narrow(0, t * samples, samples) for i in read if i in still}
        values |= states
        _advance(program, moving, values, weights)
        states = {i: values[loop.pairs[i]] for i in states}
        seen.append(values[loop.hidden])
    return torch.stack([x.flatten(1) for x in seen], 2).transpose(0, 1).flatten(1)


def _value(program: Program, data: Data, weights: SmallWeights, end: int) -> Tensor:
    """What a node holds, with the weights that recurrent networks are given here."""
    nodes = needed(program, end, {})
    inputs = [i for i in nodes if program.instructions[i].op == "input"]
    values = {i: _drawn(program, data, i, data.samples) for i in inputs}
    _advance(program, nodes, values, weights)
    return values[end]


class SmallWeights:
    """Uniform weights within 1/√units, word vectors within 0.1."""

    def __init__(self, weights: Weights) -> None:
        self._normal = Weights(weights.seed, "normal", weights.device, weights.dtype)
        self._kept: dict[tuple[object, int], Tensor] = {}

    def __call__(self, step: Instruction) -> Tensor | None:
        """Weights of an instruction, the same for the same key; None if it has none."""
        if step.weight is None:
            return None
        key = (step.weight, step.channels)
        if key not in self._kept:
            bound = _WORDS if step.weight.kind == "embedding" else 1 / sqrt(step.channels)
            # The distribution function of normal numbers makes them uniform.
            drawn = self._normal.draw(step.weight)
            self._kept[key] = torch.erf(drawn / sqrt(2)) * bound
        return self._kept[key]


def _advance(
    program: Program, nodes: Iterable[int], values: dict[int, Tensor], weights: SmallWeights
) -> None:
    """Compute nodes in order, as they are without training: norms pass what they get."""
    blends = _blends(program)
    for i in nodes:
        if i not in values:
            step = program.instructions[i]
            inputs = [1 - values[j] if j == blends.get(i) else values[j] for j in step.inputs]
            values[i] = apply(Call(step, 1, weights(step)), inputs)


@lru_cache(maxsize=256)
def _blends(program: Program) -> Mapping[int, int]:
    """Products with one minus a gate -> the gate.

    A graph has no constants: g a + (1 - g) b comes as g a + g b, which nobody would write. Which
    of the two products has the gate itself is not known; the later one is taken to have the rest.
    """
    found: dict[int, int] = {}
    for step in program.instructions:
        if step.op != "add" or len(step.inputs) != 2:
            continue
        first, second = sorted(step.inputs)
        if all(program.instructions[i].op == "mul" for i in (first, second)):
            shared = set(program.instructions[first].inputs).intersection(
                program.instructions[second].inputs
            )
            if len(shared) == 1:
                found[second] = shared.pop()
    return found


def _drawn(program: Program, data: Data, node: int, count: int) -> Tensor:
    """Token ids or standard normal numbers for an input, (count, …)."""
    step = program.instructions[node]
    words = program.token_inputs.get(node, 0)
    shape = (count, *step.shape)
    text = f"{data.seed}/{program.inputs.index(node)}/{words}/{shape[1:]}/over time"
    if words:
        return torch.randint(words, shape, generator=seeded(text)).to(data.device)
    return torch.randn(shape, generator=seeded(text)).to(data.device, data.dtype)
