"""The closed vocabulary of operators, and the groups that features are counted over.

An operator outside the vocabulary becomes ``other``; the graph keeps its name beside it.
"""

from typing import Final

#: Operator group -> its operators. Order is part of the file format: append, never reorder.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "io": ("input", "output"),
    "conv": ("conv", "conv_transpose"),
    "linear": ("linear",),
    "attention": ("attention", "matmul"),
    "recurrent": ("rnn", "gru", "lstm"),
    "embedding": ("embedding",),
    "norm": ("affine", "layer_norm", "rms_norm", "group_norm", "l2_norm", "local_response_norm"),
    "activation": (
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "hard_swish",
        "hard_sigmoid",
        "sigmoid",
        "tanh",
        "softplus",
        "softmax",
        "glu",
    ),
    "pool": ("max_pool", "avg_pool", "global_avg_pool", "global_max_pool", "reduce"),
    "add": ("add", "sub"),
    "mul": ("mul", "div", "maximum", "minimum"),
    "concat": ("concat",),
    "resize": ("resize",),
    "math": ("exp", "log", "sqrt", "pow", "abs", "clip", "trigonometry"),
    "route": ("gather", "select"),
    "other": ("other",),
}

#: All operators, in the order of their ids.
OPS: Final[tuple[str, ...]] = tuple(op for ops in GROUPS.values() for op in ops)
#: Operator name -> id.
OP_ID: Final[dict[str, int]] = {op: index for index, op in enumerate(OPS)}
#: Operator id -> index of its group in ``GROUPS``.
GROUP_OF: Final[tuple[int, ...]] = tuple(
    index for index, ops in enumerate(GROUPS.values()) for _ in ops
)
#: Operators that carry the arithmetic of a network; a graph without any is not a network.
COMPUTE: Final[frozenset[str]] = frozenset(
    GROUPS["conv"]
    + GROUPS["linear"]
    + GROUPS["attention"]
    + GROUPS["recurrent"]
    + GROUPS["embedding"]
    + GROUPS["norm"]
    + GROUPS["activation"]
    + GROUPS["pool"]
)
