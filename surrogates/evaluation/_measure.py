"""One measurement: fit or adapt, forecast, score."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.datasets.transfers import lower_is_better
from archcast.encoders.errors import InvalidSettingError
from archcast.evaluation import metrics
from archcast.evaluation._cases import Case, Sample
from archcast.predictors import Predictor

FloatArray = NDArray[np.float64]

#: Column -> how to name it in a table.
METRICS = {
    "kendall": "KT",
    "spearman": "SPR",
    "ndcg": "nDCG@10 %",
    "mae": "MAE",
    "isotonic_mae": "MAE after 20 labels",
    "crps": "CRPS",
    "nll": "NLL",
    "rmsce": "RMSCE",
    "coverage": "coverage of 90 %",
    "width": "width of 90 %",
    "fit_seconds": "fit s",
    "forecasts_per_second": "forecasts/s",
}


@dataclass(frozen=True)
class Measurement:
    """What one draw of labels gave.

    Attributes:
        predictor: what it is called in tables.
        protocol: name of the protocol or transfer.
        part: ``all`` rows; the name of a benchmark where several are forecast; ``unseen`` rows
            of no labelled network, where others are ranked with them.
        labels: number of labels of the target.
        seed: which draw.
        rows: number of rows that were ranked.
        values: metric -> figure; see :data:`archcast.evaluation.METRICS`. NaN where it does not
            apply (no interval, no unit).
    """

    predictor: str
    protocol: str
    part: str
    labels: int
    seed: int
    rows: int
    values: dict[str, float]


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of a case, one a row of the test.

    Attributes:
        truth: (n,) labels on the scale that was learned.
        value: (n,) forecasts.
        quantiles: (39, n) quantiles at :data:`archcast.evaluation.metrics.LEVELS`; None if the
            predictor gives none.
        higher: (n,) labels in their natural unit, larger is better.
        part: (n,) benchmark of each row.
        sign: -1 where a low forecast is a good one.
    """

    truth: FloatArray
    value: FloatArray
    quantiles: FloatArray | None
    higher: FloatArray
    part: NDArray[np.str_]
    sign: int


def measure(template: Any, name: str, case: Case) -> tuple[list[Measurement], Forecasts]:
    """Fit a copy of a predictor as the case says, forecast its test, score that.

    Args:
        template: a :class:`~archcast.predictors.Predictor`, fitted (then it is adapted) or not,
            or any estimator of tabular features with ``fit`` and ``predict``.
        name: what to call it.
        case: the case.

    Returns:
        One measurement of all rows; one more for each benchmark where there are several, or for
        what is of no labelled network where labelled ones are ranked, too.
    """
    for sample in (case.source, case.few):
        if sample is not None:
            sample.encoded(_encoding(template))  # read before the clock runs, and kept
    started = time.perf_counter()
    predictor = _learned(template, case)
    fitted = time.perf_counter()
    distinct, number = case.test.distinct(_encoding(template))
    X = distinct.encoded(_encoding(template))
    begun = time.perf_counter()
    value = _flat(predictor.predict(X))
    speed = len(value) / max(time.perf_counter() - begun, 1e-9)
    quantiles = None
    if hasattr(predictor, "quantiles"):
        quantiles = _flat(predictor.quantiles(X, metrics.LEVELS), 2)[:, number]
    forecasts = Forecasts(
        case.test.labels,
        value[number],
        quantiles,
        case.test.truth,
        np.concatenate(
            [np.repeat(part.networks.benchmark, len(part.rows)) for part in case.test.parts]
        ),
        -1 if case.natural and lower_is_better(case.task) else 1,
    )
    extra = {"fit_seconds": fitted - started, "forecasts_per_second": speed}
    found = [
        Measurement(
            name,
            case.name,
            part,
            case.count,
            case.seed,
            int(rows.sum()),
            score(forecasts, rows, case.natural) | extra,
        )
        for part, rows in _parts(case, forecasts).items()
    ]
    return found, forecasts


