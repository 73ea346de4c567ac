import numpy as np
import pytest

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.encoders.spaces._net_graph import GraphNet

torch = pytest.importorskip("torch")

from archcast import zero_cost  # noqa: E402
from archcast.zero_cost._data import Data  # noqa: E402
from archcast.zero_cost._program import Instruction, Program, compile_graph  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402
from archcast.zero_cost.proxies import recurrent  # noqa: E402
from archcast.zero_cost.proxies._feedback import Loop, needed  # noqa: E402

CPU = torch.device("cpu")


def weights() -> recurrent.SmallWeights:
    return recurrent.SmallWeights(Weights(0, "kaiming", CPU, torch.float32))


def of(weight):
    """Weights that are there."""
    assert weight is not None
    return weight


def simple(layers: int = 1, hidden: int = 6) -> ComputeGraph:
    """h = tanh(W x + U h), one step of it, layer upon layer, and a decoder."""
    net = GraphNet()
    ids = net.input((1,), tokens=True)
    states = [net.input((hidden,)) for _ in range(layers)]
    x = net.reshape(net.embedding(ids, net.parameter(20, 5)), 5)
    ends = []
    for state in states:
        both = net.add(net.linear(x, hidden, bias=False), net.linear(state, hidden, bias=False))
        x = net.act("tanh", both)
        ends.append(x)
    net.output(net.linear(x, 20), *ends)
    return net.graph("test", "simple")


def memory() -> ComputeGraph:
    """A cell with a memory: c = sigmoid(V h) c + tanh(W x), h = tanh(c) sigmoid(U h)."""
    net = GraphNet()
    ids = net.input((1,), tokens=True)
    h, c = net.input((6,)), net.input((6,))
    x = net.reshape(net.embedding(ids, net.parameter(20, 5)), 5)
    forget = net.act("sigmoid", net.linear(h, 6, bias=False))
    new_c = net.add(net.mul(forget, c), net.act("tanh", net.linear(x, 6, bias=False)))
    leave = net.act("sigmoid", net.linear(h, 6, bias=False))
    new_h = net.mul(net.act("tanh", new_c), leave)
    net.output(net.linear(new_h, 20), new_h, new_c)
    return net.graph("test", "memory")


def test_states_are_those_of_a_plain_loop() -> None:
    program = compile_graph(simple())
    data, small = Data(3, 0, device=CPU), weights()
    found = recurrent.hidden_states(program, data, small)
    assert found is not None
    assert found.shape == (6, 3 * recurrent.STEPS)
    ops = {s.op: s for s in program.instructions}
    word = next(i for i, s in enumerate(program.instructions) if s.op == "embedding")
    matrices = {
        "x" if s.inputs == (word,) else "h": of(small(s))
        for s in program.instructions
        if s.op == "linear" and s.channels == 6
    }
    node = program.instructions[word].inputs[0]
    ids = recurrent._drawn(program, data, node, recurrent.STEPS * 3).flatten()
    x = of(small(ops["embedding"]))[ids].unflatten(0, (recurrent.STEPS, 3))
    h, seen = torch.zeros(3, 6), []
    for t in range(recurrent.STEPS):
        seen.append(h)
        h = torch.tanh(x[t] @ matrices["x"].T + h @ matrices["h"].T)
    plain = torch.stack(seen, 2).transpose(0, 1).flatten(1)
    assert torch.allclose(found, plain, atol=1e-6)
    assert found[:, recurrent.STEPS - 1].abs().min() > 0  # it moves at all


def test_score_is_that_of_the_correlation_of_units() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 90))
    rows[1] += rows[0]
    values = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    expected = -(np.log(values) + 1 / values).sum()
    assert float(recurrent.correlation_score(torch.tensor(rows))) == pytest.approx(expected)


def test_a_unit_that_never_changes_costs_an_eigenvalue_of_zero() -> None:
    rows = torch.randn(5, 80, generator=torch.Generator().manual_seed(0))
    without = recurrent.correlation_score(rows[:4])
    rows[4] = 0.3
    lost = without - recurrent.correlation_score(rows)
    assert float(lost) == pytest.approx(1e5 + np.log(1e-5))


def test_what_feeds_back_is_found() -> None:
    program = compile_graph(memory())
    loop = Loop.of(program)
    assert loop is not None
    steps = program.instructions
    memories = [e for e, end in loop.pairs.items() if steps[end].op == "add"]
    assert len(memories) == 1
    assert [steps[j].op for j in program.consumers[memories[0]]] == ["mul"]  # c, not h
    assert steps[loop.hidden].op == "mul"  # h leaves, not c


