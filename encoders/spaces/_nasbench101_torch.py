"""NAS-Bench-101 networks as torch modules; imports torch, so it is itself imported lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from archcast.encoders.spaces._nasbench101_cells import OPERATORS
from archcast.encoders.spaces._nasbench101_graph import CELLS, STACKS, STEM, vertex_channels

if TYPE_CHECKING:
    from archcast.encoders.spaces.nasbench101 import Cell101


def _conv_norm_relu(width_in: int, width_out: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2, bias=False),
        # The benchmark's own settings; torch's momentum is the complement of TensorFlow's.
        nn.BatchNorm2d(width_out, eps=1e-5, momentum=0.003),
        nn.ReLU(),
    )


def _operator(name: str, width: int) -> nn.Module:
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, 1, 1)
    return _conv_norm_relu(width, width, 3 if name == "conv3x3" else 1)


class _CellModule(nn.Module):
    def __init__(self, cell: Cell101, width_in: int, width_out: int) -> None:
        super().__init__()
        self.matrix = cell.matrix
        self.widths = vertex_channels(cell.matrix, width_out)
        self.operators = nn.ModuleList(
            _operator(OPERATORS[op], width)
            for op, width in zip(cell.operators, self.widths[1:-1], strict=True)
        )
        self.projections = nn.ModuleDict(
            {
                str(v): _conv_norm_relu(width_in, self.widths[v], 1)
                for v in range(1, len(cell.matrix))
                if cell.matrix[0][v]
            }
        )

    def _total(self, values: list[torch.Tensor], v: int) -> torch.Tensor:
        operands = [values[u][:, : self.widths[v]] for u in range(1, v) if self.matrix[u][v]]
        if self.matrix[0][v]:
            operands.append(self.projections[str(v)](values[0]))
        total = operands[0]
        for operand in operands[1:]:
            total = total + operand
        return total

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        last = len(self.matrix) - 1
        for v in range(1, last):
            values.append(self.operators[v - 1](self._total(values, v)))
        leaving = [values[v] for v in range(1, last) if self.matrix[v][last]]
        if not leaving:
            return self.projections[str(last)](x)
        joined = torch.cat(leaving, 1) if len(leaving) > 1 else leaving[0]
        if self.matrix[0][last]:
            joined = joined + self.projections[str(last)](x)
        return joined


class Network(nn.Module):
    """The full network of a cell.

    Args:
        cell: the cell.
        num_classes: outputs of the classifier.
    """

    def __init__(self, cell: Cell101, num_classes: int) -> None:
        super().__init__()
        layers = [_conv_norm_relu(3, STEM, 3)]
        width = STEM
        for stack in range(STACKS):
            before = width
            if stack:
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
                width *= 2
            for _ in range(CELLS):
                layers.append(_CellModule(cell, before, width))
                before = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, height, width) images to (batch, num_classes) logits."""
        return self.classifier(self.features(x))
