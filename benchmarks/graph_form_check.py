"""The network of a graph beside the module it was read from: are their outputs equal?

A graph does not say how tensors were laid out, so the network that scores are computed on
(`archcast.zero_cost.materialise`) follows fixed rules where the source had slices, shifts or an
order of heads. Here every weight is a fixed function of its shape, so that no mapping is needed:
kernels and matrices are equal, biases and learned positions or tokens are 0, scales 1, norms of the
batch pass what they get. `difference` is the largest absolute difference over the largest absolute
output, up to 1e-4 counts as equal. Of what differs, the first operator of the graph with a result
that no operator of the module has (compared by size and length of the vector) is named, with what
it reads.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from _report import parser, publish, table
from materialise_check import SIZES, SKIPPED, TIMM, TORCHVISION, distance, smallest
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from archcast.encoders import read
from archcast.encoders.errors import ArchcastError
from archcast.encoders.spaces import SPACES
from archcast.encoders.spaces._zoo_models import import_timm, import_torchvision
from archcast.zero_cost import materialise
from archcast.zero_cost._execute import Mode, Step, execute
from archcast.zero_cost._program import Weight, compile_graph
from archcast.zero_cost._weights import Weights

EQUAL = 1e-4
#: Size of the vocabulary that language models are given here.
WORDS = 64
CPU = torch.device("cpu")
KINDS: dict[type, str] = {
    nn.Linear: "linear",
    nn.Conv1d: "conv",
    nn.Conv2d: "conv",
    nn.Embedding: "embedding",
}
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
#: Parts of the names of parameters that multiply.
SCALES = ("gamma", "scale", "ls1", "ls2", "gain", "temperature")

Row = list[str]


def by_shape(module: Any) -> Any:
    """Give a module the weights that ``init="shape"`` gives a graph."""
    draw = Weights(0, "shape", CPU, torch.float32)
    done: set[int] = set()
    with torch.no_grad():
        for layer in module.modules():
            kind = next((KINDS[t] for t in type(layer).__mro__ if t in KINDS), None)
            if kind:
                shape = tuple(layer.weight.shape)
                key = Weight(kind, (*shape, 1) if len(shape) == 3 else shape, 0)
                layer.weight.copy_(draw(key).reshape(shape))
                done.add(id(layer.weight))
            elif isinstance(layer, NORMS) and layer.weight is not None:
                for name, parameter in layer.named_parameters(recurse=False):
                    parameter.fill_(float(name == "weight"))
                    done.add(id(parameter))
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.reset_running_stats()
                layer.eps = 0.0
        for name, parameter in module.named_parameters():
            if name.startswith("shared.") and (len(parameter) == WORDS or len(parameter) > 5000):
                parameter.copy_(draw(Weight("embedding", tuple(parameter.shape), 0)))
            elif id(parameter) not in done or "pos_emb" in name:
                parameter.fill_(float(any(word in name.lower() for word in SCALES)))
    return module.eval()


class Lengths(TorchFunctionMode):
    """Size and length of every result that a module computes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, list[float]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction():
            for value in result if isinstance(result, (list, tuple)) else [result]:
                if isinstance(value, Tensor) and value.is_floating_point():
                    self.found.setdefault(value.numel(), []).append(float(value.norm()))
        return result

    def has(self, value: Tensor) -> bool:
        """Whether some result is as long; twice as close as what counts as different outputs."""
        length = float(value.norm())
        same = self.found.get(value.numel(), [])
        return any(abs(length - other) <= 1e-3 * abs(other) + 1e-12 for other in same)


