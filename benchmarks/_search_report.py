"""Tables, curves and a plot of the runs of ``search.py``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from _report import table
from _search_methods import CALLS
from _search_problems import PROBLEMS, Problem
from _search_runs import Run, Runs, regrets, trainings_to
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
QUERIES = (10, 20, 50, 100, 200, 500)
#: Where the curves of the plot are drawn.
CURVE = tuple(np.unique(np.geomspace(5, 500, 40).astype(int)).tolist())
#: The loop of one's own, and the same with its function swapped: a table of their own.
LOOP, SWAPPED, BEYOND = "own loop", "own loop, swapped", "own loop, swapped, beyond"
#: Runs from which on an interval is told, and a curve drawn.
_FEWEST = 3
#: Digits of regrets: percentages have two, the other units are small.
_DIGITS = {"%": 2}


def middle(values: FloatArray) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t, NaN of too few runs."""
    from scipy.stats import t

    if not len(values) or np.isnan(values).any():
        return np.nan, np.nan
    if len(values) < _FEWEST:
        return float(values.mean()), np.nan
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


# ------------------------------------------------------------------------------- tables
def regret_table(runs: Runs, problem: Problem, *, reported: bool = False) -> str:
    """One row a method, one column a number of trainings: mean regret ± 95 % interval."""
    digits = _DIGITS.get(problem.simulation().objective.unit, 4)
    rows = []
    for method in ranked(runs):
        found = runs.of(problem.name, method)
        if not found:
            continue
        columns = regrets(found, QUERIES, reported=reported).T
        cells = [_cell(*middle(column), digits) for column in columns]
        rows.append([method, f"{len(found)}", *cells])
    return table(("trainings", "runs", *map(str, QUERIES)), rows)


def swap_table(runs: Runs, names: Sequence[str]) -> str:
    """One row a problem and what is told of it: the loop that trains beside the one swapped."""
    rows = []
    for name in names:
        found, swapped, beyond = (runs.of(name, method) for method in (LOOP, SWAPPED, BEYOND))
        if not found or not swapped:
            continue
        problem, few = PROBLEMS[name], [swapped[0].trainings]
        digits = _DIGITS.get(problem.simulation().objective.unit, 4)
        plain = runs.of(name, "random")
        kinds = (False, True) if problem.report != problem.task else (False,)
        for reported in kinds:
            groups = [(found, [CALLS]), (swapped, few), (beyond, few), (plain, few)]
            cells = [
                _cell(*middle(regrets(group, at, reported=reported)[:, 0]), digits)
                for group, at in (*groups, (plain, [CALLS]))
            ]
            told = (problem.report if reported else problem.task).partition("/")[2]
            spent = np.mean([len(run.picks) for run in found])
            counts = f"{len(found)}", f"{spent:.0f}", f"{len(swapped)}", f"{few[0]:g}"
            rows.append([f"{name}: {told}", *counts, *cells])
    head = (
        "regret of", "loops", "trainings", "swapped", "trainings", "the loop", "swapped",
        "and beyond", "random search with as few", f"random search with {CALLS}",
    )  # fmt: skip
    return table(head, rows)


def ranked(runs: Runs) -> list[str]:
    """Methods of the tables of regret."""
    return [method for method in runs.methods() if method not in (LOOP, SWAPPED, BEYOND)]


def summary_table(runs: Runs) -> str:
    """Regret as a share of random search's after as many trainings, geometric mean of problems."""
    rows = []
    for method in ranked(runs):
        shares = np.full((len(PROBLEMS), len(QUERIES)), np.nan)
        for at, name in enumerate(PROBLEMS):
            found, plain = runs.of(name, method), runs.of(name, "random")
            if found and plain:
                ours, theirs = (regrets(r, QUERIES).mean(0) for r in (found, plain))
                # A search that always finds the optimum counts as a hundredth of random's.
                shares[at] = np.maximum(ours / theirs, 0.01)
        known = np.isfinite(shares)
        count = int(known[:, 0].sum())
        logs = np.log(np.where(known, shares, 1.0)).sum(0) / max(count, 1)
        whole = known.sum(0) == count
        cells = [f"{np.exp(v):.2f}" if k else "-" for v, k in zip(logs, whole, strict=True)]
        rows.append([method, f"{count}", *cells])
    return table(("trainings", "problems", *map(str, QUERIES)), rows)


