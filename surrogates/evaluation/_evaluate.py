"""``evaluate``: any predictor under any protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from archcast.datasets._registry import unknown
from archcast.datasets.protocols import Protocol, protocol, protocols
from archcast.datasets.transfers import Transfer, transfer, transfers
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.errors import InvalidSettingError, UnknownDatasetError
from archcast.evaluation._cases import Case, protocol_cases, transfer_cases
from archcast.evaluation._measure import Forecasts, Measurement, measure
from archcast.evaluation._scale import usual_transform
from archcast.evaluation._settings import fitting
from archcast.evaluation.results import Results
from archcast.predictors import Predictor, get_predictor
from archcast.predictors.storage import pack


def evaluate(
    predictor: Predictor | str | Any,
    on: Protocol | Transfer | str,
    *,
    labels: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] = 5,
    params: Mapping[str, Any] | None = None,
    name: str = "",
    most: int = 2000,
    work: str | Path | None = None,
    progress: bool = False,
) -> Results:
    """Measure a predictor as a protocol says.

    Args:
        predictor: name of a registered predictor (its ``transform`` is then the task's usual one);
            a predictor of one's own, which is fitted if it is not yet and adapted if it is; or any
            estimator of tabular features with ``fit`` and ``predict``.
        on: a protocol of :mod:`archcast.datasets.protocols`, a transfer of
            :mod:`archcast.datasets.transfers`, or the name of one.
        labels: how many labels of the target; the numbers it was published with if None, and no
            label for a transfer.
        seeds: how many draws, or which.
        params: keywords of the predictor's constructor, where a name is given.
        name: what to call the predictor in tables; its own name if empty.
        most: rows learned from each source (another space, known devices) at most; 0 for all.
        work: folder that keeps each finished draw, so that what was stopped goes on; a draw is
            made anew where the predictor, its settings or its code are others.
        progress: show a progress bar.

    Returns:
        All measurements, with the published figures beside them.

    Raises:
        UnknownDatasetError: no such protocol or transfer.
        InvalidSettingError: no such predictor or keyword, a value of another type, or not so
            many labels.
        InvalidLabelsError: too few labels to fit anything.
        DownloadError: the benchmark is not here and cannot be fetched.
        StorageError: ``work`` cannot be written.
    """
    chosen = find(on) if isinstance(on, str) else on
    counts = _counts(chosen, labels)
    draws = range(seeds) if isinstance(seeds, int) else list(seeds)
    if not len(draws) or min(counts, default=0) < 0 or most < 0:
        raise InvalidSettingError("seeds is at least 1, labels and most are not negative")
    template = _made(predictor, chosen, params)
    called = name or (predictor if isinstance(predictor, str) else _name(template))
    if isinstance(chosen, Protocol):
        cases = protocol_cases(chosen, counts, draws, most)
    else:
        cases = transfer_cases(chosen, counts, draws, most)
    found: list[Measurement] = []
    shown: Forecasts | None = None
    total = len(counts) * len(draws)
    code = _code(template) if work is not None else ""
    for case in tqdm(cases, total=total, desc=chosen.name, disable=not progress):
        kept = None if work is None else Path(work) / f"{_key(case, code, called, most)}.json"
        if kept is not None and kept.exists():
            measurements, forecasts = _load(kept)
        else:
            measurements, forecasts = measure(template, called, case)
            if kept is not None:
                _save(kept, measurements, forecasts)
        found += measurements
        shown = shown or forecasts
    return Results(tuple(found), chosen, shown)


def find(name: str) -> Protocol | Transfer:
    """The protocol or transfer of that name.

    Raises:
        UnknownDatasetError: there is none; the message has the closest names.
    """
    if name in {t.name for t in transfers()}:
        return transfer(name)
    if name in list_protocols():
        return protocol(name)
    raise UnknownDatasetError(unknown("protocol", name, list_protocols()))


def list_protocols() -> list[str]:
    """The names of all protocols and transfers."""
    return [p.name for p in (*protocols(), *transfers())]


def _counts(chosen: Protocol | Transfer, labels: int | Sequence[int] | None) -> tuple[int, ...]:
    if labels is not None:
        return (labels,) if isinstance(labels, int) else tuple(labels)
    return chosen.labels if isinstance(chosen, Protocol) else (0,)


def _made(predictor: Any, chosen: Protocol | Transfer, params: Mapping[str, Any] | None) -> Any:
    if not isinstance(predictor, str):
        if params:
            raise InvalidSettingError("params go with a predictor's name, not with a predictor")
        return predictor
    made = get_predictor(predictor, **fitting(predictor, params or {}))
    own = made.get_params(deep=False)
    # What sees measurements on other devices adds latencies up, so it has a scale of its own.
    own_scale = made.encoding == "joined"
    if "transform" in own and "transform" not in (params or {}) and not own_scale:
        natural = isinstance(chosen, Protocol) or chosen.scale == "natural"
        task = chosen.task if isinstance(chosen, Protocol) else chosen.targets[0].task
        made.set_params(transform=usual_transform(task, natural))
    return made


def _name(template: Any) -> str:
    return getattr(template, "kind", type(template).__name__)


# ------------------------------------------------------------------------ kept between runs
def _code(template: Any) -> str:
    """Changes with the predictor's settings, what it has learned, and the code behind it."""
    modules = ["archcast.evaluation._measure", "archcast.evaluation._cases"]
    if not isinstance(template, Predictor):
        return fingerprint(imported_files(*modules), repr(template))
    packed, arrays = pack(template)
    digest = hashlib.sha256(json.dumps(packed, sort_keys=True).encode())
    for key in sorted(arrays):
        digest.update(key.encode() + np.ascontiguousarray(arrays[key]).tobytes())
    modules += [type(p).__module__ for p in _nested(template)]
    return fingerprint(imported_files(*modules), digest.hexdigest())


def _nested(predictor: Predictor) -> list[Predictor]:
    inner = [v for v in predictor.get_params(deep=False).values() if isinstance(v, Predictor)]
    return [predictor, *(p for each in inner for p in _nested(each))]


def _key(case: Case, code: str, name: str, most: int) -> str:
    text = f"{case.name} {case.count} {case.seed} {most} {name} {code}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _save(path: Path, measurements: Sequence[Measurement], forecasts: Forecasts) -> None:
    arrays = {k: v for k, v in asdict(forecasts).items() if v is not None}
    write_atomically(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))
    text = json.dumps([asdict(m) for m in measurements])  # last: it says the draw is whole
    write_atomically(path, lambda file: file.write(text.encode()))


def _load(path: Path) -> tuple[list[Measurement], Forecasts]:
    found = [Measurement(**fields) for fields in json.loads(path.read_text("utf-8"))]
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        arrays: dict[str, Any] = {"quantiles": None} | {key: file[key] for key in file.files}
    arrays["sign"] = int(arrays["sign"])
    return found, Forecasts(**arrays)
