"""Many architectures at once give what each gives alone."""

import pytest

from archcast.encoders import read_all
from archcast.encoders.spaces import get_space
from archcast.zero_cost._program import compile_graph

torch = pytest.importorskip("torch")

from archcast.zero_cost._data import Data  # noqa: E402  (after the skip)
from archcast.zero_cost._execute import Mode, execute  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402

CPU = torch.device("cpu")


def setting(samples=4, dtype=torch.float32):
    return Data(samples, 0, device=CPU, dtype=dtype), Weights(0, "kaiming", CPU, dtype)


def programs(name, count=6, **size):
    space = get_space(name)
    return [compile_graph(graph) for graph in space.graphs(space.sample(count, seed=3), **size)]


@pytest.mark.parametrize(
    ("name", "size"), [("nasbench201", {}), ("nats_size", {}), ("darts", {}), ("flexibert", {})]
)
@pytest.mark.parametrize("mode", [Mode(), Mode(width=4), Mode(width=4, separate=True)])
def test_company_changes_nothing(name, size, mode):
    nets = programs(name, 4 if name in {"nasbench201", "nats_size"} else 2, **size)
    data, weights = setting(2)
    alone = [execute([net], data, weights, Mode())[0] for net in nets]
    together = execute(nets, data, weights, mode)
    for first, second in zip(alone, together, strict=True):
        for a, b in zip(first, second, strict=True):
            # Rounding in another order grows through forty layers with norms.
            assert torch.allclose(a, b, rtol=0, atol=1e-4 * float(a.abs().max()))


def test_a_common_beginning_is_computed_once():
    same = "|nor_conv_3x3~0|+|none~0|none~1|+|{}~0|none~1|none~2|"
    nets = [
        compile_graph(g)
        for g in read_all([same.format(op) for op in ("nor_conv_1x1", "skip_connect")])
    ]
    data, weights = setting()
    calls = []
    execute(nets, data, weights, Mode(), calls.append)
    stems = [s for s in calls if s.instruction.weight and s.instruction.channels_in == 3]
    assert len(stems) == 1
    assert [a for owner in stems[0].owners for a, _ in owner] == [0, 1]


def test_operators_of_several_architectures_run_in_one_call():
    nets = programs("nats_size", 1) * 3
    data, weights = setting()
    calls = []
    execute(nets, data, weights, Mode(width=3, separate=True), calls.append)
    assert {step.copies for step in calls} == {3}
    assert len(calls) == len(nets[0]) - 1  # the output computes nothing


def test_gradients_of_separate_weights_are_those_of_each_alone():
    nets = programs("nasbench201", 3)
    # In float32 rounding turns a few ReLUs, and gradients jump.
    data, weights = setting(dtype=torch.float64)

    def gradients(chosen, width):
        steps = []
        found = execute(chosen, data, weights, Mode(width=width, separate=True), steps.append)
        total = sum(out[0].square().mean() for out in found)
        weighted = [s for s in steps if s.weight is not None]
        grads = torch.autograd.grad(total, [s.weight for s in weighted])
        by_owner = {}
        for step, grad in zip(weighted, grads, strict=True):
            for k, ((owner,),) in enumerate(zip(step.owners, strict=True)):
                by_owner[owner] = grad[k]
        return by_owner

    together = gradients(nets, 3)
    for a, net in enumerate(nets):
        for (_, node), grad in gradients([net], 1).items():
            assert torch.allclose(together[a, node], grad, rtol=0, atol=1e-9 * grad.abs().max())


def test_weights_depend_on_seed_shape_and_place_only():
    first, second = programs("nasbench201", 2)
    _, weights = setting()
    again = Weights(0, "kaiming", CPU, torch.float32)
    keys = [step.weight for net in (first, second) for step in net.instructions if step.weight]
    assert len({key.ordinal for key in keys}) > 5
    for key in keys[::-1]:
        assert torch.equal(weights(key), again(key))
    other = Weights(1, "kaiming", CPU, torch.float32)
    assert not torch.equal(weights(keys[0]), other(keys[0]))


@pytest.mark.parametrize("init", ["kaiming", "pytorch", "xavier", "orthogonal", "normal"])
def test_initialisations_have_their_variance(init):
    from archcast.zero_cost._program import Weight

    key = Weight("conv", (64, 32, 3, 3), 0)
    found = Weights(0, init, CPU, torch.float32)(key)
    expected = {
        "kaiming": 2 / 288, "pytorch": 1 / 288 / 3, "xavier": 2 / (288 + 576),
        "orthogonal": 1 / 288, "normal": 1.0,
    }[init]  # fmt: skip
    assert float(found.var()) == pytest.approx(expected, rel=0.1)
