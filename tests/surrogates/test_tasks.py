"""Tasks: scales, look-up, and which one a network gets by itself."""

from __future__ import annotations

import numpy as np
import pytest

import archcast
from archcast.encoders import ComputeGraph
from archcast.encoders.errors import UnknownTaskError
from archcast.encoders.ops import OP_ID


def network(input_shape, output_shape) -> ComputeGraph:
    ops = [OP_ID[o] for o in ("input", "conv", "output")]
    return ComputeGraph.from_columns(
        {"op": ops}, [(0, 1), (1, 2)], input_shape=input_shape, output_shape=output_shape
    )


@pytest.mark.parametrize(
    ("input_shape", "output_shape", "expected"),
    [
        ((1, 3, 224, 224), (1, 1000), "imagenet1k/top1"),
        ((1, 3, 299, 299), (1, 7), "imagenet1k/top1"),
        ((1, 3, 32, 32), (1, 10), "cifar10/test_accuracy"),
        ((1, 3, 32, 32), (1, 100), "cifar100/test_accuracy"),
        ((1, 3, 16, 16), (1, 120), "imagenet16-120/test_accuracy"),
        ((1, 3, 32, 32), (1, 43), "imagenet1k/top1"),
        ((1, 1, 28, 28), (1, 10), "cifar10/test_accuracy"),
        ((1, 3, 416, 416), (1, 255, 13, 13), "imagenet1k/top1"),
        ((1, 224, 224, 3), (1, 1000), "imagenet1k/top1"),
        ((1, 3, 32, 32), (1, 10, 1, 1), "cifar10/test_accuracy"),
        ((1, 128), (1, 2), None),
        ((1, 80, 3000), (1, 10), None),
        ((1, 3, 8, 8), (1, 10), None),
        ((1, 64, 56, 56), (1, 10), None),
        ((), (), None),
    ],
)
def test_the_default_follows_the_network(input_shape, output_shape, expected):
    task = archcast.default_task(network(input_shape, output_shape))
    assert (task and task.name) == expected


def test_look_up():
    assert archcast.tasks()[0].name == "imagenet1k/top1"
    task = archcast.get_task("cifar10/test_accuracy")
    assert archcast.get_task(task) is task
    assert task.dataset == "cifar10"
    assert task.metric == "test_accuracy"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("imagenet/top1", "imagenet1k/top1"), ("cifar10", "cifar10/test_acc"), ("zzz", "known tasks")],
)
def test_an_unknown_name_gets_a_hint_in_one_line(name, hint):
    with pytest.raises(UnknownTaskError, match=hint) as error:
        archcast.get_task(name)
    assert "\n" not in str(error.value)


def test_the_scale_goes_there_and_back_and_never_leaves_the_range():
    task = archcast.get_task("imagenet1k/top1")
    values = np.array([0.1, 10, 50, 76.1, 99.9])
    np.testing.assert_allclose(task.backward(task.forward(values)), values)
    assert np.isfinite(task.forward([0, 100])).all()
    ends = task.backward([-1e9, 1e9])
    assert ends[0] >= 0
    assert ends[1] <= 100
