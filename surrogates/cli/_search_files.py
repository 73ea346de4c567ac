"""The files of ``archcast search``: its journal, pictures and tables, and the exported best."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from archcast.cli._inputs import UsageError
from archcast.cli._search_job import Job
from archcast.cli._search_show import say, winners
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import ArchcastError, StorageError
from archcast.search import Forecaster, SearchResult
from archcast.search.exports import FORMATS, export
from archcast.search.plot import plot_map
from archcast.search.strategies.map_elites import MAPElites

_PICTURES: Final = (".png", ".svg", ".pdf")
_TABLES: Final = (".json", ".csv", ".md")


def check_endings(save: Sequence[Path], plot: Sequence[Path]) -> None:
    """Refuse files of other kinds before anything is measured.

    Raises:
        UsageError: another ending, or matplotlib is not installed.
    """
    for option, paths, endings in (("--save", save, _TABLES), ("--plot", plot, _PICTURES)):
        for path in paths:
            if path.suffix.lower() not in endings:
                raise UsageError(f"{option} {path}: it ends in {', '.join(endings)}")
    if plot:
        try:
            import matplotlib  # noqa: F401  (asked before the search, not after)
        except ImportError as error:
            raise UsageError("--plot needs matplotlib: pip install 'archcast[plot]'") from error


def formats_of(text: str) -> tuple[str, ...]:
    """What ``--formats`` names.

    Raises:
        UsageError: no such format.
    """
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = next((part for part in found if part not in FORMATS), None)
    if unknown is not None or not found:
        raise UsageError(f"--formats {text}: it is some of {','.join(FORMATS)}")
    return found


def draw(job: Job, result: SearchResult, path: Path) -> None:
    """A picture: the map of MAP-Elites over two costs, the front, or the best so far."""
    strategy = job.strategy
    if not isinstance(strategy, MAPElites) or len(strategy.descriptors) != 2:
        result.save(path)
        return
    data = plot_map(strategy.archive(), job.objectives[0], path.suffix.lower()[1:])
    write_atomically(path, lambda file: file.write(data))


def again(resumed: bool) -> str:
    """The command that goes on with this search."""
    return shlex.join(["archcast", *sys.argv[1:], *([] if resumed else ["--resume"])])


def export_best(
    job: Job, result: SearchResult, k: int, folder: Path, formats: Sequence[str]
) -> bool:
    """Write the k best into a folder, and say where; what one format fails on others may not.

    Returns:
        Whether everything was written.
    """
    rows = winners(job, result, k)
    forecasts = _forecasts(job, result, [row["spec"] for row in rows])
    failed: dict[str, str] = {}
    for at, row in enumerate(rows):
        facts = {
            "source": job.source,
            "values": {o.name: row[o.name] for o in job.objectives},
            "costs": {name: row[name] for name in result.costs},
            **({"forecast": forecasts[at]} if forecasts else {}),
        }
        for kind in formats:
            try:
                (path,) = export(
                    row["spec"],
                    job.domain.space,
                    folder,
                    [kind],
                    name=f"best{row['rank']}",
                    facts=facts,
                    num_classes=job.domain.num_classes,
                    image_size=job.domain.image_size,
                )
            except StorageError:  # no other file can be written, either
                raise
            except ArchcastError as error:
                failed.setdefault(kind, str(error))  # mostly alike for all of them
                continue
            say(f"wrote {path}")
    for kind, why in failed.items():
        say(f"{kind}: {why}")
    return not failed


def _forecasts(job: Job, result: SearchResult, specs: Sequence[str]) -> list[dict[str, Any]]:
    """Forecasts of the best, learned from all that was measured; none if there is no unit."""
    first = job.objectives[0]
    if job.source == "forecast":
        forecaster = getattr(job.evaluate, "forecaster", None)
    else:
        forecaster = Forecaster(job.domain, first)
        try:
            done = result.completed
            forecaster.learn([t.spec for t in done], [t.values[0] for t in done])
        except ArchcastError:  # values that its scale cannot take: there is no forecast
            return []
    if forecaster is None or not forecaster.speaks or not specs:
        return []
    found = forecaster.forecast(list(specs))
    rows = zip(found.values, found.low, found.high, strict=True)
    return [
        {"task": first.name, "unit": first.unit, "value": float(v), "low90": float(low),
         "high90": float(high)}
        for v, low, high in rows
    ]  # fmt: skip
