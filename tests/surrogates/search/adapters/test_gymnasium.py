"""The environment."""

import warnings

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env

from archcast.encoders.errors import InvalidSettingError
from archcast.search.adapters.gymnasium import ArchitectureEnv


@pytest.mark.parametrize("steps", [1, 3])
def test_gymnasium_finds_nothing_wrong(small_domain, convs, steps):
    env = ArchitectureEnv(small_domain, convs, max_steps=steps)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(obs|reward|action).*")
        warnings.filterwarnings("ignore", message=".*(infinity|render modes).*")
        check_env(env)


def test_a_step_scores_an_architecture(domain, convs):
    env = ArchitectureEnv(domain, [convs, "cifar10/test_accuracy"], weights=[10, 1])
    observation, info = env.reset(seed=0)
    assert not observation.any()
    assert info == {}
    spec = domain.space.text((3, 1, 3, 0, 4, 3))
    observation, reward, ended, cut, info = env.step(
        np.array(env.problem.parameters.positions(spec))
    )
    assert (info["spec"], ended, cut) == (spec, True, False)
    assert observation[0] == 3
    assert observation[2] == domain.cost("params", [spec])[0]
    assert reward == pytest.approx(30 + observation[1])
    low, high = info["interval"][1]
    assert low < observation[1] < high
    assert info["source"] == ("measured", "forecast")


def test_targets_are_rewarded_as_in_archgym(domain, convs):
    env = ArchitectureEnv(domain, "params", target={"params": 500_000}, cap=50)
    spec = domain.space.text((3, 0, 3, 0, 0, 3))
    action = np.array(env.problem.parameters.positions(spec))
    value = domain.cost("params", [spec])[0]
    assert env.step(action)[1] == pytest.approx(500_000 / abs(500_000 - value))
    wanted = {"params": 500_000, "convs": 4}
    both = ArchitectureEnv(domain, ["params", convs], target=wanted, cap=50)
    expected = 500_000 / abs(500_000 - value) * 4 / (4 - spec.count("conv_3x3"))
    assert both.step(action)[1] == pytest.approx(min(expected, 50))
    met = ArchitectureEnv(domain, "params", target={"params": value}, cap=50)
    assert met.step(action)[1] == 50


def test_broken_constraints_are_punished_and_told(small_domain, convs):
    env = ArchitectureEnv(small_domain, convs, penalty=-7, max_steps=2)
    heavy = env.problem.parameters.positions(small_domain.space.text((3,) * 6))
    observation, reward, ended, _, info = env.step(np.array(heavy))
    assert (reward, ended) == (-7, False)
    assert not observation.any()
    assert "params<=600000" in info["why"]
    nothing = ArchitectureEnv("nasbench101", convs).step(np.zeros(26, int))[-1]
    assert nothing["why"] == "no architecture makes these choices"


@pytest.mark.parametrize(
    "options",
    [{"weights": [1, 2]}, {"target": {"flops": 1}}, {"target": {"convs": 0}}, {"max_steps": 0}],
)
def test_settings_that_make_no_sense(domain, convs, options):
    with pytest.raises(InvalidSettingError):
        ArchitectureEnv(domain, convs, **options)
