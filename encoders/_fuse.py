"""Recognise operators that an exporter wrote out in pieces.

Two rules cover activations, norms and softmax. *Self-modulation*: a product, quotient, sum or
difference of two values that both come from one value by elementwise operators and reductions is
one operator of that value; which one is told by the kinds of operators on the way (a sigmoid and
a product: SiLU). Inner ones are replaced first, so that layer norm is the root-mean-square norm of
a centred value. *Attention*: a softmax between two products of activations.
"""

from __future__ import annotations

from collections import Counter

from archcast.encoders._geometry import attention_heads
from archcast.encoders._trace import Node

#: Operators with one operand that may stand between a value and its modulation.
_CHEAP = frozenset(
    ("scalar", "slice", "affine", "sigmoid", "tanh", "erf", "softplus", "relu", "relu6", "clip",
     "hard_sigmoid", "exp", "log", "sqrt", "pow", "abs", "reduce", "global_avg_pool",
     "global_max_pool", "centre", "shift", "sign", "trigonometry")
)  # fmt: skip
_BINARY = frozenset(("mul", "div", "add", "sub"))
#: Operators that may stand between a product, the softmax and the next product of an attention.
_LOGIT_STEPS = frozenset(("scalar", "slice", "affine", "clip"))
#: Names of intermediate forms that stay when nothing completes them.
_LEFTOVER = {
    "centre": "sub",
    "shift": "sub",
    "erf": "trigonometry",
    "sign": "abs",
}


def fuse(nodes: list[Node], live: list[int]) -> None:
    """Replace decomposed operators in place; the pieces stay as dead nodes."""
    for index in live:
        node = nodes[index]
        if node.op in _BINARY and len(node.inputs) == 2:
            _modulation(nodes, node)
        elif node.op == "relu6":
            _hard_sigmoid(nodes, node)
    consumers = Counter(i for index in live for i in nodes[index].inputs)
    for index in live:
        if nodes[index].op == "matmul":
            _attention(nodes, nodes[index], consumers)
    for index in live:
        node = nodes[index]
        node.op = _LEFTOVER.get(node.op, node.op)


def _hard_sigmoid(nodes: list[Node], node: Node) -> None:
    """relu6(x + 3) is a hard sigmoid; the division by six is a scalar."""
    before = nodes[node.inputs[0]]
    if before.op == "scalar" and before.label == "add" and before.value == 3:
        node.op, node.inputs = "hard_sigmoid", list(before.inputs)


def _chain(nodes: list[Node], start: int) -> list[int]:
    """The node and everything before it, as far as cheap operators with one operand lead."""
    chain = [start]
    while nodes[chain[-1]].op in _CHEAP and len(nodes[chain[-1]].inputs) == 1:
        chain.append(nodes[chain[-1]].inputs[0])
    return chain


def _modulation(nodes: list[Node], node: Node) -> None:
    if node.op == "add" and node.inputs[0] == node.inputs[1]:
        return  # x + x stays a sum: what follows weighs it against other operands
    left, right = (_chain(nodes, i) for i in node.inputs)
    common = next((i for i in left if i in set(right)), None)
    if common is None:
        return
    kinds = {nodes[i].op for chain in (left, right) for i in chain[: chain.index(common)]}
    kinds -= {"scalar"}
    op = _named(node.op, kinds, nodes, (left, right))
    if op is None:
        return
    if op == "quotient_of_exp":
        common, op = _softmax_root(nodes, common), "softmax"
    elif op == "rms_norm" and nodes[common].op == "centre":
        common, op = nodes[common].inputs[0], "layer_norm"
    node.op, node.inputs = op, [common]


def _softmax_root(nodes: list[Node], exponential: int) -> int:
    """The value whose exponential is normalised, without the shift by its maximum."""
    root = nodes[exponential].inputs[0]
    return nodes[root].inputs[0] if nodes[root].op == "shift" else root


def _named(
    op: str, kinds: set[str], nodes: list[Node], chains: tuple[list[int], list[int]]
) -> str | None:
    """The operator that ``op`` over two values of one root amounts to, or None."""
    if not kinds and op != "div":
        return "pow" if op == "mul" else "scalar"
    if op == "mul":
        return _named_product(kinds)
    if op == "div":
        return _named_quotient(kinds, nodes, chains)
    if op == "sub" and kinds in ({"reduce"}, {"global_avg_pool"}, {"global_max_pool"}):
        label = {nodes[i].label for chain in chains for i in chain if nodes[i].op == "reduce"}
        return "shift" if label == {"max"} or kinds == {"global_max_pool"} else "centre"
    if op == "add" and kinds == {"pow"}:
        return "pow"
    return None


