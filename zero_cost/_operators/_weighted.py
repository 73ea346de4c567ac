"""Matrices: linear layers, embeddings, recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._operators._fit import entering


def linear(call: Call, values: Sequence[Tensor]) -> Tensor:
    weight = call.weight
    assert weight is not None
    x = entering(call, values[0]).movedim(1, -1)
    if not call.separate:
        return F.linear(x, weight).movedim(-1, 1)
    parts = x.unflatten(0, (call.copies, -1))
    flat = parts.reshape(call.copies, -1, x.shape[-1])
    result = torch.bmm(flat, weight.transpose(1, 2))
    return result.reshape(*parts.shape[:-1], -1).flatten(0, 1).movedim(-1, 1)


def embedded(call: Call, values: Sequence[Tensor]) -> Tensor:
    weight = call.weight
    assert weight is not None
    ids = values[0].flatten(1).long()
    if not call.separate:
        return F.embedding(ids % weight.shape[0], weight).transpose(1, 2).unsqueeze(3)
    parts = ids.unflatten(0, (call.copies, -1)) % weight.shape[1]
    rows = torch.arange(call.copies, device=ids.device).reshape(-1, 1, 1)
    return weight[rows, parts].flatten(0, 1).transpose(1, 2).unsqueeze(3)


def recurrent(call: Call, values: Sequence[Tensor]) -> Tensor:
    """One layer, forward in time, over the positions: RNN, GRU or LSTM."""
    step, weight = call.step, call.weight
    assert weight is not None
    x = entering(call, values[0]).flatten(2)
    table = (weight if call.separate else weight.unsqueeze(0)).flatten(1, 2)
    hidden = step.channels
    state = x.new_zeros(x.shape[0], hidden)
    memory = state
    states = []
    for t in range(x.shape[2]):
        state, memory = _CELLS[step.op](table, x[:, :, t], state, memory)
        states.append(state)
    return torch.stack(states, 2).unsqueeze(3)


def product(table: Tensor, x: Tensor) -> Tensor:
    """(K or 1, out, in) weights on (K·B, in) vectors."""
    if table.shape[0] == 1:
        return F.linear(x, table[0])
    return torch.einsum("kbi,koi->kbo", x.unflatten(0, (table.shape[0], -1)), table).flatten(0, 1)


def rnn_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(product(w, torch.cat([x, h], 1))), c


def gru_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    size = h.shape[1]
    reset, update = product(w[:, : 2 * size], torch.cat([x, h], 1)).sigmoid().chunk(2, 1)
    new = torch.tanh(product(w[:, 2 * size :], torch.cat([x, reset * h], 1)))
    return update * h + (1 - update) * new, c


def lstm_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, new, leave = product(w, torch.cat([x, h], 1)).chunk(4, 1)
    c = forget.sigmoid() * c + enter.sigmoid() * torch.tanh(new)
    return leave.sigmoid() * torch.tanh(c), c


_CELLS: Final = {"rnn": rnn_cell, "gru": gru_cell, "lstm": lstm_cell}
