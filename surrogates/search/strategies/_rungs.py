"""Rungs of a ladder of fidelities: what was measured on each, and who goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from archcast.search.strategy import FloatArray, Measured, Proposal

__all__ = ["Rungs"]


class Rungs:
    """What a ladder's rungs hold, brought up to date from what was told.

    Args:
        fidelities: K of them, rising; the last is full training.
    """

    def __init__(self, fidelities: Sequence[float]) -> None:
        self.fidelities = tuple(fidelities)
        self._place = {fidelity: at for at, fidelity in enumerate(fidelities)}
        #: For every rung, merit by architecture; minus infinity if the measurement failed.
        self.merits: list[dict[str, float]] = [{} for _ in fidelities]
        self._bracket: dict[str, int] = {}

    def add(self, measured: Measured) -> None:
        """Take a measurement; of a fidelity that is no rung's, nothing is kept."""
        rung = self._place.get(measured.fidelity)
        if rung is not None:
            merit = -np.inf if measured.failed else measured.merits[0]
            self.merits[rung][measured.spec] = merit
            self._bracket[measured.spec] = min(rung, self._bracket.get(measured.spec, rung))

    def rung(self, fidelity: float) -> int | None:
        """Number of the rung of a fidelity; None if there is none."""
        return self._place.get(fidelity)

    def bracket(self, spec: str) -> int | None:
        """The rung that an architecture began at; None if nothing is known of it."""
        return self._bracket.get(spec)

    def members(self, bracket: int, rung: int) -> list[str]:
        """Architectures of a bracket that are known at a rung, in the order they were told."""
        return [spec for spec in self.merits[rung] if self._bracket[spec] == bracket]

    def columns(self, specs: Sequence[str], rung: int) -> FloatArray:
        """(n, rung + 1) merits on the rungs up to one; NaN where there are none."""
        rows = [[merits.get(spec, np.nan) for merits in self.merits[: rung + 1]] for spec in specs]
        found = np.array(rows, np.float64).reshape(len(specs), rung + 1)
        return np.where(np.isfinite(found), found, np.nan)

    def spent(self, brackets: int, pending: Iterable[Proposal]) -> FloatArray:
        """(brackets,) trainings that each bracket has had, in full trainings."""
        total = np.zeros(brackets)
        for merits, fidelity in zip(self.merits, self.fidelities, strict=True):
            for spec in merits:
                if self._bracket[spec] < brackets:
                    total[self._bracket[spec]] += fidelity
        for spec, fidelity in pending:
            began = self._bracket.get(spec, self._place.get(fidelity, brackets))
            if began < brackets:
                total[began] += fidelity
        return total
