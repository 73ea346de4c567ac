"""Accuracies of NAS-Bench-201's cells, out of five sources."""

from __future__ import annotations

import json
import zipfile
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import FloatArray, Reader, Recipe
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_pickle
from archcast.datasets._unpickle_frame import load_frame
from archcast.datasets.benchmarks._nasbench201_rows import (
    aligned,
    from_codes,
    from_naslib,
    naslib_columns,
    specs,
    table,
)
from archcast.encoders.spaces.nasbench201 import CONV1, CONV3, NONE, POOL, SKIP

#: Data set -> its name in the table of test accuracies, in the validation archive, and in the
#: table of the 12-epoch schedule.
_SETS: Final = {
    "cifar10": ("CIFAR10TestAccuracy200Epochs", "cifar10", "cifar10"),
    "cifar100": ("CIFAR100TestAccuracy200Epochs", "cifar100", "cifar100"),
    "imagenet16-120": ("ImageNetTestAccuracy200Epochs", "ImageNet16-120", "imagenet"),
}
#: The seed file's code of an operator; its edges stand in the order of the text.
_SEED_OPERATORS: Final = (NONE, SKIP, CONV1, CONV3, POOL)
#: Attack -> its name in the table of robustness. All are bounded in the maximum norm.
_ATTACKS: Final = {"fgsm": "fgsm", "pgd": "pgd", "apgd": "aa_apgd-ce", "square": "aa_square"}
#: Strengths all four attacks were run at, in 1/255 of the range of a pixel.
_STRENGTHS: Final = ("0.1", "0.5", "1.0", "2.0", "3.0", "4.0", "8.0")
#: Strengths only FGSM was run at.
_MORE_STRENGTHS: Final = ("5.0", "6.0", "7.0", "255.0")
_ROBUSTNESS: Final = "nasbench201/robustness.csv"
_RECIPE: Final = {"optimizer": "sgd", "batch_size": 256, "pretrain": None, "inherited": False}


def readers() -> dict[str, tuple[Reader, Recipe]]:
    """Task -> what reads its (15,625,) labels, and how the networks were trained."""
    long, short = _RECIPE | {"epochs": 200}, _RECIPE | {"epochs": 12}
    found: dict[str, tuple[Reader, Recipe]] = {}
    for data in _SETS:
        found[f"{data}/test_accuracy"] = partial(_test, data), long
        found[f"{data}/val_accuracy"] = partial(_validation, data), long
        for part in ("test", "val"):
            reader = partial(_twelve_epochs, data, part)
            found[f"{data}/{part}_accuracy_12_epochs"] = reader, short
    for attack in _ATTACKS:
        for strength in _STRENGTHS + (_MORE_STRENGTHS if attack == "fgsm" else ()):
            recipe = long | {"attack": attack, "epsilon_255": float(strength)}
            reader = partial(_under_attack, attack, strength)
            found[f"cifar10/{attack}_accuracy_eps_{strength.removesuffix('.0')}"] = reader, recipe
    return found


def seeds() -> FloatArray:
    """(15,625, 3) single measurements of the CIFAR-10 test accuracy, NaN where missing."""
    values = {
        from_codes(codes, _SEED_OPERATORS, range(6)): (*seeds, *[np.nan] * (3 - len(seeds)))
        for codes, seeds in load_pickle(fetch("nasbench201/seeds.pickle")).items()
    }
    return aligned(values, 3)


def _test(data: str) -> FloatArray:
    return np.array(table()[_SETS[data][0]], np.float64)


def _validation(data: str) -> FloatArray:
    prefix = f"zen/benchmark--nasbench201--{_SETS[data][1]}--"
    found = {}
    with zipfile.ZipFile(fetch("nasbench201/validation.zip")) as archive:
        for name in archive.namelist():
            for row in json.loads(archive.read(name)) if name.startswith(prefix) else ():
                found[from_naslib(row["arch"])] = row["val_accuracy"]
    return aligned(found)


@cache
def _short() -> dict[str, list[Any]]:
    return load_frame(fetch("nasbench201/12-epochs-pandas.pickle"))


def _twelve_epochs(data: str, part: str) -> FloatArray:
    frame = _short()
    values = dict(zip(frame["cellstr"], frame[f"{_SETS[data][2]}-{part}"], strict=True))
    return np.array([values[text] for text in specs()])


def _under_attack(attack: str, strength: str) -> FloatArray:
    return naslib_columns(_ROBUSTNESS)[f"{_ATTACKS[attack]}@Linf_eps-{strength}"]
