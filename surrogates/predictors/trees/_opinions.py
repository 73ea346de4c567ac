"""Several forests kept as one, and what they say of an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.predictors._trees import Forest, join

FloatArray = NDArray[np.float64]
#: Leaf values held at once.
_BLOCK = 1 << 21


@dataclass(frozen=True, slots=True)
class Opinions:
    """K sums of trees, kept end to end in one forest.

    Attributes:
        forest: all trees.
        ends: (K,) number of trees up to the end of each sum.
    """

    forest: Forest
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, forests: Sequence[Forest]) -> Opinions:
        """Keep forests whose leaf values add up to what each says."""
        return cls(join(forests), np.cumsum([len(f) for f in forests]))

    def of_rows(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, F) features to (n, K) sums."""
        starts = np.concatenate([[0], self.ends[:-1]])
        return self._by_block(
            x, lambda leaves: np.add.reduceat(leaves, starts, axis=1, dtype=np.float64)
        )

    def along(self, x: NDArray[np.float32], stops: Sequence[int]) -> FloatArray:
        """(n, S) sums of the first forest's trees, up to each of the stops."""
        at = np.asarray(stops, np.intp) - 1
        return self._by_block(
            x, lambda leaves: np.cumsum(leaves[:, : at.max() + 1], 1, dtype=np.float64)[:, at]
        )

    def _by_block(self, x: NDArray[np.float32], of_leaves: Any) -> FloatArray:
        rows = max(_BLOCK // len(self.forest), 1)
        parts = [of_leaves(self.forest.leaves(x[i : i + rows])) for i in range(0, len(x), rows)]
        return np.concatenate(parts)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The inverse of :meth:`from_arrays`."""
        return {f"trees.{k}": v for k, v in self.forest.arrays().items()} | {"ends": self.ends}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Opinions:
        """Rebuild; raises ValueError or KeyError where the arrays are damaged."""
        own = {k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")}
        return cls(Forest.from_arrays(own), arrays["ends"])
