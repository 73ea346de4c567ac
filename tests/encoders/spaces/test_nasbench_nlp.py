"""Recurrent cells: recipes, and their language models."""

import json

import pytest

from archcast.encoders import read
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces import recognise
from archcast.encoders.spaces.nasbench_nlp import NASBenchNLP

SPACE = NASBenchNLP()
PLAIN = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}
GATED = {
    "z": {"op": "linear", "input": ["x", "h_prev_0"]},
    "g": {"op": "activation_sigm", "input": ["z"]},
    "h_new_0": {"op": "blend", "input": ["g", "h_prev_0", "z"]},
}


def test_names_and_order_of_nodes_do_not_matter():
    other = {"h_new_0": PLAIN["h_new_0"] | {"input": ["q"]}, "q": PLAIN["f"]}
    assert SPACE.parse(other) == SPACE.parse(PLAIN) == SPACE.parse(json.dumps(PLAIN))
    text = SPACE.text(SPACE.parse(PLAIN))
    found = recognise(text)
    assert found is not None
    assert found[0].name == "nasbench_nlp"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"f": {"op": "conv", "input": ["x"]}}, "no operator 'conv'"),
        ({"f": {"op": "linear", "input": ["x", "y"]}}, "reads 'y'"),
        ({"f": {"op": "linear", "input": ["x", "h_prev_1"]}}, "reads 'h_prev_1'"),
        ({"f": {"op": "linear", "input": []}}, "0 inputs"),
        ({"f": {"op": "linear", "input": "x"}}, "list of names"),
        ({"f": {"op": ["linear"], "input": ["x"]}}, "names are text"),
        ({"f": {"op": "linear", "input": [7]}}, "names are text"),
        ({"f": {"op": "linear"}}, "op and input"),
        ({"f": {"op": "activation_tanh", "input": ["x"]}}, "only linear reads x"),
        ({"f": {"op": "linear", "input": ["h_new_0"]}}, "depends on itself"),
        ({"h_new_2": {"op": "linear", "input": ["x"]}}, "without a gap"),
        ({"h_prev_0": {"op": "linear", "input": ["x"]}}, "cannot be called"),
    ],
)
def test_errors_name_the_fault(change, fault):
    with pytest.raises(InvalidSpecError, match=fault):
        SPACE.parse(PLAIN | change)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"h_new_0": ', "[[1, 2, 3]]", "[[], [], []]"])
def test_damaged_texts_are_refused(text):
    with pytest.raises(InvalidSpecError, match="nasbench_nlp"):
        SPACE.parse(text)


def test_cell_without_new_state_is_refused():
    with pytest.raises(InvalidSpecError, match="at least one"):
        SPACE.parse({"f": PLAIN["f"]})


def test_parameters_of_a_plain_cell():
    words, inputs, hidden = 10_000, (400, 600, 600), (600, 600, 400)
    layers = sum(i * h + h * h + h for i, h in zip(inputs, hidden, strict=True))
    assert SPACE.graph(PLAIN).params == words * 400 + words + layers


def test_equals_the_same_network_written_in_torch():
    torch = pytest.importorskip("torch")
    from torch import nn

    class Cell(nn.Module):
        def __init__(self, features, hidden):
            super().__init__()
            self.x, self.h = nn.Linear(features, hidden), nn.Linear(hidden, hidden, bias=False)

        def forward(self, x, h):
            z = self.x(x) + self.h(h)
            gate = torch.sigmoid(z)
            return gate * h + (1 - gate) * z

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.decoder = nn.Embedding(10_000, 400), nn.Linear(400, 10_000)
            self.decoder.weight = self.embedding.weight
            self.cells = nn.ModuleList([Cell(400, 600), Cell(600, 600), Cell(600, 400)])

        def forward(self, ids, *states):
            x, new = self.embedding(ids)[:, 0], []
            for cell, state in zip(self.cells, states, strict=True):
                x = cell(x, state)
                new.append(x)
            return (self.decoder(x[:, None]), *new)

    with torch.device("meta"):
        model = Model().eval()
        states = [torch.zeros(1, size) for size in (600, 600, 400)]
        example = (torch.zeros(1, 1, dtype=torch.long), *states)
    graph, direct = read(model, example=example), SPACE.graph(GATED)
    assert graph == direct
    assert graph.params == direct.params


def test_several_steps_share_their_weights():
    torch = pytest.importorskip("torch")
    one, four = SPACE.graph(GATED), SPACE.graph(GATED, image_size=4)
    assert one.params == four.params
    assert len(four) > 2 * len(one)
    with torch.device("meta"):
        module = SPACE.module(GATED, image_size=4).eval()
    assert read(module, example=module.example()) == four


def test_steps_in_a_row_are_steps_one_after_the_other():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    one = SPACE.module(GATED, num_classes=20)
    many = SPACE.module(GATED, num_classes=20, image_size=3)
    many.load_state_dict(one.state_dict())
    ids = torch.tensor([[3, 1, 4]])
    states = [torch.zeros(1, size) for size in (600, 600, 400)]
    together, *last = many(ids, *states)
    rows = []
    for t in range(3):
        row, *states = one(ids[:, t : t + 1], *states)
        rows.append(row)
    assert (together - torch.cat(rows, 1)).abs().max() < 1e-6
    assert all((a - b).abs().max() < 1e-6 for a, b in zip(last, states, strict=True))
    together.sum().backward()
    assert all(p.grad is not None for p in many.parameters())


def test_drawn_cells_use_all_their_nodes():
    for spec in SPACE.sample(100, seed=4):
        cell = SPACE.parse(spec)
        read_somewhere = {name for node in cell for name in node.inputs}
        assert all(n.name in read_somewhere or n.name.startswith("h_new_") for n in cell)
        assert "x" in read_somewhere


def test_neighbours_are_one_change_away():
    spec = SPACE.sample(1, seed=6)[0]
    own = SPACE.parse(spec)
    for other in SPACE.neighbours(spec):
        assert len(SPACE.parse(other)) == len(own)
    assert spec in SPACE.neighbours(SPACE.neighbours(spec)[0])
