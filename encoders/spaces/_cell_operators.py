"""Operators of the cells of DARTS and NASNet, as data: what a name stands for.

References:
    Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018.
    Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from archcast.encoders.spaces._net import Net, Value


class Conv(NamedTuple):
    """A convolution inside an operator.

    Attributes:
        kernel: window.
        strided: along which axes it takes the operator's stride.
        depthwise: whether each channel is convolved alone.
        dilation: of the window.
    """

    kernel: tuple[int, int]
    strided: tuple[bool, bool] = (True, True)
    depthwise: bool = False
    dilation: int = 1


#: ReLU, then these convolutions one after another, then batch norm.
Stage = tuple[Conv, ...]


class Operator(NamedTuple):
    """What an edge of a cell does.

    Attributes:
        stages: of an operator that convolves.
        pool: ``max`` or ``avg`` of one that pools.
        window: of the pooling.
    """

    stages: tuple[Stage, ...] = ()
    pool: str = ""
    window: int = 0


def _depthwise(kernel: int, dilation: int = 1, *, strided: bool = True) -> Stage:
    spatial = Conv((kernel, kernel), (strided, strided), depthwise=True, dilation=dilation)
    return spatial, Conv((1, 1), (False, False))


def _separable(kernel: int) -> Operator:
    return Operator((_depthwise(kernel), _depthwise(kernel, strided=False)))


def _crossed(length: int) -> Operator:
    return Operator(((Conv((1, length), (False, True)), Conv((length, 1), (True, False))),))


#: Operators by name; skip connections, which depend on the stride, have neither stage nor pool.
OPERATORS: Final[dict[str, Operator]] = {
    "skip_connect": Operator(),
    "max_pool_3x3": Operator(pool="max", window=3),
    "max_pool_5x5": Operator(pool="max", window=5),
    "max_pool_7x7": Operator(pool="max", window=7),
    "avg_pool_3x3": Operator(pool="avg", window=3),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": Operator((_depthwise(3, 2),)),
    "dil_conv_5x5": Operator((_depthwise(5, 2),)),
    "conv_1x1": Operator(((Conv((1, 1)),),)),
    "conv_3x3": Operator(((Conv((3, 3)),),)),
    "conv_3x1_1x3": _crossed(3),
    "conv_7x1_1x7": _crossed(7),
}


def apply(net: Net, name: str, x: Value, stride: int) -> Value:
    """What an operator makes of a value; the channels stay as many."""
    operator, width = OPERATORS[name], x.shape[0]
    if operator.pool:
        return net.pool(operator.pool, x, operator.window, stride=stride)
    if not operator.stages:
        return x if stride == 1 else factorised_reduction(net, x, width)
    for stage in operator.stages:
        x = net.act("relu", x)
        for conv in stage:
            strides = [stride if along else 1 for along in conv.strided]
            groups = width if conv.depthwise else 1
            x = net.conv(
                x, width, conv.kernel, stride=strides, dilation=conv.dilation, groups=groups
            )
        x = net.batch_norm(x)
    return x


def relu_conv_norm(net: Net, x: Value, width: int) -> Value:
    """ReLU, a 1x1 convolution and batch norm: another number of channels."""
    return net.conv_norm(net.act("relu", x), width, 1)


def factorised_reduction(net: Net, x: Value, width: int) -> Value:
    """Half the positions: two 1x1 convolutions, the second one position further, side by side."""
    x = net.act("relu", x)
    _, height, length = x.shape
    shifted = net.slice(net.slice(x, 1, height, 1), 1, length, 2)
    halves = [net.conv(part, width // 2, 1, stride=2, padding=0) for part in (x, shifted)]
    return net.batch_norm(net.concat(halves))