def _parts(case: Case, forecasts: Forecasts) -> dict[str, NDArray[np.bool_]]:
    """What is scored: all rows, and parts that tell more."""
    parts = {"all": np.ones(len(forecasts.truth), bool)}
    names = np.unique(forecasts.part).tolist()
    if len(names) > 1:
        parts |= {name: forecasts.part == name for name in names}
    elif case.few is not None and np.isin(case.few.parts[0].rows, case.test.parts[0].rows).any():
        parts["unseen"] = ~np.isin(case.test.groups, case.few.groups)
    return parts


def score(forecasts: Forecasts, rows: NDArray[np.bool_], natural: bool) -> dict[str, float]:
    """All metrics over some rows."""
    truth, value = forecasts.truth[rows], forecasts.value[rows]
    higher, good = forecasts.higher[rows], forecasts.sign * value
    found = dict.fromkeys(METRICS, math.nan)
    found["kendall"] = metrics.kendall(higher, good)
    found["spearman"] = metrics.spearman(higher, good)
    found["ndcg"] = metrics.ndcg(higher, good)
    found["isotonic_mae"] = metrics.isotonic_mae(higher, good)
    if natural:
        found["mae"] = metrics.mae(truth, value)
    if forecasts.quantiles is not None:
        quantiles = forecasts.quantiles[:, rows]
        low, high = quantiles[1], quantiles[-2]  # levels .05 and .95
        # The normal distribution of the same central 68 % stands for one that may be skewed.
        spread = [np.interp(level, metrics.LEVELS, np.arange(39)) for level in (0.1587, 0.8413)]
        std = np.abs(_at(quantiles, spread[1]) - _at(quantiles, spread[0])) / 2
        found["crps"] = metrics.crps_quantiles(truth, quantiles)
        found["nll"] = metrics.gaussian_nll(truth, value, np.maximum(std, 1e-9))
        found["rmsce"] = metrics.rmsce(truth, quantiles)
        found["coverage"] = metrics.coverage(truth, low, high)
        found["width"] = metrics.width(low, high)
    return {key: float(figure) for key, figure in found.items()}


def _at(quantiles: FloatArray, place: float) -> FloatArray:
    """(n,) values between two rows."""
    low = int(place)
    return quantiles[low] * (1 - place + low) + quantiles[low + 1] * (place - low)


def _encoding(template: Any) -> Any:
    return getattr(template, "encoding", "tabular")


def _learned(template: Any, case: Case) -> Any:
    """A copy that has learned what the case allows."""
    predictor = copy.deepcopy(template)
    if not isinstance(predictor, Predictor):
        sample = case.few or case.source
        assert sample is not None
        labels = sample.labels if sample.labels.ndim == 1 else sample.truth
        return predictor.fit(sample.encoded("tabular"), labels)
    ready = hasattr(predictor, "centre_")
    if case.source is not None and not ready:
        _fit(predictor, case.source)
        ready = True
    if case.few is None:
        if not ready:
            raise InvalidSettingError(f"{case.name} without a label gives nothing to learn from")
        return predictor
    if not ready:
        _fit(predictor, case.few)
        return predictor
    return predictor.adapt(case.few.encoded(predictor.encoding), case.few.labels)


def _fit(predictor: Predictor, sample: Sample) -> None:
    labels = sample.labels
    if labels.ndim == 2 and not predictor.several:
        labels = sample.truth
    predictor.fit(sample.encoded(predictor.encoding), labels, groups=sample.groups)


def _flat(values: Any, dims: int = 1) -> FloatArray:
    """Forecasts of one task, however many columns they came in."""
    found = np.asarray(values, np.float64)
    if found.ndim == dims + 1 and found.shape[-1] == 1:
        found = found[..., 0]
    if found.ndim != dims:
        raise InvalidSettingError(
            f"the predictor forecasts several tasks at once {found.shape}; one is measured"
        )
    return found
