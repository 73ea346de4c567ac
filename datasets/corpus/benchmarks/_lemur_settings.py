"""What LEMUR's networks were given: input shape and outputs follow from data set and transform.

From the package's own loaders and transforms; where they cannot tell, the comment says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from archcast.datasets.benchmarks._lemur_trials import Trials
from archcast.encoders.errors import InvalidSpecError

#: Task and data set -> (shape of one input where no transform resizes it, outputs).
_DATA: Final[dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]]] = {
    ("img-classification", "cifar-10"): ((3, 32, 32), (10,)),
    ("img-classification", "cifar-100"): ((3, 32, 32), (100,)),
    ("img-classification", "svhn"): ((3, 32, 32), (10,)),
    ("img-classification", "mnist"): ((1, 28, 28), (10,)),
    ("img-classification", "celeba-gender"): ((3, 218, 178), (2,)),
    # Its images have many sizes: without a resize only batches of one could be trained.
    ("img-classification", "imagenette"): ((3, 224, 224), (10,)),
    ("img-classification", "places365"): ((3, 256, 256), (365,)),
    ("img-segmentation", "coco"): ((3, 256, 256), (6,)),
    ("obj-detection", "coco"): ((3, 800, 800), (91,)),
    # The vocabulary is every word of the captions; its size is not recorded.
    ("img-captioning", "coco"): ((3, 256, 256), (10000,)),
    ("txt-image", "coco"): ((3, 256, 256), (3, 256, 256)),
    # Characters of WikiText-2 in lower case; their number is not recorded.
    ("txt-generation", "wikitext"): ((128,), (256,)),
}
_SIZE: Final = re.compile(r"_(\d+)(?:_flip)?$")
_TEXT: Final = re.compile(r"(\d{1,6}(?:x\d{1,6}){0,3})-(\d{1,6}(?:x\d{1,6}){0,3})(?:-(\w{1,12}))?")


#: Of the parameters in which runs of one source in one setting differ, those that may make another
#: network of it; the others are rates, weights of losses, schedules and thresholds, or not used.
_SHAPING: Final = ("kernel_size", "patch_size")


@dataclass(frozen=True, order=True)
class Setting:
    """What a source's ``Net`` is made for.

    Attributes:
        input: shape of one example, without the batch.
        outputs: what the source is told of its outputs: classes, or a shape.
        dtype: of the input, a torch name.
    """

    input: tuple[int, ...]
    outputs: tuple[int, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        shape, outputs = ("x".join(map(str, numbers)) for numbers in (self.input, self.outputs))
        return f"{shape}-{outputs}" + ("" if self.dtype == "float32" else f"-{self.dtype}")


def parsed(text: str) -> Setting:
    """The setting that ``str`` wrote.

    Raises:
        InvalidSpecError: it is none.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidSpecError(f"lemur: {text!r} is no setting like '3x64x64-10'")
    shape, outputs = (tuple(map(int, part.split("x"))) for part in match.group(1, 2))
    return Setting(shape, outputs, match[3] or "float32")


def setting(task: str, dataset: str, transform: str) -> Setting:
    """The setting of trials of one task, data set and transform."""
    shape, outputs = _DATA[task, dataset]
    if dataset == "wikitext":
        return Setting(shape, outputs, "int64")
    size = 64 if transform.startswith("bf-") else 0  # all of those end in 64 x 64 pixels
    found = _SIZE.search(transform)
    if found and not size:
        size = int(found[1])
    if size:
        shape = (shape[0], size, size)
        outputs = shape if task == "txt-image" else outputs
    complex_images = transform.startswith("complex") and task == "img-classification"
    return Setting(shape, outputs, "complex64" if complex_images else "float32")


def settings(trials: Trials) -> list[Setting]:
    """(T,) setting of every trial."""
    kinds = list(
        zip(trials.task.tolist(), trials.dataset.tolist(), trials.transform.tolist(), strict=True)
    )
    known = {kind: setting(*kind) for kind in dict.fromkeys(kinds)}
    return [known[kind] for kind in kinds]


def wanted(trials: Trials) -> dict[str, dict[Setting, dict[str, Any]]]:
    """What is to be built of every source with results.

    Returns:
        Name -> setting -> parameters of the best trial in it, for sources that ask for more than
        shapes. The setting of most trials comes first.
    """
    found: dict[str, dict[Setting, list[int]]] = {}
    names = trials.net.tolist()
    for row, (name, kind) in enumerate(zip(names, settings(trials), strict=True)):
        found.setdefault(name, {}).setdefault(kind, []).append(row)
    best = trials.best
    return {
        name: {
            kind: prm(trials, max(kinds[kind], key=best.__getitem__))
            for kind in sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))
        }
        for name, kinds in found.items()
    }


def shaping(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a run's parameters may decide on its network."""
    return tuple(parameters.get(name) for name in _SHAPING)


def extra(trials: Trials, row: int) -> dict[str, Any]:
    """The parameters of one trial beyond those that most have."""
    return json.loads(str(trials.extra[row]) or "{}")


def prm(trials: Trials, row: int) -> dict[str, Any]:
    """The parameters a source was given in one trial."""
    values = {
        "lr": float(trials.lr[row]),
        "momentum": float(trials.momentum[row]),
        "dropout": float(trials.dropout[row]),
        "batch": int(trials.batch_size[row]),
    }
    known = {key: value for key, value in values.items() if not math.isnan(value)}
    # Weights are not fetched, whatever a trial started from.
    return (
        known | {"transform": str(trials.transform[row])} | extra(trials, row) | {"pretrained": 0}
    )
