"""The universal predictor: which names of tasks have an effect."""

import numpy as np
import pytest

import archcast
from archcast.encoders import read
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space


@pytest.fixture(scope="module")
def graphs():
    return [read(spec) for spec in get_space("nasbench201").sample(4, seed=0)]


def scores(task, graphs):
    return archcast.universal(task).predict(graphs)


@pytest.mark.parametrize("name", ["CIFAR-10", "Cifar10/test_accuracy", "cifar_10/mine"])
def test_a_known_data_set_counts_however_it_is_written(name, graphs):
    expected = scores("cifar10", graphs)
    np.testing.assert_array_equal(scores(name, graphs), expected)
    assert not np.array_equal(scores(None, graphs), expected)


def test_capitals_and_hyphens_do_not_mix_data_sets_up(graphs):
    assert archcast.universal("ImageNet16_120/acc").task == "imagenet16-120/acc"
    assert archcast.universal("CIFAR-100").task == "cifar100"
    task = archcast.get_task("imagenet1k/top1")
    assert archcast.universal(task).task == "imagenet1k/top1"


@pytest.mark.parametrize("name", ["my data/accuracy", "imagenet", "cifar11", ""])
def test_a_task_of_one_s_own_is_allowed_and_has_no_effect(name, graphs):
    assert archcast.universal(name).task == name
    np.testing.assert_array_equal(scores(name, graphs), scores(None, graphs))


def test_what_is_no_name_is_refused():
    with pytest.raises(InvalidSettingError, match="not of type int"):
        archcast.universal(3)