def _named_product(kinds: set[str]) -> str | None:
    if "slice" in kinds:
        gates = {"sigmoid", "tanh", "erf", "relu", "gelu", "silu"}
        return "glu" if kinds <= gates | {"slice", "affine"} else None
    if "affine" in kinds and not kinds & {"reduce", "global_avg_pool"}:
        return None
    simple = {
        frozenset(("erf",)): "gelu",
        frozenset(("sigmoid",)): "silu",
        frozenset(("hard_sigmoid",)): "hard_swish",
        frozenset(("relu6",)): "hard_swish",
        frozenset(("tanh", "softplus")): "mish",
        frozenset(("tanh", "exp", "log")): "mish",
        frozenset(("tanh", "pow")): "gelu",
        frozenset(("pow",)): "pow",
    }
    found = simple.get(frozenset(kinds))
    if found:
        return found
    reduced = kinds & {"reduce", "global_avg_pool"}
    if "pow" in kinds and reduced and kinds <= _NORM_KINDS | {"centre"}:
        return "layer_norm" if "centre" in kinds else "rms_norm"
    return None


_NORM_KINDS = {"pow", "reduce", "global_avg_pool", "sqrt", "clip", "abs", "affine"}


def _named_quotient(
    kinds: set[str], nodes: list[Node], chains: tuple[list[int], list[int]]
) -> str | None:
    labels = {nodes[i].label for chain in chains for i in chain if nodes[i].op == "reduce"}
    reduced = bool(kinds & {"reduce", "global_avg_pool"})
    # A norm may be stretched over what it divides, which a reader notes as a slice.
    if not reduced or not kinds <= _NORM_KINDS | {"centre", "slice"}:
        return None
    if "centre" in kinds:
        return "layer_norm" if kinds & {"sqrt", "pow"} or "var" in labels else None
    if "sum" in labels and kinds <= {"reduce", "slice"}:
        root = next(i for i in chains[0] if i in set(chains[1]))
        return "quotient_of_exp" if nodes[root].op == "exp" else "l2_norm"
    if "l2" in labels or "l1" in labels or "sum" in labels:
        return "l2_norm"
    return "rms_norm" if "sqrt" in kinds or "pow" in kinds else None


def _attention(nodes: list[Node], node: Node, consumers: Counter[int]) -> None:
    """Turn a product whose one factor is a softmax of a product into an attention."""
    for side, factor in enumerate(node.inputs):
        weights: list[tuple[str, int]] = []
        scores = _back(nodes, factor, consumers, weights)
        if nodes[scores].op != "softmax":
            continue
        found = _logits(nodes, nodes[scores].inputs[0], consumers, weights)
        if found is None:
            continue
        product, masks = found
        first = nodes[product]
        node.op = "attention"
        node.heads = attention_heads(first.rows)
        node.macs += first.macs
        node.channels_in = 0
        node.inputs = [*first.inputs, *(i for k, i in enumerate(node.inputs) if k != side), *masks]
        node.sources = tuple(dict([*node.sources, *first.sources, *weights]).items())
        _shape_result(node)
        return


def _shape_result(node: Node) -> None:
    """Channels of an attention are heads times the features of each; the rest are positions."""
    size = node.channels * node.positions
    channels = node.heads * node.rows[-1]
    node.sure = 1
    if channels and size % channels == 0:
        node.channels, node.extent = channels, (1, size // channels, 1)


def _back(
    nodes: list[Node], index: int, consumers: Counter[int], weights: list[tuple[str, int]]
) -> int:
    """Before the steps that do not change what an attention is; their weights are collected."""
    while nodes[index].op in _LOGIT_STEPS and consumers[index] == 1:
        weights.extend(nodes[index].sources)
        index = nodes[index].inputs[0]
    return index


def _logits(
    nodes: list[Node], index: int, consumers: Counter[int], weights: list[tuple[str, int]]
) -> tuple[int, list[int]] | None:
    """The product of activations behind the logits, and activations added on the way."""
    masks: list[int] = []
    while True:
        index = _back(nodes, index, consumers, weights)
        node = nodes[index]
        if node.op == "matmul" and len(node.inputs) == 2:
            return index, masks
        if node.op not in ("add", "select") or consumers[index] != 1:
            return None
        ends = [(i, _back(nodes, i, consumers, [])) for i in node.inputs]
        products = [i for i, end in ends if nodes[end].op in ("matmul", "add")]
        if not products:
            return None
        masks += [i for i in node.inputs if i != products[0]]
        index = products[0]
