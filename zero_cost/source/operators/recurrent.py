"""Recurrent layers: the standard's RNN, GRU and LSTM, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import Call, operator, unsupported

_Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
_ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "Relu": torch.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Softsign": F.softsign,
    "Softplus": F.softplus, "HardSigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "Elu": F.elu, "LeakyRelu": lambda x: F.leaky_relu(x, 0.01), "Affine": lambda x: x,
}  # fmt: skip
_DEFAULT: Final = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}
_GATES: Final = {"RNN": 1, "GRU": 3, "LSTM": 4}


@operator("RNN", "GRU", "LSTM")
def recurrent(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None,
    lengths: Tensor | None = None, start: Tensor | None = None, cell: Tensor | None = None,
    peepholes: Tensor | None = None,
) -> Any:  # fmt: skip
    """A recurrent layer in one or both directions.

    Args:
        call: the operator; ``layout`` 1 puts the batch first.
        x: (time, batch, features).
        w: (directions, gates * hidden, features).
        r: (directions, gates * hidden, hidden).
        b: (directions, 2 * gates * hidden): the input's biases, then the state's.
        lengths: (batch,) steps of each sample.
        start: (directions, batch, hidden) first state.
        cell: likewise, the LSTM's.
        peepholes: (directions, 3 * hidden).

    Returns:
        States of all steps (time, directions, batch, hidden), the last, the LSTM's last cell.
    """
    batch_first = bool(call.get("layout", 0))
    if batch_first:
        x = x.transpose(0, 1)
        start = None if start is None else start.transpose(0, 1)
        cell = None if cell is None else cell.transpose(0, 1)
    directions, hidden, batch = w.shape[0], r.shape[-1], x.shape[1]
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    runs = []
    for d, back in enumerate(backwards[call.get("direction", "forward")]):
        states = [x.new_zeros(batch, hidden) if s is None else s[d].expand(batch, -1)
                  for s in ([start, cell] if call.op == "LSTM" else [start])]  # fmt: skip
        bias = x.new_zeros(2 * _GATES[call.op] * hidden) if b is None else b[d]
        peep = None if peepholes is None else peepholes[d]
        functions = _functions(call, d, directions)
        step = _step(call, (r[d], bias, peep), functions)
        fed = F.linear(x, w[d], bias[: w.shape[1]])
        runs.append(_run(step, fed, tuple(states), lengths, back))
    every = torch.stack([run[0] for run in runs], 1)
    last = [torch.stack(parts) for parts in zip(*(run[1] for run in runs), strict=True)]
    if batch_first:
        return every.permute(2, 0, 1, 3), *(s.transpose(0, 1) for s in last)
    return every, *last


def _functions(call: Call, direction: int, directions: int) -> list[Callable[[Tensor], Tensor]]:
    default = _DEFAULT[call.op]
    names = call.get("activations", default * directions)
    if call.get("activation_alpha") or call.get("activation_beta"):
        raise unsupported(call, "activations with parameters of their own")
    mine = names[direction * len(default) : (direction + 1) * len(default)]
    unknown = [name for name in mine if name not in _ACTIVATIONS]
    if unknown:
        raise unsupported(call, f"activation {unknown[0]}")
    return [_ACTIVATIONS[name] for name in mine]


def _run(
    step: _Step, fed: Tensor, states: tuple[Tensor, ...], lengths: Tensor | None, back: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All steps of one direction; a sample that has ended keeps its state and gives zeros."""
    found: list[Tensor] = []
    order = range(fed.shape[0] - 1, -1, -1) if back else range(fed.shape[0])
    for t in order:
        new = step(fed[t], states)
        shown = new[0]
        if lengths is not None:
            alive = (t < lengths.to(fed.device))[:, None]
            new = tuple(torch.where(alive, n, s) for n, s in zip(new, states, strict=True))
            shown = torch.where(alive, shown, torch.zeros_like(shown))
        states = new
        found.append(shown)
    return torch.stack(found[::-1] if back else found), states


def _step(
    call: Call,
    weights: tuple[Tensor, Tensor, Tensor | None],
    functions: Sequence[Callable[[Tensor], Tensor]],
) -> _Step:
    r, bias, peep = weights
    hidden = r.shape[-1]
    state_bias = bias[_GATES[call.op] * hidden :]
    bound = call.get("clip")

    def clipped(x: Tensor) -> Tensor:
        return x if bound is None else x.clamp(-bound, bound)

    if call.op == "RNN":
        (f,) = functions
        return lambda fed, s: (f(clipped(fed + F.linear(s[0], r, state_bias))),)
    if call.op == "GRU":
        return _gru(r, state_bias, functions, clipped, bool(call.get("linear_before_reset", 0)))
    return _lstm(r, state_bias, peep, functions, clipped, bool(call.get("input_forget", 0)))


def _gru(
    r: Tensor, bias: Tensor, functions: Sequence[Callable[[Tensor], Tensor]],
    clipped: Callable[[Tensor], Tensor], linear_first: bool,
) -> _Step:  # fmt: skip
    f, g = functions
    hidden = r.shape[-1]

    def step(fed: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = states
        # Gates in the standard's order: update, reset, candidate.
        gates = f(clipped(fed[:, : 2 * hidden] + F.linear(h, r[: 2 * hidden], bias[: 2 * hidden])))
        update, reset = gates.chunk(2, 1)
        if linear_first:
            state = reset * F.linear(h, r[2 * hidden :], bias[2 * hidden :])
        else:
            state = F.linear(reset * h, r[2 * hidden :], bias[2 * hidden :])
        candidate = g(clipped(fed[:, 2 * hidden :] + state))
        return ((1 - update) * candidate + update * h,)

    return step


def _lstm(
    r: Tensor, bias: Tensor, peep: Tensor | None, functions: Sequence[Callable[[Tensor], Tensor]],
    clipped: Callable[[Tensor], Tensor], coupled: bool,
) -> _Step:  # fmt: skip
    f, g, h_function = functions

    def step(fed: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = states
        # Gates in the standard's order: input, output, forget, candidate.
        i, o, keep, new = (fed + F.linear(h, r, bias)).chunk(4, 1)
        p_in, p_out, p_forget = (0, 0, 0) if peep is None else peep.chunk(3)
        i, keep = i + p_in * c, keep + p_forget * c
        i = f(clipped(i))
        keep = 1 - i if coupled else f(clipped(keep))
        c = keep * c + i * g(clipped(new))
        return f(clipped(o + p_out * c)) * h_function(c), c

    return step
