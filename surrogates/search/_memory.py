"""What a forecaster remembers of architectures: scaled features, prior forecasts, distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.predictors._kernel import Scaler

FloatArray = NDArray[np.float64]
#: Architectures remembered, and distances (rows times measurements) kept.
_MOST: Final = 100_000
_KEPT: Final = 30_000_000
_CLIP: Final = 5.0
#: Rows whose median distance is the unit of distances.
_UNIT_ROWS: Final = 300


class Memory:
    """Rows of architectures: computed once, found again by name.

    Args:
        features: names -> (n, F) features.
        prior: (n, F) features -> (n,) forecasts and (n,) standard deviations.
        reference: (r, F) features that say what is near and what is far.
    """

    def __init__(
        self,
        features: Callable[[Sequence[str]], NDArray[np.float32]],
        prior: Callable[[NDArray[np.float32]], tuple[FloatArray, FloatArray]],
        reference: NDArray[np.float32],
    ) -> None:
        self._features, self._ask = features, prior
        self._scaler = Scaler.fit(reference)
        self._scale = self._scaler.scale.astype(np.float32)
        self._centre = self._scaler.centre.astype(np.float32)
        self._unit = 1.0
        some = self._scaled(reference[:_UNIT_ROWS])
        gaps = _distances(some, some)[np.triu_indices(len(some), 1)]
        self._unit = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1.0
        self._clear()

    def _clear(self) -> None:
        self._place: dict[str, int] = {}
        self._z = np.zeros((0, len(self._scale)), np.float32)
        self._prior = np.zeros((0, 2))
        self._near = np.zeros((0, 0), np.float32)
        self._marks = np.zeros(0, np.intp)
        self._same: dict[bytes, int] = {}

    def prior(self, rows: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """(n,) prior forecasts and (n,) their standard deviations."""
        found = self._prior[rows]
        return found[:, 0], found[:, 1]

    def near(self, rows: NDArray[np.intp], marks: NDArray[np.intp]) -> FloatArray:
        """(n, m) distances in units of the median one; kept if asked again with more marks."""
        if len(self._z) * len(marks) > _KEPT:
            return self._apart(self._z[rows], self._z[marks])
        known = _in_common(self._marks, marks)
        if len(self._near) < len(self._z) or known < len(marks):
            self._extend(marks, known)
            self._marks = marks.copy()
        return self._near[rows, : len(marks)].astype(np.float64)

    def _extend(self, ends: NDArray[np.intp], known: int) -> None:
        """More columns for the rows there are, then more rows."""
        old = len(self._near)
        wide = self._apart(self._z[:old], self._z[ends[known:]]).astype(np.float32)
        self._near = np.concatenate([self._near[:, :known], wide], 1) if old else wide
        if len(self._z) > old:
            long = self._apart(self._z[old:], self._z[ends]).astype(np.float32)
            self._near = np.concatenate([self._near, long]) if old else long

    def _apart(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> FloatArray:
        return _distances(a, b) / self._unit

    def rows(self, specs: Sequence[str]) -> NDArray[np.intp]:
        """(n,) where they are remembered; those of equal features at one place."""
        missing = [s for s in dict.fromkeys(specs) if s not in self._place]
        if missing and len(self._place) + len(missing) > _MOST:
            self._clear()
            missing = list(dict.fromkeys(specs))
        if missing:
            z = self._scaled(self._features(missing))
            keys = [row.tobytes() for row in z]
            fresh = {key: at for at, key in enumerate(keys) if key not in self._same}
            ends = range(len(self._z), len(self._z) + len(fresh))
            self._same.update(zip(fresh, ends, strict=True))
            self._place.update((s, self._same[k]) for s, k in zip(missing, keys, strict=True))
            self._add([missing[at] for at in fresh.values()], z[list(fresh.values())])
        return np.fromiter((self._place[s] for s in specs), np.intp, len(specs))

    def _add(self, specs: Sequence[str], z: NDArray[np.float32]) -> None:
        if len(specs):
            prior = np.stack(self._ask(self._features(specs)), 1)
            self._z = np.concatenate([self._z, z])
            self._prior = np.concatenate([self._prior, prior])

    def _scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip((x - self._centre) / self._scale, -_CLIP, _CLIP)


def _in_common(a: NDArray[np.intp], b: NDArray[np.intp]) -> int:
    """Length of the beginning that two sequences share."""
    short = min(len(a), len(b))
    differ = np.flatnonzero(a[:short] != b[:short])
    return int(differ[0]) if len(differ) else short


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> FloatArray:
    """Root-mean-square differences: (n, F) and (m, F) to (n, m)."""
    square = (a * a).sum(1, dtype=np.float64)[:, None] + (b * b).sum(1, dtype=np.float64)
    square -= 2.0 * (a @ b.T)
    square[square < 1e-4] = 0.0  # what single precision leaves of equal rows
    return np.sqrt(square / max(a.shape[1], 1))
