"""How much of LEMUR's foreign code becomes graphs, and why the rest does not.

Every source with results is run in a confined process, first in the setting most of its trials
have, then in its others. What is recorded is kept, so a run that is cut short goes on where it was;
``--report`` prints what is kept without running anything.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections import Counter
from collections.abc import Sequence
from statistics import mean, median

import numpy as np
from _report import parser, publish, table

from archcast.datasets.benchmarks._lemur_graphs import Job, LemurGraphs, causes, digests, graph_of
from archcast.datasets.benchmarks._lemur_trials import trials
from archcast.encoders.errors import UnreadableModelError


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--report", action="store_true", help="record nothing")
    options.add_argument("--first", action="store_true", help="only each source's first setting")
    options.add_argument("--workers", type=int, default=1, help="processes side by side")
    chosen = options.parse_args()
    store = LemurGraphs()
    parts = []
    for title, jobs in stages(store.jobs, chosen):
        if not chosen.report:
            store.record(jobs, workers=chosen.workers, progress=True)
        parts += [f"## {title}", *report(store, jobs)]
    parts.insert(0, names(store, stages(store.jobs, chosen)[0][1]))
    publish("LEMUR: foreign code into graphs", parts, chosen.out, ("torch", "torchvision"))


def stages(jobs: list[Job], chosen: argparse.Namespace) -> list[tuple[str, list[Job]]]:
    first = list({job.digest: job for job in reversed(jobs)}.values())[::-1]
    taken = {job.file for job in first}
    others = [job for job in jobs if job.file not in taken]
    found = [("Each source in its commonest setting", first)]
    return found if chosen.first else [*found, ("The other settings", others)]


def names(store: LemurGraphs, jobs: list[Job]) -> str:
    """The share of all networks with results, copies under other names counted, too."""
    results = np.unique(trials().net).tolist()
    codes = digests()
    good = {job.digest for job in jobs if (entry := store.entry(job)) and "recording" in
            entry["results"][0]}  # fmt: skip
    count = sum(codes[name] in good for name in results)
    return (
        f"Of {len(results):,} networks with results, {count:,} ({count / len(results):.1%}) were "
        f"recorded in their commonest setting; their code has {len(jobs):,} different syntax trees."
    )


def report(store: LemurGraphs, jobs: list[Job]) -> list[str]:
    """The share that became graphs, what held while they ran, and what went wrong."""
    entries = [(job, entry) for job in jobs if (entry := store.entry(job)) is not None]
    devices: Counter[str] = Counter()
    reasons: list[str] = []
    hashes: set[str] = set()
    for job, entry in entries:
        for result in entry["results"]:
            outcome = result.get("reason", "")
            if not outcome:
                try:
                    hashes.add(graph_of(result["recording"], job.name).hash)
                    devices[result["on"]] += 1
                except UnreadableModelError as error:
                    outcome = str(error).partition(" gives no network: ")[2]
            if outcome:
                reasons.append(outcome)
    return [
        shares(jobs, entries, devices, reasons, hashes),
        table(("cause", "settings"), [[k, f"{n:,}"] for k, n in causes(reasons).most_common()]),
    ]


def shares(
    jobs: list[Job],
    entries: Sequence[tuple[Job, dict]],
    devices: Counter[str],
    reasons: list[str],
    hashes: set[str],
) -> str:
    seconds = [entry["seconds"] for _, entry in entries] or [0.0]
    good = devices.total()
    tried = good + len(reasons)
    held = Counter(", ".join(entry["held"]) or "unknown: it was ended" for _, entry in entries)
    rows = [
        ["sources recorded", f"{len(entries):,} of {len(jobs):,}"],
        ["settings tried", f"{tried:,}"],
        ["become graphs", f"{good:,} ({good / max(1, tried):.1%})"],
        ["of these on the meta device", f"{devices['meta']:,}"],
        ["of these on real tensors", f"{devices['cpu']:,}"],
        ["different graphs", f"{len(hashes):,}"],
        ["seconds a source, mean / median / most",
         f"{mean(seconds):.3f} / {median(seconds):.3f} / {max(seconds):.1f}"],
        ["seconds in all", f"{sum(seconds):,.0f}"],
        *[[f"limits that held: {walls}", f"{n:,}"] for walls, n in held.most_common()],
    ]  # fmt: skip
    return table(("", "count"), rows)


if __name__ == "__main__":
    main()
