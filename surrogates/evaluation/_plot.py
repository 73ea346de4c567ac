"""Pictures of forecasts: against the truth, and how well their intervals hold."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.evaluation import metrics

if TYPE_CHECKING:
    from archcast.evaluation.results import Results

#: More points than these make no better picture, and a file of many megabytes.
_MOST: Final = 2000


def plot(results: Results, kind: str) -> bytes:
    """A scatter of the first draw with 90 % intervals, and its calibration curve.

    Args:
        results: with forecasts.
        kind: ``png``, ``svg`` or ``pdf``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InvalidSettingError: the results hold no forecasts.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("pictures need matplotlib: pip install 'archcast[plot]'") from error
    if results.forecasts is None or not results.measurements:
        raise InvalidSettingError("these results hold no forecasts to draw")
    several = results.forecasts.quantiles is not None
    figure = Figure(figsize=(10 if several else 5, 4.5), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 2 if several else 1))
    _scatter(axes[0], results)
    if several:
        _calibration(axes[1], results)
    data = io.BytesIO()
    figure.savefig(data, format=kind, dpi=150)
    return data.getvalue()


def _scatter(axes: Any, results: Results) -> None:
    found, first = results.forecasts, results.measurements[0]
    assert found is not None
    rows = np.random.default_rng(0).permutation(len(found.truth))[:_MOST]
    truth, value = found.truth[rows], found.value[rows]
    if found.quantiles is not None:
        ends = found.quantiles[[1, -2]][:, rows]
        errors = np.maximum(np.stack([value - ends[0], ends[1] - value]), 0)
        axes.errorbar(truth, value, errors, fmt="none", ecolor="0.8", elinewidth=0.5, zorder=1)
    axes.scatter(truth, value, s=5, zorder=2)
    low, high = (float(f(truth)) for f in (np.min, np.max))
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, zorder=3)
    axes.set_xlabel("measured")
    axes.set_ylabel("forecast, 90 % interval")
    axes.set_title(
        f"{first.predictor}, {first.protocol}, {first.labels} labels: "
        f"KT {first.values['kendall']:.3f}",
        fontsize="medium",
    )


def _calibration(axes: Any, results: Results) -> None:
    found = results.forecasts
    assert found is not None
    assert found.quantiles is not None
    levels = np.arange(1, 20) / 20
    covered = metrics.calibration_curve(found.truth, found.quantiles)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.plot(levels, covered, marker="o", markersize=3)
    axes.set_xlabel("probability of the central interval")
    axes.set_ylabel("share of measured values in it")
    axes.set_title(f"RMSCE {results.measurements[0].values['rmsce']:.3f}", fontsize="medium")
