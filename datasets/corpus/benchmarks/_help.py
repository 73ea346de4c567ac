"""Devices that HELP measured, on the cells of NAS-Bench-201 and on networks of FBNet's space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_GPUS: Final = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
_CPUS: Final = ("gold_6226", "gold_6240", "silver_4114", "silver_4210r")
_PHONES: Final = ("essential_ph_1", "pixel2", "samsung_a50", "samsung_s7")


def on_gpus(batches: Iterable[int]) -> Iterator[tuple[str, str, dict[str, str | int]]]:
    """Task, name of the file without its ending, and recipe of every GPU at every batch."""
    sizes = tuple(batches)
    for gpu in _GPUS:
        for batch in sizes:
            task = f"{_dashed(gpu)}-batch{batch}/latency_ms"
            yield task, f"{gpu}_{batch}", {"device": gpu, "batch_size": batch}


def on_others(more: Iterable[str] = ()) -> Iterator[tuple[str, str, dict[str, str | int]]]:
    """Task, name of the file without its ending, and recipe of CPUs, phones and more devices."""
    for device in (*_CPUS, *_PHONES, *more):
        yield f"{_dashed(device)}/latency_ms", device, {"device": device}


def _dashed(device: str) -> str:
    """A device as tasks name it."""
    return device.removesuffix("_1").replace("_", "-")
