"""What the pooled corpus holds, what building and opening it costs: one table a benchmark.

Builds what is missing first (a build that was stopped goes on), then counts architectures, distinct
graphs, graphs that other benchmarks have too, tasks and labels, and measures in fresh processes how
long a benchmark takes to load and how fast it answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from _report import parser, publish, table

from archcast import datasets

#: Runs in a process of its own: the import of the library is not counted, reading the data is.
_LOAD = """
import json, sys, time
from archcast import datasets
start = time.perf_counter()
data = datasets.load(sys.argv[1])
task = data.tasks[0]
data.labels(task)
seconds = time.perf_counter() - start
specs = list(data.specs)
specs = (specs * (1_000_000 // len(specs) + 1))[:1_000_000]
data.query(specs[:1], task)
start = time.perf_counter()
data.query(specs, task)
print(json.dumps([seconds, 1e6 / (time.perf_counter() - start)]))
"""
_OPEN = """
import json, sys, time
from pathlib import Path
start = time.perf_counter()
from archcast.datasets import open_pool
pool = open_pool(sys.argv[1] or None)
opened = time.perf_counter() - start
lines = Path("/proc/self/status").read_text().splitlines()
memory = next((int(l.split()[1]) / 1024 for l in lines if l.startswith("VmHWM")), 0)
start = time.perf_counter()
column = pool.table("labels", "nasbench201", ["hash", "value"], tasks="cifar10/test_accuracy")
one = time.perf_counter() - start
print(json.dumps([opened, memory, one, column.num_rows]))
"""


def fresh(code: str, argument: str) -> Any:
    """What a script prints as JSON in a new process."""
    command = [sys.executable, "-c", code, argument]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--pool", help="where the pool lies; in the cache by default")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--as-is", action="store_true", help="count what is there, build nothing")
    options.add_argument("--note", default="", help="how the pool was built, for the table")
    options.add_argument("benchmarks", nargs="*", help="all by default")
    chosen = options.parse_args()
    if not chosen.as_is:
        datasets.build_pool(chosen.benchmarks or None, chosen.pool, workers=chosen.workers)
    pool = datasets.open_pool(chosen.pool)
    rows = pool.stats()
    opened, memory, one, count = fresh(_OPEN, chosen.pool or "")
    notes = (
        "Load: a benchmark and its first labels, in a new process. Seconds to build are elapsed, "
        f"with {chosen.workers} processes. {chosen.note}\n\nOpening the pool, import included: "
        f"{opened:.2f} s, {memory:.0f} MB resident; then the first task of one benchmark "
        f"({count:,} hashes and values), pyarrow's import included: {one * 1e3:.0f} ms."
    )
    publish(
        "The pooled corpus",
        [
            benchmark_table(rows, pool.distinct),
            notes,
            "## Graphs that several benchmarks have",
            shared_table(pool.shared()),
        ],
        chosen.out,
        ("numpy", "pyarrow"),
        f"{chosen.workers} processes of one thread",
    )


def benchmark_table(rows: Sequence[dict[str, Any]], distinct: int) -> str:
    head = (
        "benchmark", "space", "architectures", "distinct graphs", "also elsewhere", "tasks",
        "labels", "build s", "MB", "load s", "M queries/s",
    )  # fmt: skip
    lines = []
    for r in rows:
        fresh(_LOAD, r["benchmark"])  # some keep derived tables, made the first time
        seconds, rate = fresh(_LOAD, r["benchmark"])
        counts = [f"{r[k]:,}" for k in ("architectures", "hashes", "shared", "tasks", "labels")]
        speed = [f"{r['seconds']:.0f}", f"{r['bytes'] / 1e6:.1f}", f"{seconds:.2f}"]
        lines.append([r["benchmark"], r["space"], *counts, *speed, f"{rate / 1e6:.1f}"])
    keys = ("architectures", "labels", "seconds")
    total = {k: sum(r[k] for r in rows) for k in keys}
    size = sum(r["bytes"] for r in rows) / 1e6
    lines.append(
        ["all", "", f"{total['architectures']:,}", f"{distinct:,}", "", "",
         f"{total['labels']:,}", f"{total['seconds']:.0f}", f"{size:.1f}", "", ""]
    )  # fmt: skip
    return table(head, lines)


def shared_table(shared: dict[tuple[str, ...], int]) -> str:
    rows = [[" + ".join(names), f"{count:,}"] for names, count in shared.items()]
    return table(("benchmarks", "graphs in common"), rows or [["none", "0"]])


if __name__ == "__main__":
    main()
