"""``SearchResult``: what a search has found, as tables, files and curves."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.search.domain import Domain
from archcast.search.journal import Trial
from archcast.search.objectives import Objective
from archcast.search.pareto import Front, fronts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SearchResult"]

FloatArray = NDArray[np.float64]
_PICTURES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search has measured.

    Attributes:
        space: name of the search space.
        objectives: what was searched for.
        trials: everything that was begun, in that order.
        costs: name of a cost -> one value a trial, NaN where it has none.
        strategy: name of what proposed.
    """

    space: str
    objectives: tuple[Objective, ...]
    trials: tuple[Trial, ...]
    costs: dict[str, FloatArray]
    strategy: str = ""

    @classmethod
    def of(
        cls,
        domain: Domain,
        objectives: Sequence[Objective],
        trials: Sequence[Trial],
        strategy: str = "",
    ) -> SearchResult:
        """The result of trials in a domain, with the costs that the domain knows."""
        specs = [trial.spec for trial in trials]
        named = [name for name in domain.costs if name not in {o.name for o in objectives}]
        costs = {name: domain.cost(name, specs) for name in named} if specs else {}
        return cls(domain.space.name, tuple(objectives), tuple(trials), costs, strategy)

    # ------------------------------------------------------------------ what is best
    @property
    def completed(self) -> list[Trial]:
        """Trials that were trained fully and did not fail."""
        return [t for t in self.trials if t.state == "done" and t.fidelity >= 1]

    @property
    def best(self) -> Trial | None:
        """The best in the first objective; None if nothing was measured fully."""
        return next(iter(self._ordered()), None)

    @property
    def front(self) -> Front:
        """What is best in some weighing of the objectives: nothing measured is better in all."""
        done = self.completed
        return Front.of([t.spec for t in done], [t.values for t in done], self.objectives)

    def winners(self, k: int = 5) -> list[Trial]:
        """The k best: by the objective, or by fronts and then by the first objective."""
        ordered = self._ordered()
        if len(self.objectives) > 1 and ordered:
            ranks = fronts(self._merits(ordered))
            ordered = [ordered[at] for at in np.argsort(ranks, kind="stable")]
        return ordered[:k]

    def curve(self, objective: int = 0) -> FloatArray:
        """(t,) best value of an objective among the first 1, 2, ... full trainings, in its unit."""
        done = self.completed
        if not done:
            return np.zeros(0)
        turned = self.objectives[objective]
        merits = turned.merit([trial.values[objective] for trial in done])
        return turned.merit(np.maximum.accumulate(merits))

    @property
    def seconds(self) -> float:
        """What all trials took together, as far as it is known."""
        return sum(t.seconds for t in self.trials if not math.isnan(t.seconds))

    # ------------------------------------------------------------------------ tables
    def rows(self, trials: Sequence[Trial] | None = None) -> list[dict[str, Any]]:
        """One mapping a trial: spec, objectives, costs, fidelity, state, seconds, note.

        Args:
            trials: which of them; all if None.
        """
        chosen = self.trials if trials is None else trials
        place = {(t.spec, t.fidelity): at for at, t in enumerate(self.trials)}
        names = [objective.name for objective in self.objectives]
        blank = [math.nan] * len(names)
        return [
            {
                "spec": t.spec,
                **dict(zip(names, t.values or blank, strict=True)),
                **{
                    name: float(values[place[t.spec, t.fidelity]])
                    for name, values in self.costs.items()
                },
                "fidelity": t.fidelity,
                "state": t.state,
                "seconds": t.seconds,
                "note": t.note,
            }
            for t in chosen
        ]

    def to_json(self) -> str:
        """Everything as one JSON object; what is not known is null."""
        best = self.best
        document = {
            "space": self.space,
            "strategy": self.strategy,
            "objectives": [
                {"name": o.name, "direction": o.direction, "unit": o.unit} for o in self.objectives
            ],
            "best": None if best is None else best.spec,
            "front": list(self.front.specs),
            "trials": [_finite(row) for row in self.rows()],
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """One line a trial in full precision; empty where there is no value."""
        rows = self.rows()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._head())
        for row in rows:
            writer.writerow(["" if v is None else v for v in _finite(row).values()])
        return text.getvalue()

    def to_markdown(self, k: int = 10) -> str:
        """A table of the k best."""
        head = [name for name in self._head() if name not in ("fidelity", "state", "note")]
        lines = [head, ["---", *["---:"] * (len(head) - 1)]]
        for row in self.rows(self.winners(k)):
            cells = [_figure(row[name]) for name in head]
            lines.append([f"`{cells[0]}`".replace("|", "\\|"), *cells[1:]])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    def to_pandas(self) -> pd.DataFrame:
        """One row a trial.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("needs pandas: pip install 'archcast[search]'") from error
        return pd.DataFrame(self.rows(), columns=self._head())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything (``.json``, ``.csv``), the best (``.md``), or a picture.

        Pictures (``.png``, ``.svg``, ``.pdf``) show the front of several objectives, or the best
        so far of one.

        Raises:
            InvalidSettingError: another kind of file, or nothing to draw.
            MissingExtraError: pictures need matplotlib.
            StorageError: the file cannot be written.
        """
        target = Path(path)
        kind = target.suffix.lower()
        if kind in _PICTURES:
            from archcast.search.plot import plot_result

            data = plot_result(self, kind[1:])
        elif kind in (".json", ".csv", ".md"):
            write = {".json": self.to_json, ".csv": self.to_csv, ".md": self.to_markdown}[kind]
            data = write().encode()
        else:
            endings = ", ".join((".json", ".csv", ".md", *_PICTURES))
            raise InvalidSettingError(f"{target}: results are written as {endings}")
        write_atomically(target, lambda file: file.write(data))

    # ----------------------------------------------------------------------- private
    def _ordered(self) -> list[Trial]:
        """Completed trials, best in the first objective first; of equals the first measured."""
        done = self.completed
        merits = self._merits(done)[:, 0]
        return [done[at] for at in np.argsort(-merits, kind="stable")]

    def _merits(self, trials: Sequence[Trial]) -> FloatArray:
        table = np.array([t.values for t in trials], np.float64)
        table = table.reshape(len(trials), len(self.objectives))
        return np.stack([o.merit(table[:, at]) for at, o in enumerate(self.objectives)], 1)

    def _head(self) -> list[str]:
        names = [objective.name for objective in self.objectives]
        return ["spec", *names, *self.costs, "fidelity", "state", "seconds", "note"]


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return str(value)
