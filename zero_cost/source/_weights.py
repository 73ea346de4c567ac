"""Which constants of a file are weights, what they are for, and how fresh ones are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from math import prod, sqrt
from typing import Final, Literal

import torch

from archcast.zero_cost._seeded import seeded
from archcast.zero_cost.source._file import Graph, Node, outer_names

Role = Literal[
    "kernel", "transposed", "rows", "columns", "table", "shift", "scale", "slope", "other"
]
#: Operands that are read as plain numbers: shapes, axes, bounds, conditions.
NUMBERS: Final[dict[str, tuple[int, ...]]] = {
    "AffineGrid": (1,), "CenterCropPad": (1,), "Clip": (1, 2), "Col2Im": (1, 2),
    "ConstantOfShape": (0,), "CumProd": (1,), "CumSum": (1,), "Dropout": (1, 2), "Expand": (1,),
    "If": (0,), "Loop": (0, 1), "MaxUnpool": (2,), "OneHot": (1,), "Pad": (1, 2, 3),
    "Range": (0, 1, 2), "Reshape": (1,), "Resize": (1, 2, 3), "SequenceAt": (1,),
    "SequenceErase": (1,), "SequenceInsert": (2,), "Slice": (1, 2, 3, 4), "Split": (1,),
    "SplitToSequence": (1,), "Squeeze": (1,), "Tile": (1, 2), "TopK": (1,), "Trilu": (1,),
    "Unsqueeze": (1,), "Upsample": (1,),
}  # fmt: skip
#: Operands that say how an operator works; what is there is no weight.
SETTINGS: Final[dict[str, tuple[int, ...]]] = NUMBERS | {
    "BatchNormalization": (3, 4), "Compress": (1,), "DequantizeLinear": (1, 2), "OneHot": (1, 2),
    "Pow": (1,), "QLinearConv": (1, 2, 4, 5, 6, 7), "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "Quant": (1, 2, 3), "QuantizeLinear": (1, 2), "ReduceSum": (1,), "RotaryEmbedding": (1, 2, 3),
    "Shape": (0,), "Size": (0,),
}  # fmt: skip
#: What an operand is for.
_ROLES: Final[dict[tuple[str, int], Role]] = {
    ("Conv", 1): "kernel", ("Conv", 2): "shift", ("ConvTranspose", 1): "transposed",
    ("ConvTranspose", 2): "shift", ("MatMul", 0): "columns", ("MatMul", 1): "rows",
    ("Gemm", 0): "columns", ("Gemm", 1): "rows", ("Gemm", 2): "shift", ("Gather", 0): "table",
    ("Add", 0): "shift", ("Add", 1): "shift", ("Sub", 0): "shift", ("Sub", 1): "shift",
    ("Sum", 0): "shift", ("Sum", 1): "shift", ("Mul", 0): "scale", ("Mul", 1): "scale",
    ("Div", 0): "scale", ("Div", 1): "scale", ("PRelu", 1): "slope",
    ("BatchNormalization", 1): "scale", ("BatchNormalization", 2): "shift",
    ("InstanceNormalization", 1): "scale", ("InstanceNormalization", 2): "shift",
    ("LayerNormalization", 1): "scale", ("LayerNormalization", 2): "shift",
    ("GroupNormalization", 1): "scale", ("GroupNormalization", 2): "shift",
    ("RMSNormalization", 1): "scale", ("SimplifiedLayerNormalization", 1): "scale",
    **{(op, 1): "columns" for op in ("RNN", "GRU", "LSTM")},
    **{(op, 2): "columns" for op in ("RNN", "GRU", "LSTM")},
    **{(op, 3): "shift" for op in ("RNN", "GRU", "LSTM")},
}  # fmt: skip
_VIEWS: Final = frozenset(
    ("Identity", "Transpose", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Flatten")
)
#: Numbers beyond this mask something out.
_LARGE: Final = 1e4


def weights_of(graph: Graph, made: Set[str] = frozenset()) -> dict[str, Role]:
    """The constants that are trained, as far as a file tells: name -> what it is for.

    They are floating, more than one number, none so large that it can only be a mask, and reach
    the network's results by another way than as a setting (a factor to resize by, a bound).
    Tables that a module keeps as fixed buffers look the same in a file, and count as weights.

    Args:
        graph: the main graph.
        made: constants that the file makes of one number; they are weights where they stand in a
            weight's place only, and masks elsewhere.
    """
    live = _live(graph)
    roles: dict[str, Role] = {}
    for node in graph.nodes:
        if node.op == "Constant" or not live.intersection(node.outputs):
            continue
        for place, name in enumerate(node.inputs):
            if _trained(graph, node, place, name):
                role = _role(graph, node, place)
                if role == "other" and (name in made or _all_one(graph.constants[name])):
                    continue  # a mask in the making
                if roles.get(name, "other") == "other":
                    roles[name] = role
        for name in sorted(outer_names(node)):
            if name in graph.constants and _is_weight(graph.constants[name], False):
                roles.setdefault(name, "other")
    return roles


def _trained(graph: Graph, node: Node, place: int, name: str) -> bool:
    if name not in graph.constants or place in SETTINGS.get(node.op, ()):
        return False
    return _is_weight(graph.constants[name], (node.op, place) in _ROLES and node.op not in _PLAIN)


#: Arithmetic that has constants of its own beside weights.
_PLAIN: Final = frozenset(("Add", "Sub", "Sum", "Mul", "Div", "Gather"))


def _is_weight(tensor: torch.Tensor, sure: bool) -> bool:
    if not tensor.is_floating_point() or not tensor.dim() or not tensor.numel():
        return False
    if tensor.is_meta:
        return True
    if tensor.numel() == 1 and not sure:
        return False
    return bool((tensor.abs().float() < _LARGE).all())


def _all_one(tensor: torch.Tensor) -> bool:
    return not tensor.is_meta and bool((tensor == 1).all())


def _live(graph: Graph) -> set[str]:
    """Names whose numbers, not only their shapes, reach a result."""
    live = set(graph.outputs)
    for node in reversed(graph.nodes):
        if live.intersection(node.outputs):
            settings = SETTINGS.get(node.op, ())
            live.update(name for i, name in enumerate(node.inputs) if i not in settings)
            live |= outer_names(node)
    return live


def _role(graph: Graph, node: Node, place: int) -> Role:
    """What an operand is for; a view of it is for what the view is."""
    if node.op in _VIEWS:
        result = node.outputs[0]
        readers = [(n, i) for n in graph.nodes for i, name in enumerate(n.inputs) if name == result]
        role = _role(graph, *readers[0]) if readers else "other"
        swapped: dict[Role, Role] = {"rows": "columns", "columns": "rows"}
        return swapped.get(role, role) if node.op == "Transpose" else role
    role = _ROLES.get((node.op, place), "other")
    if node.op == "Gemm" and node.attributes.get(("transA", "transB", "")[place], 0):
        return "columns" if role == "rows" else "rows"
    return role


# ------------------------------------------------------------------------- fresh
def fan_in(role: Role, shape: tuple[int, ...]) -> int:
    """How many numbers each result of a weight adds up."""
    if role == "kernel":
        return prod(shape[1:])
    if role == "transposed":
        return shape[0] * prod(shape[2:])
    return shape[max(len(shape) - 2, 0) if role == "rows" else len(shape) - 1]


class Draw:
    """Fresh weights by seed, shape and how many of that shape came before.

    Kernels and matrices are normal with variance 2 / inputs (He et al., 2015), embeddings standard
    normal, other tables (positions, tokens) normal with deviation 0.02, biases 0, scales 1.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._seen: Counter[tuple[int, ...]] = Counter()

    def __call__(self, tensor: torch.Tensor, role: Role) -> torch.Tensor:
        """Fresh numbers in place of a tensor's."""
        shape = tuple(tensor.shape)
        vector = sum(n > 1 for n in shape) <= 1
        if role in ("shift", "scale") and vector:
            return torch.full(shape, float(role == "scale"), dtype=tensor.dtype)
        if role == "slope":
            return torch.full(shape, 0.25, dtype=tensor.dtype)
        matrix = role in ("kernel", "transposed", "rows", "columns")
        spread = sqrt(2 / fan_in(role, shape)) if matrix else 1.0 if role == "table" else 0.02
        return (self.normal(shape) * spread).to(tensor.dtype)

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal numbers."""
        text = f"{self.seed}/{shape}/{self._seen[shape]}"
        self._seen[shape] += 1
        return torch.randn(shape, generator=seeded(text))
