"""The scale a task is learned on, where nobody says otherwise."""

from __future__ import annotations

from typing import Final

from archcast._transforms import Transform
from archcast.datasets.transfers import lower_is_better

_SHARES: Final = ("accuracy", "top1", "top5")


def usual_transform(task: str, natural: bool = True) -> Transform:
    """``logit`` for accuracies, ``log`` for times and the like, ``identity`` for all else.

    Args:
        task: name of the task.
        natural: whether labels are in their unit, not normal scores.
    """
    metric = task.rpartition("/")[2]
    if not natural or "negative" in metric:
        return "identity"
    if any(word in metric for word in _SHARES):
        return "logit"
    return "log" if lower_is_better(task) else "identity"
