"""The operators of a program in torch; several architectures in one call where they agree.

Values are (K·B, channels, height, width), with depth before height where there is any: K copies
(architectures, or weights) of a batch of B samples, one after the other. Tokens stand in height.
Weights are shared by all copies, or *separate*: (K, …), one for each, so that each copy has its
own gradient.

Every operator gives the shape its node has, whatever it was given: what a graph does not say
(views, parts, orders of operands) is filled in by :func:`fit`. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._operators._attention import attention, matmul
from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._operators._fit import fit
from archcast.zero_cost._operators._norms import (
    EPS,
    batch_norm,
    channel_deviation,
    group_norm,
    l2_norm,
    layer_norm,
    response_norm,
    rms_norm,
)
from archcast.zero_cost._operators._simple import (
    ELEMENTWISE,
    added,
    divided,
    extreme,
    gated,
    given,
    global_max,
    global_mean,
    joined,
    multiplied,
    one,
    passed,
    reduced,
    resized,
    subtracted,
)
from archcast.zero_cost._operators._weighted import embedded, linear, recurrent
from archcast.zero_cost._operators._windows import avg_pooled, convolved, max_pooled, transposed

__all__ = ["EPS", "Call", "apply", "batch_norm", "channel_deviation", "fit"]


def apply(call: Call, values: Sequence[Tensor]) -> Tensor:
    """The operator's result, before a norm that follows it.

    Args:
        call: what to do.
        values: what its inputs hold.

    Returns:
        (K·B, channels, *positions) as the instruction says.
    """
    step = call.step
    return fit(_OPERATORS.get(step.op, passed)(call, values), step.channels, step.extent)


_OPERATORS: Final[dict[str, Callable[[Call, Sequence[Tensor]], Tensor]]] = {
    "input": given,
    "conv": convolved,
    "conv_transpose": transposed,
    "linear": linear,
    "embedding": embedded,
    "rnn": recurrent,
    "gru": recurrent,
    "lstm": recurrent,
    "attention": attention,
    "matmul": matmul,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "l2_norm": l2_norm,
    "local_response_norm": response_norm,
    "glu": gated,
    "max_pool": max_pooled,
    "avg_pool": avg_pooled,
    "global_avg_pool": global_mean,
    "global_max_pool": global_max,
    "reduce": reduced,
    "resize": resized,
    "add": added,
    "sub": subtracted,
    "mul": multiplied,
    "div": divided,
    "maximum": extreme(torch.maximum),
    "minimum": extreme(torch.minimum),
    "concat": joined,
    **{name: one(function) for name, function in ELEMENTWISE.items()},
}
