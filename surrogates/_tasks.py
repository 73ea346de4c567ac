"""Tasks: what a forecast number means."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.encoders.errors import UnknownTaskError
from archcast.encoders.graph import ComputeGraph

__all__ = ["Task", "default_task", "get_task", "is_image_like", "tasks"]


@dataclass(frozen=True, slots=True)
class Task:
    """A measured quantity on a data set.

    Attributes:
        name: ``dataset/metric``.
        dataset: data set the networks were trained and measured on.
        metric: what was measured.
        unit: unit of the values.
        direction: whether larger (``max``) or smaller (``min``) is better.
        transform: scale that predictors work on: ``logit`` for percentages, ``log`` for times and
            perplexities, or ``identity``.
        recipe_fields: how a network was trained, as far as a forecast may be conditioned on it.
        description: one sentence for people, with the training the values come from.
    """

    name: str
    dataset: str
    metric: str
    unit: str
    direction: Literal["max", "min"]
    transform: Literal["logit", "log", "identity"]
    recipe_fields: tuple[str, ...]
    description: str

    def forward(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values in the task's unit to the scale of the predictors, same shape."""
        return _transforms.forward(self.transform, values)

    def backward(self, values: ArrayLike) -> NDArray[np.float64]:
        """The inverse of :meth:`forward`, same shape."""
        return _transforms.backward(self.transform, values)


def _accuracy(name: str, description: str, recipe: tuple[str, ...] = ()) -> Task:
    dataset, metric = name.split("/")
    return Task(name, dataset, metric, "%", "max", "logit", recipe, description)


_CELL = "from scratch for 200 epochs with SGD, the recipe of NAS-Bench-201"
_TASKS = {
    task.name: task
    for task in (
        _accuracy(
            "imagenet1k/top1",
            "ImageNet-1k validation top-1 accuracy of a network trained by a present-day recipe, "
            "as in the timm model zoo, at the network's own input size",
            ("pretrain", "distilled", "self_supervised", "schedule", "tag"),
        ),
        _accuracy("cifar10/test_accuracy", f"CIFAR-10 test accuracy of a network trained {_CELL}"),
        _accuracy(
            "cifar100/test_accuracy", f"CIFAR-100 test accuracy of a network trained {_CELL}"
        ),
        _accuracy(
            "imagenet16-120/test_accuracy",
            f"ImageNet16-120 (16x16 pixels) test accuracy of a network trained {_CELL}",
        ),
    )
}


def tasks() -> tuple[Task, ...]:
    """All tasks that a predictor ships for."""
    return tuple(_TASKS.values())


def get_task(name: str | Task) -> Task:
    """The task of that name.

    Raises:
        UnknownTaskError: no such task; the message names the closest ones.
    """
    if isinstance(name, Task):
        return name
    if name in _TASKS:
        return _TASKS[name]
    near = difflib.get_close_matches(str(name), _TASKS, n=2, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known tasks: {', '.join(_TASKS)}"
    raise UnknownTaskError(f"unknown task {str(name)!r}; {hint}")


def is_image_like(graph: ComputeGraph) -> bool:
    """Whether the first input looks like one picture: 1 or 3 channels, at least 16 by 16."""
    entry, shape = input_extent(graph)
    return entry in (1, 3) and min(shape) >= 16


def input_extent(graph: ComputeGraph) -> tuple[int, tuple[int, int]]:
    """Channels, height and width of the first input; zeros if it has no two-dimensional layout."""
    dims = graph.input_shape
    if len(dims) != 4:
        return 0, (0, 0)
    if dims[1] > 4 >= dims[3]:  # channels last
        return dims[3], (dims[1], dims[2])
    return dims[1], (dims[2], dims[3])


def class_count(graph: ComputeGraph) -> int | None:
    """Number of classes if the first output is one vector of scores, else None."""
    dims = graph.output_shape
    classes = math.prod(dims[1:])
    return classes if len(dims) >= 2 and classes == max(dims[1:]) and classes > 1 else None


def default_task(graph: ComputeGraph) -> Task | None:
    """The task a network is forecast on when nobody names one.

    A picture of at most 64x64 pixels and 10, 100 or 120 classes mean CIFAR-10, CIFAR-100 or
    ImageNet16-120; any other picture means ImageNet-1k at the network's own size, whatever its
    outputs are. Networks that do not look at pictures have no default.
    """
    if not is_image_like(graph):
        return None
    small = max(input_extent(graph)[1]) <= 64
    by_classes = {
        10: "cifar10/test_accuracy",
        100: "cifar100/test_accuracy",
        120: "imagenet16-120/test_accuracy",
    }
    name = by_classes.get(class_count(graph) or 0) if small else None
    return _TASKS[name or "imagenet1k/top1"]
