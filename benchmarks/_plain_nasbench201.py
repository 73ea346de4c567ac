"""NAS-Bench-201's network as its authors lay it out, containers included.

Published scores hook every module, so a container around a layer counts. Each convolution stands in
a module that holds ``Sequential(ReLU, Conv, BatchNorm)``, each pool in a module of its own; skip
connections and zeros are modules, too, and dead operators are there and run.

Reference:
    Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
    Search", ICLR 2020.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import nn

from archcast.encoders.spaces.nasbench201 import CELLS, EDGES, OPERATORS, WIDTHS, NASBench201


class ReLUConvNorm(nn.Module):
    """ReLU, convolution without bias, batch norm."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(inplace=False),
            nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Pooling(nn.Module):
    """Average of a 3x3 window, padding not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.op = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Zero(nn.Module):
    """Nothing passes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul(0.0)


class Cell(nn.Module):
    """Four nodes; each but the first sums what arrives on its edges."""

    def __init__(self, operators: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_operator(OPERATORS[op], width) for op in operators)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            edges = zip(self.layers, EDGES, strict=True)
            arriving = [layer(nodes[source]) for layer, (source, end) in edges if end == target]
            nodes.append(reduce(torch.add, arriving))
        return nodes[-1]


class Residual(nn.Module):
    """The block between stages: half the resolution, twice the channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvNorm(before, after, 3, stride=2)
        self.conv_b = ReLUConvNorm(after, after, 3)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(2, stride=2), nn.Conv2d(before, after, 1, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Network(nn.Module):
    """The whole network.

    Args:
        spec: a cell string.
        classes: how many numbers leave.
    """

    def __init__(self, spec: str, classes: int = 10) -> None:
        super().__init__()
        cell = NASBench201().parse(spec)
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0])
        )
        self.cells = nn.ModuleList()
        for before, width in zip((None, *WIDTHS), WIDTHS, strict=False):
            if before is not None:
                self.cells.append(Residual(before, width))
            self.cells.extend(Cell(cell, width) for _ in range(CELLS))
        # In place, as published: the norm's own output is gone when the network has run.
        self.lastact = nn.Sequential(nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU(inplace=True))
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) images to (B, classes) logits."""
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(self.global_pooling(self.lastact(x)).flatten(1))


def _operator(name: str, width: int) -> nn.Module:
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return Pooling()
    return ReLUConvNorm(width, width, 3 if name == "nor_conv_3x3" else 1)


def network(spec: str, seed: int = 0, init: str = "default", classes: int = 10) -> Network:
    """The network of a cell string with fresh weights.

    Args:
        spec: a cell string.
        seed: of the weights.
        init: ``default`` (torch's own: uniform, standard deviation 1/sqrt(3 * fan-in), biases
            likewise) or ``kaiming`` (normal, sqrt(2 / fan-in), biases 0).
        classes: how many numbers leave.
    """
    torch.manual_seed(seed)
    module = Network(spec, classes)
    if init == "kaiming":
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return module
