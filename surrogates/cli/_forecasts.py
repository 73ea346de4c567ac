"""Forecasts for many networks, one failure never stopping the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archcast
from archcast import encoders
from archcast.cli._inputs import Shapes, parse_recipe, parse_shapes
from archcast.cli._report import Failures
from archcast.encoders._files import exists
from archcast.encoders.errors import StorageError

if TYPE_CHECKING:
    from archcast import Forecast
    from archcast.encoders.graph import ComputeGraph

#: Networks read before they are scored together: enough to share the fixed cost, few enough to
#: answer soon and to hold little in memory.
CHUNK = 32


@dataclass(frozen=True)
class Query:
    """What to ask about each network.

    Attributes:
        tasks: names of tasks; None stands for the task that fits the network.
        recipe: recipe fields, or None.
        input_shape: shape of the input, or shapes by name, or None.
    """

    tasks: tuple[str | None, ...] = (None,)
    recipe: Mapping[str, Any] | None = None
    input_shape: Shapes = None

    @classmethod
    def from_options(
        cls,
        tasks: Sequence[str] | None,
        recipe: Sequence[str] | None,
        input_shape: Sequence[str] | None,
    ) -> Query:
        """Check the options before any file is read.

        Raises:
            UnknownTaskError: no such task.
            ShapeError: an input shape is not one.
            UsageError: a recipe field is not ``key=value``.
        """
        names = tuple(archcast.get_task(name).name for name in tasks or ())
        return cls(names or (None,), parse_recipe(recipe or ()), parse_shapes(input_shape or ()))


@dataclass(frozen=True)
class Read:
    """A network that was read, and the seconds it took."""

    name: str
    graph: ComputeGraph
    seconds: float


def forecast_rows(
    names: Sequence[str],
    query: Query,
    failures: Failures,
    advance: Callable[[int], None] = lambda _steps: None,
) -> Iterator[dict[str, Any]]:
    """Answer a query for every network, in order.

    Args:
        names: files or cell strings.
        query: what to ask.
        failures: told of every network that fails.
        advance: called with the number of networks just done.

    Yields:
        A row of :func:`describe` for each network and task, or the object of
        :meth:`Failures.add` for one that failed.
    """
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        slots = read_each(chunk, query, failures)
        graphs = [slot.graph for slot in slots if isinstance(slot, Read)]
        answers = _predict_together(graphs, query)
        for slot in slots:
            if isinstance(slot, Read):
                yield from _rows(slot, next(answers), query, failures)
            else:
                yield slot
        advance(len(chunk))


def read_each(
    names: Sequence[str], query: Query, failures: Failures
) -> list[Read | dict[str, str]]:
    """Each network read, or the object of :meth:`Failures.add` for one that failed."""
    cells = _read_cells(names, query)
    return [cells.get(name) or _read(name, query, failures) for name in names]


def describe(name: str, forecast: Forecast, seconds: float) -> dict[str, Any]:
    """A forecast as a flat, JSON-ready row.

    Args:
        name: the file or cell string.
        forecast: what was forecast for it.
        seconds: wall-clock time that reading and scoring took.
    """
    low, high = forecast.interval(0.9)
    return {
        "file": name,
        "task": forecast.task.name,
        "value": _rounded(forecast.value),
        "unit": forecast.task.unit,
        "std": _rounded(forecast.std),
        "interval": [_rounded(low), _rounded(high)],
        "familiarity": forecast.familiarity.word,
        "nearest": forecast.familiarity.nearest,
        "reason": forecast.familiarity.reason,
        "rank": _rounded(forecast.rank),
        "params": int(forecast.graph.params),
        "macs": forecast.graph.macs,
        "input_shape": list(forecast.graph.input_shape),
        "hash": forecast.graph.hash,
        "notes": list(forecast.notes),
        "seconds": round(seconds, 6),
    }


def _rounded(value: float) -> float:
    """Six digits behind the point: what comes after depends on what else was asked for."""
    return round(float(value), 6)


def source(name: str) -> str | Path:
    """What a reader gets for a name: a path wherever there is a file of that name."""
    try:
        return Path(name) if exists(name) else name
    except (OSError, ValueError):  # a cell string too long for a file name
        return name


def _read_cells(names: Sequence[str], query: Query) -> dict[str, Read]:
    """Cell strings, which are much faster to build together; none where one of them is wrong."""
    start = time.perf_counter()
    texts = [name for name in dict.fromkeys(names) if isinstance(source(name), str)]
    try:
        graphs = encoders.read_all(texts, input_shape=query.input_shape)
    except Exception:  # read alone, it will be found and named
        return {}
    seconds = (time.perf_counter() - start) / max(len(texts), 1)
    return {n: Read(n, graph, seconds) for n, graph in zip(texts, graphs, strict=True)}


def _read(name: str, query: Query, failures: Failures) -> Read | dict[str, str]:
    start = time.perf_counter()
    try:
        found = source(name)
        if isinstance(found, Path) and found.is_dir():  # full ones were expanded before
            raise StorageError(f"{name}: no .onnx file in this folder")
        graph = encoders.read(found, input_shape=query.input_shape)
    except Exception as error:  # told in one line; the other files still get their answers
        return failures.add(name, error)
    return Read(name, graph, time.perf_counter() - start)


Answer = tuple[list["Forecast"], float] | None


def _predict_together(graphs: list[ComputeGraph], query: Query) -> Iterator[Answer]:
    """Forecasts of each graph, a task each, and seconds; None where it must be asked alone."""
    start = time.perf_counter()
    try:
        by_task = [
            archcast.predict(graphs, task=task, recipe=query.recipe) if graphs else []
            for task in query.tasks
        ]
    except Exception:  # one graph spoils the batch: ask one by one, to find and name it
        yield from (None for _ in graphs)
        return
    seconds = (time.perf_counter() - start) / max(len(graphs), 1)
    for forecasts in zip(*by_task, strict=True):
        yield list(forecasts), seconds


def _rows(read: Read, answer: Answer, query: Query, failures: Failures) -> Iterator[dict[str, Any]]:
    if answer is not None:
        forecasts, seconds = answer
        for forecast in forecasts:
            yield describe(read.name, forecast, read.seconds + seconds)
        return
    for task in query.tasks:
        start = time.perf_counter()
        try:
            forecast = archcast.predict(read.graph, task=task, recipe=query.recipe)
        except Exception as error:  # as in _read
            yield failures.add(read.name, error)
        else:
            yield describe(read.name, forecast, read.seconds + time.perf_counter() - start)
