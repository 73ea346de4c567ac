"""``GraphNetwork``: a canonical graph as a torch module with fresh weights, ready to be trained."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.encoders.graph import ComputeGraph
from archcast.zero_cost._operators import Call, apply
from archcast.zero_cost._program import Instruction, compile_graph
from archcast.zero_cost._weights import Initialisation, Weights


class GraphNetwork(nn.Module):
    """The network that scores are computed on, as a module of its own.

    It is what the graph says and no more: biases are gone with what the canonical form merges, and
    where a graph leaves something open the rules of :mod:`archcast.zero_cost._program` hold. A
    softmax at the end is dropped, so that what comes out are logits. Up to that, the outputs of
    convolutional networks without shifts or shuffles are those of the original with the same
    weights.

    Args:
        graph: the architecture.
        seed: of the weights.
        init: how they are drawn, see :class:`~archcast.zero_cost._weights.Weights`.

    Attributes:
        graph: the architecture.
    """

    def __init__(
        self, graph: ComputeGraph, *, seed: int = 0, init: Initialisation = "kaiming"
    ) -> None:
        super().__init__()
        self.graph = graph
        self._program = compile_graph(graph)
        draw = Weights(seed, init, torch.device("cpu"), torch.float32)
        steps = enumerate(self._program.instructions)
        self.weights = nn.ParameterDict(
            {str(i): nn.Parameter(draw.draw(s.weight)) for i, s in steps if s.weight}
        )
        self.norms = nn.ModuleDict(
            {
                str(i): (nn.BatchNorm3d if s.extent[0] > 1 else nn.BatchNorm2d)(s.channels)
                for i, s in enumerate(self._program.instructions)
                if s.norm
            }
        )

    def example(self, batch: int = 1) -> tuple[Tensor, ...]:
        """Inputs of the right shapes, all zeros."""
        tokens = self._program.token_inputs
        return tuple(
            torch.zeros(
                batch,
                *_natural(self._program.instructions[i]),
                dtype=torch.int64 if i in tokens else torch.float32,
            )
            for i in self._program.inputs
        )

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map a batch of inputs to the output, or to a tuple of several.

        Args:
            *inputs: one for each input of the graph, in its order: (B, C, H, W) images, (B, L)
                token ids, (B, L, F) sequences or (B, F) vectors.

        Returns:
            (B, classes), (B, L, F) or (B, C, H, W), the largest output first.

        Raises:
            ShapeError: another number of inputs, or of elements in one.
        """
        program = self._program
        given = dict(zip(program.inputs, self._checked(inputs), strict=True))
        values: list[Tensor] = []
        for i, step in enumerate(program.instructions):
            if step.op == "input":
                values.append(given[i])
                continue
            weight = self.weights[str(i)] if step.weight else None
            value = apply(Call(step, 1, weight), [values[j] for j in step.inputs])
            values.append(self.norms[str(i)](value) if step.norm else value)
        found = tuple(_outside(values[i]) for i in program.outputs)
        return found[0] if len(found) == 1 else found

    def _checked(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        steps = [self._program.instructions[i] for i in self._program.inputs]
        if len(inputs) != len(steps):
            raise ShapeError(f"the network takes {len(steps)} inputs, not {len(inputs)}")
        found = []
        for x, step in zip(inputs, steps, strict=True):
            if x[0].numel() != step.size:
                raise ShapeError(
                    f"an input has {x[0].numel()} elements a sample, not the {step.size} of "
                    f"{_natural(step)}"
                )
            turned = x.transpose(1, 2) if x.dim() == 3 and x.shape[2] == step.channels else x
            found.append(turned.reshape(len(x), *step.shape))
        return found


def _natural(step: Instruction) -> tuple[int, ...]:
    """The shape that people give an input, without the batch."""
    depth, height, width = step.extent
    if step.positions == 1:
        return (step.channels,)
    if depth == width == 1:
        return (height, step.channels)
    return step.shape


def _outside(x: Tensor) -> Tensor:
    """A result in the shape that people expect."""
    positions = x.shape[2:]
    if all(size == 1 for size in positions):
        return x.flatten(1)
    if len(positions) == 2 and positions[1] == 1:
        return x.squeeze(3).transpose(1, 2)
    return x


def materialise(
    arch: Any,
    *,
    form: Literal["graph", "source"] = "graph",
    input_shape: Any = None,
    seed: int = 0,
    init: Initialisation = "kaiming",
) -> nn.Module:
    """A trainable network with fresh weights, of whatever describes an architecture.

    Args:
        arch: anything that :func:`archcast.encoders.read` takes.
        form: ``graph``: of the canonical graph, which is what scores are computed on, the same
            for every description of one network; ``source``: what the file, module or
            specification itself says, operator by operator, by
            :func:`archcast.zero_cost.load_source`; a softmax at a file's end stays there, where
            a graph gives logits.
        input_shape: for sources that do not say what they take.
        seed: of the weights.
        init: how they are drawn, for a graph; a source has the initialisation of its layers.

    Returns:
        A :class:`GraphNetwork`, or a module of the source.

    Raises:
        ArchcastError: it cannot be read.
        InvalidSettingError: no such form or initialisation.
    """
    if form == "source":
        from archcast.zero_cost.source import load_source

        return load_source(arch, input_shape, weights="fresh", seed=seed)
    if form != "graph":
        raise InvalidSettingError(f"form is 'graph' or 'source', not {form!r}")
    from archcast.encoders import read

    return GraphNetwork(read(arch, input_shape), seed=seed, init=init)
