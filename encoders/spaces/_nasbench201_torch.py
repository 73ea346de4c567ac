"""NAS-Bench-201 networks as torch modules; imports torch, so it is itself imported lazily."""

from __future__ import annotations

import torch
from torch import nn

from archcast.encoders.spaces.nasbench201 import (
    CELLS,
    CONV1,
    CONV3,
    EDGES,
    NONE,
    POOL,
    SKIP,
    WIDTHS,
)


class _Zero(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.0


def _activated_conv(width_in: int, width_out: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width_in, width_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(width_out),
    )


def _operator(position: int, width: int) -> nn.Module:
    make = {
        NONE: _Zero,
        SKIP: nn.Identity,
        CONV1: lambda: _activated_conv(width, width, 1),
        CONV3: lambda: _activated_conv(width, width, 3),
        POOL: lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    }
    return make[position]()


class _Cell(nn.Module):
    def __init__(self, cell: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(_operator(op, width) for op in cell)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            incoming = [
                edge(nodes[source])
                for edge, (source, end) in zip(self.edges, EDGES, strict=True)
                if end == target
            ]
            total = incoming[0]
            for value in incoming[1:]:
                total = total + value
            nodes.append(total)
        return nodes[3]


class _Reduction(nn.Module):
    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _activated_conv(width_in, width_out, 3, 2), _activated_conv(width_out, width_out, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2), nn.Conv2d(width_in, width_out, 1, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


class Network(nn.Module):
    """The full network of a cell.

    Args:
        cell: positions of the six operators.
        num_classes: outputs of the classifier.
    """

    def __init__(self, cell: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        stem = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm2d(WIDTHS[0])]
        for stage, width in enumerate(WIDTHS):
            if stage:
                layers.append(_Reduction(WIDTHS[stage - 1], width))
            layers += [_Cell(cell, width) for _ in range(CELLS)]
        layers += [nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, height, width) images to (batch, num_classes) logits."""
        return self.classifier(self.features(x))
