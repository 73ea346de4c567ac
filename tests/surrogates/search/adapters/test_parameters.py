"""Spaces as categorical parameters."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.spaces import SPACES, get_space
from archcast.search.adapters import Parameters

_WITHOUT = {"timm", "torchvision", "nasbench_nlp", "lemur"}
_WITH = sorted(set(SPACES) - _WITHOUT)


@pytest.mark.parametrize("name", _WITH)
def test_every_architecture_has_a_combination(name):
    space = get_space(name)
    parameters = Parameters.of(space)
    for spec in space.sample(20, seed=5):
        assert parameters.spec(parameters.positions(spec)) == spec
        assert parameters.choose(parameters.labels(spec)) == spec


@pytest.mark.parametrize("name", _WITH)
def test_what_a_combination_gives_is_read_back_by_the_space(name):
    space = get_space(name)
    parameters = Parameters.of(space)
    rng = np.random.default_rng(1)
    sizes = [len(labels) for labels in parameters.options]
    specs = [parameters.spec(rng.integers(sizes).tolist()) for _ in range(40)]
    found = [spec for spec in specs if spec is not None]
    assert found
    assert [space.text(space.parse(spec)) for spec in found] == found


def test_choices_have_the_names_of_the_text():
    parameters = Parameters.of(get_space("nasbench201"))
    operators = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}
    assert all(set(labels) == operators for labels in parameters.options)
    assert parameters.combinations == 15_625
    assert not parameters.partial
    chosen = dict.fromkeys(parameters.names, "skip_connect")
    assert str(parameters.choose(chosen)).count("skip_connect") == 6


def test_impossible_combinations_are_no_architectures():
    parameters = Parameters.of(get_space("nasbench101"))
    assert parameters.spec([0] * 26) is None  # no edge at all
    assert parameters.spec([1] * 21 + [0] * 5) is None  # 21 edges, of nine allowed
    assert parameters.partial


def test_a_space_without_fixed_choices_is_refused():
    with pytest.raises(InvalidSettingError, match="no fixed choices"):
        Parameters.of(get_space("nasbench_nlp"))


def test_unknown_choices_are_named():
    parameters = Parameters.of(get_space("nasbench201"))
    with pytest.raises(InvalidSettingError, match="'0' is 'conv9x9'"):
        parameters.choose({"0": "conv9x9"})
    with pytest.raises(InvalidSpecError):
        parameters.positions("|conv9x9~0|")