def ordered(graph: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Inputs in the graph's order, told by their sizes."""
    program, waiting, found = compile_graph(graph), list(inputs), []
    for node in program.inputs:
        size = program.instructions[node].size
        at = next((i for i, x in enumerate(waiting) if x[0].numel() == size), 0)
        found.append(waiting.pop(at))
    return tuple(found)


def first_difference(graph: Any, module: Any, inputs: tuple[Tensor, ...]) -> str:
    """The first operator with a result that the module does not have."""
    with Lengths() as lengths, torch.no_grad():
        module(*inputs)
    program = compile_graph(graph)
    given = dict(zip(program.inputs, ordered(graph, inputs), strict=True))
    steps: list[Step] = []

    def source(_: Any, node: int) -> Tensor:
        step, x = program.instructions[node], given[node]
        x = x.transpose(1, 2) if x.dim() == 3 and x.shape[2] == step.channels else x
        return x.reshape(1, step.channels, *step.extent[1:])

    weights = Weights(0, "shape", CPU, torch.float32)
    with torch.no_grad():
        execute([program], source, weights, Mode(norm=False), steps.append)
    for step in steps:
        instruction = step.instruction
        if instruction.op == "input" or lengths.has(step.value):
            continue
        _, node = step.owners[0][0]
        reads = [program.instructions[i].op for i in program.instructions[node].inputs]
        shape = "x".join(map(str, (instruction.channels, *instruction.extent[1:])))
        place = f"{node} of {len(program)}"
        part = f", parts {instruction.parts}" if any(instruction.parts) else ""
        return f"{instruction.op} {shape} of {', '.join(reads)}{part} (node {place})"
    return "every result occurs"


def compare(name: str, module: Any, inputs: tuple[Tensor, ...]) -> Row:
    """One row of the table."""
    try:
        by_shape(module)
        graph = read(module, example=inputs)
        network: Any = materialise(graph, init="shape").eval()
        for norm in network.norms.values():
            norm.eps = 0.0
        with torch.no_grad():
            off = distance(network(*ordered(graph, inputs)), module(*inputs))
        if off <= EQUAL:
            return [name, f"{off:.0e}", "yes", ""]
        return [name, f"{off:.0e}", "no", first_difference(graph, module, inputs)]
    except (ArchcastError, RuntimeError, ValueError, IndexError, KeyError) as error:
        line = str(error).partition("\n")[0][:100]
        return [name, "-", "no", f"{type(error).__name__}: {line}"]


def zoo() -> Iterator[Row]:
    timm, vision = import_timm(), import_torchvision()
    for name in [*TIMM, *TORCHVISION]:
        torch.manual_seed(0)
        if name in TIMM:
            module = timm.create_model(name)
        else:
            options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            module = vision.models.get_model(name, **options)
        # AlexNet and Inception need more than a few positions at their ends.
        size = SIZES.get(name, 224 if name in ("alexnet", "inception_v3") else 128)
        yield compare(name, module, (torch.randn(1, 3, size, size),))


def spaces() -> Iterator[Row]:
    for name in [n for n in SPACES if n not in SKIPPED]:
        torch.manual_seed(0)
        space, spec = smallest(name)
        classes = WORDS if space.num_classes > 1000 else None
        module = space.module(spec, classes, min(space.image_size, 96))
        inputs: list[Tensor] = []
        for x in module.example():
            whole = not x.is_floating_point()
            inputs.append(torch.randint(0, 2, x.shape) if whole else torch.randn(x.shape))
        yield compare(name, module, tuple(inputs))


PARTS = {"zoo": zoo, "spaces": spaces}
TITLES = {"zoo": "timm and torchvision", "spaces": "One network of every search space"}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    chosen = options.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts = [(__doc__ or "").partition("\n\n")[2].strip()]
    for part in chosen.parts:
        rows = []
        for row in PARTS[part]():
            rows.append(row)
            sys.stderr.write(f"{' | '.join(row)}\n")
        equal = sum(row[2] == "yes" for row in rows)
        head = ("network", "difference", "equal", "first operator that differs")
        parts += [f"## {TITLES[part]}: {equal} of {len(rows)}", table(head, rows)]
    publish("The graph as a network", parts, chosen.out, ("torch", "timm"))


if __name__ == "__main__":
    main()
