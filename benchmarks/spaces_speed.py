"""How fast search spaces give graphs, one thread: one Markdown table.

    python benchmarks/spaces_speed.py [--graphs 8000]

Graphs come with canonical order and hash, from texts, CPU time; beside them the same nodes put
into order and hashed one graph at a time, by the construction the file and module readers use.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import SPACES
from archcast.encoders.spaces._nasbench101_cells import module_hashes, unique_cells


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--graphs", type=int, default=8000, help="graphs a space")
    options = parser.parse_args()
    lines = ["| what | graphs/s | mean operators | one at a time |", "|---|---|---|---|"]
    lines += [space_row(name, options.graphs) for name in sorted(SPACES)]
    lines += ["", *cells(), "", f"Python {platform.python_version()}, numpy {np.__version__}, "
              f"{platform.machine()}, one thread"]  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")


def space_row(name: str, count: int) -> str:
    """Texts to graphs, in batches and singly."""
    space = SPACES[name]
    specs = space.sample(count, seed=0)
    space.graphs(specs[:10])
    start = time.process_time()
    graphs = space.graphs(specs)
    batched = count / (time.process_time() - start)
    start = time.process_time()
    for graph in graphs[:300]:
        ComputeGraph.from_columns(graph.columns, graph.edges)
    single = 300 / (time.process_time() - start)
    nodes = np.mean([len(graph) for graph in graphs])
    return f"| {name} texts to graphs | {batched:,.0f} | {nodes:.0f} | {single:,.0f} |"


def cells() -> Iterator[str]:
    """The whole of NAS-Bench-101."""
    start = time.process_time()
    tables = list(unique_cells())
    found = sum(len(table.matrices) for table in tables)
    yield f"NAS-Bench-101: {found:,} unique cells in {time.process_time() - start:.1f} CPU-s, "
    start = time.process_time()
    hashes = {name for table in tables for name in module_hashes(table)}
    yield f"their {len(hashes):,} published hashes in {time.process_time() - start:.1f} CPU-s more"


if __name__ == "__main__":
    main()