def targets_table(runs: Runs, problem: Problem, targets: Sequence[float]) -> str:
    """Trainings until the regret is at most a target, and how many times fewer than at random."""
    simulation = problem.simulation()
    merits = simulation.objective.merit(simulation.values)
    best = float(simulation.objective.merit(simulation.optimum))
    head = ["search"]
    plain = []
    for target in targets:
        enough = int((merits >= best - target - 1e-9).sum())
        plain.append((len(merits) + 1) / (enough + 1))
        head.append("the optimum" if not target else f"regret {target:g} ({enough})")
    rows = [["random search (exact mean)", *(f"{n:,.0f}" for n in plain)]]
    for method in ranked(runs):
        found = runs.of(problem.name, method)
        if not found or method == "random":
            continue
        cells = [_reached(found, t, n) for t, n in zip(targets, plain, strict=True)]
        rows.append([method, *cells])
    return table(head, rows)


def _reached(found: Sequence[Run], target: float, plain: float) -> str:
    counts = np.array([trainings_to(run, target) for run in found])
    hit = np.isfinite(counts)
    if not hit.any():
        return f"0 of {len(found)} in {found[0].trainings:g}"
    if hit.all():
        return f"{counts.mean():,.0f} ({plain / counts.mean():.1f}×)"
    return f"{hit.sum()} of {len(found)} in {found[0].trainings:g}"


def _cell(mean: float, half: float, digits: int) -> str:
    if np.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" if np.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


# ------------------------------------------------------------------------- csv and plot
def curves(runs: Runs) -> Iterator[tuple[str, str, int, int, float, float, float]]:
    """Problem, method, runs, trainings, mean regret, its 95 % interval, mean reported regret."""
    for name in PROBLEMS:
        for method in runs.methods():
            found = runs.of(name, method)
            if not found:
                continue
            ours, theirs = (regrets(found, QUERIES, reported=r) for r in (False, True))
            for at, count in enumerate(QUERIES):
                mean, half = middle(ours[:, at])
                if np.isfinite(mean):
                    end = float(theirs[:, at].mean())
                    yield name, method, len(found), count, mean, half, end


def write_csv(runs: Runs, path: Path) -> None:
    """All curves as one table."""
    head = ("problem", "method", "runs", "trainings", "regret", "half_95", "reported_regret")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows((*row[:4], *(f"{v:.6g}" for v in row[4:])) for row in curves(runs))


def plot(runs: Runs, path: Path, methods: Sequence[str] = ()) -> None:
    """A panel a problem, a line a method: mean regret against trainings, both logarithmic.

    Nothing is drawn where nothing but swapped loops was run.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [m for m in ranked(runs) if not methods or m in methods]
    names = [n for n in PROBLEMS if any(runs.of(n, m) for m in shown)]
    if not names:
        return
    lines = -(-len(names) // 4)
    figure, axes = pyplot.subplots(lines, 4, figsize=(14, 3 * lines), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    colours = {m: f"C{at % 10}" for at, m in enumerate(shown)}
    for axis, name in zip(axes.flat, names, strict=False):
        for at, method in enumerate(shown):
            found = runs.of(name, method)
            if len(found) >= _FEWEST or method.startswith("prior"):
                mean = regrets(found, CURVE).mean(0)
                style = "-" if at < 10 else "--"
                axis.plot(CURVE, mean, style, color=colours[method], label=method, lw=1.2)
        for method, mark in ((SWAPPED, "k*"), (BEYOND, "r*")):
            if swapped := runs.of(name, method):
                end = swapped[0].trainings
                mean = float(regrets(swapped, [end]).mean())
                axis.plot([end], [mean], mark, ms=9, label=method)
        axis.set(title=name, xscale="log", yscale="log")
        axis.title.set_fontsize(9)
        axis.tick_params(labelsize=7)
    handles = {h.get_label(): h for axis in axes.flat for h in axis.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=6, fontsize=8)
    figure.supxlabel("full trainings", fontsize=9, y=0.07)
    figure.supylabel("regret", fontsize=9)
    figure.tight_layout(rect=(0.01, 0.1, 1, 1))
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
