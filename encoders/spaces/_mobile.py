"""Blocks that the spaces of mobile networks share."""

from __future__ import annotations

from archcast.encoders.spaces._net import Net, Value


def divisible(number: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` nearest to a number of channels, never 10 % below it.

    Reference:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018 (its
        published code).
    """
    rounded = max(divisor, int(number + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * number else rounded


def inverted_residual(
    net: Net,
    x: Value,
    out: int,
    kernel: int,
    act: str,
    *,
    hidden: int,
    stride: int = 1,
    groups: int = 1,
    squeeze: int = 0,
    squeeze_act: str = "relu",
    gate: str = "sigmoid",
    expand: bool = True,
) -> Value:
    """Widen, convolve depthwise, narrow; plus the input where the shape stays the same.

    Args:
        net: takes the operators.
        x: (channels, height, width).
        out: channels leaving.
        kernel: window of the depthwise convolution.
        act: activation after the first two convolutions.
        hidden: channels between.
        stride: of the depthwise convolution.
        groups: of the two 1x1 convolutions; channels are shuffled after the first.
        squeeze: channels of the squeeze-and-excite block before narrowing; none if 0.
        squeeze_act: its first activation.
        gate: its second.
        expand: whether there is a first 1x1 convolution at all.

    Returns:
        (out, height / stride, width / stride).

    Reference:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
    """
    y = net.conv_norm(x, hidden, 1, act, groups=groups) if expand else x
    if groups > 1:
        y = shuffle(net, y, groups)
    y = net.conv_norm(y, hidden, kernel, act, stride=stride, groups=hidden)
    if squeeze:
        y = net.squeeze_excite(y, squeeze, squeeze_act, gate)
    y = net.conv_norm(y, out, 1, groups=groups)
    return net.add(x, y) if y.shape == x.shape and stride == 1 else y


def shuffle(net: Net, x: Value, groups: int) -> Value:
    """Interleave the channels of groups (Zhang et al., "ShuffleNet", CVPR 2018)."""
    channels, *positions = x.shape
    y = net.reshape(x, groups, channels // groups, *positions)
    y = net.permute(y, 1, 0, *range(2, 2 + len(positions)))
    return net.reshape(y, channels, *positions)
