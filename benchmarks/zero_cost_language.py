"""Training-free scores of language models and Transformers, beside the published ones.

*Labels* are minus the test loss (NAS-Bench-NLP, Penn Treebank), the GLUE average (NAS-Bench-BERT),
ImageNet's top-1 (AutoFormer-tiny) and CIFAR-100's (NAS-Bench-201). *Published* are the scores that
the benchmarks' authors computed, on the same rows. Numbers of samples and rows are what was
affordable.

* **Hidden covariance** is of the first layer. Published scores are of the recorded cells on words
  of the Penn Treebank in batches of 50; ours are of the graphs on words drawn uniformly. A graph
  does not say which new state becomes which previous one: where a cell has one state only, the two
  agree; of several, the wrong one may be fed back.
* **NAS-Bench-BERT**: the published scores are of other networks than the rows name (hidden size
  256 and feed-forward parts of 1,024 everywhere); ours are of the rows'. Operands of dynamic
  convolutions do not count for head confidence: that was settled by how published scores depend on
  the operations. If they count, its Kendall tau is 0.372.
  The code of the published synaptic scores differentiates the sum of what a layer norm without
  trained weights gives. That sum is constant; its gradients can only be rounding. Ours
  differentiate the cross-entropy. W-PCA's published tau on these rows is 0.526 (Wang, ICLR 2025).
* **DisWOT** is about students of a teacher; labels here are of networks trained alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets, zero_cost

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """Scores of some rows of a benchmark.

    Attributes:
        title: heading of its table.
        data: benchmark.
        task: labels.
        sign: -1 where lower labels are better.
        proxies: ours -> the published score's name, if there is one.
        samples: samples in the mini-batch.
        rows: most rows, drawn by seed 0; all that have graphs if 0.
    """

    title: str
    data: str
    task: str
    sign: int
    proxies: dict[str, str]
    samples: int
    rows: int = 0


STUDIES = (
    Study(
        "NAS-Bench-NLP",
        "nasbench_nlp",
        "penn_treebank/test_loss",
        -1,
        {
            "hidden_covariance": "penn_treebank/layer_1_hidden_covariance",
            "params": "penn_treebank/params",
            "trainable_layers": "",
        },
        samples=16,
    ),
    Study(
        "NAS-Bench-BERT",
        "nasbench_bert",
        "glue/average",
        1,
        {
            "head_confidence": "glue/head_confidence",
            "w_pca": "",
            "params": "glue/number_of_parameters",
            "trainable_layers": "",
        },
        samples=4,
    ),
    Study(
        "AutoFormer-tiny",
        "autoformer_tiny",
        "imagenet1k/top1",
        1,
        {"dss": "", "params": "imagenet1k/params", "flops": "imagenet1k/flops"},
        samples=1,
        rows=100,
    ),
    Study(
        "NAS-Bench-BERT, scores with gradients",
        "nasbench_bert",
        "glue/average",
        1,
        {
            "synaptic_diversity": "glue/synaptic_diversity",
            "synaptic_saliency": "glue/synaptic_saliency",
            "dss": "",
            "head_confidence": "glue/head_confidence",
            "params": "glue/number_of_parameters",
        },
        samples=4,
        rows=100,
    ),
    Study(
        "NAS-Bench-201, students of ResNet-56",
        "nasbench201",
        "cifar100/test_accuracy",
        1,
        {"diswot": "", "params": "", "trainable_layers": ""},
        samples=16,
        rows=100,
    ),
)


def rows_of(study: Study) -> NDArray[np.int64]:
    """Rows with a graph, a label and published scores."""
    data = datasets.load(study.data)
    known = [data.labels(study.task), *map(data.proxy_scores, filter(None, study.proxies.values()))]
    usable = np.logical_and.reduce([np.isfinite(values) for values in known])
    rows = np.array([i for i in data.with_graph if usable[i]])
    if study.rows:
        rows = np.sort(np.random.default_rng(0).choice(rows, study.rows, replace=False))
    return rows


def scored(study: Study, rows: NDArray[np.int64], work: Path | None) -> dict[str, FloatArray]:
    """Our scores of the rows, kept in a folder as they are found."""
    path = work / f"{study.title}.npz" if work else None
    found: dict[str, FloatArray] = {}
    if path and path.exists():
        with np.load(path) as kept:
            found = dict(kept)
    missing = [name for name in study.proxies if name not in found]
    if missing:
        graphs = datasets.load(study.data).graphs(rows)
        found |= dict(zero_cost.score(graphs, missing, samples=study.samples))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **found)  # type: ignore[arg-type]
    return found


def compared(a: FloatArray, b: FloatArray) -> list[str]:
    """Kendall's tau and Spearman's rho where both are numbers."""
    both = np.isfinite(a) & np.isfinite(b)
    return [f"{kendall(a[both], b[both]):.3f}", f"{spearman(a[both], b[both]):.3f}"]


def report(study: Study, work: Path | None) -> str:
    """One table: a row a proxy."""
    rows = rows_of(study)
    data, found = datasets.load(study.data), scored(study, rows, work)
    labels = study.sign * data.labels(study.task)[rows]
    lines = []
    for name, published in study.proxies.items():
        theirs = data.proxy_scores(published)[rows] if published else None
        with_theirs = ["-"] * 3
        if theirs is not None:
            with_theirs = [*compared(labels, theirs), compared(found[name], theirs)[1]]
        scores = found[name]
        lines.append(
            [name, *compared(labels, scores), *with_theirs, f"{np.isfinite(scores).sum()}"]
        )
    head = ["proxy", "KT", "SPR", "published KT", "published SPR", "SPR with published", "scored"]
    parts = [
        f"## {study.title}",
        f"{len(rows)} rows, mini-batch of {study.samples}, seed 0; labels: `{study.task}`.",
        table(head, lines),
    ]
    if study.data == "nasbench_nlp":
        parts.append(by_states(data.specs, rows, found["hidden_covariance"], study))
    return "\n\n".join(parts)


def by_states(specs: Sequence[Any], rows: NDArray[np.int64], ours: FloatArray, study: Study) -> str:
    """Agreement of hidden covariance with the published, by how many states cells have."""
    theirs = datasets.load(study.data).proxy_scores(study.proxies["hidden_covariance"])[rows]
    states = np.array(
        [sum(name.startswith("h_new_") for name in json.loads(specs[row])) for row in rows]
    )
    lines = [
        [str(n), str((states == n).sum()), *compared(ours[states == n], theirs[states == n])]
        for n in np.unique(states)
    ]
    return table(["states of a cell", "cells", "KT with published", "SPR with published"], lines)


def main() -> None:
    options = parser(__doc__ or "")
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--work", type=Path, help="folder that keeps finished scores")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    parts = [(__doc__ or "").partition("\n\n")[2].strip()]
    parts += [report(study, chosen.work) for study in STUDIES]
    publish(
        "Training-free scores of language models and Transformers",
        parts,
        chosen.out,
        ["archcast", "numpy", "torch"],
    )


if __name__ == "__main__":
    main()
