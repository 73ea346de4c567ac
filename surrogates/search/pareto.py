"""Several objectives at once: dominance, ranks, crowding, hypervolume, and the front."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.objectives import Objective

__all__ = ["Front", "crowding", "fronts", "hypervolume", "non_dominated"]

FloatArray = NDArray[np.float64]
#: Cells of the table (rows by rows by objectives) that is compared at once.
_AT_ONCE: Final = 4_000_000
#: Rows that are held against the front at once.
_ROWS: Final = 64


def non_dominated(merits: ArrayLike) -> NDArray[np.bool_]:
    """Which rows no other row dominates.

    A row dominates another if it is nowhere lower and somewhere higher. Equal rows do not
    dominate each other; rows with a NaN are never on the front and dominate nothing.

    Args:
        merits: (n, m), higher is better; (n,) for one objective.

    Returns:
        (n,) mask.
    """
    table = _table(merits)
    known = ~np.isnan(table).any(1)
    distinct, place = np.unique(table[known], axis=0, return_inverse=True)
    found = np.zeros(len(table), bool)
    found[known] = _best(distinct)[place.reshape(-1)]
    return found


def fronts(merits: ArrayLike) -> NDArray[np.intp]:
    """Rank of every row: 0 on the front, 1 on the front of what is left without it, and so on.

    Args:
        merits: (n, m), higher is better; (n,) for one objective.

    Returns:
        (n,) ranks; rows with a NaN come behind all others.

    Reference:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
        Transactions on Evolutionary Computation, 2002.
    """
    table = _table(merits)
    known = ~np.isnan(table).any(1)
    distinct, place = np.unique(table[known], axis=0, return_inverse=True)
    ranks = np.zeros(len(distinct), np.intp)
    left, rank = np.arange(len(distinct)), 0
    while len(left):
        best = _best(distinct[left])
        ranks[left[best]] = rank
        left, rank = left[~best], rank + 1
    found = np.full(len(table), rank, np.intp)
    found[known] = ranks[place.reshape(-1)]
    return found


def crowding(merits: ArrayLike) -> FloatArray:
    """How far the neighbours of each row of one front are apart, summed over objectives.

    Args:
        merits: (n, m) rows of one front, higher is better.

    Returns:
        (n,) distances in shares of each objective's range; infinite at its ends, 0 for rows with
        a NaN.

    Reference:
        Deb et al. 2002, as for :func:`fronts`.
    """
    table = _table(merits)
    rows = np.flatnonzero(~np.isnan(table).any(1))
    total = np.zeros(len(table))
    for values in table[rows].T:
        order = rows[np.argsort(values, kind="stable")]
        ends = np.sort(values)
        if not len(ends) or ends[-1] == ends[0]:
            continue
        total[order[1:-1]] += (ends[2:] - ends[:-2]) / (ends[-1] - ends[0])
        total[order[[0, -1]]] = np.inf
    if len(rows) and not total[rows].any():  # all alike: all are ends
        total[rows] = np.inf
    return total


def hypervolume(merits: ArrayLike, reference: ArrayLike) -> float:
    """Volume that is dominated by the rows and dominates the reference.

    Exact: a sweep in two dimensions, the exclusive volumes of While et al. above, one dimension
    less at each step. A hundred rows of four objectives take a fraction of a second; the cost
    grows exponentially with the objectives.

    Args:
        merits: (n, m), higher is better; rows with a NaN count for nothing.
        reference: (m,) a point that is worse; what is not better than it counts for nothing.

    Returns:
        The volume, 0 without any row.

    Raises:
        InvalidSettingError: not one finite number of the reference for each objective.

    Reference:
        While, Bradstreet and Barone, "A Fast Way of Calculating Exact Hypervolumes", IEEE
        Transactions on Evolutionary Computation, 2012.
    """
    table = _table(merits)
    origin = np.atleast_1d(np.asarray(reference, np.float64))
    if origin.shape != (table.shape[1],) or not np.isfinite(origin).all():
        raise InvalidSettingError(
            f"the reference has one finite number for each of {table.shape[1]} objectives, "
            f"not {origin.tolist()}"
        )
    gains = table - origin
    return _volume(gains[(gains > 0).all(1)])


@dataclass(frozen=True, eq=False)
class Front:
    """Architectures of which none is better in everything than another.

    Attributes:
        specs: n architectures, best in the first objective first.
        values: (n, m) measured values, in the objectives' own units.
        objectives: the m objectives.
    """

    specs: tuple[str, ...]
    values: FloatArray
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, specs: Sequence[str], values: ArrayLike, objectives: Sequence[Objective]) -> Front:
        """The front of n measured architectures.

        Args:
            specs: the architectures.
            values: (n, m) values in the objectives' own units, NaN where a measurement failed.
            objectives: what the columns are.

        Raises:
            InvalidSettingError: not one row an architecture, or one column an objective.
        """
        table = np.asarray(values, np.float64)
        if table.ndim == 1 and len(objectives) == 1:
            table = table[:, None]
        if not len(specs):
            table = table.reshape(0, len(objectives))
        if table.shape != (len(specs), len(objectives)):
            raise InvalidSettingError(
                f"{len(specs)} architectures and {len(objectives)} objectives, "
                f"but values of shape {table.shape}"
            )
        merits = _turned(table, objectives)
        rows = np.flatnonzero(non_dominated(merits))
        rows = rows[np.lexsort((*-merits[rows].T[:0:-1], -merits[rows, 0]))]
        order: list[int] = rows.tolist()
        return cls(tuple(specs[row] for row in order), table[rows], tuple(objectives))

    def __len__(self) -> int:
        return len(self.specs)

    @property
    def merits(self) -> FloatArray:
        """(n, m) values turned so that higher is better."""
        return _turned(self.values, self.objectives)

    def hypervolume(self, reference: ArrayLike) -> float:
        """Volume between the front and a reference; see :func:`hypervolume`.

        Args:
            reference: (m,) a value of each objective, in its own unit, that is worse.

        Raises:
            InvalidSettingError: not one finite number for each objective.
        """
        origin = np.atleast_1d(np.asarray(reference, np.float64))
        if origin.shape == (len(self.objectives),):
            origin = _turned(origin[None], self.objectives)[0]
        return hypervolume(self.merits, origin)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold."""
        return {
            "objectives": [
                {"name": o.name, "direction": o.direction, "unit": o.unit} for o in self.objectives
            ],
            "front": [
                {"spec": spec, "values": row}
                for spec, row in zip(self.specs, self.values.tolist(), strict=True)
            ],
        }

    def to_csv(self) -> str:
        """A table with a line of names, the architecture first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["spec", *(o.name for o in self.objectives)])
        writer.writerows(
            [spec, *row] for spec, row in zip(self.specs, self.values.tolist(), strict=True)
        )
        return text.getvalue()

    def to_markdown(self) -> str:
        """A Markdown table; numbers are rounded to six digits."""
        names = [f"{o.name} [{o.unit}]" if o.unit else o.name for o in self.objectives]
        lines = [["architecture", *names], ["---", *("---:" for _ in names)]]
        for spec, row in zip(self.specs, self.values.tolist(), strict=True):
            lines.append([f"`{spec}`".replace("|", "\\|"), *(f"{value:.6g}" for value in row)])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# ----------------------------------------------------------------------------------- private
def _table(merits: ArrayLike) -> FloatArray:
    table = np.asarray(merits, np.float64)
    return table[:, None] if table.ndim == 1 else table


def _turned(values: FloatArray, objectives: Sequence[Objective]) -> FloatArray:
    columns = [o.merit(values[:, at]) for at, o in enumerate(objectives)]
    return np.stack(columns, 1) if columns else values


def _best(points: FloatArray) -> NDArray[np.bool_]:
    """Which of distinct rows without NaN are not dominated, (n,)."""
    n, m = points.shape
    if m <= 2:
        return _best_by_sweep(points)
    found = np.zeros(n, bool)
    # What dominates a row comes before it in this order, so the front so far is all that a row is
    # held against.
    order = np.lexsort(points.T[::-1])[::-1]
    front, at = points[:0], 0
    while at < n:
        part = order[at : at + max(_AT_ONCE // ((len(front) + _ROWS) * m), 1)][:_ROWS]
        rows = points[part]
        rivals = np.vstack([front, rows])
        # Distinct rows, so nowhere lower is enough; every row is that to itself.
        found[part] = (rivals >= rows[:, None]).all(2).sum(1) == 1
        front, at = np.vstack([front, points[part[found[part]]]]), at + len(part)
    return found


def _best_by_sweep(points: FloatArray) -> NDArray[np.bool_]:
    """The same for one or two objectives: from the best in one, a new best in the other."""
    found = np.zeros(len(points), bool)
    if not len(points):
        return found
    order = np.lexsort(tuple(-column for column in points.T[::-1]))
    last = points[order, -1]
    found[order[0]] = True
    found[order[1:]] = last[1:] > np.maximum.accumulate(last)[:-1]
    return found


def _volume(gains: FloatArray) -> float:
    """Volume of the union of boxes from the origin to each row; all numbers are positive."""
    if not len(gains):
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    gains = gains[non_dominated(gains)]
    if gains.shape[1] == 2:
        order = np.argsort(gains[:, 0])
        widths = np.diff(gains[order, 0], prepend=0.0)
        return float(widths @ gains[order, 1])
    # From the lowest in the last objective: all later rows reach as high, so what a row adds to
    # them is its height times an area of one dimension less.
    gains = gains[np.argsort(gains[:, -1], kind="stable")]
    total = 0.0
    for at, row in enumerate(gains):
        shared = np.minimum(gains[at + 1 :, :-1], row[:-1])
        total += row[-1] * (float(np.prod(row[:-1])) - _volume(shared))
    return total
