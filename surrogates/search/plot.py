"""Pictures of a search: the front, the best so far, and maps of what a quality was found at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.search.objectives import Objective

if TYPE_CHECKING:
    from archcast.search.journal import Trial
    from archcast.search.pareto import Front
    from archcast.search.strategies.map_elites import EliteMap

__all__ = ["plot_curves", "plot_front", "plot_map", "plot_result"]

FloatArray = NDArray[np.float64]
_KINDS: Final = ("png", "svg", "pdf")
#: More points than these make no better picture, and a file of many megabytes.
_MOST: Final = 3000
#: Pairs of objectives beside each other.
_PANELS: Final = 3


class Searched(Protocol):
    """What pictures show of a :class:`archcast.search.SearchResult`."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """What was searched for."""
        ...

    @property
    def strategy(self) -> str:
        """Who searched."""
        ...

    @property
    def completed(self) -> list[Trial]:
        """What was measured fully."""
        ...

    @property
    def front(self) -> Front:
        """What is best in some weighing of the objectives."""
        ...

    def curve(self) -> FloatArray:
        """(t,) best value among the first 1, 2, ... architectures known in full."""
        ...


def plot_result(result: Searched, kind: str = "png") -> bytes:
    """The front if a search had several objectives, else the best so far.

    Args:
        result: of a search.
        kind: ``png``, ``svg`` or ``pdf``.

    Returns:
        The file's content.

    Raises:
        InvalidSettingError: nothing was measured fully, or another kind of file.
        MissingExtraError: matplotlib is not installed.
    """
    first, *others = result.objectives
    if others:
        return plot_front(result, kind)
    return plot_curves({result.strategy or "search": result.curve()}, first, kind)


def plot_front(result: Searched, kind: str = "png") -> bytes:
    """All that was measured, two objectives a panel, and the front among it.

    Of more than three pairs of objectives the first three are drawn. The front is that of all
    objectives together, so some of its points lie inside of a panel's cloud.

    Args:
        result: of a search for two objectives or more.
        kind: ``png``, ``svg`` or ``pdf``.

    Raises:
        InvalidSettingError: one objective, nothing measured fully, or another kind of file.
        MissingExtraError: matplotlib is not installed.
    """
    if len(result.objectives) < 2:
        raise InvalidSettingError("a front needs two objectives; plot_curves() draws one")
    done = np.array([t.values for t in result.completed], np.float64)
    if not len(done):
        raise InvalidSettingError("nothing was measured fully, so there is no front to draw")
    front = result.front.values
    pairs = list(combinations(range(len(result.objectives)), 2))[:_PANELS]
    figure, panels = _figure(1, len(pairs))
    for axes, (first, second) in zip(panels, pairs, strict=True):
        cloud = done[np.random.default_rng(0).permutation(len(done))[:_MOST]]
        axes.scatter(cloud[:, second], cloud[:, first], s=8, color="0.7", label="other")
        chain = front[np.argsort(front[:, second], kind="stable")]
        line = "-" if len(result.objectives) == 2 else ""
        axes.plot(
            chain[:, second], chain[:, first], f"o{line}", color="C0", markersize=4, linewidth=1,
            drawstyle=_steps(result.objectives[second]), label="front",
        )  # fmt: skip
        axes.set_xlabel(_label(result.objectives[second]))
        axes.set_ylabel(_label(result.objectives[first]))
        if _spread_out(done[:, second]):
            axes.set_xscale("log")
    panels[0].legend()
    return _file(figure, kind)


def plot_curves(curves: Mapping[str, ArrayLike], objective: Objective, kind: str = "png") -> bytes:
    """Best value so far against the number of architectures trained, or forecast, in full.

    Args:
        curves: name -> (t,) best so far of one search, or (runs, t) of several, of which the mean
            and the 95 % interval of the mean are drawn.
        objective: what the values are.
        kind: ``png``, ``svg`` or ``pdf``.

    Raises:
        InvalidSettingError: no values at all, or another kind of file.
        MissingExtraError: matplotlib is not installed.
    """
    tables = {name: np.atleast_2d(np.asarray(c, np.float64)) for name, c in curves.items()}
    if not any(table.size for table in tables.values()):
        raise InvalidSettingError("nothing was measured fully, so there is no curve to draw")
    figure, (axes,) = _figure(1, 1)
    for name, table in tables.items():
        steps = np.arange(1, table.shape[1] + 1)
        mean = table.mean(0)
        (line,) = axes.plot(steps, mean, drawstyle="steps-post", label=name)
        if len(table) > 1:
            half = 1.96 * table.std(0, ddof=1) / np.sqrt(len(table))
            axes.fill_between(
                steps, mean - half, mean + half, step="post", alpha=0.2, color=line.get_color()
            )
    axes.set_xlabel("architectures, trained or forecast in full")
    axes.set_ylabel(f"best {_label(objective)} so far")
    axes.legend()
    return _file(figure, kind)


def plot_map(elites: EliteMap, objective: Objective, kind: str = "png") -> bytes:
    """The best value found in every bin of two costs.

    Args:
        elites: what :meth:`MAPElites.archive` gives.
        objective: the first objective of that search.
        kind: ``png``, ``svg`` or ``pdf``.

    Raises:
        InvalidSettingError: not a map of two costs, an empty one, or another kind of file.
        MissingExtraError: matplotlib is not installed.
    """
    if len(elites.descriptors) != 2 or not len(elites):
        raise InvalidSettingError(
            f"a map with something in it, of two costs, can be drawn, not {len(elites)} "
            f"architectures by {', '.join(elites.descriptors)}"
        )
    figure, (axes,) = _figure(1, 1)
    colours = "viridis" if objective.direction == "max" else "viridis_r"
    rows, columns = (np.asarray(ends, np.float64) for ends in elites.edges)
    values = np.ma.masked_invalid(objective.merit(elites.grid()))
    drawn = axes.pcolormesh(columns, rows, values, cmap=colours)
    figure.colorbar(drawn, label=_label(objective))
    axes.set_ylabel(elites.descriptors[0])
    axes.set_xlabel(elites.descriptors[1])
    for scale, ends in ((axes.set_xscale, columns), (axes.set_yscale, rows)):
        if _spread_out(ends):
            scale("log")
    return _file(figure, kind)


def _figure(rows: int, columns: int) -> tuple[Any, NDArray[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("pictures need matplotlib: pip install 'archcast[plot]'") from error
    figure = Figure(figsize=(5.5 * columns, 4.2 * rows), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(rows, columns))


def _file(figure: Any, kind: str) -> bytes:
    if kind not in _KINDS:
        raise InvalidSettingError(f"pictures are {', '.join(_KINDS)}, not {kind!r}")
    from matplotlib import rc_context

    data = io.BytesIO()
    # Without a date, and with names that are not drawn, equal pictures are equal files.
    dateless = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with rc_context({"svg.hashsalt": "archcast"}):
        figure.savefig(data, format=kind, dpi=150, metadata=dateless)
    return data.getvalue()


def _label(objective: Objective) -> str:
    return f"{objective.name} [{objective.unit}]" if objective.unit else objective.name


def _steps(across: Objective) -> str:
    """What is reached at a cost is reached at any greater one; the other way if more is better."""
    return "steps-post" if across.direction == "min" else "steps-pre"


def _spread_out(values: FloatArray) -> bool:
    return len(values) > 1 and values.min() > 0 and values.max() / values.min() > 30
