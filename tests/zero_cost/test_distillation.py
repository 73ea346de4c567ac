import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space

torch = pytest.importorskip("torch")

from archcast import zero_cost  # noqa: E402
from archcast.zero_cost.proxies import distillation  # noqa: E402
from archcast.zero_cost.proxies.distillation import View, distance, diswot_scores  # noqa: E402

SPACE = get_space("nasbench201")
CELLS = SPACE.sample(3, seed=2)


def view(seed: int) -> View:
    generator = torch.Generator().manual_seed(seed)
    channels = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    channels[0, 2] = channels[1] = 0  # a dead channel, a class without a gradient
    features = torch.randn(5, 20, generator=generator, dtype=torch.float64)
    rows = torch.nn.functional.normalize(features @ features.T, dim=1)
    return View(channels, rows)


def semantic(a: View, b: View):
    """The distance by the matrices themselves."""
    total = torch.tensor(0.0, dtype=torch.float64)
    for g, h in zip(a.channels, b.channels, strict=True):
        first, second = (
            torch.nn.functional.normalize(torch.outer(v, v), dim=1, eps=1e-300) for v in (g, h)
        )
        total += (first - second).square().sum() / len(g)
    return total / len(a.channels)


def test_distance_is_that_of_the_matrices() -> None:
    a, b = view(0), view(1)
    expected = semantic(a, b) + (a.samples - b.samples).square().mean()
    assert float(distance(a, b)) == pytest.approx(float(expected))
    assert float(distance(a, a)) == pytest.approx(0.0, abs=1e-12)


def test_students_are_compared_with_resnet56_unless_a_teacher_is_named() -> None:
    found = zero_cost.score(CELLS, ["diswot"], samples=4, cache=False)["diswot"]
    alone = [
        zero_cost.score([cell], ["diswot"], samples=4, cache=False)["diswot"][0] for cell in CELLS
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-5)
    assert (found < 0).all()
    assert len(set(found)) == len(found)
    teacher = distillation.resnet_teacher((3, 32, 32), 10, 64)
    named = diswot_scores(CELLS, teacher, samples=4)["diswot"]
    np.testing.assert_allclose(named, found, rtol=1e-5)


def test_the_teacher_is_the_student_nearest_to_itself() -> None:
    found = diswot_scores(CELLS, CELLS[1], samples=4)["diswot"]
    assert found[1] == pytest.approx(0.0, abs=1e-9)
    assert found[1] > max(found[0], found[2])


def test_resnet56_is_resnet56() -> None:
    graph = distillation.resnet_teacher((3, 32, 32), 10, 64)
    assert graph.ops.count("conv") == 1 + 2 * 27 + 2
    stages = 18 * 9 * 16**2 + 9 * (16 * 32 + 17 * 32**2) + 9 * (32 * 64 + 17 * 64**2)
    assert int(graph.op_weights.sum()) == 27 * 16 + stages + 16 * 32 + 32 * 64 + 640
    wide = distillation.resnet_teacher((3, 64, 48), 10, 96)
    assert wide.ops.count("conv") == graph.ops.count("conv") + 1


def test_what_cannot_be_compared_is_told() -> None:
    narrow = distillation.resnet_teacher((3, 32, 32), 10, 48)
    found = diswot_scores(CELLS[:1], narrow, samples=2)
    assert np.isnan(found["diswot"]).all()
    assert "(10, 64)" in found.reasons["diswot"][0]
    with pytest.raises(InvalidSettingError, match="no teacher"):
        diswot_scores(CELLS[:1], torch_without_classifier(), samples=2)
    words = get_space("flexibert")
    graphs = [words.graphs([spec], image_size=8)[0] for spec in words.sample(1, seed=0)]
    assert (
        "no image"
        in zero_cost.score(graphs, ["diswot"], samples=2, cache=False).reasons["diswot"][0]
    )


def torch_without_classifier() -> object:
    from archcast.encoders.spaces._net_graph import GraphNet

    net = GraphNet()
    x = net.conv_norm(net.input((3, 8, 8)), 4, 3, "relu")
    net.output(net.add(x, net.conv_norm(x, 4, 3)))
    return net.graph("test", "no classifier")
