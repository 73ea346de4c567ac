"""NAS-Bench-Graph: graph neural networks of four operators, for node classification.

Reference:
    Qin et al., "NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search", NeurIPS 2022
    Datasets and Benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations
from typing import Any, Final, NamedTuple

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._message_passing import CONVOLUTIONS, Adjacency
from archcast.encoders.spaces._net import Net

#: What each of the four nodes reads: 0 is the network's input, 1 the first node, and so on.
LINKS: Final = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
#: Operators in the benchmark's order; ``graph`` is the k-GNN, ``skip`` the identity.
OPERATORS: Final = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")


class Data(NamedTuple):
    """A data set, and the frame the benchmark put around its architectures.

    Attributes:
        nodes: of the data set's graph.
        features: of a node.
        classes: outputs.
        width: features inside the network.
        pre: whether a linear map comes before the architecture.
        post: whether the classifier has a layer more.
    """

    nodes: int
    features: int
    classes: int
    width: int
    pre: bool
    post: bool


#: The benchmark's data sets under its own names. Widths and frames follow from its parameter
#: counts, which all of its rows confirm.
DATA: Final = {
    "cora": Data(2708, 1433, 7, 256, pre=False, post=True),
    "citeseer": Data(3327, 3703, 6, 256, pre=False, post=True),
    "pubmed": Data(19717, 500, 3, 128, pre=False, post=False),
    "cs": Data(18333, 6805, 15, 128, pre=True, post=False),
    "physics": Data(34493, 8415, 5, 256, pre=True, post=False),
    "photo": Data(7650, 745, 8, 128, pre=False, post=False),
    "computers": Data(13752, 767, 10, 64, pre=True, post=True),
    "arxiv": Data(169343, 128, 40, 128, pre=False, post=True),
    "proteins": Data(132534, 8, 112, 256, pre=True, post=True),
}


class NASBenchGraph(FieldSpace):
    """Four operators, each reading the input or one earlier operator; the leaves are joined.

    A specification reads ``link=0112;ops=gcn,cheb,gin,fc``, or is a mapping ``{"link": [0, 1, 1,
    2], "ops": ["gcn", "cheb", "gin", "fc"]}``, that pair as a sequence, or a row of the
    benchmark's table: five numbers, the positions in :data:`LINKS` and :data:`OPERATORS`. Every
    order of the nodes is understood and brought to the benchmark's own, and identities move to
    the front as there. Of the 26,207 networks the benchmark leaves out the one of identities only.

    The network, after the code the authors published: an operator reads batch norm and ReLU of an
    earlier one, or the raw features; the leaves are concatenated, and ReLU and one or two linear
    maps make the outputs. It has two inputs: the features of the nodes, and their adjacency as
    dense matrices, without and with self-loops. ``image_size`` is the number of nodes. Products
    with dense matrices cost far more than the sparse ones of the benchmark, so the graph's MACs
    overstate these.

    Not verified: the number of heads of ``gat`` (4 in the published code, 2 in a remark; weights
    are the same), and that data sets come without self-loops of their own. The version for
    ogbn-proteins, which normalises differently, is the same graph here.

    Args:
        data: whose features, classes and width the networks have, one of :data:`DATA`.

    Raises:
        InvalidSpecError: no such data set.
    """

    name = "nasbench_graph"
    fields = (Field("link", LINKS), Field("ops", OPERATORS, 4))
    #: Networks that differ; 59,049 texts stand for them.
    size = 26_207
    num_classes = DATA["cora"].classes
    image_size = DATA["cora"].nodes

    def __init__(self, data: str = "cora") -> None:
        if data not in DATA:
            raise InvalidSpecError(
                f"{self.name}: no data set {shown(data)}; known: {', '.join(DATA)}"
            )
        self.data = DATA[data]
        self.num_classes, self.image_size = self.data.classes, self.data.nodes

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping, a pair of link and operators, or five positions."""
        if isinstance(spec, str):
            spec = self._split(spec.strip().removeprefix(f"{self.name}:"))
        if isinstance(spec, Sequence) and len(spec) == 5:
            return super().parse(self._row(spec))
        if isinstance(spec, Sequence) and len(spec) == 2:
            spec = dict(zip(("link", "ops"), spec, strict=True))
        if not isinstance(spec, Mapping) or set(spec) != {"link", "ops"}:
            raise InvalidSpecError(f"{self.name}: {shown(spec)} does not name link and ops")
        link = self._link(spec["link"])
        listed, (order, *_) = _as_listed(link)
        ops = self._chosen(self.fields[1], spec["ops"])
        return super().parse(((listed,), tuple(ops[i] for i in order)))

    def canonical(self, cell: Choices) -> Choices:
        """The benchmark's own writing of this network."""
        return _canonical(cell[0][0], cell[1])

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        (link,), ops = cell
        width = self.data.width
        x = net.input((image_size, self.data.features))
        adjacency = Adjacency(net, net.input((2, image_size, image_size)))
        values = [net.linear(x, width) if self.data.pre else x]
        raw: set[int] = set() if self.data.pre else {0}  # which values are the features as given
        for node, (parent, op) in enumerate(zip(map(int, link), ops, strict=True), 1):
            x = values[parent]
            if parent not in raw:
                x = net.act("relu", net.permute(net.batch_norm(net.permute(x, 1, 0)), 1, 0))
            elif op == "skip":
                raw.add(node)
            values.append(x if op == "skip" else CONVOLUTIONS[op](net, x, width, adjacency))
        leaves = [v for i, v in enumerate(values) if str(i) not in link]
        x = net.act("relu", leaves[0] if len(leaves) == 1 else net.concat(leaves, 1))
        if self.data.post:
            x = net.linear(x, width)
        net.output(net.linear(x, num_classes))

    def _row(self, spec: Sequence[Any]) -> Choices:
        if not all(isinstance(i, int) and 0 <= i < 9 for i in map(_plain, spec)):
            raise InvalidSpecError(f"{self.name}: {shown(spec)} is not five positions from 0 to 8")
        first, *ops = (int(i) for i in spec)
        return (LINKS[first],), tuple(OPERATORS[i] for i in ops)

    def _link(self, value: Any) -> str:
        digits = value if isinstance(value, str) else ""
        if isinstance(value, (list, tuple)):
            digits = "".join(map(str, value))
        parents = "0", "01", "012", "0123"
        if len(digits) != 4 or not all(d in p for d, p in zip(digits, parents, strict=True)):
            raise InvalidSpecError(
                f"{self.name}: link cannot be {shown(value)}; each of four nodes reads an "
                "earlier one"
            )
        return digits


