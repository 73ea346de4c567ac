"""What searches find in measured tables: regret against trainings, for every strategy.

Twelve tables are searched: NAS-Bench-101 (30,001 of its cells), NAS-Bench-201 on three data sets,
TransNAS-Bench-101 micro on seven tasks, and the size space of NATS-Bench. *Regret* is by how much
the best architecture trained so far misses the best of the table, on what is searched for:
validation, and test on NATS size, whose table has nothing else. For NAS-Bench-201 a second table
tells the test regret of the architecture that validation chose. Strategies that take a prior have
the universal predictor, fitted without the searched space and its siblings (`_search_priors.py`).
Every training is a look-up; an architecture is trained once.

What takes minutes a run was run less often or for fewer trainings (`--strategies`, `--benchmarks`,
`--seeds`, `--trainings`; finished runs are kept in `--work`): *runs* says how often, a dash stands
where runs had ended. All runs that a prior guides have the same one, so they are more alike than
others, and their intervals tell nothing of how lucky that prior is on a table. Settings of
`forecast`, and the division of the swap's budget, were settled with TransNAS micro, the size space
and NAS-Bench-101 in view: there, these two are not held out. On NAS-Bench-201 they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import _search_report as reports
from _report import parser, publish
from _search_methods import METHODS, Question, run
from _search_problems import PROBLEMS
from _search_runs import Runs
from tqdm import tqdm

from archcast.encoders._cache import cache_folder

#: Method -> most seeds and trainings: what is slow has fewer, and a swap has a twentieth.
FEWER = {reports.SWAPPED: (30, 25), reports.BEYOND: (30, 25), "prior alone": (1, 100)}
#: Strategies that cost nothing go on for longer here, to see when the optimum is found.
LONG = {"nasbench101": 3000}
LONG_METHODS = ("random", "evolution")
#: Regrets whose first time is told, in points of accuracy.
TARGETS = (0.0, 0.02, 0.05, 0.1)

SWAP = (
    "A loop of one's own, regularized evolution with 500 calls of a function that trains (50 "
    "members, tournaments of 10; what comes again is not trained again), and the same loop with "
    "`@archcast.search.surrogate(budget=25)` on the function, the rest of the budget spent by "
    "`confirm()`: on what the loop asked about, and with `beyond=True` on any architecture of the "
    "space. Mean regret of the architecture that comes out ± 95 % interval."
)


def options() -> argparse.ArgumentParser:
    """What may be asked for."""
    found = parser(__doc__ or "")
    found.add_argument("--strategies", nargs="+", choices=METHODS, default=list(METHODS))
    found.add_argument("--benchmarks", nargs="+", help="beginnings of problems' names")
    found.add_argument("--seeds", type=int, default=30)
    found.add_argument("--trainings", type=int, default=500, help="full trainings a run")
    found.add_argument(
        "--quick", action="store_true", help="two strategies and seeds, 30 trainings"
    )
    found.add_argument("--report", action="store_true", help="tables of what was run, no new runs")
    found.add_argument(
        "--work", type=Path, default=cache_folder() / "search", help="folder of runs and priors"
    )
    return found


def wanted(chosen: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """Problem, method, seed and trainings of every run, seed by seed."""
    for seed in range(chosen.seeds):
        for method in chosen.strategies:
            seeds, most = FEWER.get(method, (chosen.seeds, chosen.trainings))
            for name in problems(chosen.benchmarks):
                longer = LONG.get(name, 0) if method in LONG_METHODS and not chosen.quick else 0
                if seed < seeds:
                    yield name, method, seed, max(min(most, chosen.trainings), longer)


def problems(beginnings: Sequence[str] | None) -> list[str]:
    """Names of the problems asked for; all if None."""
    return [n for n in PROBLEMS if not beginnings or n.startswith(tuple(beginnings))]


def measure(chosen: argparse.Namespace, runs: Runs) -> None:
    """Make the runs that are not there yet."""
    todo = [job for job in wanted(chosen) if not runs.has(*job)]
    for name, method, seed, trainings in tqdm(todo, desc="searches"):
        problem = PROBLEMS[name]
        asked = Question(problem, problem.simulation(), trainings, seed, chosen.work)
        runs.add(run(method, asked))


def tables(runs: Runs, names: Sequence[str]) -> list[str]:
    """All parts of the report."""
    parts = [
        "## All problems",
        "Regret as a share of random search's after as many trainings: geometric mean over "
        "problems of the ratio of mean regrets, at least .01 each.",
        reports.summary_table(runs),
    ]
    if any(run.method == reports.SWAPPED for run in runs):
        parts += ["## One line swapped", SWAP, reports.swap_table(runs, names)]
    for name in names:
        problem = PROBLEMS[name]
        simulation = problem.simulation()
        unit = simulation.objective.unit
        parts += [
            f"## {name}",
            f"{len(simulation.values):,} architectures; {problem.task}, best "
            f"{simulation.optimum:.4g}{f' {unit}' if unit else ''}. Mean regret ± 95 % interval.",
            reports.regret_table(runs, problem),
        ]
        if problem.report != problem.task:
            parts += [f"The same searches, regret of {problem.report}:",
                      reports.regret_table(runs, problem, reported=True)]  # fmt: skip
        if name == "nasbench101":
            parts += [
                "Trainings until the regret is at most a target, in points, and how many times "
                "fewer than random search needs (in brackets in the head: architectures as good). "
                "Where not all runs got there, how many did. GBDT-NAS (Luo et al., 2020, quoted) "
                "found the optimum of all 423,624 cells with 22, 8 and 6 times fewer than random "
                "search, regularized evolution and Monte Carlo tree search; factors of a sample "
                "of 30,001 are not comparable in size, since random search finds it sooner.",
                reports.targets_table(runs, problem, TARGETS),
            ]
    return parts


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, and write what came out."""
    chosen = options().parse_args(arguments)
    if chosen.quick:
        chosen.seeds, chosen.trainings = 2, 30
        chosen.strategies = chosen.strategies[:2]
        chosen.benchmarks = chosen.benchmarks or ["transnas normal"]
    runs = Runs(chosen.work / ("quick.jsonl" if chosen.quick else "runs.jsonl"))
    if not chosen.report:
        measure(chosen, runs)
    names = [n for n in problems(chosen.benchmarks) if any(r.problem == n for r in runs)]
    parts = tables(runs, names)
    publish("What searches find in measured tables", parts, chosen.out, ("numpy",))
    if chosen.out:
        reports.write_csv(runs, chosen.out.with_suffix(".csv"))
        reports.plot(runs, chosen.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
