"""The torchvision model zoo: what the package says of its own ImageNet weights.

Beside timm's it adds the classic networks with their first recipes, and pairs of recipes for one
architecture: plain (``V1``) and long, heavily augmented (``V2``).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._zoo_graphs import ZooGraphs
from archcast.encoders.spaces._zoo_models import import_torchvision
from archcast.encoders.spaces.zoos import family


def load() -> Benchmark:
    """The benchmark; a row is ``<architecture>.<weights>@<evaluation size>``.

    Nothing is fetched: the figures are part of the torchvision package.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    rows = _rows()
    builder = ZooGraphs("torchvision")
    labels = {
        "imagenet1k/top1": lambda: _metric("acc@1"),
        "imagenet1k/top5": lambda: _metric("acc@5"),
    }
    return Benchmark(
        "torchvision_zoo",
        [f"{name}.{tag}@{meta['size']}" for name, tag, meta in rows],
        labels,
        lambda indices: builder.graphs([(rows[i][0], rows[i][2]["size"]) for i in indices]),
        space="torchvision",
        recipes=dict.fromkeys(labels, _recipe()),
        families=lambda: [family(name) for name, _, _ in rows],
    )


def architectures() -> list[str]:
    """(114,) architecture of every row."""
    return [name for name, _, _ in _rows()]


@cache
def _rows() -> list[tuple[str, str, dict[str, Any]]]:
    """(architecture, weights, what the package says of them) with an ImageNet-1k accuracy."""
    import_torchvision()
    from torchvision import models

    rows = []
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            metrics = weights.meta.get("_metrics", {}).get("ImageNet-1K", {})
            if np.isfinite(metrics.get("acc@1", np.nan)):
                (size,) = set(np.atleast_1d(weights.transforms.keywords["crop_size"]).tolist())
                meta = {**weights.meta, **metrics, "size": int(size)}
                rows.append((name, weights.name, meta))
    return rows


def _metric(name: str) -> FloatArray:
    return np.array([meta[name] for _, _, meta in _rows()])


@cache
def _recipe() -> dict[str, Any]:
    rows = _rows()
    tags = [tag for _, tag, _ in rows]
    return {
        "tag": np.array(tags),
        # SWAG weights are pre-trained on 3.6 thousand million weakly labelled images.
        "extra_data": np.array(["swag" if "SWAG" in tag else "" for tag in tags]),
        "image_size": np.array([meta["size"] for _, _, meta in rows]),
        "params": np.array([meta["num_params"] for _, _, meta in rows]),
        "giga_macs": np.array([meta["_ops"] for _, _, meta in rows]),
    }
