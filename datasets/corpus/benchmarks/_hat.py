"""What the four HAT benchmarks have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import combinations_with_replacement
from typing import Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces import get_space

#: Task of translation -> device -> its name in the registry.
_FILES: Final = {
    "iwslt14deen": {"titan_xp": "gpu_titanxp"},
    "wmt14ende": {
        "titan_xp": "gpu_titanxp", "xeon_e5-2640": "cpu_xeon", "raspberry_pi4": "cpu_raspberrypi",
    },
    "wmt14enfr": {
        "titan_xp": "gpu_titanxp", "xeon_e5-2640": "cpu_xeon", "raspberry_pi4": "cpu_raspberrypi",
    },
    "wmt19ende": {"titan_xp": "gpu_titanxp"},
}  # fmt: skip
_PARTS: Final = ("encoder", "decoder")
#: Field of the space -> options by the number that is averaged; its column has ``_avg`` behind.
_AVERAGED: Final = {
    "encoder_ffn_embed_dim": {n: n for n in (512, 1024, 2048, 3072)},
    "encoder_self_attention_heads": {n: n for n in (2, 4, 8)},
    "decoder_ffn_embed_dim": {n: n for n in (512, 1024, 2048, 3072)},
    "decoder_self_attention_heads": {n: n for n in (2, 4, 8)},
    "decoder_ende_attention_heads": {n: n for n in (2, 4, 8)},
    "decoder_arbitrary_ende_attn": {1: -1, 2: 1, 3: 2},
}
_ENCODER_LAYERS: Final = 6


def benchmark(task: str) -> Benchmark:
    """The benchmark of one task of translation.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    name = f"hat_{task}"
    space, specs = get_space(name), list(_rows(task))
    labels: dict[str, Callable[[], FloatArray]] = {}
    seeds: dict[str, Callable[[], FloatArray]] = {}
    stds: dict[str, Callable[[], FloatArray]] = {}
    for device in _FILES[task]:
        for part in _PARTS:
            key = f"{device}/{part}_latency_ms"
            seeds[key] = partial(_measured, task, device, f"latency_mean_{part}")
            labels[key] = partial(_mean, seeds[key])
            stds[key] = partial(_spread, task, device, part)
    length = get_space(name).image_size
    recipe = {"batch_size": 1, "sequence_length": length}
    return Benchmark(
        name,
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes=dict.fromkeys(labels, recipe),
        seeds=seeds,
        stds=stds,
    )


def layers(mean: float, count: int, options: Sequence[int]) -> tuple[int, ...]:
    """Options for the layers that have a given mean: of all such lists the most even.

    Args:
        mean: of the options.
        count: number of layers.
        options: to choose from.

    Returns:
        (count,) options, the greatest first.
    """
    return _most_even(round(mean * count), count, tuple(options))


@cache
def _most_even(total: int, count: int, options: tuple[int, ...]) -> tuple[int, ...]:
    lists = (c for c in combinations_with_replacement(options, count) if sum(c) == total)
    return tuple(sorted(min(lists, key=lambda c: sum(v * v for v in c)), reverse=True))


@cache
def _table(task: str, device: str) -> dict[str, Sequence[str]]:
    return read_columns(fetch(f"hat/{task}_{_FILES[task][device]}.csv"))


@cache
def _texts(task: str, device: str) -> list[str]:
    """(2,000,) the representatives of a file's rows."""
    table = _table(task, device)
    texts = []
    for row, depth in enumerate(table["decoder_layer_num"]):
        lists = {}
        for name, options in _AVERAGED.items():
            count = _ENCODER_LAYERS if name.startswith("encoder") else int(depth)
            chosen = layers(float(table[f"{name}_avg"][row]), count, tuple(options))
            lists[name] = ",".join(str(options[value]) for value in chosen)
        texts.append(
            f"encoder_embed_dim={table['encoder_embed_dim'][row]};"
            f"encoder_ffn_embed_dim={lists['encoder_ffn_embed_dim']};"
            f"encoder_self_attention_heads={lists['encoder_self_attention_heads']};"
            f"decoder_embed_dim={table['decoder_embed_dim'][row]};decoder_layer_num={depth};"
            + ";".join(f"{name}={lists[name]}" for name in _AVERAGED if name[0] == "d")
        )
    return texts


@cache
def _rows(task: str) -> dict[str, int]:
    """Text -> row, over all devices."""
    rows: dict[str, int] = {}
    for device in _FILES[task]:
        for text in _texts(task, device):
            rows.setdefault(text, len(rows))
    return rows


def _measured(task: str, device: str, column: str) -> FloatArray:
    """(N, times) values of every row, NaN where it was measured less often."""
    rows, texts = _rows(task), _texts(task, device)
    times: dict[str, int] = {}
    values = np.full((len(rows), 4), np.nan)
    for text, value in zip(texts, numbers(_table(task, device)[column]), strict=True):
        nth = times.get(text, 0)
        times[text] = nth + 1
        values[rows[text], nth] = value
    return values[:, : max(times.values())]


def _mean(read: Callable[[], FloatArray]) -> FloatArray:
    values = read()
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(1), known.sum(1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def _spread(task: str, device: str, part: str) -> FloatArray:
    """Standard deviation over all runs behind a label, equally many in each measurement."""
    inside = _mean(lambda: _measured(task, device, f"latency_std_{part}") ** 2)
    means = _measured(task, device, f"latency_mean_{part}")
    centred = means - _mean(lambda: means)[:, None]
    return np.sqrt(inside + _mean(lambda: centred**2))
