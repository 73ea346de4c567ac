"""LEMUR: 7,811 networks as free PyTorch code, 79,531 training runs of up to 200 epochs.

A row is a training run: a network, a data set and a recipe. Two kinds of users are served: labels
at the last epoch, recipes and curves are there to learn from runs; :func:`best_rows` gives each
network's best run, for those who rank networks.

The code is foreign: it is run in confined processes only, once (:mod:`archcast.datasets.foreign`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets.benchmarks import _lemur_settings, _lemur_trials
from archcast.datasets.benchmarks._lemur_graphs import LemurGraphs
from archcast.encoders.errors import InvalidSpecError, UnreadableModelError

#: (task, data set, metric) of the source -> name of the task here.
_TASKS: Final = {
    ("img-classification", "cifar-10", "acc"): "cifar10/test_accuracy",
    ("img-classification", "cifar-100", "acc"): "cifar100/test_accuracy",
    ("img-classification", "svhn", "acc"): "svhn/test_accuracy",
    ("img-classification", "mnist", "acc"): "mnist/test_accuracy",
    ("img-classification", "celeba-gender", "acc"): "celeba_gender/test_accuracy",
    ("img-classification", "imagenette", "acc"): "imagenette/val_accuracy",
    ("img-classification", "places365", "acc"): "places365/val_accuracy",
    ("img-segmentation", "coco", "iou"): "coco6/miou",
    ("obj-detection", "coco", "map"): "coco/map",
    ("img-captioning", "coco", "bleu"): "coco_captions/bleu4",
    ("txt-image", "coco", "clip"): "coco_captions/clip_score",
    ("txt-generation", "wikitext", "acc"): "wikitext2_chars/accuracy",
    ("txt-generation", "wikitext", "ppl"): "wikitext2_chars/perplexity",
}
#: The source turns perplexities from 1 to this one into scores from 1 to 0.
_WORST_PERPLEXITY: Final = 1000.0
_BEST: Final = "best_"


def load() -> Benchmark:
    """The benchmark; a row is ``<network>@<setting>#<data set>.<metric>.<transform>.<recipe>``.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    trials = _lemur_trials.trials()
    builder = LemurGraphs()
    last = {name: _reader(kind, trials.last) for kind, name in _TASKS.items()}
    best = {_best(name): _reader(kind, trials.best) for kind, name in _TASKS.items()}
    labels = {**last, **best}
    recipe = _recipe()

    def graphs(rows: Any) -> Any:
        others = builder.other(rows)
        if others:
            raise UnreadableModelError(
                f"lemur: {len(others)} runs have another network than the one recorded of their "
                f"source, {_specs()[others[0]]} for one; with_graph() has those with a graph"
            )
        names, kinds = trials.net, _lemur_settings.settings(trials)
        return builder.graphs([(str(names[row]), kinds[row]) for row in rows])

    def with_graph() -> NDArray[np.int64]:
        failed = builder.failed()
        keys = zip(trials.net.tolist(), _lemur_settings.settings(trials), strict=True)
        rows = [row for row, key in enumerate(keys) if key not in failed]
        return np.setdiff1d(np.array(rows, np.int64), builder.other(rows))

    return Benchmark(
        "lemur",
        _specs(),
        labels,
        graphs,
        recipes=dict.fromkeys(labels, recipe),
        families=lambda: [family(name) for name in trials.net.tolist()],
        curves={name: _curve_reader(kind) for kind, name in _TASKS.items()},
        with_graph=with_graph,
    )


def best_rows(task: str) -> NDArray[np.int64]:
    """The row of each network's best run.

    Args:
        task: one of the benchmark's tasks; the best epoch decides for those called ``best_``.

    Returns:
        Row numbers, one for each network with a value, in the order of their names.

    Raises:
        InvalidSpecError: no such task.
        DownloadError: the data is not here and cannot be fetched.
    """
    plain = task.replace(_BEST, "")
    kinds = [kind for kind, name in _TASKS.items() if name == plain]
    if not kinds:
        raise InvalidSpecError(f"lemur has no task {task!r}")
    trials = _lemur_trials.trials()
    rows = np.flatnonzero(_of(kinds[0]))
    value = (trials.best if task != plain else trials.last)[rows]
    order = np.lexsort((-value, trials.net[rows]))
    _, first = np.unique(trials.net[rows][order], return_index=True)
    return rows[order[first]]


def family(name: str) -> str:
    """What a network is a variant of; generated names tell their template.

    Four generators varied AlexNet (``alt``, ``ga``, ``ast``) under names of their own.
    """
    base = re.sub(r"[-_]?([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$", "", name)
    if re.match(r"(alt|ga|ast)(-|$)|AlexNet", base):
        return "AlexNet"
    if base.startswith(("rl-", "rag", "MoE")):
        return re.split(r"v?\d|-", base)[0]
    base = re.sub(r"^C\d+C-", "", base)
    return re.sub(r"-?v?\d*$", "", base) or name


def _best(name: str) -> str:
    dataset, _, metric = name.partition("/")
    return f"{dataset}/{_BEST}{metric}"


def _of(kind: tuple[str, str, str]) -> NDArray[np.bool_]:
    trials = _lemur_trials.trials()
    task, dataset, metric = kind
    return (trials.task == task) & (trials.dataset == dataset) & (trials.metric == metric)


def _unit(kind: tuple[str, str, str], value: FloatArray) -> FloatArray:
    """Percent, but for CLIP scores, which stay, and perplexities, which are won back."""
    metric = kind[2]
    if metric == "ppl":
        width = np.log1p(_WORST_PERPLEXITY) - np.log(2)
        return np.expm1((1 - value) * width + np.log(2))
    return value if metric == "clip" else 100 * value


def _reader(kind: tuple[str, str, str], value: FloatArray) -> Callable[[], FloatArray]:
    return lambda: np.where(_of(kind), _unit(kind, value), np.nan)


def _curve_reader(kind: tuple[str, str, str]) -> Callable[[], FloatArray]:
    def read() -> FloatArray:
        trials = _lemur_trials.trials()
        row = np.repeat(np.arange(len(trials)), np.diff(trials.first))
        mine = _of(kind)[row]
        row, epoch = row[mine], trials.epoch[mine]
        table = np.full((len(trials), int(epoch.max())), np.nan)
        table[row, epoch - 1] = _unit(kind, trials.value[mine])
        return table

    return read


@cache
def _specs() -> tuple[str, ...]:
    trials = _lemur_trials.trials()
    columns = (trials.net, trials.dataset, trials.metric, trials.transform, trials.uid)
    texts = [
        f"{net}@{kind}#{dataset}.{metric}.{transform}.{uid}"
        for kind, net, dataset, metric, transform, uid in zip(
            _lemur_settings.settings(trials), *(c.tolist() for c in columns), strict=True
        )
    ]
    again: Counter[str] = Counter()
    seen = Counter(texts)
    for row, text in enumerate(texts):
        if seen[text] > 1:  # the source gave one identifier to several recipes
            again[text] += 1
            texts[row] = f"{text}.{again[text]}"
    return tuple(texts)


@cache
def _recipe() -> dict[str, Any]:
    trials = _lemur_trials.trials()
    kinds = _lemur_settings.settings(trials)
    return {
        "epochs": trials.epochs,
        "batch_size": trials.batch_size,
        "lr": trials.lr,
        "momentum": trials.momentum,
        "dropout": trials.dropout,
        "transform": trials.transform,
        "image_size": np.array([kind.input[-1] for kind in kinds]),
        "extra": trials.extra,
    }
