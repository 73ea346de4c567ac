"""What a call says beside the network, such as a learning rate, as columns beside its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.predictors import Predictor, State

__all__ = ["Codec", "Narrowed"]

FloatArray = NDArray[np.float64]
Leaves = Mapping[str, float | str]
#: Values that differ by more than this factor, all positive, are compared by their logarithms.
_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Codec:
    """How numbers and texts become columns.

    Attributes:
        numbers: name and whether its logarithm is taken, a column each.
        texts: name and value, a column each that says whether it is so.
        repeats: how often the columns are written, so that distances heed them as they heed the
            features of the network.
    """

    numbers: tuple[tuple[str, bool], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    repeats: int = 1

    @classmethod
    def of(cls, seen: Sequence[Leaves], features: int) -> Codec:
        """Columns for what differs among candidates.

        Args:
            seen: numbers and texts of the candidates so far.
            features: features of the networks that differ among them.
        """
        names = sorted({name for leaves in seen for name in leaves})
        numbers, texts = [], []
        for name in names:
            values = [leaves[name] for leaves in seen if name in leaves]
            known = {v for v in values if not isinstance(v, str)}
            texts += [(name, v) for v in sorted({v for v in values if isinstance(v, str)})]
            if len(known) > 1:
                low, high = min(known), max(known)
                numbers.append((name, low > 0 and high / low > _RATIO))
        texts = texts if len(texts) > 1 else []
        width = len(numbers) + len(texts)
        return cls(tuple(numbers), tuple(texts), max(round(features / width), 1) if width else 1)

    @property
    def width(self) -> int:
        """Number of columns."""
        return (len(self.numbers) + len(self.texts)) * self.repeats

    def encode(self, rows: Sequence[Leaves]) -> NDArray[np.float32]:
        """(n, width) columns; 0 where a candidate does not say."""
        found = np.zeros((len(rows), len(self.numbers) + len(self.texts)), np.float32)
        for i, leaves in enumerate(rows):
            for j, (name, logarithm) in enumerate(self.numbers):
                value = leaves.get(name)
                if not isinstance(value, str) and value is not None:
                    found[i, j] = np.log(max(value, 1e-30)) if logarithm else value
            for j, (name, text) in enumerate(self.texts, len(self.numbers)):
                found[i, j] = leaves.get(name) == text
        return np.tile(found, (1, self.repeats))


class Narrowed(Predictor):
    """A fitted predictor that sees the first columns only; what adapts it sees all.

    Args:
        base: a fitted predictor.
        features: columns it knows.
    """

    kind = "narrowed"

    def __init__(self, base: Predictor, features: int) -> None:
        self.base = base
        self.features = features
        self.unitless = bool(getattr(base, "unitless", False))
        self.centre_, self.spread_, self.constant_ = base.centre_, base.spread_, base.constant_

    @property
    def transform(self) -> _transforms.Transform:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Scale of the base's targets."""
        return self.base.transform

    def interval(self, X: Any, p: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Intervals of the base."""
        return self.base.interval(np.asarray(X)[:, : self.features], p)

    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """Quantiles of the base."""
        return self.base.quantiles(np.asarray(X)[:, : self.features], levels)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        return self.base._predict(np.ascontiguousarray(np.asarray(X)[:, : self.features]))

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        raise NotImplementedError  # it comes fitted

    def _state(self) -> State:
        raise NotImplementedError  # the base is what is saved

    def _restore(self, state: State) -> None:
        raise NotImplementedError