def test_the_first_layer_counts() -> None:
    one, two = (compile_graph(simple(layers)) for layers in (1, 2))
    loop = Loop.of(two)
    assert loop is not None
    assert len(loop.pairs) == 2
    data, small = Data(3, 0, device=CPU), weights()
    first = recurrent.hidden_states(two, data, small)
    assert first is not None
    assert loop.hidden == min(loop.pairs.values())
    assert recurrent.hidden_states(one, data, small) is not None
    inside = needed(two, loop.hidden, loop.pairs)
    assert max(loop.pairs.values()) not in inside  # the second layer is not even computed


def test_a_gate_and_what_is_left_of_it() -> None:
    net = GraphNet()
    ids, h = net.input((1,), tokens=True), net.input((6,))
    x = net.linear(net.reshape(net.embedding(ids, net.parameter(20, 5)), 5), 6, bias=False)
    gate = net.act("sigmoid", net.linear(h, 6, bias=False))
    rest = net.add(net.scale(gate, -1.0), net.constant(np.ones(1)))
    new = net.add(net.mul(gate, h), net.mul(rest, x))
    net.output(net.linear(new, 20), new)
    program = compile_graph(net.graph("test", "gated"))
    data, small = Data(3, 0, device=CPU), weights()
    found = recurrent.hidden_states(program, data, small)
    assert found is not None
    table = next(s for s in program.instructions if s.op == "embedding")
    matrices = {s.channels_in: of(small(s)) for s in program.instructions if s.op == "linear"}
    ids = recurrent._drawn(program, data, table.inputs[0], recurrent.STEPS * 3).flatten()
    x = (of(small(table))[ids] @ matrices[5].T).unflatten(0, (recurrent.STEPS, 3))
    gate_weights = of(small(_of_state(program)))
    matches = []
    for turned in (False, True):  # a graph does not say which of the two has the gate
        h, seen = torch.zeros(3, 6), []
        for t in range(recurrent.STEPS):
            seen.append(h)
            g = torch.sigmoid(h @ gate_weights.T)
            g = 1 - g if turned else g
            h = g * h + (1 - g) * x[t]
        plain = torch.stack(seen, 2).transpose(0, 1).flatten(1)
        matches.append(torch.allclose(found, plain, atol=1e-6))
    assert sorted(matches) == [False, True]


def _of_state(program: Program) -> Instruction:
    """The matrix of the gate: it reads the state, and the sigmoid reads it."""
    gate = next(s for s in program.instructions if s.op == "sigmoid")
    return program.instructions[gate.inputs[0]]


def test_recurrent_operators_over_positions() -> None:
    class Tagger(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(5, 6, batch_first=True)
            self.head = torch.nn.Linear(6, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0])

    found = zero_cost.score(
        [Tagger()], ["hidden_covariance"], samples=8, input_shape=(1, 9, 5), cache=False
    )
    assert np.isfinite(found["hidden_covariance"]).all()


def test_scores_do_not_depend_on_company_and_networks_without_states_have_none() -> None:
    space = get_space("nasbench201")
    graphs = [simple(), memory(), *space.graphs(space.sample(1, seed=0)), simple(2)]
    options = {"samples": 4, "cache": False}
    together = zero_cost.score(graphs, ["hidden_covariance"], **options)
    alone = [
        zero_cost.score([g], ["hidden_covariance"], **options)["hidden_covariance"][0]
        for g in graphs
    ]
    np.testing.assert_allclose(together["hidden_covariance"], alone, rtol=1e-5)
    assert "no recurrent layer" in together.reasons["hidden_covariance"][2]
    assert list(together.reasons["hidden_covariance"]) == [2]


def test_cells_of_the_benchmark_have_scores() -> None:
    space = get_space("nasbench_nlp")
    found = zero_cost.score(
        space.graphs(space.sample(2, seed=4)), ["hidden_covariance"], samples=2, cache=False
    )
    assert np.isfinite(found["hidden_covariance"]).all()
    assert found["hidden_covariance"][0] != found["hidden_covariance"][1]


@pytest.mark.slow
def test_cells_with_one_state_rank_as_published(mirror) -> None:
    from scipy.stats import spearmanr

    from archcast import datasets

    data = datasets.load("nasbench_nlp")
    published = data.proxy_scores("penn_treebank/layer_1_hidden_covariance")
    rows = [
        i for i in data.with_graph if np.isfinite(published[i]) and "h_new_1" not in data.specs[i]
    ][:12]
    found = zero_cost.score(data.graphs(rows), ["hidden_covariance"], samples=12, cache=False)
    assert spearmanr(found["hidden_covariance"], published[rows])[0] > 0.95
