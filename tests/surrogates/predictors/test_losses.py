import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError

torch = pytest.importorskip("torch")

from archcast.predictors.losses import LOSSES, loss_named  # noqa: E402

RNG = np.random.default_rng(0)
NAN = float("nan")


def tensors(score, target):
    return torch.tensor(score, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)


def test_mse_and_huber_leave_missing_labels_out():
    score, target = tensors([[1.0, 9.0], [0.0, 2.0]], [[0.0, NAN], [0.5, 5.0]])
    assert loss_named("mse")(score, target) == pytest.approx((1 + 0.25 + 9) / 3)
    assert loss_named("huber")(score, target) == pytest.approx((0.5 + 0.125 + 2.5) / 3)


def test_hinge_is_the_mean_over_all_pairs_where_they_are_few():
    s, t = RNG.normal(size=6), np.array([0.3, -1.0, 0.3, 2.0, NAN, 0.0])
    pairs = [
        max(0.0, 0.1 - np.sign(t[i] - t[j]) * (s[i] - s[j]))
        for i in range(6)
        for j in range(i)
        if t[i] != t[j] and not np.isnan(t[i] + t[j])
    ]
    found = loss_named("hinge")(*tensors(s[:, None], t[:, None]))
    assert len(pairs) == 9
    assert found == pytest.approx(np.mean(pairs))


def test_hinge_draws_at_most_four_pairs_an_architecture():
    score, target = tensors(RNG.normal(size=(64, 1)), RNG.normal(size=(64, 1)))
    score.requires_grad_()
    torch.manual_seed(0)
    one = loss_named("hinge")(score, target)
    torch.manual_seed(1)
    assert loss_named("hinge")(score, target) != one  # other pairs
    gaps = (score[:, None] - score[None]).detach()[target > target.T]
    whole = (0.1 - gaps).clamp(min=0).mean()
    assert abs(one - whole) < 0.35 * whole


def test_listmle_is_the_likelihood_of_the_order():
    s, t = np.array([0.2, -1.0, 0.7]), np.array([1.0, 3.0, 2.0])
    order = [1, 2, 0]
    expected = -np.mean([s[i] - np.log(np.exp(s[order[at:]]).sum()) for at, i in enumerate(order)])
    assert loss_named("listmle")(*tensors(s[:, None], t[:, None])) == pytest.approx(expected)


def test_weighted_costs_more_among_the_best():
    target = torch.arange(8.0)[:, None]
    among_best, among_worst = target.clone(), target.clone()
    among_best[[6, 7]] = target[[7, 6]]
    among_worst[[0, 1]] = target[[1, 0]]
    loss = loss_named("weighted")
    assert loss(among_best, target) > 3 * loss(among_worst, target)


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_to_compare_is_no_loss_and_no_nan(name):
    score = torch.zeros(3, 2, requires_grad=True)
    target = torch.full((3, 2), NAN)
    loss = loss_named(name)(score, target)
    loss.backward()
    assert loss == 0
    assert score.grad is None or torch.isfinite(score.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_descending_brings_the_order(name):
    target = torch.tensor(RNG.permutation(12)[:, None] / 4.0)
    target = (target - target.mean()) / target.std()
    score = torch.zeros(12, 1, dtype=target.dtype, requires_grad=True)
    optimizer = torch.optim.Adam([score], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss_named(name)(score, target).backward()
        optimizer.step()
    found = np.corrcoef(score.detach()[:, 0].argsort().argsort(), target[:, 0].argsort().argsort())
    assert found[0, 1] > 0.95


def test_tasks_are_never_compared_with_each_other():
    score, target = tensors([[0.0, 5.0], [1.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]])
    assert loss_named("hinge")(score, target) == 0


def test_unknown_loss():
    with pytest.raises(InvalidSettingError, match="known: mse"):
        loss_named("l1")
