"""``archcast evaluate``: any predictor under any protocol."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archcast.cli import _render
from archcast.cli._inputs import UsageError, parse_settings
from archcast.cli._options import Json
from archcast.cli._render import Column
from archcast.encoders.errors import ArchcastError, InvalidSettingError

if TYPE_CHECKING:
    from archcast.evaluation import Results


def _complete_predictor(incomplete: str) -> list[str]:
    from archcast.predictors import list_predictors

    return [name for name in list_predictors() if name.startswith(incomplete)]


def _complete_protocol(incomplete: str) -> list[str]:
    from archcast.evaluation import list_protocols

    return [name for name in list_protocols() if name.startswith(incomplete)]


Predictors = Annotated[
    list[str] | None,
    typer.Option(
        "--predictor",
        "-p",
        metavar="NAME",
        help="A predictor's name, or a file of a fitted one; repeatable. Default: tabular.",
        autocompletion=_complete_predictor,
    ),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="How to measure, as in nasbench201/all; without it, all protocols are listed.",
        autocompletion=_complete_protocol,
    ),
]
Labels = Annotated[
    list[int] | None,
    typer.Option(
        "--labels",
        "-n",
        metavar="N",
        help="Labels that may be learned from; repeatable. Default: as published.",
        min=0,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the predictor, or of those of several that have it; repeatable.",
    ),
]
Out = Annotated[
    list[Path] | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Write .md, .csv, .png, .svg or .pdf; repeatable."
    ),
]


def evaluate(
    protocol: ProtocolName = "",
    predictor: Predictors = None,
    labels: Labels = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Draws of the labels.", min=1)] = 5,
    settings: Settings = None,
    most: Annotated[
        int, typer.Option("--most", help="Rows of each source space at most; 0 for all.", min=0)
    ] = 2000,
    out: Out = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            metavar="FOLDER",
            help="Keep each finished draw here; what was stopped goes on.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure predictors as the literature does, published figures beside them."""
    from archcast import evaluation
    from archcast.evaluation.results import check_kind

    if not protocol:
        if predictor or labels or settings or out:
            raise UsageError("--protocol is missing: which one? without options, all are listed")
        _list(json)
        return
    for path in out or ():
        check_kind(path)
    results: Results | None = None
    names = predictor or ["tabular"]
    params = parse_settings(settings or ())
    shares = _shares(names, params)
    for name, share in zip(names, shares, strict=True):
        chosen, called = _loaded(name)
        with _blaming(share, called):
            found = evaluation.evaluate(
                chosen,
                protocol,
                labels=labels or None,
                seeds=seeds,
                params=share or None,
                name=called,
                most=most,
                work=work,
                progress=sys.stderr.isatty(),
            )
        results = found if results is None else results + found
    assert results is not None
    _show(results, json)
    for path in out or ():
        results.save(path)


@contextmanager
def _blaming(settings: dict[str, Any], name: str) -> Iterator[None]:
    """A value that whatever lies below a predictor refuses is told with the settings given.

    Raises:
        InvalidSettingError: there are settings, and a value was refused.
    """
    try:
        yield
    except ArchcastError:
        raise
    except ValueError as error:
        if not settings:
            raise
        given = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise InvalidSettingError(f"{name} fails with --set {given}: {error}") from error


def _shares(names: list[str], params: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings of each predictor: all of a single one, of several those that it has.

    Raises:
        UsageError: a predictor is fitted already, or none has a setting.
        InvalidSettingError: no such predictor.
    """
    from archcast.evaluation._settings import keywords

    own: list[Any] = []
    for name in names:
        if not name.endswith(".safetensors"):
            own.append(keywords(name))
        elif params:
            raise UsageError(f"--set goes with a predictor's name; {name} is fitted already")
        else:
            own.append({})
    if len(names) == 1:
        return [params]
    for key in params:
        if not any(key in each for each in own):
            raise UsageError(f"--set {key}: none of {', '.join(names)} has such a setting")
    return [{k: v for k, v in params.items() if k in each} for each in own]


def _loaded(name: str) -> tuple[Any, str]:
    """A predictor's name as it is, or the predictor in a file of that name."""
    if not name.endswith(".safetensors"):
        return name, name
    from archcast.predictors import load_predictor

    return load_predictor(name), Path(name).stem


def _list(json: bool) -> None:
    from archcast.datasets.protocols import Protocol
    from archcast.evaluation import list_protocols
    from archcast.evaluation._evaluate import find

    rows = []
    for name in list_protocols():
        found = find(name)
        few = isinstance(found, Protocol)
        labels = found.labels if few else (0,)
        task = found.task if few else found.targets[0].task
        rows.append({"protocol": name, "task": task, "labels": " ".join(map(str, labels))})
    if json:
        for row in rows:
            _render.write_json(row)
        return
    _render.write_table([Column(key, key) for key in ("protocol", "task", "labels")], rows)


def _show(results: Results, json: bool) -> None:
    from archcast.evaluation import METRICS

    rows = []
    for row in results.summary():
        head = {"predictor": row.predictor, "part": row.part, "labels": row.labels}
        figures = {f"{key}_std": row.std[key] for key in METRICS} | row.mean
        rows.append(head | {"draws": row.draws, "rows": row.rows} | figures)
    if json:
        for row in rows:
            _render.write_json(row)
        return
    shown = [key for key in METRICS if any(math.isfinite(row[key]) for row in rows)]
    head = [Column("predictor", "predictor"), Column("part", "part")]
    counts = [Column(key, key, right=True) for key in ("labels", "draws")]
    figures = [Column(METRICS[k], k, _figure(k), right=True) for k in shown]
    _render.write_table([*head, *counts, *figures], rows, _published(results))


def _figure(key: str) -> Any:
    def text(row: _render.Row) -> str:
        value = row[key]
        if not math.isfinite(value):
            return ""
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"

    return text


def _published(results: Results) -> list[str]:
    metric = {"kendall": "KT", "spearman": "SPR"}[results.protocol.metric]
    return [
        f"published: {method}, {labels:,} labels: {metric} {value:.3f}"
        for labels in dict.fromkeys(row.labels for row in results.summary())
        for method, value in results.published(labels).items()
    ]
