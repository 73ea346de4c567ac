"""NAS-Bench-NLP: recurrent cells of any shape, in a language model of three layers.

Reference:
    Klyuchnikov et al., "NAS-Bench-NLP: Neural Architecture Search Benchmark for Natural Language
    Processing", IEEE Access 2022.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._net import Net, Parameter, Value
from archcast.encoders.spaces._recipe import OPERATORS, Node, Recipe, RecipeError, ordered

#: Features of a word, and of the hidden states.
EMBEDDING: Final = 400
HIDDEN: Final = 600
#: Features entering and leaving each layer; the last gives what the tied decoder reads.
LAYERS: Final = ((EMBEDDING, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, EMBEDDING))
#: Most states, and most nodes, of a cell that is drawn.
_STATES: Final = 3
_NODES: Final = 12


class NASBenchNLP(Space[Recipe]):
    """Cells that map a word and the previous hidden states to new ones, as recipes.

    A specification is the benchmark's own: a mapping (or its JSON text) of node names to
    ``{"op": "linear", "input": ["x", "h_prev_0"]}``. Nodes ``h_new_0``, ``h_new_1``, ... are the
    new states, the first of them also the cell's output. Operators: ``linear`` (1 to 3 inputs,
    the only one that reads ``x``), ``blend`` (a gate and the two it chooses from),
    ``elementwise_prod`` and ``elementwise_sum`` (2 or 3), ``activation_tanh``, ``activation_sigm``
    and ``activation_leaky_relu``. Other nodes' names are free; they become ``n0``, ``n1``, ...

    The network, after the published code: an embedding of 400 features, three layers of the cell
    with states of 600, 600 and 400, and a decoder that shares the embedding's weights. It reads
    word ids and the previous states of every layer, and gives the logits and the new states.
    ``image_size`` is the number of time steps, with shared weights; the graph has one.

    Weights of nodes that no new state depends on are in the benchmark's parameter counts, not in
    a graph's. A product or sum of three inputs, which no published cell has, repeats an input in
    the authors' code, and is of all three here.
    """

    name = "nasbench_nlp"
    size = None
    num_classes = 10_000
    image_size = 1

    def parse(self, spec: Any) -> Recipe:
        """Read a mapping, its JSON text, or nodes as (name, operator, inputs)."""
        if isinstance(spec, str):
            try:
                spec = json.loads(spec.strip().removeprefix(f"{self.name}:"))
            except (ValueError, RecursionError) as error:
                raise InvalidSpecError(f"{self.name}: the recipe is no JSON ({error})") from error
        try:
            return ordered(_nodes(spec))
        except RecipeError as error:
            raise InvalidSpecError(f"{self.name}: {error}") from error

    def text(self, cell: Recipe) -> str:
        """Write the recipe as JSON."""
        nodes = {name: {"op": op, "input": list(inputs)} for name, op, inputs in cell}
        return json.dumps(nodes, separators=(",", ":"))

    def owns(self, text: str) -> bool:
        """A JSON object with a node ``h_new_0``."""
        return text.startswith("{") and '"h_new_0"' in text

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different recipes of up to three states and twelve nodes, all of them used."""
        rng = np.random.default_rng(seed)
        found: dict[str, None] = {}
        while len(found) < n:
            nodes = _used(_random(rng))
            if any("x" in node.inputs for node in nodes):
                found.setdefault(self.text(ordered(nodes)))
        return list(found)

    def neighbours(self, spec: Any) -> list[str]:
        """The recipes with one operator exchanged, or one input taken from elsewhere."""
        cell = self.parse(spec)
        found: dict[str, None] = {}
        for place, node in enumerate(cell):
            for other in _varied(cell, place):
                changed = self._valid((*cell[:place], other, *cell[place + 1 :]))
                if other != node and changed:
                    found.setdefault(changed)
        found.pop(self.text(cell), None)
        return list(found)

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """The first recipe, with operators of the second where both have as many inputs."""
        child, other = self.parse(first), self.parse(second)
        rng = np.random.default_rng(seed)
        for place in range(min(len(child), len(other))):
            name, _, inputs = child[place]
            if rng.random() < 0.5 and len(inputs) == len(other[place].inputs):
                changed = Node(name, other[place].op, inputs)
                text = self._valid((*child[:place], changed, *child[place + 1 :]))
                child = self.parse(text) if text else child
        return self.text(child)

    def build(self, net: Net, cell: Recipe, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        ids = net.input((image_size,), tokens=True)
        count = sum(node.name.startswith("h_new_") for node in cell)
        states = [[net.input((hidden,)) for _ in range(count)] for _, hidden in LAYERS]
        table = net.parameter(num_classes, EMBEDDING)
        words = net.embedding(ids, table)
        steps = [net.reshape(net.slice(words, t, t + 1), EMBEDDING) for t in range(image_size)]
        for place, (features, hidden) in enumerate(LAYERS):
            layer = _Layer.of(net, cell, features, hidden)
            for t, x in enumerate(steps):
                states[place] = layer.step(net, x, states[place])
                steps[t] = states[place][0]
        rows = [net.reshape(x, 1, EMBEDDING) for x in steps]
        seen = rows[0] if len(rows) == 1 else net.concat(rows)
        logits = net.linear(seen, num_classes, bias=False, weight=table)
        logits = net.add(logits, net.parameter(num_classes))
        net.output(logits, *(state for layer in states for state in layer))

    def _valid(self, nodes: Sequence[Node]) -> str | None:
        try:
            return self.text(ordered(nodes))
        except RecipeError:
            return None


@dataclass
class _Layer:
    """A cell with its weights: a matrix for each input of a linear node, and a bias for each."""

    cell: Recipe
    matrices: dict[str, list[Parameter]]
    biases: dict[str, Parameter]
    hidden: int

    @classmethod
    def of(cls, net: Net, cell: Recipe, features: int, hidden: int) -> _Layer:
        """Fresh weights."""
        linear = [node for node in cell if node.op == "linear"]
        sizes = {"x": features}
        matrices = {
            node.name: [net.parameter(hidden, sizes.get(i, hidden)) for i in node.inputs]
            for node in linear
        }
        return cls(cell, matrices, {n.name: net.parameter(hidden) for n in linear}, hidden)

    def step(self, net: Net, x: Value, states: list[Value]) -> list[Value]:
        """The new states after a word."""
        values = {"x": x} | {f"h_prev_{i}": state for i, state in enumerate(states)}
        for node in self.cell:
            inputs = [values[name] for name in node.inputs]
            if node.op == "linear":
                values[node.name] = self._linear(net, node.name, inputs)
            else:
                values[node.name] = _applied(net, node.op, inputs)
        return [values[f"h_new_{i}"] for i in range(len(states))]

    def _linear(self, net: Net, name: str, inputs: list[Value]) -> Value:
        products = [
            net.linear(x, self.hidden, bias=False, weight=matrix)
            for x, matrix in zip(inputs, self.matrices[name], strict=True)
        ]
        return net.add(net.add(products[0], self.biases[name]), *products[1:])


def _applied(net: Net, op: str, inputs: list[Value]) -> Value:
    """An operator without weights."""
    if op == "blend":
        gate, chosen, other = inputs
        rest = net.add(net.scale(gate, -1.0), net.constant(np.ones(1)))
        return net.add(net.mul(gate, chosen), net.mul(other, rest))
    if op == "elementwise_sum":
        return net.add(inputs[0], *inputs[1:])
    if op == "elementwise_prod":
        product = inputs[0]
        for x in inputs[1:]:
            product = net.mul(product, x)
        return product
    kind = op.removeprefix("activation_")
    return net.act("sigmoid" if kind == "sigm" else kind, inputs[0])


def _nodes(spec: Any) -> list[Node]:
    """The nodes of a mapping, or of a sequence of triples."""
    if isinstance(spec, Mapping):
        triples = []
        for name, node in spec.items():
            if not isinstance(node, Mapping) or set(node) != {"op", "input"}:
                raise RecipeError(
                    f"node {shown(name)} does not have op and input, and nothing else"
                )
            triples.append((name, node["op"], node["input"]))
    elif isinstance(spec, Sequence) and all(isinstance(n, Sequence) and len(n) == 3 for n in spec):
        triples = list(spec)
    else:
        raise RecipeError(f"{shown(spec)} is no recipe, a mapping of names to op and input")
    nodes = []
    for name, op, inputs in triples:
        listed = isinstance(inputs, (list, tuple)) and all(isinstance(i, str) for i in inputs)
        if not isinstance(name, str) or not isinstance(op, str) or not listed:
            raise RecipeError(f"node {shown(name)}: names are text, and input a list of names")
        nodes.append(Node(name, op, tuple(inputs)))
    return nodes


def _varied(cell: Recipe, place: int) -> list[Node]:
    """A node with another operator, or with one input from elsewhere before it."""
    name, op, inputs = cell[place]
    found = [Node(name, o, inputs) for o, arity in OPERATORS.items() if len(inputs) in arity]
    states = sum(node.name.startswith("h_new_") for node in cell)
    earlier = ["x", *(f"h_prev_{i}" for i in range(states)), *(node.name for node in cell[:place])]
    for at, old in enumerate(inputs):
        found += [
            Node(name, op, (*inputs[:at], new, *inputs[at + 1 :]))
            for new in earlier
            if new != old and new not in inputs
        ]
    return found


def _random(rng: np.random.Generator) -> list[Node]:
    """Random nodes; the last of them are the new states."""
    states = int(rng.integers(1, _STATES + 1))
    count = int(rng.integers(states + 2, _NODES + 1))
    values = [f"h_prev_{i}" for i in range(states)]
    nodes = [Node("n0", "linear", ("x", "h_prev_0"))]
    while len(nodes) < count:
        op = list(OPERATORS)[int(rng.integers(len(OPERATORS)))]
        known = [*values, *(node.name for node in nodes), *(["x"] if op == "linear" else [])]
        arity = int(rng.choice(OPERATORS[op]))
        if arity <= len(known):
            picked = rng.choice(len(known), arity, replace=False)
            new = f"h_new_{count - len(nodes) - 1}" if count - len(nodes) <= states else ""
            nodes.append(Node(new or f"n{len(nodes)}", op, tuple(known[i] for i in picked)))
    return nodes


def _used(nodes: list[Node]) -> list[Node]:
    """The nodes that some new state depends on."""
    wanted = {node.name for node in nodes if node.name.startswith("h_new_")}
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    return [node for node in nodes if node.name in wanted]
