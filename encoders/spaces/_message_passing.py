"""Layers of graph neural networks, as products with dense adjacency matrices.

Every layer maps (nodes, features) to (nodes, width) and has the weights of the layer of that name
in PyTorch Geometric with its default settings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from archcast.encoders.spaces._net import Net, Value

#: Attention heads of ``gat``.
HEADS: Final = 4


class Adjacency:
    """Who hears whom: row i of a matrix has a one for every node that sends to node i.

    Args:
        net: the network under construction.
        matrices: (2, nodes, nodes), without self-loops and with them.
    """

    def __init__(self, net: Net, matrices: Value) -> None:
        self._net = net
        self._matrices = matrices

    def matrix(self, loops: bool = False) -> Value:
        """One of the two matrices, (nodes, nodes)."""
        nodes = self._matrices.shape[-1]
        at = int(loops)
        return self._net.reshape(self._net.slice(self._matrices, at, at + 1), nodes, nodes)

    def total(self, x: Value) -> Value:
        """The sum over the neighbours."""
        return self._net.matmul(self.matrix(), x)

    def average(self, x: Value) -> Value:
        """The mean over the neighbours; zero where there are none."""
        net = self._net
        return net.mul(self.total(x), net.power(self._degree(loops=False), -1.0))

    def symmetric(self, x: Value, *, loops: bool) -> Value:
        """The sum over the neighbours, divided by the roots of both degrees."""
        net = self._net
        root = net.power(self._degree(loops), -0.5)
        return net.mul(net.matmul(self.matrix(loops), net.mul(x, root)), root)

    def _degree(self, loops: bool) -> Value:
        net, nodes = self._net, self._matrices.shape[-1]
        degree = net.scale(net.mean(self.matrix(loops), 1), nodes)
        return net.reshape(net.at_least(degree, 1.0), nodes, 1)


def _gat(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """Attention over the neighbours (Velickovic et al., 2018)."""
    nodes, features = x.shape[0], width // HEADS
    h = net.linear(x, width, bias=False)
    by_channel = net.permute(h, 1, 0)
    sender, receiver = (net.conv(by_channel, HEADS, 1, groups=HEADS) for _ in range(2))
    scores = net.add(net.reshape(receiver, HEADS, nodes, 1), net.reshape(sender, HEADS, 1, nodes))
    # A softmax over all nodes, cut to the neighbours and divided by what is left, is one over
    # the neighbours.
    weights = net.act("softmax", net.act("leaky_relu", scores))
    weights = net.mul(weights, net.reshape(adjacency.matrix(loops=True), 1, nodes, nodes))
    left = net.reshape(net.scale(net.mean(weights, 2), nodes), HEADS, nodes, 1)
    weights = net.mul(weights, net.power(left, -1.0))
    heads = net.permute(net.reshape(h, nodes, HEADS, features), 1, 0, 2)
    seen = net.reshape(net.permute(net.matmul(weights, heads), 1, 0, 2), nodes, width)
    return net.add(seen, net.parameter(width))


def _gcn(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """Graph convolution (Kipf and Welling, 2017)."""
    h = adjacency.symmetric(net.linear(x, width, bias=False), loops=True)
    return net.add(h, net.parameter(width))


def _gin(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """A linear map of the sum of a node and its neighbours (Xu et al., 2019)."""
    return net.linear(net.add(x, adjacency.total(x)), width)


def _cheb(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """Chebyshev polynomials of the Laplacian up to the first (Defferrard et al., 2016)."""
    neighbours = net.scale(adjacency.symmetric(x, loops=False), -1.0)
    return net.add(net.linear(x, width), net.linear(neighbours, width, bias=False))


def _sage(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """Linear maps of a node and of the mean of its neighbours (Hamilton et al., 2017)."""
    return net.add(net.linear(adjacency.average(x), width), net.linear(x, width, bias=False))


def _arma(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """An auto-regressive filter of one stack and one step (Bianchi et al., 2021)."""
    h = adjacency.symmetric(net.linear(x, width, bias=False), loops=False)
    return net.act("relu", net.add(h, net.linear(x, width)))


def _graph(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """Linear maps of a node and of the sum of its neighbours (Morris et al., 2019)."""
    return net.add(net.linear(adjacency.total(x), width), net.linear(x, width, bias=False))


def _fc(net: Net, x: Value, width: int, adjacency: Adjacency) -> Value:
    """A linear map of each node alone."""
    del adjacency
    return net.linear(x, width)


#: Layer by the benchmark's name.
CONVOLUTIONS: Final[dict[str, Callable[[Net, Value, int, Adjacency], Value]]] = {
    "gat": _gat,
    "gcn": _gcn,
    "gin": _gin,
    "cheb": _cheb,
    "sage": _sage,
    "arma": _arma,
    "graph": _graph,
    "fc": _fc,
}