def _plain(number: Any) -> Any:
    """A numpy number as Python's own."""
    return number.item() if hasattr(number, "item") else number


@lru_cache
def _as_listed(link: str) -> tuple[str, list[tuple[int, ...]]]:
    """The one of :data:`LINKS` that is the same tree, and all orders of the nodes that give it."""
    written: dict[str, list[tuple[int, ...]]] = {}
    for order in permutations(range(4)):
        other = _renumbered(link, order)
        if other in LINKS:
            written.setdefault(other, []).append(order)
    return next(iter(written.items()))  # no two of the list are one tree


def _renumbered(link: str, order: tuple[int, ...]) -> str:
    """The link where node ``order[i]`` is the i-th."""
    place = {"0": "0"} | {str(node + 1): str(i + 1) for i, node in enumerate(order)}
    return "".join(place[link[node]] for node in order)


@lru_cache(maxsize=65536)
def _canonical(link: str, ops: tuple[str, ...]) -> Choices:
    """Identities first where that changes nothing, then the least of all orders."""
    idle = next((i for i in range(4) if ops[i] == "skip" and _moves(i, link, ops)), None)
    while idle is not None:
        link, ops = _to_front(idle, link, ops)
        idle = next((i for i in range(4) if ops[i] == "skip" and _moves(i, link, ops)), None)
    link, orders = _as_listed(link)
    rank = [OPERATORS.index(op) for op in ops]
    order = min(orders, key=lambda order: [rank[i] for i in order])
    return (link,), tuple(ops[i] for i in order)


def _moves(node: int, link: str, ops: tuple[str, ...]) -> bool:
    """Whether an identity belongs to the front, and is not there yet."""
    name = str(node + 1)
    siblings = link.count(link[node]) > 1
    chain = not siblings and _only_identities_before(node, link, ops, alone=True)
    if chain:
        return False
    raw = _only_identities_before(node, link, ops, alone=False)
    return name in link or not siblings or raw


def _only_identities_before(node: int, link: str, ops: tuple[str, ...], *, alone: bool) -> bool:
    """Whether only identities lead here; ``alone``: and nothing else reads them."""
    parent = int(link[node])
    while parent:
        if ops[parent - 1] != "skip" or (alone and link.count(link[parent - 1]) > 1):
            return False
        parent = int(link[parent - 1])
    return True


def _to_front(node: int, link: str, ops: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The tree with that node between the input and all that read the input."""
    parents = [int(parent) for parent in link]
    parents = [parents[node] if parent == node + 1 else parent for parent in parents]
    del parents[node]
    # The moved node is the first now; those that were before it come one later.
    moved = [parent + 1 if parent <= node else parent for parent in parents]
    return "0" + "".join(map(str, moved)), (ops[node], *ops[:node], *ops[node + 1 :])
