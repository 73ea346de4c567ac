"""``predict``: from anything that describes a network to a calibrated forecast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._recipe import encode
from archcast._shipped import predictor_for
from archcast._strangeness import described
from archcast._tasks import Task, class_count, default_task, get_task, is_image_like, tasks
from archcast.encoders import read, read_all
from archcast.encoders.errors import NotANetworkError, UnknownTaskError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import tabular
from archcast.forecast import Forecast
from archcast.predictors.tabular_predictor import TabularPredictor

#: Data set -> its classes.
_CLASSES = {"imagenet1k": 1000, "cifar10": 10, "cifar100": 100, "imagenet16-120": 120}


def predict(
    obj: Any,
    task: str | Task | None = None,
    recipe: Mapping[str, Any] | None = None,
    input_shape: Any = None,
) -> Any:
    """Forecast what an architecture scores once it is trained.

    Args:
        obj: one network, or a list or tuple of them: graphs, or whatever
            :func:`archcast.encoders.read` takes (ONNX files, torch modules, cell strings).
        task: what to forecast; by default :func:`archcast.default_task` of each network.
        recipe: how it is going to be trained, see :attr:`Task.recipe_fields`; what is not said
            is taken to be as usual for networks like it.
        input_shape: passed to :func:`archcast.encoders.read`.

    Returns:
        One :class:`Forecast`, or a list of them for a list.

    Raises:
        UnknownTaskError: no such task, or none named and the network has no default.
        NotANetworkError: the model holds no weights.
        InvalidRecipeError: a field or value of the recipe is not known.
        ArchcastError: the network cannot be read.
    """
    if isinstance(obj, (list, tuple)):
        return forecast_all(read_all(obj, input_shape), task, recipe)
    return forecast_all([read(obj, input_shape)], task, recipe)[0]


def forecast_all(
    graphs: Sequence[ComputeGraph], task: str | Task | None, recipe: Mapping[str, Any] | None
) -> list[Forecast]:
    """Forecasts of n graphs; the features of all are computed at once."""
    for graph in graphs:
        if graph.source in ("onnx", "torch") and not graph.op_weights.any():
            raise NotANetworkError(
                "the model holds no trained weights, so there is nothing to forecast"
            )
    chosen = [get_task(task) if task is not None else _default(graph) for graph in graphs]
    x = tabular(graphs).values
    forecasts: dict[int, Forecast] = {}
    for each in dict.fromkeys(chosen):
        rows = [i for i, t in enumerate(chosen) if t is each]
        forecasts.update(
            zip(rows, _of_task([graphs[i] for i in rows], x[rows], each, recipe), strict=True)
        )
    return [forecasts[i] for i in range(len(graphs))]


def _default(graph: ComputeGraph) -> Task:
    task = default_task(graph)
    if task is None:
        shape = "x".join(map(str, graph.input_shape)) or "unknown"
        raise UnknownTaskError(
            f"no task fits a network with input {shape} by itself; name the one to forecast: "
            + ", ".join(t.name for t in tasks())
        )
    return task


def _of_task(
    graphs: Sequence[ComputeGraph],
    x: NDArray[np.float32],
    task: Task,
    recipe: Mapping[str, Any] | None,
) -> Iterable[Forecast]:
    predictor = predictor_for(task)
    numbers, remarks = encode(task, recipe)
    given = None if numbers is None else np.tile(numbers, (len(x), 1))
    outcome = predictor.distribution(x, given)
    values, stds = task.backward(outcome.centre), predictor.std(outcome)
    ranks = _ranks(values, predictor, task)
    for i, graph in enumerate(graphs):
        centre, residuals = float(outcome.centre[i]), outcome.scale[i] * outcome.residuals
        std = float(stds[i])
        near = float(outcome.near[i])
        known = described(graph, x[i], near, int(outcome.neighbour[i]), predictor)
        strange = _remarks(graph)
        if strange or known.word == "alien":
            residuals = _reserved(residuals, task.forward(predictor.labels_) - centre)
            std = float(task.backward(centre + residuals).std())
        yield Forecast(
            float(values[i]),
            std,
            known,
            float(ranks[i]),
            task,
            graph,
            (*strange, *_other_classes(graph, task), *remarks),
            centre,
            residuals,
        )


def _reserved(residuals: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors of a forecast that nothing like it was calibrated on.

    Half of them are as the predictor claims, half as if only the task were known and nothing of
    the network: any score that known networks reach.
    """
    levels = np.linspace(0, 1, len(residuals))
    both = [np.quantile(part[np.isfinite(part)], levels) for part in (residuals, others)]
    return np.sort(np.concatenate(both))


def _ranks(
    values: NDArray[np.float64], predictor: TabularPredictor, task: Task
) -> NDArray[np.float64]:
    """Share of the training architectures that each value beats."""
    labels = predictor.labels_
    share = np.interp(values, labels, np.linspace(0, 1, len(labels)))
    return share if task.direction == "max" else 1 - share


def _remarks(graph: ComputeGraph) -> tuple[str, ...]:
    if not is_image_like(graph):
        return ("does not look at pictures, so the number means little",)
    if class_count(graph) is None:
        return ("is no image classifier: the number is for a classifier of the same operators",)
    return ()


def _other_classes(graph: ComputeGraph, task: Task) -> tuple[str, ...]:
    """A remark where a file's classifier is for another number of classes than the task has."""
    found, wanted = class_count(graph), _CLASSES.get(task.dataset)
    if graph.source not in ("onnx", "torch") or found is None or wanted in (None, found):
        return ()
    return (f"has {found} classes; the number is for its architecture with {task.dataset}'s",)
